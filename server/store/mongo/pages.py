"""One page of a search: which way it is put in order, and the documents that are on it."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from server.search.clinical import CLINICAL_PARAM
from server.search.query import Query, SortKey
from server.search.rows import MIN_TIME
from server.store.mongo import orders
from server.store.mongo.compile import EVERY, Filter, all_of, aside
from server.store.mongo.drive import Driver, of_types
from server.store.mongo.layout import VERSION_FIELDS
from server.store.mongo.look import Document
from server.store.mongo.orders import NEWEST, Cursor, Leg
from server.store.mongo.plan import Plan, clinical
from server.store.mongo.settle import WALKED, Settler
from server.store.mongo.sorts import READ_AT_ONCE, Best, Values, reads_body
from server.store.port import Scalar


@dataclass(frozen=True, slots=True)
class Asked:
    """A query that access has narrowed, its order and its page."""

    query: Query
    sort: tuple[SortKey, ...]
    limit: int
    after: tuple[Scalar, ...] | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """The documents of a page and one more, which tells of another page; and how it was done."""

    rows: list[tuple[Cursor, Document]]
    how: str


class Pages:
    """Finds the page of one search."""

    def __init__(self, settler: Settler, planned: Plan, asked: Asked) -> None:
        self._settler = settler
        self._look = settler.look
        self._plan = planned
        self._asked = asked
        self._later = planned.later
        self._wanted = asked.limit + 1

    async def page(self) -> Found:
        """Return the page, bodies as they are kept."""
        sort = self._asked.sort
        if any(map(reads_body, sort)):
            rows, how = await self._by_values(), "of every match, by what their bodies say"
        elif not sort:
            rows, how = await self._by_legs([NEWEST]), self._walked()
        elif (place := self._clinical()) is not None:
            rows, how = await self._by_clinical_date(place), self._walked()
        elif self._is_by_update():
            whole = Driver("lu", {"rt": self._asked.query.types[0]})
            leg = Leg(("lu", "born"), sort[0].descending)
            rows, how = await self._by_legs([leg], whole), "along the index of the order"
        else:
            rows, how = await self._by_fields(), "of every match"
        return Found(await self._with_bodies(rows), how)

    def _walked(self) -> str:
        return "as the lists are kept" if self._plan.driver.lists else "of every match"

    def _clinical(self) -> int | None:
        """Return the parameter when what is sorted by is the date that the lists are kept in."""
        (key, *more), types = self._asked.sort, self._asked.query.types
        place = clinical(types)
        if more or key.kind != "date" or key.through or place is None:
            return None
        kept = CLINICAL_PARAM[types[0]] == key.param and self._plan.driver.lists
        return place if kept else None

    def _is_by_update(self) -> bool:
        """Tell whether all of a type is put in order by its last change, which an index holds."""
        (key, *more), types = self._asked.sort, self._asked.query.types
        if more or key.kind != "updated" or len(types) != 1 or not self._plan.broad:
            return False
        return self._plan.driver.filter == of_types(types).filter

    async def _by_clinical_date(self, place: int) -> list[tuple[Cursor, Document]]:
        """Walk the lists as they are kept: nearly always all that is on the page states its date.

        What states none, or no start, is kept at the time of its first storing, and found there.
        """
        descending = self._asked.sort[0].descending
        if self._asked.after is None:
            leg = Leg(("d", "born"), descending)
            by = self._plan.driver
            stated = {"dt": {"$elemMatch": {"p": place}}}
            async with aclosing(
                self._walk(self._plan.filter, by, leg, self._wanted, stated)
            ) as documents:
                found = [one async for one in _first(documents, self._wanted)]
            cursors = [orders.clinical_cursor(one) for one in found]
            if len(found) < self._wanted:
                best = Best(self._asked.sort, None, self._wanted)
                for cursor, one in zip(cursors, found, strict=True):
                    best.put(one, cursor)
                return best.result()
            if descending and all(cursor[0] not in (None, MIN_TIME) for cursor in cursors):
                return list(zip(cursors, found, strict=True))
        return await self._by_legs(orders.clinical_legs(place, descending=descending))

    async def _by_legs(
        self, legs: list[Leg], driver: Driver | None = None
    ) -> list[tuple[Cursor, Document]]:
        first = orders.leg_of(legs, self._asked.after)
        found: list[tuple[Cursor, Document]] = []
        by = driver or self._plan.driver
        for number, leg in enumerate(legs[first:]):
            after = self._asked.after if number == 0 else None
            where = all_of([self._plan.driven_by(by), leg.behind(after), aside(leg.where)])
            left = self._wanted - len(found)
            async with aclosing(self._walk(where, by, leg, left)) as documents:
                async for one in documents:
                    found.append((leg.values(one), one))
                    if len(found) == self._wanted:
                        return found
        return found

    def _walk(
        self, where: Filter, by: Driver, leg: Leg, left: int, also: Mapping[str, Any] = EVERY
    ) -> AsyncGenerator[Document, None]:
        if not self._later:
            fields = {**VERSION_FIELDS, "d": 1, "born": 1, **also}
            return self._look.walk(where, fields, by=by, order=leg.order, limit=left)
        walk = self._look.walk(where, {**WALKED, "lu": 1, **also}, by=by, order=leg.order)
        return self._settler.kept(walk, self._later)

    async def _by_fields(self) -> list[tuple[Cursor, Document]]:
        """Sort all matches by values that the documents hold."""
        sort, types = self._asked.sort, self._asked.query.types
        values = {f"k{number}": 1 for number in range(len(sort))}
        stages: list[dict[str, Any]] = [
            {"$match": self._plan.filter},
            *orders.sorted_by(sort, types),
            *orders.behind(sort, self._asked.after),
            *orders.in_order(sort),
        ]
        if not self._later:
            fields = {**VERSION_FIELDS, **values, "born": 1}
            stages += [{"$limit": self._wanted}, {"$project": fields}]
        else:
            stages.append({"$project": {**WALKED, **values}})
        walk = self._look.pipe(stages, by=self._plan.driver)
        found: list[tuple[Cursor, Document]] = []
        async with aclosing(
            self._settler.kept(walk, self._later) if self._later else walk
        ) as documents:
            async for one in documents:
                found.append((orders.values_of(one, len(sort)), one))
                if len(found) == self._wanted:
                    break
        return found

    async def _by_values(self) -> list[tuple[Cursor, Document]]:
        """Sort all matches by values that are worked out here; only the best are kept."""
        values = Values(self._settler, self._asked.sort)
        best = Best(self._asked.sort, self._asked.after, self._wanted)
        batch: list[Document] = []

        async def take() -> None:
            for cursor, one in zip(await values.of(batch), batch, strict=True):
                best.put({"_id": one["_id"]}, cursor)
            batch.clear()

        async with aclosing(self._settler.of_plan(self._plan, values.fields)) as documents:
            async for one in documents:
                batch.append(one)
                if len(batch) == READ_AT_ONCE:
                    await take()
        await take()
        return best.result()

    async def _with_bodies(
        self, rows: list[tuple[Cursor, Document]]
    ) -> list[tuple[Cursor, Document]]:
        bare = [one["_id"] for _, one in rows if "b" not in one]
        if not bare:
            return rows
        ids = {"_id": {"$in": bare}}
        found = await self._look.find(ids, VERSION_FIELDS, by=Driver("_id_", ids))
        whole = {one["_id"]: one for one in found}
        return [(cursor, whole.get(one["_id"], one)) for cursor, one in rows]


async def _first(
    documents: AsyncGenerator[Document, None], most: int
) -> AsyncGenerator[Document, None]:
    """Yield the first ``most`` documents."""
    number = 0
    async for one in documents:
        yield one
        number += 1
        if number == most:
            return
