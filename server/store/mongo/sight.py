"""Which versions a caller sees, whose limits the marks alone do not say.

A past version is judged in Python, by rows made anew (:mod:`server.store.past`), which asks the
live record where its limits lead on to other resources.  It cannot wait for the answers there, so
each question that is not answered yet ends the judging, is asked here, and the judging begins
again: limits have few hops.
"""

from collections.abc import Awaitable, Callable, Collection, Hashable, Iterable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

from server.access.context import AccessContext, Interaction
from server.access.narrow import decide, limit
from server.search.match import Candidate, Moment, names_of
from server.search.query import (
    AllOf,
    IdIs,
    Predicate,
    Query,
    ReferredBy,
)
from server.search.rows import IndexRows, param_hash
from server.store.mongo.compile import Keys, Member, Naming
from server.store.mongo.drive import Driver
from server.store.mongo.look import Document, Large, Look, Pipeline, looking
from server.store.mongo.reading import Reading
from server.store.mongo.settle import Settler
from server.store.past import Image, Judge, by_marks
from server.store.port import Version

READ_S = 10.0
_LATEST = {"seq": 1, "del": 1, "m": 1, "v": 1, "lu": 1, "rt": 1, "id": 1, "c": 1, "b": 1}
_NO_ROWS = IndexRows(frozenset())

Key = tuple[Hashable, ...]
Answer = Callable[[Settler], Awaitable[Any]]


async def seen(
    reading: Reading,
    access: AccessContext,
    interaction: Interaction,
    documents: Sequence[Mapping[str, Any]],
) -> list[Version]:
    """Return the versions (documents of ``versions``) that are open, in their order."""
    if not documents:
        return []
    async with looking(reading, Large(), READ_S) as look:
        open_ = await _Sight(look, access, interaction).open(documents)
        return await reading.versions(one for one in documents if one["_id"] in open_)


def _is_live(one: Mapping[str, Any], last: Document) -> bool:
    return bool(last["seq"] == one["_id"] and not last["del"])


class _Unanswered(Exception):
    """Judging needs to know something of the live record; ``answer`` finds it out."""

    def __init__(self, key: Key, answer: Answer) -> None:
        self.key, self.answer = key, answer


class _LiveRecord(Moment):
    """The live resources, as far as they were asked about."""

    def __init__(self) -> None:
        super().__init__(None)
        self.answers: dict[Key, Any] = {}
        self._asked: dict[int, object] = {}

    def named(self, target: int) -> Iterable[Candidate]:
        """Return what a reference with that target hash names; type, id and time only."""
        found: list[Candidate] = self._answer(("named", target), partial(_named, target))
        return found

    def matches(self, query: Query, one: Candidate) -> bool:
        """Tell whether a live resource is one of ``query``."""
        type_, id_ = one.place
        if type_ not in query.types:
            return False
        this = Query((type_,), AllOf((IdIs((id_,)), query.where)))
        return self._told("matches", query, one.place, partial(_any, this, ()))

    def is_referred(self, where: ReferredBy, one: Candidate) -> bool:
        """See :meth:`server.search.match.Moment.is_referred`."""
        place = param_hash(where.by.types[0], where.param)
        names = names_of(one.resource, one.rows)
        keys = Keys(tuple(place ^ name for name in names), where)
        return self._told("referred", where, names, partial(_any, where.by, (keys,)))

    def is_mentioned(self, by: Query, one: Candidate) -> bool:
        """See :meth:`server.search.match.Moment.is_mentioned`."""
        names = names_of(one.resource, one.rows)
        return self._told("mentioned", by, names, partial(_any, by, (Naming(names, by.where),)))

    def is_in_compartment(self, to: Query, one: Candidate) -> bool:
        """See :meth:`server.search.match.Moment.is_in_compartment`."""
        keys = one.rows.keys
        return self._told("compartment", to, keys, partial(_holds_compartment, to, keys))

    def _told(self, kind: str, asked: object, of: Hashable, answer: Answer) -> bool:
        # What was asked is kept beside its id, so that nothing else can get the same id.
        self._asked[id(asked)] = asked
        return bool(self._answer((kind, id(asked), of), answer))

    def _answer(self, key: Key, answer: Answer) -> Any:
        if key not in self.answers:
            raise _Unanswered(key, answer)
        return self.answers[key]


