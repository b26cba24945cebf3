"""The server's own chores while it serves: reindexing after an upgrade, expiry of records."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from server.fhir.errors import StoreUnavailable
from server.store.port import Store

log = logging.getLogger("tellonce")

EXPIRE_EVERY_S = 600.0
RETRY_S = 30.0
REINDEX_BATCH = 500


@asynccontextmanager
async def tasks(store: Store, now: Callable[[], int]) -> AsyncIterator[None]:
    """Run the chores until the block ends."""
    running = [asyncio.create_task(_reindex(store)), asyncio.create_task(_expire(store, now))]
    try:
        yield
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _reindex(store: Store) -> None:
    """Bring rows made by older definitions up to date, a batch at a time, between requests."""
    told = False
    while True:
        try:
            left = await store.reindex(batch=REINDEX_BATCH)
        except StoreUnavailable as error:
            log.warning("reindexing waits: %s", error.diagnostics)
            await asyncio.sleep(RETRY_S)
            continue
        except Exception as error:  # a bug must be seen, not end the chore unheard
            log.error("reindexing failed: %s", type(error).__name__)
            await asyncio.sleep(RETRY_S)
            continue
        if left == 0:
            if told:
                log.info("reindexing is done")
            return
        told = True
        log.info("reindexing: %d resources to go", left)
        await asyncio.sleep(0)


async def _expire(store: Store, now: Callable[[], int]) -> None:
    while True:
        await asyncio.sleep(EXPIRE_EVERY_S)
        try:
            await store.expire_records(now())
        except StoreUnavailable as error:
            log.warning("expired records stay for now: %s", error.diagnostics)
        except Exception as error:  # a bug must be seen, not end the chore unheard
            log.error("expired records stay for now: %s", type(error).__name__)
