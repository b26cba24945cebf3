"""How the driver waits for its locks, mended for Python 3.11.

``asyncio.wait_for`` of 3.11 runs what it waits for in a task of its own.  When its time is over, or
its caller is cancelled, while that task takes the lock of a condition again, a (further)
cancellation leaves the task alone with it: the caller then gives back a lock that it does not have
(``RuntimeError: Lock is not acquired``, here or in whoever has it), and the task takes one that
nobody gives back, for which everything in the process then waits for ever.  It happens while the
database is away and callers go.  From 3.12 on it is one task, as here.
"""

import asyncio
import importlib
import logging
import sys
from collections.abc import Awaitable
from typing import Any, TypeVar

import pymongo

log = logging.getLogger("tellonce")

T = TypeVar("T")

_LOCKS = "pymongo.lock"  # the module that its conditions wait in
_NAME = "wait_for"  # by which it calls that of asyncio


async def in_one_task(wanted: Awaitable[T], timeout: float | None) -> T:  # noqa: ASYNC109
    """Return what ``asyncio.wait_for`` does, whose arguments they are, without another task."""
    async with asyncio.timeout(timeout):
        return await wanted


def mend(locks: str = _LOCKS) -> bool:
    """Have the conditions of the driver wait in the task of who waits; return whether they do.

    ``locks`` is no public part of the driver: one that has it otherwise is used as it is, which is
    logged, for it works while the database is there.
    """
    if sys.version_info >= (3, 12):
        return True
    try:
        names: dict[str, Any] = vars(importlib.import_module(locks))
    except ImportError:
        names = {}
    if names.get(_NAME) not in (asyncio.wait_for, in_one_task):
        log.warning(
            "the locks of pymongo %s are not as they were: on this Python the server may have to be"
            " started again after the database was away; use another pymongo, or Python 3.12",
            pymongo.version,
        )
        return False
    names[_NAME] = in_one_task
    return True