async def _named(target: int, settler: Settler) -> list[Candidate]:
    where = {"n": target}
    by = Driver("n", where)
    found = await settler.look.find(where, {"rt": 1, "id": 1, "lu": 1}, by=by)
    return [
        Candidate({"resourceType": one["rt"], "id": one["id"]}, _NO_ROWS, int(one["lu"]))
        for one in found
    ]


async def _any(query: Query, also: Sequence[Member], settler: Settler) -> bool:
    async with aclosing(settler.documents(query, also)) as found:
        async for _ in found:
            return True
    return False


async def _holds_compartment(to: Query, keys: frozenset[int], settler: Settler) -> bool:
    found = settler.chains.compartments_of(to, tuple(keys))
    return bool(await found)


class _Sight:
    """What one caller sees."""

    def __init__(self, look: Look, access: AccessContext, interaction: Interaction) -> None:
        self._look, self._settler = look, Settler(look)
        self._access, self._interaction = access, interaction
        self._live = _LiveRecord()
        self._judge = Judge(access, interaction, look.reading.index, self._live)

    async def open(self, documents: Sequence[Mapping[str, Any]]) -> set[int]:
        """Return the ``seq`` of those that are open."""
        names = {"_id": {"$in": list({one["r"] for one in documents})}}
        by = Driver("_id_", names)
        latest = {one["_id"]: one for one in await self._look.find(names, _LATEST, by=by)}
        open_: set[int] = set()
        asked: list[Mapping[str, Any]] = []
        for one in documents:
            said = self._by_marks(one, latest.get(one["r"]))
            if said:
                open_.add(one["_id"])
            elif said is None:
                asked.append(one)
        live = await self._open([one for one in asked if _is_live(one, latest[one["r"]])])
        for one in asked:
            if _is_live(one, latest[one["r"]]):
                held = one["r"] in live
            else:
                held = await self._holds(one, latest[one["r"]])
            if held:
                open_.add(one["_id"])
        return open_

    def _by_marks(self, one: Mapping[str, Any], last: Document | None) -> bool | None:
        if last is None:
            return False
        if last["seq"] == one["_id"]:
            return decide(self._access, self._interaction, one["rt"], one["m"])
        return by_marks(self._access, self._interaction, one["rt"], one["m"], last["m"])

    async def _open(self, versions: Sequence[Mapping[str, Any]]) -> set[str]:
        """Return the resources for whose live version the limits hold; one search for a type."""
        by_type: dict[str, list[str]] = {}
        for one in versions:
            by_type.setdefault(one["rt"], []).append(one["id"])
        found: set[str] = set()
        for type_, ids in by_type.items():
            where = limit(type_, self._access, self._interaction)
            found |= {f"{type_}/{id_}" for id_ in await self._ids(type_, where, ids)}
        return found

    async def _ids(self, type_: str, where: Predicate, ids: Collection[str]) -> set[str]:
        query = Query((type_,), AllOf((IdIs(tuple(ids)), where)))
        return {one["id"] async for one in self._settler.documents(query, fields={"id": 1})}

    async def _holds(self, one: Mapping[str, Any], last: Document) -> bool:
        own = await self._image(one)
        latest = own if last["seq"] == one["_id"] else await self._image(last)
        while True:
            try:
                return self._judge.holds(one["rt"], own, latest)
            except _Unanswered as unanswered:
                self._live.answers[unanswered.key] = await unanswered.answer(self._settler)

    async def _image(self, one: Mapping[str, Any]) -> Image:
        """Return what a version is judged by; a deletion by the content of the version before."""
        at = one["lu"] if "lu" in one else one["at"]
        content = one
        if one["b"] is None:
            content = await self._content(one) or one
        body = await self._look.reading.bodies.decode(one["rt"], content["c"], content["b"])
        return Image(frozenset(one["m"]), body, int(at))

    async def _content(self, one: Mapping[str, Any]) -> Document | None:
        match = {"r": f"{one['rt']}/{one['id']}", "v": {"$lt": one["v"]}, "b": {"$ne": None}}
        newest: Pipeline = [{"$match": match}, {"$sort": {"v": -1}}, {"$limit": 1}]
        found = [kept async for kept in self._look.pipe(newest, of="versions")]
        return found[0] if found else None
