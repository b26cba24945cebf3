"""Messages that are not stored yet, when the store fails, others come, or their sender goes."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from server.feeds import queueing, work
from server.fhir.errors import StoreUnavailable
from server.interactions.services import Services
from server.store.memory import MemoryStore
from server.store.port import CommitConflict
from tests.feeds.conftest import index, services_on
from tests.feeds.test_at_once import states, until
from tests.feeds.test_service import message, running


class SteeredStore(MemoryStore):
    """A store whose commits go through ``before``, told whether they write a Patient."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.before: Callable[[bool], Any] | None = None

    async def commit(self, writes: Any, **options: Any) -> Any:
        if self.before is not None:
            await self.before(any(write.type == "Patient" for write in writes))
        return await super().commit(writes, **options)


@pytest.fixture
def steered(now: Callable[[], int]) -> Services:
    return services_on(SteeredStore(now=now, index=index), now)


def store_of(services: Services) -> SteeredStore:
    assert isinstance(services.store, SteeredStore)
    return services.store


async def test_a_message_that_is_tried_again_is_known_to_who_sends_it_again(
    steered: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "FIRST_PAUSE_S", 0.5)
    refusing = True

    async def before(applies: bool) -> None:
        if applies and refusing:
            raise CommitConflict("another came first")

    async with running(steered) as server:
        await server.send(message("1"))
        store_of(steered).before = before
        first = await server.connect()
        first.write(message("2", name="A^B"))

        async def is_retried() -> bool:
            return ("2", "retrying") in await states(server)

        await until(is_retried)
        again = await server.connect()
        again.write(message("2", name="A^B"))

        async def is_known() -> bool:
            return server.service.counts["default"].repeated == 1

        await until(is_known)
        assert ("2", "retrying") in await states(server)
        refusing = False
        assert (await first.answer())[1] == "MSA|AA|2"


async def test_a_message_that_is_not_kept_is_not_stored_behind_its_answer(
    steered: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queueing, "LATE_S", 0.01)
    storing, shut = asyncio.Event(), asyncio.Event()
    at_disk = asyncio.Event()

    async def before(applies: bool) -> None:
        if applies:
            await at_disk.wait()
            raise StoreUnavailable("the disk is full")
        if storing.is_set():
            raise StoreUnavailable("the disk is full")
        storing.set()
        await shut.wait()

    async with running(steered) as server:
        await server.send(message("1"))
        store_of(steered).before = before
        sender = await server.connect()
        sender.write(message("2", name="A^B"))
        await storing.wait()
        at_disk.set()
        await asyncio.sleep(0.05)
        store_of(steered).before = None
        shut.set()
        answer = (await sender.answer())[1]
        await server.service.settle()
        await asyncio.sleep(0.05)
        assert answer == "MSA|AA|2"
        assert await states(server) == [("1", "applied"), ("2", "applied")]


async def test_what_was_told_not_to_be_kept_is_not_applied_after_all(steered: Services) -> None:
    gone, held = False, asyncio.Event()

    async def before(applies: bool) -> None:
        if gone and not applies:
            raise StoreUnavailable("the disk is full")
        await held.wait()

    async with running(steered, ack_timeout_s=0.05) as server:
        await server.send(message("1"))
        store_of(steered).before = before
        gone = True
        sender = await server.connect()
        sender.write(message("2", name="A^B"))
        sender.write(message("3", name="A^C"))
        assert [(await sender.answer())[1][:10] for _ in "23"] == ["MSA|AR|2|t", "MSA|AR|3|t"]
        gone = False
        held.set()
        await server.service.settle()
        assert ("3", "applied") not in await states(server)
        assert (await sender.send(message("3", name="A^C")))[1] == "MSA|AA|3"


async def test_what_was_applied_although_the_store_said_no_is_answered_when_it_is_back(
    steered: Services,
) -> None:
    store = store_of(steered)
    applied = 0

    async def lost(writes: Any, **options: Any) -> Any:
        nonlocal applied
        made = await MemoryStore.commit(store, writes, **options)
        applied += bool(writes)
        if applied == 2:
            raise StoreUnavailable("it may have been kept")
        return made

    async with running(steered) as server:
        await server.send(message("1"))
        sender = await server.connect()
        store.commit = lost  # type: ignore[method-assign]
        applied = 1
        sender.write(message("2", name="A^B", more="|||AL|AL"))
        assert [(await sender.answer())[1] for _ in "12"] == ["MSA|CA|2", "MSA|AA|2"]
        assert applied == 2


async def test_a_sender_that_goes_does_not_take_its_message_along(steered: Services) -> None:
    held = asyncio.Event()

    async def before(applies: bool) -> None:
        if applies:
            await held.wait()

    async with running(steered) as server:
        await server.send(message("1"))
        store_of(steered).before = before
        sender = await server.connect()
        sender.write(message("2", name="A^B"))

        async def is_queued() -> bool:
            return server.service.moment().unfinished == 1

        await until(is_queued)
        sender.writer.transport.abort()
        await asyncio.sleep(0.02)
        held.set()
        await server.service.settle()
        assert await states(server) == [("1", "applied"), ("2", "applied")]
        assert await server.send(message("2", name="A^B")) == "MSA|AA|2"
        assert server.service.counts["default"].repeated == 1


async def test_who_stops_at_once_takes_nothing_more_from_anybody(steered: Services) -> None:
    held = asyncio.Event()

    async def before(applies: bool) -> None:
        if not applies:
            await held.wait()

    async with running(steered) as server:
        sender, storing = await server.connect(), await server.connect()
        await sender.send(message("1"))
        store_of(steered).before = before
        storing.write(message("2", more="|||AL|NE"))
        await asyncio.sleep(0.05)
        await server.service.stop(grace_s=0)
        held.set()
        store_of(steered).before = None
        for each in (sender, storing):
            each.write(message("3"))
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await each.answer()
        with pytest.raises(ConnectionError):
            await server.connect()
        assert await states(server) == [("1", "applied")]
