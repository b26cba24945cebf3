"""Chains, followed from their far end or asked of a batch of documents.

What a chain leads to becomes a list of keys or names when it is little.  When it is much, or only
few documents are to be asked, these are asked, a batch at a time: what they refer to, or what
refers to them, is looked at with the rest of the chain.  Neither way keeps more than a bounded
list.
"""

from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from typing import Any, Protocol

from server.fhir import definitions
from server.fhir.errors import TooCostly
from server.search.query import (
    AllOf,
    AnyOf,
    InCompartmentOf,
    Mentioned,
    Near,
    Not,
    Query,
    ReferredBy,
    Refers,
    TextIs,
)
from server.search.rows import compartment_key, key_hash, param_hash
from server.store.mongo.compile import (
    Every,
    Filter,
    Keys,
    Later,
    Member,
    Names,
    Some,
    These,
    Unless,
    all_of,
)
from server.store.mongo.look import Document, Look, Pipeline
from server.store.mongo.plan import FEW, MANY, Plan, is_chain
from server.store.mongo.values import near, texts

MAX_REACHED = 5_000  # resources behind a chain that are looked up beforehand
MAX_COMPARTMENTS = 250_000  # of one limit, where they cannot be asked for of each document
WALKED_PER_REACHED = 4  # documents that are looked at for each that a chain may reach
NAMED_AT_ONCE = 50_000  # targets of references

NAMES = {"n": 1}
_REFERENCES = {"n": 1, "r": 1}


class Finder(Protocol):
    """What finds the matches of a query, chains included: :class:`settle.Settler`."""

    look: Look

    async def plan(self, query: Query, also: Sequence[Member] = ()) -> Plan:
        """Return how to find the matches."""

    def documents(
        self, query: Query, also: Sequence[Member] = (), fields: dict[str, Any] | None = None
    ) -> AsyncGenerator[Document, None]:
        """Yield all matches."""

    def of_plan(self, planned: Plan, fields: dict[str, Any]) -> AsyncGenerator[Document, None]:
        """Yield the matches of a plan."""


