"""The server's own chores while it serves: index rows made anew, expiry of records, what commands
did beside it told to audit."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

from server.access.context import SYSTEM
from server.fhir.errors import StoreUnavailable
from server.interactions import audit_later, search_parameters
from server.interactions.services import Services
from server.store.port import Store
from server.store.turn import Turn

log = logging.getLogger("tellonce")

EXPIRE_EVERY_S = 600.0
TELL_EVERY_S = 1.0
RETRY_S = 30.0
FOLLOW_EVERY_S = 0.25  # at most
UNHEARD_S = 2.0  # that one who is told of nothing waits until he looks by himself
OTHERS_S = 1.0
PARTING_S = 3.0  # that a chore may take to end, which gives back its turn
REINDEX_BATCH = 500


@asynccontextmanager
async def tasks(
    store: Store,
    now: Callable[[], int],
    services: Services | None = None,
    corrections: Callable[[], Awaitable[None]] | None = None,
) -> AsyncIterator[None]:
    """Run the chores until the block ends.

    With ``services`` index rows are made anew whenever search parameters changed, and not only
    once, after an upgrade.  Of several processes that share a store one makes them.
    ``corrections``: runs until it is cancelled, and tells readers of what was corrected.
    """
    running = [
        asyncio.create_task(_keep_indexed(store, services)),
        asyncio.create_task(_expire(store, now)),
    ]
    if services is not None:
        running.append(asyncio.create_task(_tell(services)))
        if services.owner is not None:
            running.append(asyncio.create_task(_follow_others(services)))
    if corrections is not None:
        running.append(asyncio.ensure_future(corrections()))
    try:
        yield
    finally:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=PARTING_S)


async def _keep_indexed(store: Store, services: Services | None) -> None:
    while True:
        if services is None:
            await _retried(partial(_reindex, store))
            return
        services.searchable.changed.clear()
        await _retried(partial(_follow, services))
        await services.searchable.changed.wait()


async def _follow(services: Services) -> None:
    """Put search parameters in force that could not be before, and make rows for all of them."""
    searchable = services.searchable
    while True:
        if searchable.behind:
            await search_parameters.refresh(services)
        catalog = services.catalog
        await _reindex_in_turn(services)
        if await search_parameters.finished(services, catalog):
            return


async def _reindex_in_turn(services: Services) -> None:
    """Return when all rows are those of the catalog in force, whichever process made them."""
    store, turn = services.store, Turn(services.store, "reindex", services.owner, services.now)
    if services.owner is not None and await store.reindex(batch=0) > 0:
        await asyncio.sleep(OTHERS_S)  # what another still writes by older definitions is found
    while not await turn.mine():
        services.searchable.left = await store.reindex(batch=0)
        if services.searchable.left == 0:
            return
        await asyncio.sleep(OTHERS_S)
    try:
        await _reindex(store, services, turn)
    finally:
        await turn.give_back()


async def _reindex(
    store: Store, services: Services | None = None, turn: Turn | None = None
) -> None:
    """Bring rows made by older definitions up to date, a batch at a time, between requests."""
    told = False
    while (left := await store.reindex(batch=REINDEX_BATCH)) > 0:
        if services is not None:
            services.searchable.left = left
        if turn is not None:
            await turn.mine()
        told = True
        log.info("reindexing: %d resources to go", left)
        await asyncio.sleep(0)
    if told:
        log.info("reindexing is done")


async def _follow_others(services: Services) -> None:
    """Put search parameters in force that other processes stored."""
    seen: int | None = None
    heard = 0
    while True:
        try:
            if seen is None:
                newest = await services.store.history(SYSTEM, search_parameters.TYPE, limit=1)
                seen = newest[0].seq if newest else 0
                await search_parameters.follow(services)
            changed = await services.store.changes(
                SYSTEM, after=seen, limit=1000, type_=search_parameters.TYPE
            )
            if changed:
                await search_parameters.follow(services)
                seen = changed[-1].seq
        except StoreUnavailable as error:
            log.warning("search parameters of others wait: %s", error)
        except Exception as error:  # a bug must be seen, not end the chore unheard
            log.error("search parameters of others wait: %s", type(error).__name__)
        await asyncio.sleep(FOLLOW_EVERY_S)
        heard = await services.store.news(heard, UNHEARD_S)


async def _retried(chore: Callable[[], Awaitable[None]]) -> None:
    """Run a chore until it has come to its end."""
    while True:
        try:
            await chore()
            return
        except StoreUnavailable as error:
            log.warning("reindexing waits: %s", error)
        except Exception as error:  # a bug must be seen, not end the chore unheard
            log.error("reindexing failed: %s", type(error).__name__)
        await asyncio.sleep(RETRY_S)


async def _expire(store: Store, now: Callable[[], int]) -> None:
    while True:
        await asyncio.sleep(EXPIRE_EVERY_S)
        try:
            await store.expire_records(now())
        except StoreUnavailable as error:
            log.warning("expired records stay for now: %s", error)
        except Exception as error:  # a bug must be seen, not end the chore unheard
            log.error("expired records stay for now: %s", type(error).__name__)


async def _tell(services: Services) -> None:
    """Tell audit of what commands did, also while no server ran."""
    heard = 0
    while True:
        try:
            await audit_later.tell(services)
        except StoreUnavailable as error:
            log.warning("what commands did waits for audit: %s", error)
        except Exception as error:  # a bug must be seen, not end the chore unheard
            log.error("what commands did waits for audit: %s", type(error).__name__)
        heard = await services.store.record_news(audit_later.KIND, heard, TELL_EVERY_S)
