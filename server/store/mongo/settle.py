"""Queries whose texts, places and chains are looked up first, so that one filter says the rest.

Where that leads to too much, the plan leaves it for later, and what is walked is asked in batches.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from server.fhir.errors import TooCostly
from server.search.conjuncts import conjuncts
from server.search.query import (
    Query,
)
from server.search.size import size
from server.store.mongo.chains import NAMES, Chains
from server.store.mongo.compile import (
    EVERY,
    Filter,
    Member,
    all_of,
    condition,
)
from server.store.mongo.drive import Driver, drivers
from server.store.mongo.look import Document, Look
from server.store.mongo.plan import (
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
from server.store.mongo.values import valued

SHORT = 200  # documents that are looked at in less time than it takes to count others
FEW_ASKED = 300  # keys and values of a query that is not weighed
MERGED = 150  # lists that MongoDB merges in their order; more it sorts
FIRST_BATCH = 50
LARGEST_BATCH = 500
HEAVIEST_BATCH = 200_000  # references and keys of its documents

WALKED: dict[str, int] = {"d": 1, "born": 1, "n": 1, "r": 1, "m": 1, "t": 1, "rt": 1, "id": 1}
"""The fields of documents that are asked batch by batch."""


class Settler:
    """Plans queries and finds what they match, for one look at the record."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self.chains = Chains(self)

    async def plan(self, query: Query, also: Sequence[Member] = ()) -> Plan:
        """Return how to find the matches of ``query`` for which ``also`` holds as well.

        Raises TooCostly for a query that names too much.
        """
        if size(query.where) > MAX_KEYS:
            raise TooCostly(f"the search names more than {MAX_KEYS} keys and ids")
        asked: list[Member] = [*conjuncts(query), *also]
        members = [await valued(self.look, one) for one in asked]
        counted = await self._counted(drivers(members, query.types))
        if any(map(is_chain, members)):
            least = min(counted.values())
            members = [await self.chains.reached(one, least) for one in members]
            counted = await self._counted(drivers(members, query.types))
        best = _best(counted)
        sizes = {id(driver.of): found for driver, found in counted.items()}
        left = tuple(m for m in members if m is not best.of or not best.exact)
        bound = await self._bound(query, asked) if counted[best] >= MANY else EVERY
        others = tuple(sizes.get(id(member)) for member in left)
        return Plan(best, left, counted[best], bound, others)

    def at_once(self, query: Query) -> Plan | None:
        """Return a plan that was not weighed: along the one list of a patient, or of another
        reference, where that is not known to be long; ``None``: there is none such."""
        members = conjuncts(query)
        if size(query.where) > FEW_ASKED or any(is_value(m) or is_chain(m) for m in members):
            return None
        first, *_ = drivers(members, query.types)
        if not first.narrow or first.lists != 1 or self.look.is_long(first, MANY):
            return None
        left = tuple(one for one in members if one is not first.of)
        return Plan(first, left, 0, EVERY, tuple(None for _ in left))

    async def documents(
        self, query: Query, also: Sequence[Member] = (), fields: dict[str, Any] | None = None
    ) -> AsyncGenerator[Document, None]:
        """Yield all matches, in no order."""
        planned = await self.plan(query, also)
        async with aclosing(self.of_plan(planned, fields or NAMES)) as found:
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
        settled = [condition(await self.chains.in_batch(one, batch)) for one in later]
        ids = {"_id": {"$in": [one["_id"] for one in batch]}}
        by = Driver("_id_", ids)
        found = {one["_id"] for one in await self.look.find(all_of([ids, *settled]), {}, by=by)}
        return [one for one in batch if one["_id"] in found]

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
