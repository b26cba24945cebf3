"""Every test in this folder runs once per store.  A new store is one new line here."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from server.store.memory import MemoryStore
from server.store.port import Store
from server.store.sqlite import SqliteStore
from tests import mongod
from tests.contract.made import Clock, index

STORES: dict[str, Callable[[Path, Clock], Store]] = {
    "memory": lambda folder, clock: MemoryStore(now=clock, index=index),
    "sqlite": lambda folder, clock: SqliteStore(
        folder / "record.db", now=clock, index=index, fingerprint="1"
    ),
    "mongo": lambda folder, clock: mongod.new_store(clock),
}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=STORES)
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Clock
) -> AsyncIterator[Store]:
    opened = STORES[request.param](tmp_path, clock)
    yield opened
    await opened.close()
    mongod.clean_up(opened)
