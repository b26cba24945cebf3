"""The authorization server of these tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.auth.oauth.house import House
from tests.auth.oauth.house import house as made
from tests.rest.house import STORES, Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def house(tmp_path: Path, clock: Clock) -> AsyncIterator[House]:
    """On the memory store."""
    built = made(tmp_path, clock)
    await built.furnish()
    yield built
    await built.store.close()


@pytest.fixture(params=STORES)
async def any_house(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Clock
) -> AsyncIterator[House]:
    """On every store."""
    built = made(tmp_path, clock, request.param)
    await built.furnish()
    yield built
    await built.bearer.settled()
    await built.store.close()
