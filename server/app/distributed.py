"""The store on other machines: made when it is asked for, waited for when it is away.

Its driver is an extra (``tellonce[mongo]``); who keeps the record in a file does not need it.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol, cast, runtime_checkable

from server.fhir.errors import StoreUnavailable
from server.store.address import StoreAddress
from server.store.moving import Mover
from server.store.port import Index, Store
from server.store.sqlite import SqliteStore
from server.store.sqlite.adopt import SqliteMover

log = logging.getLogger("tellonce")

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 10.0
INSTALL = "the driver of MongoDB is not installed; install it with: pip install 'tellonce[mongo]'"


@runtime_checkable
class Distributed(Protocol):
    """What a store on other machines has beside the port."""

    async def start(self) -> None:
        """Connect, and bring the database up to date.

        Raises:
            StoreUnavailable: it is away; the same may work later.
            NewerSchema, CorruptStore: trying again would not help; the text says what does.
        """


def opened(
    address: StoreAddress, now: Callable[[], int], index: Index, fingerprint: str, *, words: bool
) -> Store:
    """Return the store at an address, which has not been asked for anything yet.

    Raises StoreUnavailable: its driver is not installed, or the address cannot be read.
    """
    try:
        from server.store.mongo import MongoStore
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("pymongo", "bson", "gridfs"):
            raise
        raise StoreUnavailable(INSTALL) from None
    url, database = address.reveal(), address.database
    try:
        return MongoStore(url, database, now=now, index=index, fingerprint=fingerprint, words=words)
    except ValueError as error:  # its text has no password, by contract
        raise StoreUnavailable(str(error)) from None


async def restore(store: Store, source: str) -> int:
    """Fill an empty store on other machines from the file of a backup; return its versions.

    Raises StoreUnavailable, CorruptStore.
    """
    if isinstance(store, SqliteStore):
        raise StoreUnavailable("the backup of a file is a file: copy it to where the record was")
    from server.store.mongo.adopt import MongoMover  # its driver is there, or it were not open

    return await MongoMover(cast(Any, store)).restore(source)


def mover(store: Store) -> Mover:
    """Return what gives away and takes over what a store of ours holds."""
    if isinstance(store, SqliteStore):
        return SqliteMover(store)
    from server.store.mongo.adopt import MongoMover  # its driver is there, or it were not open

    return MongoMover(cast(Any, store))


async def start(store: Store) -> None:
    """Connect once; an embedded store needs none.  Raises as :meth:`Distributed.start`."""
    if isinstance(store, Distributed):
        await store.start()


async def patiently(store: Store, stop: asyncio.Event, told: Callable[[str], None]) -> bool:
    """Connect, however long that takes; ``False`` when ``stop`` was set before.

    ``told`` is given why it does not work yet.  Raises NewerSchema, CorruptStore.
    """
    pause_s = FIRST_PAUSE_S
    while not stop.is_set():
        try:
            await start(store)
            return True
        except StoreUnavailable as error:
            log.warning("the store cannot be reached, tried again in %gs: %s", pause_s, error)
            told(error.diagnostics)  # by /readyz, which is open to all
        try:
            async with asyncio.timeout(pause_s):
                await stop.wait()
        except TimeoutError:
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
    return False
