"""The one thread that writes.  It owns every change of the file; :mod:`.checkpoints` go beside it.

Jobs that wait together are committed together: one COMMIT and one fsync per drain (group commit),
answers after it.  While commits come together, each waits a millisecond for those that were
answered with the one before: twice the jobs per fsync, and pages that they share written once.
A savepoint per job costs a fifth of a create, so jobs get one only after a job
of the drain has failed half-way.
A failed drain (disk full, I/O error) fails every job in it and leaves the thread able to go on.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Protocol, TypeVar

import apsw

from server.fhir.errors import FhirError, StoreUnavailable
from server.store.sqlite.checkpoints import Checkpoints
from server.store.sqlite.connect import unavailable
from server.store.sqlite.jobs import Job, answer, new_job

T = TypeVar("T")

MAX_DRAIN = 256  # jobs of one COMMIT; bounds how long the first of them waits
GATHER_S = 0.001  # that a commit waits for company while commits come together
MAX_WAITING = 10_000  # jobs; more are refused at once instead of late


class State(Protocol):
    """What the thread keeps in memory beside the file, and must forget when a change is undone."""

    @property
    def changes(self) -> int:
        """A number that grows with whatever the transaction's jobs change or put off."""

    def flush(self) -> None:
        """Write what jobs have put off to the end of the transaction."""

    def reload(self) -> None:
        """Read it from the file again."""

    def improve(self) -> None:
        """Do what can wait until the answers are out; in a transaction of its own."""

    @property
    def improvable(self) -> bool:
        """True when there is something to improve."""


class Writer:
    """Runs jobs, one after the other, in transactions.

    Args:
        db: used by this thread only, from now on.
        state: passed to every job.
        checkpoints: whether this writer owns the checkpoints.
    """

    def __init__(self, db: apsw.Connection, state: State, *, checkpoints: bool = True) -> None:
        self._db = db
        self._state = state
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._closed = False
        self._checkpoints = Checkpoints(db) if checkpoints else None
        self._together = 0
        self._sure = True  # that the state is what the file says
        self.fault: str | None = None
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Jobs that were accepted and not begun."""
        return self._queue.qsize()

    async def run(self, work: Callable[[Any], T]) -> T:
        """Run ``work(state)`` in a transaction; return its result once that is on the disk.

        A task that is cancelled while it waits leaves no trace if its job had not begun.

        Raises:
            StoreUnavailable: nothing was kept.
            Exception: what ``work`` raised; its changes were undone, alone.
        """
        return await self.submit(work)  # type: ignore[no-any-return]

    def submit(self, work: Callable[[Any], Any]) -> asyncio.Future[Any]:
        """Queue ``work`` and return the future of its result."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if self._queue.qsize() >= MAX_WAITING:
            raise StoreUnavailable(f"{MAX_WAITING} commits are waiting", retry_after_s=1)
        job = new_job(work)
        self._queue.put(job)
        return job.future

    def close(self) -> None:
        """Finish what was accepted, then close the file.  Blocks; may be called again."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while jobs := self._drain():
            self._commit(jobs)
            answer(jobs)
            self._improve()
            self._checkpoint()
        with suppress(apsw.Error):  # the WAL stays and is replayed at the next start
            if self._checkpoints is not None:
                self._checkpoints.close()
                self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        self._db.close()

    def _drain(self) -> list[Job]:
        """Wait for a job and take those that wait with it; ``[]`` ends the thread."""
        first = self._queue.get()
        if first is None:
            return []
        if self._together > 1:
            # Those that were just answered together will soon be back together.
            time.sleep(GATHER_S)
        jobs = [first]
        with suppress(Empty):
            while len(jobs) < MAX_DRAIN:
                job = self._queue.get_nowait()
                if job is None:
                    self._queue.put(None)
                    break
                jobs.append(job)
        self._together = len(jobs)
        return jobs

    def _commit(self, jobs: list[Job]) -> None:
        try:
            if not self._sure:
                self._forget()
            self._db.execute("begin immediate")
            if not self._run_freely(jobs):
                self._db.execute("rollback")
                self._state.reload()
                self._db.execute("begin immediate")
                for job in jobs:
                    self._run_in_savepoint(job)
            self._db.execute("commit")
            self.fault = None
        except Exception as error:  # whatever it was: the thread must live, every job be answered
            self._undo(jobs, error)

    def _run_freely(self, jobs: list[Job]) -> bool:
        """Run the jobs without savepoints, which copy every page that a job changes.

        Jobs check before they change anything, so a refusal has nothing to undo.  Returns
        ``False`` when a job failed half-way: then all must be undone and run again with care.
        """
        for job in jobs:
            if job.abandoned:
                continue
            before = self._state.changes
            try:
                job.result = job.work(self._state)
            except Exception as error:  # its caller's: a conflict, or a bug
                if isinstance(error, apsw.Error) and _spoils_all(error, self._db):
                    raise
                if self._state.changes != before:
                    return False
                job.error = unavailable(error) if isinstance(error, apsw.Error) else error
        return self._written()

    def _written(self) -> bool:
        """Write what the jobs have put off; return ``False`` when one of them must not be."""
        try:
            self._state.flush()
        except Exception as error:  # of a job, which is found when each runs with care
            if isinstance(error, apsw.Error) and _spoils_all(error, self._db):
                raise
            return False
        return True

    def _run_in_savepoint(self, job: Job) -> None:
        if job.abandoned:
            return
        job.result = job.error = None
        self._db.execute("savepoint job")
        try:
            job.result = job.work(self._state)
            self._state.flush()
        except Exception as error:  # its caller's: a conflict, or a bug that must not stop others
            if isinstance(error, apsw.Error) and _spoils_all(error, self._db):
                raise
            self._db.execute("rollback to job")
            self._state.reload()
            job.error = unavailable(error) if isinstance(error, apsw.Error) else error
        self._db.execute("release job")

    def _undo(self, jobs: list[Job], error: Exception) -> None:
        told: FhirError = StoreUnavailable("the write failed", retry_after_s=5)
        if isinstance(error, apsw.Error):
            told = unavailable(error)
        self.fault = told.diagnostics
        with suppress(apsw.Error):
            if not self._db.get_autocommit():
                self._db.execute("rollback")
        with suppress(Exception):  # whatever: nothing is written until it could be read
            self._forget()
        for job in jobs:
            if job.error is None:
                job.error = told

    def _forget(self) -> None:
        """Read again what is kept beside the file: numbers that were undone must reach no row."""
        self._sure = False
        self._state.reload()
        self._sure = True

    def _improve(self) -> None:
        if not self._state.improvable or self.fault is not None:
            return
        try:
            self._db.execute("begin immediate")
            self._state.improve()
            self._db.execute("commit")
        except Exception as error:  # nobody waits for it, and the thread must live
            self._undo([], error)

    def _checkpoint(self) -> None:
        if self._checkpoints is None:
            return
        try:
            self._checkpoints.tend()
        except apsw.Error as error:
            # The commits are safe in the WAL; what failed is told by ``ready``.
            self.fault = unavailable(error).diagnostics


def _spoils_all(error: apsw.Error, db: apsw.Connection) -> bool:
    """Tell whether the error is the disk's, or has ended the whole transaction."""
    disk = (apsw.FullError, apsw.IOError, apsw.ReadOnlyError, apsw.CorruptError, apsw.NoMemError)
    return isinstance(error, disk) or db.get_autocommit()
