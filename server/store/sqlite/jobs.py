"""Work handed from tasks to a thread, and its answer handed back to the task's event loop."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any


@dataclass(slots=True, eq=False)
class Job:
    """``work`` is called with what the thread owns; ``result`` or ``error`` is its outcome."""

    work: Callable[[Any], Any]
    future: asyncio.Future[Any]
    end: float = float("inf")
    result: Any = None
    error: BaseException | None = field(default=None)

    @property
    def abandoned(self) -> bool:
        """True when nobody waits for the answer any more."""
        return self.future.cancelled()


def new_job(work: Callable[[Any], Any], end: float = float("inf")) -> Job:
    """Return a job whose answer goes to the running event loop; ``end`` is a monotonic time."""
    return Job(work, asyncio.get_running_loop().create_future(), end)


def answer(jobs: Iterable[Job]) -> None:
    """Resolve the futures of the jobs: one wake-up per event loop, whatever their number."""
    for loop, group in groupby(jobs, key=lambda job: job.future.get_loop()):
        try:
            loop.call_soon_threadsafe(_resolve, list(group))
        except RuntimeError:
            # The loop was closed while we worked: there is nobody left to tell.
            continue


def _resolve(jobs: list[Job]) -> None:
    for job in jobs:
        if job.future.done():
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)
