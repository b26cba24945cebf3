"""Questions to the collections, within one search's deadline and in one state of the record."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import ExecutionTimeout, NetworkTimeout

from server.fhir.errors import DeadlineExceeded
from server.store.mongo.compile import Filter
from server.store.mongo.drive import Driver
from server.store.mongo.reading import Reading, Session

SHORT = 64  # documents that are rather counted anew than that their number is remembered
PATIENCE_MS = 40  # for counting what a range of values finds
REMEMBER_S = 60.0
MAX_REMEMBERED = 50_000
GRACE_S = 0.5  # behind its deadline a search is ended here
FETCHED_AT_ONCE = 200  # documents of a walk that come in one answer

Document = dict[str, Any]
Pipeline = list[dict[str, Any]]


class Large:
    """How long long lists were when they were counted.  Old counts cost speed, nothing else."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[int, int, float]] = {}

    def get(self, what: int, limit: int) -> int | None:
        """Return what was counted, ``limit`` at most, if it was counted that far and lately."""
        size, counted_to, until = self._kept.get(what, (0, 0, 0.0))
        if until <= time.monotonic() or limit > max(counted_to, size):
            return None
        return min(size, limit)

    def put(self, what: int, size: int, counted_to: int) -> None:
        """Remember a count."""
        if len(self._kept) >= MAX_REMEMBERED:
            self._kept.clear()
        self._kept[what] = (size, counted_to, time.monotonic() + REMEMBER_S)


class TookLonger(Exception):
    """What was tried did not end soon; the deadline has not come yet."""


class Look:
    """One search's eyes.

    ``doing`` tells the plan, for the search that takes too long.  ``rows`` counts the documents
    that came in.
    """

    def __init__(self, reading: Reading, session: Session, large: Large, deadline_s: float) -> None:
        self.reading = reading
        self._session = session
        self._large = large
        self._deadline_s = deadline_s
        self._end = time.monotonic() + deadline_s
        self._ordered: dict[str, Any] | None = None
        self._patience_ms: int | None = None
        self.doing: Callable[[], str] = lambda: "planning"
        self.memory: dict[tuple[str, int], tuple[object, Any]] = {}
        """What was found out about a part of the query, by its identity; the part is kept too."""

    @property
    def _resources(self) -> AsyncCollection[Document]:
        return self.reading.db["resources"]

    async def size(self, driver: Driver, limit: int) -> int:
        """Return how many documents a driver has, ``limit`` at most; large counts may be old.

        It is not counted in the session: it only decides how to search.
        """
        what = hash(repr(driver.filter))
        known = self._large.get(what, limit)
        if known is not None:
            return known
        asked = {"count": "resources", "query": driver.filter, "limit": limit}
        told = {"hint": driver.index} if driver.index is not None else {}
        left = self.left_ms()
        patience = left if driver.index in ("t", "n", "_id_") else min(left, PATIENCE_MS)
        try:
            answer = await self.reading.db.command({**asked, **told, "maxTimeMS": patience})
            size = int(answer["n"])
        except ExecutionTimeout:
            # To count what is rare among many takes as long as to look at them.
            self.left_ms()
            size = limit
        if size > SHORT:
            self._large.put(what, size, limit)
        return size

    async def find(
        self,
        where: Filter,
        fields: Mapping[str, Any],
        *,
        by: Driver | None = None,
        order: Sequence[tuple[str, int]] = (),
        limit: int = 0,
    ) -> list[Document]:
        """Return documents; ``limit=0``: all."""
        return [one async for one in self.walk(where, fields, by=by, order=order, limit=limit)]

    async def walk(
        self,
        where: Filter,
        fields: Mapping[str, Any],
        *,
        by: Driver | None = None,
        order: Sequence[tuple[str, int]] = (),
        limit: int = 0,
    ) -> AsyncGenerator[Document, None]:
        """Yield documents in order."""
        if order:
            self._ordered = {
                "find": "resources",
                "filter": where,
                "sort": dict(order),
                **({"limit": limit} if limit else {}),
                **({"hint": by.index} if by is not None and by.index is not None else {}),
            }
        cursor = self._resources.find(
            where,
            fields,
            session=self._session,
            limit=limit,
            batch_size=0 if 0 < limit <= FETCHED_AT_ONCE else FETCHED_AT_ONCE,
            sort=list(order) or None,
            hint=by.index if by is not None else None,
            max_time_ms=self.left_ms(),
            allow_disk_use=True if order else None,
        )
        async with cursor:
            with self._noted():
                async for one in cursor:
                    yield one

    async def pipe(
        self, pipeline: Pipeline, *, by: Driver | None = None, of: str = "resources"
    ) -> AsyncGenerator[Document, None]:
        """Yield what an aggregation answers."""
        if of == "resources" and any("$sort" in stage for stage in pipeline):
            self._ordered = {"aggregate": of, "pipeline": pipeline, "cursor": {}}
        told: dict[str, Any] = {"hint": by.index} if by is not None and by.index is not None else {}
        with self._noted():
            cursor = await self.reading.db[of].aggregate(
                pipeline,
                session=self._session,
                allowDiskUse=True,
                maxTimeMS=self.left_ms(),
                **told,
            )
            async with cursor:
                async for one in cursor:
                    yield one

    async def examined(self) -> int | None:
        """Run the last question with an order anew; return how many documents it looked at."""
        if self._ordered is None:
            return None
        told = {"explain": self._ordered, "verbosity": "executionStats"}
        with self._noted():
            answer = await self.reading.db.command({**told, "maxTimeMS": self.left_ms()})
        return _examined(answer)

    def left_ms(self) -> int:
        """Return the time that is left; raises DeadlineExceeded when there is none."""
        left = int((self._end - time.monotonic()) * 1000)
        if left <= 0:
            raise self.late()
        return left if self._patience_ms is None else min(left, self._patience_ms)

    @contextmanager
    def patient(self, patience_ms: int) -> Iterator[None]:
        """Raise TookLonger when a question takes longer than this."""
        self._patience_ms = patience_ms
        try:
            yield
        finally:
            self._patience_ms = None

    def is_long(self, driver: Driver, limit: int) -> bool:
        """Tell whether a driver is known to have as many documents; nothing is asked."""
        size = self._large.get(hash(repr(driver.filter)), limit)
        return size is not None and size >= limit

    def slow(self) -> Exception:
        """Return the error for a question that the database has ended."""
        return self.late() if self._patience_ms is None else TookLonger()

    def late(self) -> DeadlineExceeded:
        """Return the error that tells the plan."""
        return DeadlineExceeded(
            f"the search ran longer than {self._deadline_s:g} s; narrow it by a patient, a code"
            f" or a date; {self.doing()}"
        )

    def _noted(self) -> "_Noted":
        return _Noted(self)


