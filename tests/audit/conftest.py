"""A server with its audit, once per store; ``told`` are the AuditEvents that it has kept."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.audit.house import AuditedHouse
from tests.rest.house import STORES, Clock


@pytest.fixture(params=STORES)
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AuditedHouse]:
    clock = Clock()
    store = STORES[request.param](tmp_path, clock)
    made = AuditedHouse(store, clock)
    await made.audit.start()
    yield made
    await made.app.stop(grace_s=5)
    await made.audit.stop()
    await store.close()
