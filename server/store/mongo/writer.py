"""The one task that writes, of each process.  What waits together is committed together.

One transaction and one wait for the journals of a majority per drain (group commit), answers after
it.  Each commit is judged by itself (``commit.py``): a conflict is its caller's alone.  Another
process that commits at the same time makes the transaction fail, which then is tried anew.
"""

import asyncio
import logging
import traceback
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path

from server.fhir.errors import FhirError, StoreUnavailable
from server.store.mongo.bodies import Sent
from server.store.port import Expect, OutboxWrite, RecordWrite, Version, Write

log = logging.getLogger("tellonce")

MAX_DRAIN = 256  # commits of one transaction; bounds how long the first of them waits
MAX_DRAIN_BYTES = 24 * 1024 * 1024
GATHER_S = 0.001  # that a transaction waits for company while commits come together
TURN_S = 0.005  # that other processes have for beginning theirs
MAX_WAITING = 10_000  # commits; more are refused at once instead of late
PARTING_S = 3.0  # that closing waits for commits; a database that is away would take longer


@dataclass(slots=True, eq=False)
class Job:
    """A commit that waits, with the arguments of :meth:`server.store.port.Store.commit`.

    ``sent``: its large bodies, which are in their files, by ``Type/id``.
    """

    writes: Sequence[Write]
    expect: Sequence[Expect]
    records: Sequence[RecordWrite]
    outbox: Sequence[OutboxWrite]
    future: asyncio.Future[list[Version]]
    sent: Mapping[str, Sent] = field(default_factory=dict)
    made: list[Version] = field(default_factory=list)
    error: Exception | None = None

    @property
    def size_bytes(self) -> int:
        """About how much it writes."""
        bodies = (write.body for write in self.writes)
        told = sum(len(body.head) + len(body.tail) for body in bodies if body is not None)
        kept = sum(len(record.value or b"") for record in self.records)
        return told + kept + sum(len(row.payload) for row in self.outbox)


class Writer:
    """Queues jobs and hands them to ``apply``, many at a time, one call after the other.

    ``apply`` sets ``made`` or ``error`` of every job; what it raises is the error of all.
    It may ask for what came meanwhile.  ``improve`` is called when they are answered.  ``shared``:
    whether other processes write, who then are given a chance between two calls.
    """

    def __init__(
        self,
        apply: Callable[[list[Job], Callable[[Sequence[Job]], list[Job]]], Awaitable[None]],
        improve: Callable[[], Awaitable[None]],
        shared: Callable[[], bool] = lambda: False,
    ) -> None:
        self._apply, self._improve, self._shared = apply, improve, shared
        self._queue: deque[Job] = deque()
        self._begun: list[Job] = []
        self._more = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._together = 0
        self.fault: str | None = None

    async def run(
        self,
        writes: Sequence[Write],
        expect: Sequence[Expect],
        records: Sequence[RecordWrite],
        outbox: Sequence[OutboxWrite],
        sent: Mapping[str, Sent] | None = None,
    ) -> list[Version]:
        """Return what was made once a majority has it.

        ``sent``: the bodies that are in files, by ``Type/id``.
        A task that is cancelled while it waits leaves no trace if its job had not begun.
        """
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if len(self._queue) >= MAX_WAITING:
            raise StoreUnavailable(f"{MAX_WAITING} commits are waiting", retry_after_s=1)
        future: asyncio.Future[list[Version]] = asyncio.get_running_loop().create_future()
        self._queue.append(Job(writes, expect, records, outbox, future, sent or {}))
        self._more.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="store-writer")
        return await future

    async def close(self) -> None:
        """Finish what was accepted, as far as that takes seconds only.  May be called again."""
        self._closed = True
        self._more.set()
        if self._task is None:
            return
        if (await asyncio.wait((self._task,), timeout=PARTING_S))[1]:
            self._task.cancel()
            await asyncio.wait((self._task,))
            left = [*self._begun, *self._queue]
            self._queue.clear()
            log.warning("%d commits were cut off by the end", len(left))
            self._undo(left, StoreUnavailable("the store was closed: it may have been kept"))
            for job in left:
                _answer(job)

    async def _run(self) -> None:
        while jobs := await self._drain():
            self._begun = jobs
            try:
                await self._apply(jobs, self._more_beside)
                self.fault = None
            except Exception as error:  # whatever it was: the task must live, every job be answered
                self._undo(jobs, error)
            for job in jobs:
                _answer(job)
            self._begun = []
            if self.fault is None:
                await self._improved()

    async def _improved(self) -> None:
        try:
            await self._improve()
        except Exception as error:  # whatever it was: nothing depends on it, and the task must live
            log.warning("bodies are not kept smaller yet: %s", type(error).__name__)

    async def _drain(self) -> list[Job]:
        """Wait for a job and take those that wait with it; ``[]`` ends the task."""
        while not self._queue:
            if self._closed:
                return []
            self._more.clear()
            await self._more.wait()
        if self._shared():
            await asyncio.sleep(TURN_S)
        elif self._together > 1:
            # Those that were just answered together will soon be back together.
            await asyncio.sleep(GATHER_S)
        jobs = self._more_beside(())
        self._together = len(jobs)
        return jobs or await self._drain()

    def _more_beside(self, had: Sequence[Job]) -> list[Job]:
        """Take what waits, as far as there is room in a transaction with ``had``."""
        jobs: list[Job] = []
        room = MAX_DRAIN_BYTES - sum(job.size_bytes for job in had)
        while self._queue and len(had) + len(jobs) < MAX_DRAIN and room > 0:
            job = self._queue.popleft()
            if not job.future.done():  # else its caller has gone
                jobs.append(job)
                room -= job.size_bytes
        return jobs

    def _undo(self, jobs: list[Job], error: Exception) -> None:
        if not isinstance(error, FhirError):
            log.error("a commit failed: %s", _where(error))
        told = error if isinstance(error, FhirError) else _failed()
        if self.fault is None and isinstance(error, StoreUnavailable):
            log.warning("commits fail: %s", error)  # once, until one succeeds
        self.fault = told.diagnostics
        for job in jobs:
            if job.error is None:
                # Each caller gets one of its own: a raised one keeps the frames it went through.
                job.made, job.error = [], copy(told)


def _where(error: BaseException) -> str:
    """Name an unforeseen failure by its class and place; its text may hold patient data."""
    frame = next(reversed(traceback.extract_tb(error.__traceback__)), None)
    place = f"{Path(frame.filename).name}:{frame.lineno}" if frame is not None else "?"
    return f"{type(error).__name__} at {place}"


def _failed() -> StoreUnavailable:
    return StoreUnavailable("the write failed", retry_after_s=5)


def _answer(job: Job) -> None:
    if job.future.done():
        return
    if job.error is not None:
        job.future.set_exception(job.error)
    else:
        job.future.set_result(job.made)