class Chains:
    """Follows the chains of one search."""

    def __init__(self, find: Finder) -> None:
        self._find = find

    async def compartments_of(self, to: Query, marks: Sequence[int]) -> set[int]:
        """Return those of the marks that are keys of compartments of matches of ``to``."""
        if not _can_be_asked(InCompartmentOf(to)):
            all_ = [one async for one in self._find.documents(to)]
            return _compartments(all_).intersection(marks)
        # What has a compartment is in it.
        own = [one async for one in self._find.documents(to, (Keys(tuple(marks), to.where),))]
        return _compartments(own).intersection(marks)

    async def named(
        self, to: Query, targets: Collection[int], fields: dict[str, Any] | None = None
    ) -> AsyncGenerator[Document, None]:
        """Yield the matches of ``to`` that references with these targets mean; some twice."""
        wanted = list(targets)
        for begin in range(0, len(wanted), NAMED_AT_ONCE):
            some = Names(tuple(wanted[begin : begin + NAMED_AT_ONCE]), to.where)
            async for one in self._find.documents(to, (some,), fields):
                yield one

    async def _few(self, query: Query, limit: int, fields: dict[str, Any]) -> list[Document] | None:
        """Return all matches, ``limit`` at most and found soon, else ``None``."""
        planned = await self._find.plan(query)
        if await self._is_long(planned, limit):
            return None
        return await self._up_to(planned, limit, fields)

    async def _is_long(self, planned: Plan, limit: int) -> bool:
        """Tell whether so much is to be looked at that what is found is not found soon."""
        most = WALKED_PER_REACHED * limit + 1
        return planned.size >= MANY and await self._find.look.size(planned.driver, most) >= most

    async def _up_to(
        self, planned: Plan, limit: int, fields: dict[str, Any]
    ) -> list[Document] | None:
        found: list[Document] = []
        async with aclosing(self._find.of_plan(planned, fields)) as documents:
            async for one in documents:
                found.append(one)
                if len(found) > limit:
                    return None
        return found

    async def reached(self, member: Member, least: int) -> Member:
        """Return the member with chains as what they reach, or for later."""
        if not is_chain(member):
            return member
        match member:
            case Refers() | ReferredBy() | Mentioned() | InCompartmentOf():
                found = await self._remembered(member, least)
                return Later(member) if found is None else found
            case Not(of) | Unless(of):
                return Unless(await self.reached(of, least))
            case AllOf(of) | Every(of):
                return Every(tuple([await self.reached(one, least) for one in of]))
            case AnyOf(of) | Some(of):
                return Some(tuple([await self.reached(one, least) for one in of]))
            case _:
                return member

    async def _remembered(
        self, chain: Refers | ReferredBy | Mentioned | InCompartmentOf, least: int
    ) -> Member | None:
        if least <= FEW and _can_be_asked(chain):
            return None
        limit = MAX_REACHED if least >= MANY else max(least, FEW)
        if not _can_be_asked(chain):
            limit = MAX_COMPARTMENTS
        place = (f"reached {limit}", id(chain))
        kept = self._find.look.memory.get(place)
        if kept is None:
            kept = self._find.look.memory[place] = (chain, await self._whole(chain, limit))
        return kept[1]

    async def _whole(
        self, chain: Refers | ReferredBy | Mentioned | InCompartmentOf, limit: int
    ) -> Member | None:
        """Return what a chain leads to; ``None``: more than ``limit``."""
        match chain:
            case Refers(type_, param, to):
                found = await self._few(to, limit, NAMES)
                place = param_hash(type_, param)
                if found is None:
                    return None
                return Keys(tuple({place ^ name for one in found for name in one["n"]}), chain)
            case ReferredBy(by, param):
                names = await self._targets_of(by, param_hash(by.types[0], param), limit)
                return None if names is None else Names(tuple(names), chain)
            case Mentioned(by):
                names = await self._targets_of(by, None, limit)
                return None if names is None else Names(tuple(names), chain)
            case InCompartmentOf(to):
                found = await self._few(to, limit, NAMES)
                if found is None and not _can_be_asked(chain):
                    raise TooCostly(f"access is limited to over {limit} {to.types[0]} resources")
                return None if found is None else Keys(tuple(_compartments(found)), chain)

    async def _targets_of(self, by: Query, place: int | None, limit: int) -> set[int] | None:
        """Return what the matches of ``by`` refer to; ``None``: these are more than ``limit``."""
        planned = await self._find.plan(by)
        if await self._is_long(planned, limit):
            return None
        most = WALKED_PER_REACHED * limit
        if planned.later:
            found = await self._up_to(planned, limit, _REFERENCES)
            return None if found is None else _targets(found, place)
        pipeline = _referring(planned.filter, place, None, most + 1)
        targets = [one async for one in self._find.look.pipe(pipeline, by=planned.driver)]
        if sum(one["count"] for one in targets) > most:
            return None
        return {one["_id"] for one in targets}

    async def in_batch(self, member: Member, batch: Sequence[Document]) -> Member:
        """Return the member with what was left for later settled for a batch."""
        match member:
            case Later(of):
                return await self._asked_of(of, batch)
            case Unless(of):
                return Unless(await self.in_batch(of, batch))
            case Every(of):
                return Every(tuple([await self.in_batch(one, batch) for one in of]))
            case Some(of):
                return Some(tuple([await self.in_batch(one, batch) for one in of]))
            case _:
                return member

    async def _asked_of(self, asked: Member, batch: Sequence[Document]) -> Member:
        match asked:
            case TextIs():
                keys = list({key for one in batch for key in one.get("t", ())})
                return await texts(self._find.look, asked, len(keys), keys) or Keys((), asked)
            case Near():
                return await near(
                    self._find.look, asked, {"_id": {"$in": [one["_id"] for one in batch]}}
                )
            case Refers(type_, param, to):
                place = param_hash(type_, param)
                found = self.named(to, _targets(batch, place))
                named = {name async for one in found for name in one["n"]}
                referring = [one["_id"] for one in batch if _targets((one,), place) & named]
                return These(tuple(referring), asked)
            case ReferredBy(by, param):
                return Names(tuple(await self._referred(by, param, _names(batch))), asked)
            case Mentioned(by):
                return Names(tuple(await self._mentioned(by, _names(batch))), asked)
            case InCompartmentOf(to):
                marks = tuple({mark for one in batch for mark in one["m"]})
                return Keys(tuple(await self.compartments_of(to, marks)), asked)
            case _:
                raise TypeError(f"{type(asked).__name__} cannot be asked of a batch")

    async def _referred(self, by: Query, param: str, names: set[int]) -> set[int]:
        """Return those of the names to which matches of ``by`` refer."""
        place = param_hash(by.types[0], param)
        planned = await self._find.plan(
            by, (Keys(tuple(place ^ name for name in names), by.where),)
        )
        return await self._referring(planned, place, names)

    async def _mentioned(self, by: Query, names: set[int]) -> set[int]:
        planned = await self._find.plan(by)
        return await self._referring(planned, None, names)

    async def _referring(self, planned: Plan, place: int | None, names: set[int]) -> set[int]:
        if not planned.later:
            pipeline = _referring(planned.filter, place, names)
            return {one["_id"] async for one in self._find.look.pipe(pipeline, by=planned.driver)}
        found: set[int] = set()
        async with aclosing(self._find.of_plan(planned, _REFERENCES)) as documents:
            async for one in documents:
                found |= _targets((one,), place) & names
                if found == names:
                    break
        return found


def _referring(
    where: Filter, place: int | None, names: set[int] | None, limit: int = 0
) -> Pipeline:
    """Return the pipeline that lists what documents refer to, those of the names if any are given,
    with how many do; ``limit`` references at most are looked at."""
    wanted: Filter = {} if place is None else {"p": place}
    if names is not None:
        wanted["n"] = {"$in": list(names)}
    holds: Filter = {"r": {"$elemMatch": wanted}} if wanted else {}
    of_one: Pipeline = [{"$match": {f"r.{name}": value for name, value in wanted.items()}}]
    return [
        {"$match": all_of([where, holds])},
        {"$project": {"_id": 0, "r": 1}},
        {"$unwind": "$r"},
        *(of_one if wanted else []),
        *([{"$limit": limit}] if limit else []),
        {"$group": {"_id": "$r.n", "count": {"$sum": 1}}},
    ]


def _can_be_asked(chain: Member) -> bool:
    """Tell whether a batch tells which resources the chain may lead to."""
    if not isinstance(chain, InCompartmentOf):
        return True
    return all(type_ in definitions.compartments() for type_ in chain.to.types)


def _names(batch: Sequence[Document]) -> set[int]:
    return {name for one in batch for name in one.get("n", ())}


def _targets(found: Sequence[Document], place: int | None) -> set[int]:
    return {
        refers["n"]
        for one in found
        for refers in one.get("r", ())
        if place is None or refers["p"] == place
    }


def _compartments(found: Sequence[Document]) -> set[int]:
    return {key_hash(compartment_key(one["_id"])) for one in found}
