"""Template-based extraction.  SDC 4.0 extraction.html#template-based-extraction.

A contained resource is copied; ``templateExtractContext`` repeats or removes an element,
``templateExtractValue`` puts a value in its place.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from server.continuity.extract.definitions import Left
from server.continuity.extract.expressions import Asking, Variables
from server.continuity.extract.facts import Fact
from server.continuity.extract.items import SDC, Given, extensions, part, value_of
from server.continuity.extract.values import fitted
from server.continuity.form import Form
from server.fhir.definitions import Child, children
from server.fhir.errors import Issue, TooCostly
from server.fhir.fhirpath.items import Item

_CONTEXT: Final = f"{SDC}templateExtractContext"
_VALUE: Final = f"{SDC}templateExtractValue"
_REQUEST: Final = ("ifNoneMatch", "ifModifiedSince", "ifMatch", "ifNoneExist")
_MOST: Final = 1_000  # repetitions of one element
MOST_SIZE: Final = 20_000_000  # of all that templates become, roughly, in bytes


_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Here:
    """Where a template is being filled: what its expressions are asked of, and its place."""

    context: Item
    variables: Variables
    where: str


@dataclass(slots=True)
class Templates:
    """Fills the templates of one response."""

    form: Form
    asking: Asking
    left: Left
    _size: int = 0

    def of(self, items: tuple[Given, ...], variables: Variables) -> list[Fact]:
        """Return the resources of all templates that the form and its answered items name."""
        context = self.asking.at("QuestionnaireResponse")
        here = _Here(
            context,
            self.asking.declared(self.form.raw, context, variables, "", "Questionnaire"),
            "Questionnaire",
        )
        found: list[Fact] = []
        if not self._nothing_new(items):
            found += self._bundles(here)
            found += self._named(self.form.raw, "", (), here)
        for item in items:
            found += self._item(item, here.variables)
        return found

    def _item(self, item: Given, variables: Variables) -> list[Fact]:
        context = self.asking.at(item.path)
        raw, where = item.item.raw, item.item.path
        here = _Here(context, self.asking.declared(raw, context, variables, item.key, where), where)
        found: list[Fact] = []
        links = tuple(one.item.link_id for one in item.walk() if one.answers)
        if links and not self._nothing_new((item,)):
            found += self._named(raw, item.key, links, here)
        for one in item.items:
            found += self._item(one, here.variables)
        return found

    def _nothing_new(self, items: tuple[Given, ...]) -> bool:
        """Tell whether there are answers, and all of them were there already."""
        answers = [answer for item in items for one in item.walk() for answer in one.answers]
        return bool(answers) and all(self.left(answer.path) for answer in answers)

    def _named(
        self, element: dict[str, Any], key: str, links: tuple[str, ...], here: _Here
    ) -> list[Fact]:
        found = []
        for number, one in enumerate(extensions(element, "templateExtract")):
            template = self._contained(part(one, "template"), here.where)
            filled = self.filled(template, here) if template is not None else None
            if filled is None:
                continue
            own = f"{key}~template.{number}"
            if (id_ := self._text(one, "resourceId", here)) is not None:
                filled["id"] = id_
            request = {
                name: text for name in _REQUEST if (text := self._text(one, name, here)) is not None
            }
            full_url = self._text(one, "fullUrl", here) or self.asking.allocated(own, "template")
            found.append(Fact(own, filled, full_url, here.where, links, request))
        return found

    def _bundles(self, here: _Here) -> list[Fact]:
        found = []
        for one in extensions(self.form.raw, "templateExtractBundle"):
            template = self._contained(value_of(one), here.where)
            for number, entry in enumerate((template or {}).get("entry") or ()):
                key = f"~bundle.{number}"
                for made in self._element(entry, "Bundle.entry", here):
                    resource = made.get("resource")
                    if not isinstance(resource, dict):
                        continue
                    request = made.get("request") or {}
                    if request.get("method", "POST") not in ("POST", "PUT"):
                        self._fault("a template makes or changes; it does not delete", here.where)
                        continue
                    full_url = made.get("fullUrl") or self.asking.allocated(key, "bundle")
                    wanted = {name: request[name] for name in _REQUEST if name in request}
                    found.append(Fact(key, resource, full_url, here.where, (), wanted))
        return found

    def _text(self, extension: dict[str, Any], name: str, here: _Here) -> str | None:
        return self.asking.text(part(extension, name), here.context, here.variables, here.where)

    def _contained(self, reference: Any, where: str) -> dict[str, Any] | None:
        name = str((reference or {}).get("reference", "")).removeprefix("#")
        for one in self.form.raw.get("contained") or ():
            if isinstance(one, dict) and one.get("id") == name and name:
                return one
        self._fault(f"the form contains no template {name[:80]!r}", where)
        return None

    def filled(self, template: dict[str, Any], here: _Here) -> dict[str, Any] | None:
        """Return a resource made of a template, without its id; ``None`` when it is removed."""
        bare = {name: value for name, value in template.items() if name != "id"}
        made = self._element(bare, str(template.get("resourceType")), here)
        return made[0] if made else None

    def _element(self, element: dict[str, Any], content: str, here: _Here) -> list[dict[str, Any]]:
        """Return what an object becomes: none, one, or one for each value of its context."""
        context = _said(element, _CONTEXT)
        value = _said(element, _VALUE)
        rest = _without(element)
        heres = [here] if context is None else self._contexts(context, here)
        found = []
        for each in self._within(heres, here.where):
            self._weigh(rest, each.where)
            if value is not None:
                found += [one for one in self._asked(value, each) if isinstance(one, dict)]
                continue
            made = self._children(rest, content, each)
            if made or not rest:
                found.append(made)
        return [one for one in found if one]

    def _weigh(self, element: dict[str, Any], where: str) -> None:
        """Raise when copies of a template become too large; what is inside is weighed by itself."""
        self._size += 100 + sum(len(one) for one in element.values() if isinstance(one, str))
        if self._size > MOST_SIZE:
            told = f"the templates become larger than {MOST_SIZE // 1_000_000} MB"
            raise TooCostly(told, expression=(where,))

    def _contexts(self, said: Any, here: _Here) -> list[_Here]:
        named = isinstance(said, dict)
        text = said.get("expression") if named else said
        found = self.asking.items(text, here.context, here.variables, here.where)
        if not named or not said.get("name"):
            return [_Here(one, here.variables, here.where) for one in found]
        name = str(said["name"])
        return [_Here(one, {**here.variables, name: one}, here.where) for one in found]

    def _children(self, element: dict[str, Any], content: str, here: _Here) -> dict[str, Any]:
        known = children(content)
        made: dict[str, Any] = {}
        for name, value in element.items():
            if name == "resourceType":
                made[name] = value
            elif name.startswith("_"):
                if name[1:] not in element:
                    self._primitive(made, name[1:], None, value, known, here)
            elif f"_{name}" in element:
                self._primitive(made, name, value, element[f"_{name}"], known, here)
            else:
                made |= self._property(name, value, known, here)
        return made

    def _property(
        self, name: str, value: Any, known: Mapping[str, Child], here: _Here
    ) -> dict[str, Any]:
        child = known.get(name)
        if not isinstance(value, list | dict):
            return {name: value}
        content = child.content if child is not None else "Element"
        listed = value if isinstance(value, list) else [value]
        found: list[Any] = []
        for one in listed:
            inner = one.get("resourceType", content) if isinstance(one, dict) else content
            found += self._element(one, inner, here) if isinstance(one, dict) else [one]
        if child is not None:
            fitting = [fitted(child, one) if isinstance(one, dict) else one for one in found]
            found = [one for one in fitting if one is not None]
        if not found:
            return {}
        return {name: found if isinstance(value, list) else found[0]}

    def _primitive(
        self,
        made: dict[str, Any],
        name: str,
        value: Any,
        extra: Any,
        known: Mapping[str, Child],
        here: _Here,
    ) -> None:
        """Fill a primitive, whose extensions stand beside it."""
        child = known.get(name)
        many = isinstance(extra, list) or isinstance(value, list)
        extras = extra if isinstance(extra, list) else [extra]
        values = value if isinstance(value, list) else [value]
        found: list[Any] = []
        for number in range(max(len(extras), len(values))):
            beside = extras[number] if number < len(extras) else None
            plain = values[number] if number < len(values) else None
            found += self._one_primitive(plain, beside, child, here)
        if found:
            made[name] = found if many else found[0]

    def _one_primitive(
        self, plain: Any, beside: Any, child: Child | None, here: _Here
    ) -> list[Any]:
        said = _said(beside, _VALUE) if isinstance(beside, dict) else None
        if said is None:
            return [plain] if plain is not None else []
        values = self._asked(said, here)
        if child is None:
            return values
        fitting = [fitted(child, one) for one in values]
        if None in fitting:
            self._fault(f"{child.path} does not take what was answered", here.where)
        return [one for one in fitting if one is not None]

    def _asked(self, said: Any, here: _Here) -> list[Any]:
        text = said.get("expression") if isinstance(said, dict) else said
        values = self.asking.values(text, here.context, here.variables, here.where)
        return self._within(values, here.where)

    def _within(self, found: list[_T], where: str) -> list[_T]:
        """Return what was found; nothing, with an issue, when that is too much: never a part."""
        if len(found) <= _MOST:
            return found
        self._fault(f"more than {_MOST:,} repetitions of one element", where)
        return []

    def _fault(self, told: str, where: str) -> None:
        self.asking.issues.append(Issue("error", "processing", told, (where,)))


def _said(element: dict[str, Any], url: str) -> Any:
    for one in element.get("extension") or ():
        if isinstance(one, dict) and one.get("url") == url:
            return value_of(one)
    return None


def _without(element: dict[str, Any]) -> dict[str, Any]:
    """Return an element without what tells how to fill it."""
    if "extension" not in element:
        return element
    kept = [one for one in element["extension"] if one.get("url") not in (_CONTEXT, _VALUE)]
    rest = {name: value for name, value in element.items() if name != "extension"}
    return {**rest, "extension": kept} if kept else rest
