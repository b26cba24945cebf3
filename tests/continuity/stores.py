"""The house on each of the stores, MongoDB as well."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from server.interactions.services import Policy
from server.rest import Limits
from server.store.port import Store
from tests import mongod
from tests.contract.made import Clock as ContractClock
from tests.rest.house import NAME, STORES, Clock, House, index

EVERY = (*STORES, "mongo")


@asynccontextmanager
async def house_on(name: str, folder: Path) -> AsyncIterator[House]:
    """Open a house whose store is empty; ``name`` of :data:`EVERY`."""
    clock = Clock()
    store: Store
    if name == "mongo":
        store = mongod.new_store(ContractClock(), now=clock, index=index, fingerprint=NAME)
    else:
        store = STORES[name](folder, clock)
    made = House(store, clock, Policy(delete="allow"), Limits())
    try:
        yield made
    finally:
        await made.app.stop(grace_s=5)
        await store.close()
        mongod.clean_up(store)
