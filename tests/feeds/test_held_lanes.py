"""Messages of two patients wait in the lanes of both, and never for each other."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from server.feeds.inbox import REPLAY, Entry
from server.feeds.quarantine import dismiss, reopen
from server.interactions.services import Services
from tests.feeds.test_service import TWO_PATIENTS, FeedMaps, Running, message, running

JANE = {"mrn": "77", "name": "Doe^Jane", "born": "19700503", "sex": "F"}
MAX = {"mrn": "78", "name": "Roe^Max", "born": "19010101", "sex": "M"}
NOT_JANE, NOT_MAX = MAX | {"mrn": "77"}, JANE | {"mrn": "78"}


@pytest.fixture
async def server(services: Services) -> AsyncIterator[Running]:
    """Two lanes, each held by a message in quarantine; two reports wait in both."""
    async with running(services, FeedMaps(lane_when_quarantined="hold")) as made:
        await made.send(message("1", **JANE))
        await made.send(message("2", **MAX))
        await made.send(message("3", **NOT_JANE))
        await made.send(message("4", **NOT_MAX))
        for n in (b"5", b"6"):
            await made.send(TWO_PATIENTS % (n, n, n))
        assert [one.state for one in await made.entries()][2:] == [
            "quarantined", "quarantined", "held", "held",
        ]  # fmt: skip
        yield made


async def all_done(services: Services) -> list[Entry]:
    async with running(services, FeedMaps(lane_when_quarantined="hold")) as server:
        async with asyncio.timeout(10):
            entries = await server.entries()
            while {one.state for one in entries} & {"held", "received"}:
                await asyncio.sleep(0.01)
                entries = await server.entries()
            await server.service.settle()
        return entries


async def test_two_lanes_that_go_on_at_once_go_on_with_the_same_message(
    server: Running, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.service._queueing, "_follow", lambda _: asyncio.sleep(0))
    _, _, jane, max_, *_ = await server.entries()
    await server.service.replay(jane.id, message("3", **JANE))  # the power goes after its commit
    await server.service.replay(max_.id, message("4", **MAX))
    await server.stop()
    assert [one.state for one in await all_done(services)] == ["applied"] * 6


async def test_two_lanes_whose_holders_are_dismissed_go_on_with_the_same_message(
    server: Running, services: Services
) -> None:
    await server.stop()
    _, _, jane, max_, first, _ = await server.entries()
    await dismiss(services.store, server.service.inbox, jane, "not ours", 5)
    asked = await services.store.get_record(REPLAY, first.id)
    await reopen(services.store, server.service.inbox, first, replayed=False, asked=asked)
    await dismiss(services.store, server.service.inbox, max_, "not ours", 5)
    states = [one.state for one in await all_done(services)]
    assert states == ["applied", "applied", "dismissed", "dismissed", "applied", "applied"]
