"""Every test in this folder that asks for ``house`` runs once per store."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from server.interactions.services import Policy
from server.rest import Limits
from tests.rest.house import STORES, Clock, House


@pytest.fixture(params=STORES)
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    clock = Clock()
    store = STORES[request.param](tmp_path, clock)
    made = House(store, clock, Policy(), Limits())
    yield made
    await made.app.stop(grace_s=5)
    await store.close()


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with house.client() as made:
        yield made