def _examined(told: Any) -> int:
    """Return what an explanation counts, wherever it says so."""
    if isinstance(told, dict):
        if "totalDocsExamined" in told:
            return int(told["totalDocsExamined"])
        return sum(_examined(part) for part in told.values())
    return sum(_examined(part) for part in told) if isinstance(told, list) else 0


class _Noted:
    """Turns the server's end of a deadline into the search's."""

    def __init__(self, look: Look) -> None:
        self._look = look

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if isinstance(error, ExecutionTimeout | NetworkTimeout):
            raise self._look.slow() from error


@asynccontextmanager
async def looking(reading: Reading, large: Large, deadline_s: float) -> AsyncGenerator[Look, None]:
    """Hand out a look at one state of the record: that of the reading's session, or a snapshot.

    A snapshot costs 0.1 ms; what a search asks one after another then fits together.
    """
    if reading.session is not None:
        look = Look(reading, reading.session, large, deadline_s)
        async with _ended(look, deadline_s):
            yield look
        return
    async with reading.db.client.start_session(snapshot=True) as session:
        look = Look(reading, session, large, deadline_s)
        async with _ended(look, deadline_s):
            yield look


@asynccontextmanager
async def _ended(look: Look, deadline_s: float) -> AsyncGenerator[None, None]:
    """End the search a little behind its deadline, should the database not have done it.

    It counts its own work only: not the way to it, nor that it hangs.  The connection is closed
    by that, and with it the database ends what it still does for us.
    """
    bound = asyncio.timeout(deadline_s + GRACE_S)
    try:
        async with bound:
            yield
    except TimeoutError:
        if not bound.expired():
            raise
        raise look.late() from None
