"""Plan, commit, and plan again when the record changed in between.

Every write of every interaction goes through :func:`commit`.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import anyio

from server.access.context import SYSTEM, AccessContext
from server.audit.port import Audit
from server.fhir import json as fhir_json
from server.fhir.errors import Conflict, VersionConflict
from server.interactions import search_parameters
from server.interactions.services import Services
from server.search import extract
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

    ``access`` is who writes, checked before: what audit and Provenance tell of it is written in
    the same commit.  Only the versions of ``writes`` are returned.

    ``made_by``: the catalog that made the rows of the writes, for who awaits anything between
    making and committing them; it must still be in force.
    """
    if made_by is not None and made_by is not services.catalog:
        raise CommitConflict("the search parameters changed")
    if services.audit is None or not writes:
        versions = await services.store.commit(writes, expect=expect)
    else:
        versions = await _told(services, services.audit, access, writes, expect)
    if any(write.type == search_parameters.TYPE for write in writes):
        with anyio.CancelScope(shield=True):
            await search_parameters.follow(services)
    return versions


async def _told(
    services: Services,
    audit: Audit,
    access: AccessContext,
    writes: Sequence[Write],
    expect: Sequence[Expect],
) -> list[Version]:
    known = [await _with_number(services, write) for write in writes]
    pinned = any(new is not write for new, write in zip(known, writes, strict=True))
    beside = audit.beside(access, known)
    try:
        versions = await services.store.commit([*known, *beside], expect=expect)
    except VersionConflict as error:
        if not pinned:
            raise
        # What the caller demanded is looked at again by the next plan, and told as it should be.
        raise CommitConflict("the version before is no longer the latest") from error
    return versions[: len(known)]


async def _with_number(services: Services, write: Write) -> Write:
    """Return the write with the number of the version before it, and a deletion with its marks.

    Audit names versions, so their numbers must be known before they are made.
    """
    if write.body is not None and (write.must_be_new or write.if_version is not None):
        return write
    latest = await services.store.read(SYSTEM, write.type, write.id)
    number = latest.number if latest is not None else 0
    if write.body is not None:
        return replace(write, if_version=number or None, must_be_new=number == 0)
    marks: tuple[str, ...] = ()
    if latest is not None and latest.body is not None:
        resource = fhir_json.glance(latest.body)
        _, marks = extract.indexed(resource, services.base_url, catalog=services.catalog)
    return replace(write, if_version=write.if_version or number, compartments=marks)


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
