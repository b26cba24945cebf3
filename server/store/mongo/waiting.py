"""How the driver waits for its locks, mended for Python 3.11.

``asyncio.wait_for`` of 3.11 runs what it waits for in a task of its own.  When its time is over, or
its caller is cancelled, while that task takes the lock of a condition again, a (further)
cancellation leaves the task alone with it: the caller then gives back a lock that it does not have
(``RuntimeError: Lock is not acquired``, here or in whoever has it), and the task takes one that
nobody gives back, for which everything in the process then waits for ever.  It happens while the
database is away and callers go.  From 3.12 on it is one task, as here.
"""

import asyncio
import sys
from collections.abc import Awaitable
from typing import TypeVar

import pymongo.lock

T = TypeVar("T")


async def in_one_task(wanted: Awaitable[T], timeout: float | None) -> T:  # noqa: ASYNC109
    """Return what ``asyncio.wait_for`` does, whose arguments they are, without another task."""
    async with asyncio.timeout(timeout):
        return await wanted


def mend() -> None:
    """Have the conditions of the driver wait in the task of who waits."""
    if sys.version_info < (3, 12):
        vars(pymongo.lock)["wait_for"] = in_one_task
