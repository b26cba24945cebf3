"""One record for the whole run of a worker, in every store of the contract suite."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests import mongod
from tests.contract.conftest import STORES
from tests.contract.made import Clock
from tests.matrix.record import Record, all_resources

SELDOM = {"mongo": 7}
"""Stores that are asked one of so many questions; ``make soak`` asks them all."""


@pytest.fixture(scope="session")
async def record(
    shared_data: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Record]:
    clock = Clock()
    folder = tmp_path_factory.mktemp("matrix")
    stores = {name: make(folder, clock) for name, make in STORES.items()}
    made = Record(stores, SELDOM)
    await made.fill(all_resources(shared_data), clock)
    yield made
    for store in stores.values():
        await store.close()
        mongod.clean_up(store)


@pytest.fixture(scope="session")
async def mongo_record(shared_data: Path) -> AsyncIterator[Record]:
    """The same in MongoDB alone, which is asked everything."""
    clock = Clock()
    store = mongod.new_store(clock)
    made = Record({"mongo": store})
    await made.fill(all_resources(shared_data), clock)
    yield made
    await store.close()
    mongod.clean_up(store)
