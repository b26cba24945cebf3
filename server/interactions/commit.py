"""Plan, commit, and plan again when the record changed in between.

Every write of every interaction goes through :func:`commit`.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import anyio

from server.access.context import AccessContext
from server.fhir.errors import Conflict, VersionConflict
from server.interactions import search_parameters
from server.interactions.services import Services
from server.search.catalog import Catalog
from server.store.port import CommitConflict, Expect, Version, Write

T = TypeVar("T")

TRIES = 50  # plans; each failed one means that another request succeeded


async def commit(
    services: Services,
    access: AccessContext,
    writes: Sequence[Write],
    *,
    expect: Sequence[Expect] = (),
    made_by: Catalog | None = None,
) -> list[Version]:
    """Write all or nothing; see :meth:`server.store.port.Store.commit`.

    ``access`` is who writes, checked before: audit and Provenance tell of it.

    ``made_by``: the catalog that made the rows of the writes, for who awaits anything between
    making and committing them; it must still be in force.
    """
    if made_by is not None and made_by is not services.catalog:
        raise CommitConflict("the search parameters changed")
    versions = await services.store.commit(writes, expect=expect)
    if any(write.type == search_parameters.TYPE for write in writes):
        with anyio.CancelScope(shield=True):
            await search_parameters.follow(services)
    return versions


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
