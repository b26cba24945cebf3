"""The walk over a form: variables, contexts, expressions, links and defaults of every item.

Variables and population contexts are seen by what is below them.  They are evaluated in the order
in which they stand, so one that needs a later one, or itself, has none and says so: there are no
cycles.  What fails costs the item that it is of, and is told as a warning of that item.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import anyio.lowlevel

from server.continuity.form import Item
from server.continuity.populate import link, query, sdc
from server.continuity.populate.coerce import NoAnswerError, Options, answer
from server.continuity.populate.judge import from_absence
from server.continuity.populate.link import Linked
from server.continuity.populate.options import Listed
from server.continuity.populate.proposed import By, Node, Proposed, Value
from server.continuity.populate.query import UnfitQuery
from server.continuity.populate.sdc import Stated
from server.continuity.populate.world import World, bound
from server.continuity.site import Translated
from server.fhir.fhirpath.errors import FhirPathError
from server.fhir.fhirpath.items import Item as PathItem

MAX_REPETITIONS: Final = 100  # of one group
MAX_NODES: Final = 5_000  # items of one response
MAX_ANSWERS: Final = 100  # of one item

Scope = dict[str, list[PathItem]]


@dataclass(slots=True)
class Filling:
    """One walk.  ``base`` is the response to be, what expressions are asked of."""

    world: World
    form: Mapping[str, Any]
    base: PathItem
    listed: Listed
    linked: Sequence[Linked]
    translated: Translated
    local: bool = True
    _nodes: int = 0
    _queries: int = 0
    _resolves: bool = False
    _variables: list[str] = field(default_factory=list)

    async def root_scope(self, launch: Mapping[str, list[PathItem]]) -> Scope:
        """Return what the whole form sees: contexts, batches of queries, variables."""
        self._resolves = self.local and "resolve(" in str(self.form)
        if self._resolves:
            await self.world.follow(one.value for listed in launch.values() for one in listed)
        scope: Scope = {**launch, "questionnaire": bound(dict(self.form))}
        scope["resource"] = [self.base]
        await self._source_queries(scope)
        return await self._with_variables(self.form, "Questionnaire", scope, None)

    async def _source_queries(self, scope: Scope) -> None:
        contained = {one.get("id"): one for one in self.form.get("contained", ())}
        for reference in sdc.values(self.form, sdc.SOURCE_QUERIES):
            name = reference.get("reference", "").removeprefix("#")
            batch = contained.get(name, {})
            if batch.get("resourceType") != "Bundle" or name in scope:
                self.world.warn(f"sourceQueries {name[:80]!r} is no Bundle in the form")
                continue
            entries = []
            for n, entry in enumerate(batch.get("entry", ())):
                text = entry.get("request", {}).get("url", "")
                stated = Stated(sdc.QUERY, text, None, f"{name}.entry[{n}]")
                found = await self._result(stated, scope, None)
                made = {"response": {"status": "200" if found else "404"}}
                entries.append({**made, "resource": found[0].value} if found else made)
            scope[name] = bound(
                {"resourceType": "Bundle", "type": "batch-response", "entry": entries}
            )

    async def _with_variables(
        self, raw: Mapping[str, Any], place: str, scope: Scope, link_id: str | None
    ) -> Scope:
        stated = sdc.expressions(raw, sdc.VARIABLE, place)
        if not stated:
            return scope
        made = dict(scope)
        for one in stated:
            if one.name in (None, ""):
                self.world.warn("a variable has no name", link_id)
            elif link_id is None and one.name in made:
                continue  # given by the caller, as SDC has it for queries
            else:
                found = await self._result(one, made, link_id)
                if found is not None:
                    assert one.name is not None
                    made[one.name] = found
                    self._variables.append(one.text)
        return made

    async def items(self, items: Sequence[Item], scope: Scope, *, within: bool) -> list[Node]:
        """Return the nodes of items, in their order; a repeating group may have several."""
        made: list[Node] = []
        for item in items:
            made += await self._item(item, scope, within=within)
        return made

    async def _item(self, item: Item, scope: Scope, *, within: bool) -> list[Node]:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            if self._nodes == MAX_NODES + 1:
                self.world.warn(f"the response would have more than {MAX_NODES} items")
            return []
        if self._nodes % 20 == 0:
            await anyio.lowlevel.checkpoint()  # others are answered meanwhile
        scope = await self._with_variables(
            item.raw, item.path, {**scope, "qitem": [PathItem(item.raw, "BackboneElement",
            "Questionnaire.item", None, None, None)]}, item.link_id
        )  # fmt: skip
        context = sdc.first(item.raw, item.path, sdc.POPULATION_CONTEXT)
        if context is None and item.type == "group":
            context = sdc.first(item.raw, item.path, sdc.INITIAL)
        if context is not None and context.name:
            return await self._in_context(item, context, context.name, scope, within=within)
        return [await self._node(item, scope, within=within)]

    async def _in_context(
        self, item: Item, context: Stated, name: str, scope: Scope, *, within: bool
    ) -> list[Node]:
        found = await self._result(context, scope, item.link_id) or []
        found = _resources(found)
        if not item.repeats:
            return [await self._node(item, {**scope, name: found}, within=within)]
        if len(found) > MAX_REPETITIONS:
            self.world.warn(f"more than {MAX_REPETITIONS} repetitions; none is shown", item.link_id)
            found = []
        if not found:
            return [await self._node(item, {**scope, name: []}, within=within)]
        return [await self._node(item, {**scope, name: [one]}, within=True) for one in found]

    async def _node(self, item: Item, scope: Scope, *, within: bool) -> Node:
        node = Node(item, within=within)
        if item.type not in ("group", "display"):
            node.proposed = await self._proposed(item, scope)
        node.children = await self.items(item.items, scope, within=within)
        return node

    async def _proposed(self, item: Item, scope: Scope) -> Proposed | None:
        stated = sdc.first(item.raw, item.path, sdc.INITIAL, sdc.CALCULATED)
        if stated is not None:
            found = await self._result(stated, scope, item.link_id)
            if found is not None:
                return await self._values(item, "expression", found, [stated.text])
        elif self.local and link.period(item) is not None:
            try:
                found = link.latest(self.world, item, self.linked, self.translated)
            except ValueError as error:
                self.world.warn(str(error), item.link_id)
                return None
            if found:
                return await self._values(item, "link", found, [])
        return _default(item)

    async def _result(
        self, stated: Stated, scope: Scope, link_id: str | None
    ) -> list[PathItem] | None:
        """Return what an expression gives; ``None``, and a warning, when it gives nothing."""
        try:
            if stated.language == sdc.FHIRPATH:
                return self.world.evaluate(stated.text, scope, self.base)
            if stated.language == sdc.QUERY:
                return bound(await self._asked(stated, scope))
            told = f"expressions in {stated.language[:80]!r} are not understood"
        except (FhirPathError, UnfitQuery) as error:
            told = f"{stated.text[:80]!r}: {error}"
        self.world.warn(told, link_id)
        return None

    async def _asked(self, stated: Stated, scope: Scope) -> dict[str, Any]:
        if not self.local:
            raise UnfitQuery("the call asks for nothing from the record (local)")
        self._queries += 1
        if self._queries > query.MAX_QUERIES:
            raise UnfitQuery(f"the form asks more than {query.MAX_QUERIES} queries")
        found = await query.asked(self.world, stated.text, scope, self.base)
        if self._resolves:
            await self.world.follow([found])
        return found

    async def _values(
        self, item: Item, by: By, found: list[PathItem], texts: list[str]
    ) -> Proposed:
        if len(found) > MAX_ANSWERS:
            self.world.warn(f"it has more than {MAX_ANSWERS} answers", item.link_id)
            return Proposed(by)
        options = await self.listed.of(item)
        values: dict[str, Value] = {}
        withheld = False
        for one in found:
            origin = self.world.origin(one)
            made = self._answer(item, one, options)
            if made is None:
                continue
            if origin is None and from_absence(made, [*texts, *self._variables]):
                withheld = True
            else:
                values[repr(made)] = Value(made, origin, options.unchecked)
        every = tuple(values.values())
        return Proposed(by, every, withheld and not values, (*texts, *self._variables))

    def _answer(self, item: Item, one: PathItem, options: Options) -> dict[str, Any] | None:
        if one.value is None:
            return None
        try:
            return answer(item, one, options)
        except NoAnswerError as error:
            self.world.warn(str(error), item.link_id)
            return None


def _resources(found: list[PathItem]) -> list[PathItem]:
    """Return what a context repeats over: the matches of a Bundle, or the items themselves."""
    if len(found) == 1 and found[0].type == "Bundle":
        entries = found[0].value.get("entry", ())
        matches = [e for e in entries if e.get("search", {}).get("mode", "match") == "match"]
        return bound([e["resource"] for e in matches if "resource" in e])
    return found


def _default(item: Item) -> Proposed | None:
    """Return what the form itself proposes: ``initial``, or options that are selected."""
    stated = [_only_value(one) for one in item.raw.get("initial", ())]
    if not stated:
        options = item.raw.get("answerOption", ())
        stated = [_only_value(one) for one in options if one.get("initialSelected") is True]
    made = tuple(Value(one) for one in stated if one)
    return Proposed("default", made) if made else None


def _only_value(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in raw.items() if name.startswith("value")}
