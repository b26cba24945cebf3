"""Every test in this folder has a server of its own."""

from collections.abc import AsyncIterator

import pytest

from tests.auth.pages.house import Browser, House, opened


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with opened() as made:
        yield made


@pytest.fixture
def browser(house: House) -> Browser:
    return house.browser()
