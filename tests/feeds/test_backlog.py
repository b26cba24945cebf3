"""What an earlier run left is worked off however long that takes, and given up when we end."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from mappings.feed import Feed
from server.feeds import backlog
from server.feeds.header import read_header
from server.feeds.inbox import RAW, Inbox
from server.fhir.errors import StoreUnavailable
from server.interactions.services import Services
from server.store.memory import MemoryStore
from server.store.port import Record
from tests.feeds.conftest import index, services_on
from tests.feeds.test_service import message, running


class AwayStore(MemoryStore):
    """A store that cannot be read so many times once it is started; its commits wait."""

    lists_away = 0  # times, but for the first look
    bytes_away = False
    looks = 0

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.open = asyncio.Event()
        self.open.set()
        self.asked = asyncio.Event()

    async def get_record(self, kind: str, key: str) -> Record | None:
        if kind == RAW and self.bytes_away:
            raise StoreUnavailable("the disk is gone")
        return await super().get_record(kind, key)

    async def find_records(self, kind: str, **options: Any) -> Any:
        if options.get("tag") == "retrying":
            self.looks += 1
            if 1 < self.looks <= self.lists_away:
                raise StoreUnavailable("the disk is gone")
        return await super().find_records(kind, **options)

    async def commit(self, writes: Any, **options: Any) -> Any:
        self.asked.set()
        await self.open.wait()
        return await super().commit(writes, **options)


@pytest.fixture
def store(now: Callable[[], int]) -> AwayStore:
    return AwayStore(now=now, index=index)


@pytest.fixture
def services(store: AwayStore, now: Callable[[], int]) -> Services:
    return services_on(store, now)


async def left(services: Services) -> None:
    inbox = Inbox(services.store, now=services.now, new_id=services.new_id)
    await inbox.receive(Feed(), message("1"), read_header(message("1")))


async def test_a_backlog_waits_for_the_inbox_as_long_as_it_takes(
    services: Services, store: AwayStore
) -> None:
    await left(services)
    store.lists_away = 2000
    async with running(services, replay_poll_s=0) as server:
        async with asyncio.timeout(30):
            while server.service.moment().backlog:  # noqa: ASYNC110 - the server is waited for
                await asyncio.sleep(0.01)
        await server.service.settle()
        assert [entry.state for entry in await server.entries()] == ["applied"]


@pytest.mark.parametrize("most", [0, 10_000])
async def test_what_comes_behind_a_backlog_that_is_given_up_keeps_no_connection_waiting(
    services: Services, store: AwayStore, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(backlog, "MOST", most)
    await left(services)
    store.bytes_away = True  # what was left stays where it is
    async with running(services) as server:
        sender = await server.connect()
        store.open.clear()
        store.asked.clear()
        sender.write(message("2"))
        await store.asked.wait()  # it is about to be stored
        ending = asyncio.create_task(server.service.drain(grace_s=60))
        await asyncio.sleep(0)
        store.open.set()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await sender.answer()
        async with asyncio.timeout(20):
            await ending
        assert [entry.state for entry in await server.entries()] == ["received", "received"]
