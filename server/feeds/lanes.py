"""Lanes: messages of one patient one after the other, of different patients side by side.

A message's lane is a text (:attr:`mappings.plan.Plan.lane`).  Its hash picks one of a fixed number
of queues, each worked through first in, first out, by one task.  The queues are bounded: ``put``
waits when one is full, and with it the connection that the message came by (back pressure).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar
from zlib import crc32

log = logging.getLogger(__name__)

Job = TypeVar("Job")


class Lanes(Generic[Job]):
    """A fixed number of queues and their tasks; ``work`` does one job."""

    def __init__(
        self, work: Callable[[Job], Awaitable[None]], *, lanes: int = 32, depth: int = 32
    ) -> None:
        self._work = work
        self._queues = [asyncio.Queue[Job](depth) for _ in range(lanes)]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to work; jobs put before are done first."""
        self._tasks = [asyncio.create_task(self._run(queue)) for queue in self._queues]

    async def put(self, lane: str, job: Job) -> None:
        """Queue a job behind all earlier ones of its lane; waits while the queue is full."""
        await self._queues[crc32(lane.encode()) % len(self._queues)].put(job)

    @property
    def waiting(self) -> int:
        """How many jobs are queued and not begun."""
        return sum(queue.qsize() for queue in self._queues)

    @property
    def busy(self) -> int:
        """How many lanes have something queued."""
        return sum(not queue.empty() for queue in self._queues)

    async def drain(self) -> None:
        """Wait until everything put so far is done."""
        await asyncio.gather(*(queue.join() for queue in self._queues))

    async def stop(self) -> None:
        """Stop working; what is queued stays in the inbox and is done at the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _run(self, queue: asyncio.Queue[Job]) -> None:
        while True:
            job = await queue.get()
            try:
                await self._work(job)
            except Exception as error:  # a bug in one job must not stop its lane for good
                log.error("a lane's job failed: %s", type(error).__name__)
            finally:
                queue.task_done()
