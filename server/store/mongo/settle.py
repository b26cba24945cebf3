"""Queries whose texts, places and chains are looked up first, so that one filter says the rest.

A chain is followed from its end when it leads to little: what is found there becomes a list of
keys.  When it leads to much, or only few documents are to be asked, these are asked, a batch at a
time: what they refer to, or what refers to them, is looked at with the rest of the chain.  Neither
way keeps more than a bounded list.
"""

from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from typing import Any

from server.fhir import definitions
from server.fhir.errors import TooCostly
from server.search.conjuncts import conjuncts
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
from server.search.size import size
from server.store.mongo.compile import (
    EVERY,
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
    condition,
    texts_asked,
)
from server.store.mongo.drive import Driver, drivers
from server.store.mongo.look import Document, Look, Pipeline
from server.store.mongo.near import found_near, is_near
from server.store.mongo.plan import (
    FEW,
    MANY,
    MAX_KEYS,
    MOST,
    Plan,
    bounds,
    clinical,
    is_chain,
    is_value,
    starts_open,
)

MAX_TEXTS = 10_000  # texts whose keys are taken out of their collection
MAX_PLACES = 10_000  # resources near a place that are found beforehand
MAX_REACHED = 5_000  # resources behind a chain that are looked up beforehand
MAX_COMPARTMENTS = 250_000  # of one limit, where they cannot be asked for of each document
WALKED_PER_REACHED = 4  # documents that are looked at for each that a chain may reach
SHORT = 200  # documents that are looked at in less time than it takes to count others
MERGED = 150  # lists that MongoDB merges in their order; more it sorts
FIRST_BATCH = 50
LARGEST_BATCH = 500
HEAVIEST_BATCH = 200_000  # references and keys of its documents
NAMED_AT_ONCE = 50_000  # targets of references

WALKED: dict[str, int] = {"d": 1, "born": 1, "n": 1, "r": 1, "m": 1, "t": 1, "rt": 1, "id": 1}
"""The fields of documents that are asked batch by batch."""
_NAMES = {"n": 1}
_REFERENCES = {"n": 1, "r": 1}


