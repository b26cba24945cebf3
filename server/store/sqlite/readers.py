"""Threads that search, each with a connection of its own and a deadline per job.

Point reads do not come here: they cost less than the way to a thread and back.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TypeVar

import apsw

from server.fhir.errors import DeadlineExceeded, StoreUnavailable
from server.store.codec import Codec
from server.store.sqlite.connect import unavailable
from server.store.sqlite.counts import Counts
from server.store.sqlite.jobs import Job, answer, new_job

T = TypeVar("T")

CHECK_EVERY = 2000  # steps of SQLite's machine between two looks at the clock; about 0.1 ms


@dataclass(frozen=True, slots=True)
class Reader:
    """What a reading job is called with."""

    db: apsw.Connection
    codec: Codec
    counts: Counts


class Readers:
    """A pool of reading threads; ``open_reader`` is called once for each."""

    def __init__(self, open_reader: Callable[[], Reader], threads: int) -> None:
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._closed = False
        self._threads = [
            threading.Thread(
                target=self._run, args=(open_reader(),), name=f"store-reader-{n}", daemon=True
            )
            for n in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    async def run(self, work: Callable[[Reader], T], deadline_s: float) -> T:
        """Run ``work`` in a read transaction, so that all it reads is of one moment.

        Raises:
            DeadlineExceeded: it took longer than ``deadline_s``, the wait for a thread included.
        """
        if self._closed:
            raise StoreUnavailable("the store is closed")
        job = new_job(work, time.monotonic() + deadline_s)
        self._queue.put(job)
        try:
            return await job.future  # type: ignore[no-any-return]
        except apsw.InterruptError as error:
            plan = "".join(f"; {note}" for note in getattr(error, "__notes__", ()))
            raise DeadlineExceeded(
                f"the search ran longer than {deadline_s:g} s; narrow it by a patient, a code"
                f" or a date{plan}"
            ) from None
        except apsw.Error as error:
            raise unavailable(error) from error

    def close(self) -> None:
        """Finish what was accepted, then close the connections.  Blocks; may be called again."""
        if not self._closed:
            self._closed = True
            for _ in self._threads:
                self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self, reader: Reader) -> None:
        while (job := self._queue.get()) is not None:
            if not job.abandoned:
                self._work(reader, job)
                answer([job])
        reader.db.close()

    def _work(self, reader: Reader, job: Job) -> None:
        def late() -> bool:
            return time.monotonic() >= job.end or job.abandoned

        try:
            if late():
                raise apsw.InterruptError("no thread was free in time")
            reader.db.set_progress_handler(late, CHECK_EVERY)
            reader.counts.begin()
            reader.db.execute("begin")
            try:
                job.result = job.work(reader)
            finally:
                reader.db.set_progress_handler(None)
                if not reader.db.get_autocommit():
                    reader.db.execute("commit")
        except Exception as error:  # its caller's; the thread goes on
            job.error = error
