"""Every test in this folder that asks for ``house`` runs once per store."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from server.interactions.services import Policy
from server.rest import Limits
from server.store.port import Store
from tests import mongod
from tests.contract.made import Clock as ContractClock
from tests.rest.house import NAME, STORES, Clock, House, index

ON_MONGODB = frozenset(
    f"tests.rest.test_{name}"
    for name in ("conditional", "history", "pages", "races", "single", "transaction")
)
"""Whose tests run on MongoDB as well: what is kept, found and raced for."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that asks for ``house`` once per store."""
    if "house" in metafunc.fixturenames:
        more = ["mongo"] if metafunc.module.__name__ in ON_MONGODB else []
        metafunc.parametrize("house", [*STORES, *more], indirect=True)


@pytest.fixture
def policy() -> Policy:
    """The operator's rules; a test that needs others overrides this fixture by parameter."""
    return Policy()


@pytest.fixture
def limits() -> Limits:
    return Limits()


@pytest.fixture
async def house(
    request: pytest.FixtureRequest, tmp_path: Path, policy: Policy, limits: Limits
) -> AsyncIterator[House]:
    clock = Clock()
    store: Store
    if request.param == "mongo":
        store = mongod.new_store(ContractClock(), now=clock, index=index, fingerprint=NAME)
    else:
        store = STORES[request.param](tmp_path, clock)
    made = House(store, clock, policy, limits)
    yield made
    await made.app.stop(grace_s=5)
    await store.close()
    mongod.clean_up(store)


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with house.client() as made:
        yield made
