"""Plan, commit, and plan again when the record changed in between.

Every write of every interaction goes through :func:`commit`.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from server.fhir.errors import Conflict, VersionConflict
from server.interactions.services import Services
from server.store.port import CommitConflict, Expect, Version, Write

T = TypeVar("T")

TRIES = 50  # plans; each failed one means that another request succeeded


async def commit(
    services: Services, writes: Sequence[Write], *, expect: Sequence[Expect] = ()
) -> list[Version]:
    """Write all or nothing; see :meth:`server.store.port.Store.commit`."""
    return await services.store.commit(writes, expect=expect)


async def replanned(attempt: Callable[[], Awaitable[T]], *, versions: bool = False) -> T:
    """Return what ``attempt`` returns, running it again when its commit lost a race.

    ``versions``: also when a version that ``attempt`` itself read (not one that the client named)
    is no longer the latest.

    Raises:
        Conflict: it lost :data:`TRIES` times.
    """
    for _ in range(TRIES):
        try:
            return await attempt()
        except CommitConflict:
            continue
        except VersionConflict:
            if not versions:
                raise
    raise Conflict(f"the record changed under this request {TRIES} times; send it again")
