"""Searches in MongoDB: plan, walk, resume, count, explain.

What is handed in has been narrowed to what the caller may see (:mod:`server.access.narrow`).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from typing import TypeVar

from pymongo.errors import OperationFailure

from server.search.query import Query
from server.store.mongo import describe
from server.store.mongo.look import Large, Look, Pipeline, TookLonger, looking
from server.store.mongo.pages import Asked, Found, Pages
from server.store.mongo.plan import MANY, Plan
from server.store.mongo.reading import Reading
from server.store.mongo.settle import Settler
from server.store.mongo.sorts import reads_body
from server.store.port import Explanation, Page, Step

__all__ = ["Asked", "Searches"]

T = TypeVar("T")

_NO_SNAPSHOT = (239, 246)  # SnapshotTooOld, SnapshotUnavailable: an index was made just now
_TRIES = 4
_WAIT_S = 0.05
AT_ONCE_MS = 20  # that a plan is given which was not weighed; it saves counting its lists
SOON_S = 0.004  # behind which it is looked at how long its list is
EXPECTATION_S = 10.0  # for the queries of a commit, which hold its transaction open


class Searches:
    """One for a store: it remembers how long lists are."""

    def __init__(self) -> None:
        self._large = Large()

    async def search(self, reading: Reading, asked: Asked, deadline_s: float) -> Page:
        """Return one page; see :meth:`server.store.port.Store.search`."""
        if asked.limit <= 0:
            return Page((), None)

        async def page(look: Look) -> Page:
            found = None
            if reading.session is None and not any(map(reads_body, asked.sort)):
                found = await _at_once(look, asked)
            if found is None:
                planned = await _planned(look, asked.query)
                found = await Pages(Settler(look), planned, asked).page()
            return await _page(look, found, asked.limit)

        return await self._looking(reading, deadline_s, page)

    async def count(self, reading: Reading, query: Query, deadline_s: float) -> int:
        """Return how many resources match."""

        async def number(look: Look) -> int:
            planned = await _planned(look, query)
            if planned.later:
                async with aclosing(Settler(look).of_plan(planned, {"_id": 1})) as found:
                    return sum([1 async for _ in found])
            counted: Pipeline = [{"$match": planned.filter}, {"$count": "n"}]
            return sum([one["n"] async for one in look.pipe(counted, by=planned.driver)])

        return await self._looking(reading, deadline_s, number)

    async def explain(self, reading: Reading, asked: Asked, deadline_s: float) -> Explanation:
        """Run the first page; tell how many documents were looked at for it."""
        begun = time.perf_counter()
        async with looking(reading, self._large, deadline_s) as look:
            planned = await _planned(look, asked.query)
            found = Found([], "nothing to sort")
            if asked.limit > 0:
                found = await Pages(Settler(look), planned, asked).page()
            page = await _page(look, found, asked.limit)
            spent = (time.perf_counter() - begun) * 1000
            seen = await look.examined() if asked.limit > 0 else 0
        steps = [Step("drive", describe.settled(planned.driver.of), planned.size, seen)]
        steps += [
            Step("probe", describe.settled(member), guess)
            for member, guess in zip(planned.members, planned.others, strict=True)
        ]
        order = f"by {describe.order(asked.sort)}: {found.how}"
        steps.append(Step("sort", order, None, len(found.rows)))
        steps.append(Step("fetch", "bodies of the page", asked.limit, len(page.versions)))
        return Explanation(tuple(steps), spent)

    async def matching_ids(self, reading: Reading, query: Query, limit: int) -> set[str]:
        """Return the ids of matches, at most ``limit``, as ``reading.session`` sees them."""
        async with looking(reading, self._large, EXPECTATION_S) as look:
            planned = await _planned(look, query)
            found: set[str] = set()
            async with aclosing(Settler(look).of_plan(planned, {"id": 1})) as documents:
                async for one in documents:
                    if len(found) == limit:
                        break
                    found.add(one["id"])
            return found

    async def _looking(
        self, reading: Reading, deadline_s: float, work: Callable[[Look], Awaitable[T]]
    ) -> T:
        """Do ``work`` in one state of the record; again where the database has none at hand."""
        for tried in range(_TRIES):
            try:
                async with looking(reading, self._large, deadline_s) as look:
                    return await work(look)
            except OperationFailure as error:
                if error.code not in _NO_SNAPSHOT or tried + 1 == _TRIES:
                    raise
                await asyncio.sleep(_WAIT_S)
        raise AssertionError("the last try returns or raises")


async def _at_once(look: Look, asked: Asked) -> Found | None:
    """Return the page by a plan that was not weighed, if there is one and it is found soon."""
    soon = Settler(look).at_once(asked.query)
    if soon is None:
        return None
    begun = time.monotonic()
    found = None
    with suppress(TookLonger), look.patient(AT_ONCE_MS):
        found = await Pages(Settler(look), soon, asked).page()
    if time.monotonic() - begun > SOON_S:
        await look.size(soon.driver, MANY)  # which is remembered when it is long
    return found


async def _planned(look: Look, query: Query) -> Plan:
    look.doing = lambda: f"planning {describe.query(query)}"
    planned = await Settler(look).plan(query)
    look.doing = lambda: describe.told(planned)
    return planned


async def _page(look: Look, found: Found, limit: int) -> Page:
    rows = found.rows[:limit] if limit > 0 else []
    versions = await look.reading.versions([document for _, document in rows])
    more = len(found.rows) > limit > 0
    return Page(tuple(versions), rows[-1][0] if more else None)
