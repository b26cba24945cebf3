"""Every test that asks for ``record`` runs once per store."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.continuity.known.house import Record
from tests.rest.house import STORES


@pytest.fixture(params=STORES)
async def record(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Record]:
    made = Record(request.param, tmp_path)
    yield made
    await made.store.close()


@pytest.fixture
async def memory(tmp_path: Path) -> AsyncIterator[Record]:
    made = Record("memory", tmp_path)
    yield made
    await made.store.close()
