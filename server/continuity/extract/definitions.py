"""Definition-based extraction.  SDC 4.0 extraction.html#definition-based-extraction.

``definitionExtract`` (before SDC 4: ``itemExtractionContext``) says what is made, ``definition`` of
the items below it into which element an answer goes: ``[canonical]#Patient.name.family``.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from server.continuity.extract.expressions import Asking, Variables
from server.continuity.extract.facts import SETTLED, Fact
from server.continuity.extract.items import Given, extensions, part, value_of
from server.continuity.extract.values import fitted, property_of
from server.continuity.form import Form
from server.continuity.same import answer_value
from server.fhir.definitions import Child, resource_types
from server.fhir.errors import Issue

CORE: Final = "http://hl7.org/fhir/StructureDefinition/"
_REQUEST: Final = ("ifNoneMatch", "ifModifiedSince", "ifMatch", "ifNoneExist")
_QUERY_ID: Final = re.compile(r"([A-Z][A-Za-z]+)/\{\{(.+)\}\}")

Left = Callable[[str], bool]
"""Tells of an answer, by its path, whether it says nothing new."""

Scope = dict[str, Any]
"""Element paths -> the entry of a list, or the object, in which what is below them is put."""


@dataclass(frozen=True, slots=True)
class _Context:
    """What one extension asks for: ``canonical`` is the prefix of the definitions that it means."""

    canonical: str
    type: str
    id: str | None
    details: Mapping[str, str]


@dataclass(slots=True)
class _Making:
    """A resource in the making; ``links`` are the items whose answers are in it, ``paths`` where
    these answers stand; those at ``without`` are not to be put in."""

    context: _Context
    resource: dict[str, Any]
    without: Collection[str] = ()
    links: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    values: int = 0


@dataclass(slots=True)
class Definitions:
    """Makes the resources of one response."""

    form: Form
    asking: Asking
    left: Left

    def of(self, items: tuple[Given, ...], variables: Variables) -> list[Fact]:
        """Return the resources that the form, and each item, asks for."""
        path = "QuestionnaireResponse"
        variables = self.asking.declared(
            self.form.raw, self.asking.at(path), variables, "", "Questionnaire"
        )
        found = self._made(self.form.raw, items, None, variables)
        for item in items:
            found += self._below(item, variables)
        return found

    def _below(self, item: Given, variables: Variables) -> list[Fact]:
        variables = self._declared(item, variables)
        found = self._made(item.item.raw, item.items, item, variables)
        for one in item.items:
            found += self._below(one, variables)
        return found

    def _declared(self, item: Given, variables: Variables) -> Variables:
        context = self.asking.at(item.path)
        return self.asking.declared(item.item.raw, context, variables, item.key, item.item.path)

    def _made(
        self,
        element: dict[str, Any],
        items: tuple[Given, ...],
        own: Given | None,
        variables: Variables,
    ) -> list[Fact]:
        path = own.path if own is not None else "QuestionnaireResponse"
        where = own.item.path if own is not None else "Questionnaire"
        key = own.key if own is not None else ""
        found = []
        for number, context in enumerate(self._contexts(element, path, variables, where)):
            making = self._filled(context, element, items, own, variables, ())
            left = [path for path in making.paths if self.left(path)]
            updates = "id" in making.resource and context.type in SETTLED
            if left and (updates or len(left) == len(making.paths)):
                # What is there takes only what is new; what is made is made of everything.
                making = self._filled(context, element, items, own, variables, left)
                if not making.paths:
                    continue
            if making.paths or (own is None and making.values):
                own_key = f"{key}~definition.{number}"
                found.append(self._fact(making, own_key, where, path, variables))
        return found

    def _filled(
        self,
        context: _Context,
        element: dict[str, Any],
        items: tuple[Given, ...],
        own: Given | None,
        variables: Variables,
        without: Collection[str],
    ) -> _Making:
        """Return what the answers but for those at some paths make."""
        making = _Making(context, {"resourceType": context.type}, without)
        if context.id is not None:
            making.resource["id"] = context.id
        if not context.canonical.startswith(CORE):
            making.resource["meta"] = {"profile": [context.canonical]}
        path = own.path if own is not None else "QuestionnaireResponse"
        where = own.item.path if own is not None else "Questionnaire"
        scope: Scope = {context.type: making.resource}
        self._values(making, element, path, scope, variables, where)
        if own is not None:
            self._answers(making, own, scope)
        for item in items:
            self._item(making, item, scope, variables)
        return making

    def _fact(self, making: _Making, key: str, where: str, path: str, variables: Variables) -> Fact:
        context, ask = self.asking.at(path), self.asking.text
        details = making.context.details
        request = {
            name: text
            for name in _REQUEST
            if (text := ask(details.get(name), context, variables, where)) is not None
        }
        full_url = ask(details.get("fullUrl"), context, variables, where)
        full_url = full_url or self.asking.allocated(key, "definition")
        links = tuple(dict.fromkeys(making.links))
        return Fact(key, making.resource, full_url, where, links, request)

    def _contexts(
        self, element: dict[str, Any], path: str, variables: Variables, where: str
    ) -> list[_Context]:
        found: list[tuple[str, str | None, dict[str, str]]] = []
        for one in extensions(element, "definitionExtract"):
            canonical = str(part(one, "definition") or "")
            names = ("fullUrl", *_REQUEST)
            details = {name: str(part(one, name)) for name in names if part(one, name)}
            found.append((canonical, None, details))
        found += [
            self._legacy(value_of(one), path, variables, where)
            for one in extensions(element, "itemExtractionContext")
        ]
        made = []
        for canonical, id_, details in found:
            type_ = self._type(canonical)
            if type_ is None:
                self._fault(f"what is to be made of {canonical[:120]!r} cannot be told", where)
            else:
                made.append(_Context(canonical, type_, id_, details))
        return made

    def _legacy(
        self, value: Any, path: str, variables: Variables, where: str
    ) -> tuple[str, str | None, dict[str, str]]:
        """Return canonical and id of what the extension before SDC 4 names."""
        if isinstance(value, str):
            return CORE + value, None, {}
        text = str((value or {}).get("expression", ""))
        if (value or {}).get("language") == "application/x-fhir-query":
            named = _QUERY_ID.fullmatch(text)
            if named is None:
                return CORE + text.partition("?")[0], None, {}
            id_ = self.asking.text(named[2], self.asking.at(path), variables, where)
            return CORE + named[1], id_, {}
        found = self.asking.values(text, self.asking.at(path), variables, where)
        there = found[0] if found and isinstance(found[0], dict) else {}
        return CORE + str(there.get("resourceType", "")), there.get("id"), {}

    def _type(self, canonical: str) -> str | None:
        """Return the type of a definition: its own name, or what the paths behind it begin with."""
        name = canonical.partition("|")[0].rpartition("/")[2]
        if name in resource_types():
            return name
        for item in self.form.walk():
            prefix, _, path = (item.definition or "").partition("#")
            if prefix == canonical and path.partition(".")[0] in resource_types():
                return path.partition(".")[0]
        return None

    def _item(self, making: _Making, item: Given, scope: Scope, variables: Variables) -> None:
        if self._is_context(item):
            return  # it makes a resource of its own
        variables = self._declared(item, variables)
        inner = scope
        path = self._path(making, item.item.definition)
        if item.item.type == "group" and (item.item.repeats or path is not None):
            inner = dict(scope)
        if item.item.type == "group" and path is not None:
            # What is below means an entry of its own of this element.
            inner = {name: one for name, one in scope.items() if not _inside(name, path)}
        self._values(making, item.item.raw, item.path, inner, variables, item.item.path)
        self._answers(making, item, inner)
        for one in item.items:
            self._item(making, one, inner, variables)

    def _answers(self, making: _Making, item: Given, scope: Scope) -> None:
        path = self._path(making, item.item.definition)
        if path is None or item.item.type == "group":
            return
        for number, answer in enumerate(item.answers):
            if answer.path in making.without:
                continue
            value = answer_value(answer.raw)
            if self._put(making, scope, path, value, item.item.path, number):
                making.links.append(item.item.link_id)
                making.paths.append(answer.path)

    def _values(
        self,
        making: _Making,
        element: dict[str, Any],
        path: str,
        scope: Scope,
        variables: Variables,
        where: str,
    ) -> None:
        """Put in what ``definitionExtractValue`` fixes or computes."""
        for one in extensions(element, "definitionExtractValue"):
            target = self._path(making, str(part(one, "definition") or ""))
            if target is None:
                continue
            values = [part(one, "fixed-value")]
            expression = part(one, "expression")
            if isinstance(expression, dict):
                context = self.asking.at(path)
                values = self.asking.values(expression.get("expression"), context, variables, where)
            for number, value in enumerate(values):
                if value is not None and self._put(making, scope, target, value, where, number):
                    making.values += 1

    def _path(self, making: _Making, definition: str | None) -> str | None:
        canonical, hash_, path = (definition or "").partition("#")
        if not hash_ or canonical != making.context.canonical:
            return None
        return path if path.startswith(f"{making.context.type}.") else None

    def _put(
        self, making: _Making, scope: Scope, path: str, value: Any, where: str, number: int = 0
    ) -> bool:
        """Put a value at a path; ``False`` with an issue when there is no such place for it.

        ``number``: which of the values of its item it is; the first goes where its neighbours are,
        each other one into the list that is nearest.
        """
        type_, *segments = path.split(".")
        chain = _chain(type_, segments, value)
        made = fitted(chain[-1], value) if chain else None
        if made is None:
            self._fault(f"{path[:120]} is no element that takes such a value", where)
            return False
        leaf = chain[-1]
        own = scope if number == 0 or leaf.max != 1 else {type_: making.resource}
        here, so_far = making.resource, type_
        for child, segment in zip(chain[:-1], segments, strict=False):
            so_far = f"{so_far}.{segment}"
            here = _entered(here, child.name, so_far, own, many=child.max != 1)
        if leaf.max != 1:
            here.setdefault(leaf.name, []).append(made)
        else:
            here[leaf.name] = made
        return True

    def _is_context(self, item: Given) -> bool:
        names = ("definitionExtract", "itemExtractionContext")
        return any(extensions(item.item.raw, name) for name in names)

    def _fault(self, told: str, where: str) -> None:
        self.asking.issues.append(Issue("error", "processing", told, (where,)))


def _entered(
    here: dict[str, Any], name: str, path: str, scope: Scope, *, many: bool
) -> dict[str, Any]:
    """Return the object at a path, made when there is none in the scope."""
    found = scope.get(path)
    if found is None:
        found = {} if many else here.get(name, {})
        if many:
            here.setdefault(name, []).append(found)
        else:
            here[name] = found
        scope[path] = found
    made: dict[str, Any] = found
    return made


def _chain(type_: str, segments: Sequence[str], value: Any) -> list[Child]:
    """Return the properties that a path leads through, [] when there is no such path.

    An element of an extension cannot be told from others by its name alone.
    """
    found: list[Child] = []
    content = type_
    for number, segment in enumerate(segments):
        name, last = segment.partition(":")[0], number == len(segments) - 1
        child = property_of(content, name, value if last else {})
        if child is None or name == "extension":
            return []
        found.append(child)
        content = child.content
    return found


def _inside(path: str, of: str) -> bool:
    return path == of or path.startswith(f"{of}.")