class Settler:
    """Plans queries and finds what they match, for one look at the record."""

    def __init__(self, look: Look) -> None:
        self.look = look

    async def plan(self, query: Query, also: Sequence[Member] = ()) -> Plan:
        """Return how to find the matches of ``query`` for which ``also`` holds as well.

        Raises TooCostly for a query that names too much.
        """
        if size(query.where) > MAX_KEYS:
            raise TooCostly(f"the search names more than {MAX_KEYS} keys and ids")
        asked: list[Member] = [*conjuncts(query), *also]
        members = [await self._valued(one) for one in asked]
        counted = await self._counted(drivers(members, query.types))
        if any(map(is_chain, members)):
            least = min(counted.values())
            members = [await self._reached(one, least) for one in members]
            counted = await self._counted(drivers(members, query.types))
        best = _best(counted)
        sizes = {id(driver.of): found for driver, found in counted.items()}
        left = tuple(m for m in members if m is not best.of or not best.exact)
        bound = await self._bound(query, asked) if counted[best] >= MANY else EVERY
        others = tuple(sizes.get(id(member)) for member in left)
        return Plan(best, left, counted[best], bound, others)

    async def documents(
        self, query: Query, also: Sequence[Member] = (), fields: dict[str, Any] | None = None
    ) -> AsyncGenerator[Document, None]:
        """Yield all matches, in no order."""
        planned = await self.plan(query, also)
        async with aclosing(self.of_plan(planned, fields or _NAMES)) as found:
            async for one in found:
                yield one

    async def of_plan(
        self, planned: Plan, fields: dict[str, Any]
    ) -> AsyncGenerator[Document, None]:
        """Yield the matches of a plan, in no order."""
        later = planned.later
        wanted = {**fields, **WALKED} if later else fields
        walk = self.look.walk(planned.filter, wanted, by=planned.driver)
        async with aclosing(self.kept(walk, later) if later else walk) as found:
            async for one in found:
                yield one

    async def kept(
        self, walk: AsyncGenerator[Document, None], later: Sequence[Member]
    ) -> AsyncGenerator[Document, None]:
        """Yield those of the documents, in their order, for which ``later`` holds."""
        batch: list[Document] = []
        most, weight = FIRST_BATCH, 0
        async for one in walk:
            batch.append(one)
            weight += len(one.get("r", ())) + len(one.get("t", ()))
            if len(batch) >= most or weight > HEAVIEST_BATCH:
                for kept in await self.among(batch, later):
                    yield kept
                batch, most, weight = [], min(most * 2, LARGEST_BATCH), 0
        for kept in await self.among(batch, later):
            yield kept

    async def among(self, batch: Sequence[Document], later: Sequence[Member]) -> list[Document]:
        """Return those of a batch for which all of ``later`` holds."""
        if not batch:
            return []
        settled = [condition(await self._in_batch(one, batch)) for one in later]
        ids = {"_id": {"$in": [one["_id"] for one in batch]}}
        by = Driver("_id_", ids)
        found = {one["_id"] for one in await self.look.find(all_of([ids, *settled]), {}, by=by)}
        return [one for one in batch if one["_id"] in found]

    async def compartments_of(self, to: Query, marks: Sequence[int]) -> set[int]:
        """Return those of the marks that are keys of compartments of matches of ``to``."""
        if not _can_be_asked(InCompartmentOf(to)):
            all_ = [one async for one in self.documents(to)]
            return _compartments(all_).intersection(marks)
        # What has a compartment is in it.
        own = [one async for one in self.documents(to, (Keys(tuple(marks), to.where),))]
        return _compartments(own).intersection(marks)

    async def named(
        self, to: Query, targets: Collection[int], fields: dict[str, Any] | None = None
    ) -> AsyncGenerator[Document, None]:
        """Yield the matches of ``to`` that references with these targets mean; some twice."""
        wanted = list(targets)
        for begin in range(0, len(wanted), NAMED_AT_ONCE):
            some = Names(tuple(wanted[begin : begin + NAMED_AT_ONCE]), to.where)
            async for one in self.documents(to, (some,), fields):
                yield one

    async def few(self, query: Query, limit: int, fields: dict[str, Any]) -> list[Document] | None:
        """Return all matches, ``limit`` at most and found soon, else ``None``."""
        planned = await self.plan(query)
        if await self._is_long(planned, limit):
            return None
        return await self._up_to(planned, limit, fields)

    async def _is_long(self, planned: Plan, limit: int) -> bool:
        """Tell whether so much is to be looked at that what is found is not found soon."""
        most = WALKED_PER_REACHED * limit + 1
        return planned.size >= MANY and await self.look.size(planned.driver, most) >= most

    async def _up_to(
        self, planned: Plan, limit: int, fields: dict[str, Any]
    ) -> list[Document] | None:
        found: list[Document] = []
        async with aclosing(self.of_plan(planned, fields)) as documents:
            async for one in documents:
                found.append(one)
                if len(found) > limit:
                    return None
        return found

    async def _counted(self, found: Sequence[Driver]) -> dict[Driver, int]:
        """Return how many documents each driver has, up to the first that is short."""
        counted: dict[Driver, int] = {}
        for driver in found:
            counted[driver] = await self.look.size(driver, MANY)
            if counted[driver] <= SHORT:
                return counted
        if len(found) > 1 and all(one >= MANY for one in counted.values()):
            # All are broad.  Look once more, for to walk the longest could be the whole record.
            return {
                driver: await self.look.size(driver, MOST) if driver.lists else MOST
                for driver in found
            }
        return counted

    async def _bound(self, query: Query, asked: list[Member]) -> Filter:
        bound, place = bounds(query, asked), clinical(query.types)
        if bound == EVERY or place is None:
            return EVERY
        by = Driver("dt", starts_open(place))
        return EVERY if await self.look.find(by.filter, {}, by=by, limit=1) else bound

    async def _valued(self, member: Member) -> Member:
        """Return the member with texts and places as what they are."""
        if not is_value(member):
            return member
        match member:
            case TextIs():
                found = await self._texts(member, MAX_TEXTS)
                return Later(member) if found is None else found
            case Near():
                return await self._near(member)
            case Not(of):
                return Unless(await self._valued(of))
            case AllOf(of):
                return Every(tuple([await self._valued(one) for one in of]))
            case AnyOf(of):
                return Some(tuple([await self._valued(one) for one in of]))
            case _:
                return member

    async def _texts(
        self, asked: TextIs, limit: int, among: Sequence[int] | None = None
    ) -> Keys | None:
        where = texts_asked(asked)
        if among is not None:
            where = {"$and": [where, {"h": {"$in": list(among)}}]}
        wanted: Pipeline = [{"$match": where}, {"$group": {"_id": "$h"}}, {"$limit": limit + 1}]
        hashes = [one["_id"] async for one in self.look.pipe(wanted, of="texts")]
        return Keys(tuple(hashes), asked) if len(hashes) <= limit else None

    async def _near(self, asked: Near, among: Filter = EVERY) -> These | Later:
        where = all_of([found_near(asked), among])
        limit = MAX_PLACES + 1 if among == EVERY else 0  # a batch is limited itself
        found = await self.look.find(where, {"pt": 1}, limit=limit)
        if limit and len(found) == limit:
            return Later(asked)
        within = (one["_id"] for one in found if is_near(asked, one["pt"]))
        return These(tuple(within), asked)

    async def _reached(self, member: Member, least: int) -> Member:
        """Return the member with chains as what they reach, or for later."""
        if not is_chain(member):
            return member
        match member:
            case Refers() | ReferredBy() | Mentioned() | InCompartmentOf():
                found = await self._remembered(member, least)
                return Later(member) if found is None else found
            case Not(of) | Unless(of):
                return Unless(await self._reached(of, least))
            case AllOf(of) | Every(of):
                return Every(tuple([await self._reached(one, least) for one in of]))
            case AnyOf(of) | Some(of):
                return Some(tuple([await self._reached(one, least) for one in of]))
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
        kept = self.look.memory.get(place)
        if kept is None:
            kept = self.look.memory[place] = (chain, await self._whole(chain, limit))
        return kept[1]

    async def _whole(
        self, chain: Refers | ReferredBy | Mentioned | InCompartmentOf, limit: int
    ) -> Member | None:
        """Return what a chain leads to; ``None``: more than ``limit``."""
        match chain:
            case Refers(type_, param, to):
                found = await self.few(to, limit, _NAMES)
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
                found = await self.few(to, limit, _NAMES)
                if found is None and not _can_be_asked(chain):
                    raise TooCostly(f"access is limited to over {limit} {to.types[0]} resources")
                return None if found is None else Keys(tuple(_compartments(found)), chain)

    async def _targets_of(self, by: Query, place: int | None, limit: int) -> set[int] | None:
        """Return what the matches of ``by`` refer to; ``None``: these are more than ``limit``."""
        planned = await self.plan(by)
        if await self._is_long(planned, limit):
            return None
        most = WALKED_PER_REACHED * limit
        if planned.later:
            found = await self._up_to(planned, limit, _REFERENCES)
            return None if found is None else _targets(found, place)
        pipeline = _referring(planned.filter, place, None, most + 1)
        targets = [one async for one in self.look.pipe(pipeline, by=planned.driver)]
        if sum(one["count"] for one in targets) > most:
            return None
        return {one["_id"] for one in targets}

    async def _in_batch(self, member: Member, batch: Sequence[Document]) -> Member:
        """Return the member with what was left for later settled for a batch."""
        match member:
            case Later(of):
                return await self._asked_of(of, batch)
            case Unless(of):
                return Unless(await self._in_batch(of, batch))
            case Every(of):
                return Every(tuple([await self._in_batch(one, batch) for one in of]))
            case Some(of):
                return Some(tuple([await self._in_batch(one, batch) for one in of]))
            case _:
                return member

    async def _asked_of(self, asked: Member, batch: Sequence[Document]) -> Member:
        match asked:
            case TextIs():
                keys = list({key for one in batch for key in one.get("t", ())})
                return await self._texts(asked, len(keys), keys) or Keys((), asked)
            case Near():
                return await self._near(asked, {"_id": {"$in": [one["_id"] for one in batch]}})
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
        planned = await self.plan(by, (Keys(tuple(place ^ name for name in names), by.where),))
        return await self._referring(planned, place, names)

    async def _mentioned(self, by: Query, names: set[int]) -> set[int]:
        planned = await self.plan(by)
        return await self._referring(planned, None, names)

    async def _referring(self, planned: Plan, place: int | None, names: set[int]) -> set[int]:
        if not planned.later:
            pipeline = _referring(planned.filter, place, names)
            return {one["_id"] async for one in self.look.pipe(pipeline, by=planned.driver)}
        found: set[int] = set()
        async with aclosing(self.of_plan(planned, _REFERENCES)) as documents:
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


def _best(counted: dict[Driver, int]) -> Driver:
    """Return the shortest; of long ones one that is kept in the order of the answer.

    Many lists would have to be sorted into one; where they are a good part of the record, one list
    soon has a page of theirs.
    """
    best = min(counted, key=lambda driver: (counted[driver], driver.index != "t", driver.lists))
    if counted[best] < MOST or best.lists <= MERGED:
        return best
    merged = [driver for driver in counted if 0 < driver.lists <= MERGED]
    return min(merged, key=lambda driver: counted[driver], default=best)


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
