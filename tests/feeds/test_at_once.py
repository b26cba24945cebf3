"""A message is stored with what becomes of it, in one commit, or before when that takes long."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from server.access.context import SYSTEM
from server.feeds import queueing
from server.feeds.inbox import Entry
from server.fhir.errors import StoreUnavailable
from server.interactions.services import Services
from server.store.memory import MemoryStore
from server.store.port import RecordWrite, Write
from tests.feeds.conftest import index, services_on
from tests.feeds.test_service import FeedMaps, Running, Sender, message, running


class WatchedStore(MemoryStore):
    """A store that tells of its commits, and holds those that write resources while it is shut."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commits: list[list[str]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.down = False
        self.held = 0

    async def commit(self, writes: Any, **options: Any) -> Any:
        records: list[RecordWrite] = options.get("records", [])
        kinds = [*(each.type for each in writes), *(each.kind for each in records)]
        self.held += bool(writes)
        if _of_messages(writes):
            await self.open.wait()
        if self.down:
            raise StoreUnavailable("the disk is full")
        made = await super().commit(writes, **options)
        self.commits.append(kinds)
        return made


def _of_messages(writes: list[Write]) -> bool:
    return any(write.type == "Patient" for write in writes)


@pytest.fixture
def watched(now: Callable[[], int]) -> Services:
    return services_on(WatchedStore(now=now, index=index), now)


def store_of(services: Services) -> WatchedStore:
    assert isinstance(services.store, WatchedStore)
    return services.store


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await holds():  # noqa: ASYNC110 - the server is what is waited for
            await asyncio.sleep(0.005)


async def held(services: Services, number: int) -> None:
    """Wait until so many commits of resources were asked for."""

    async def are() -> bool:
        return store_of(services).held >= number

    await until(are)


async def states(server: Running) -> list[tuple[str, str]]:
    return [(entry.control_id, entry.state) for entry in await server.entries()]


async def blocked(server: Running, services: Services, *bodies: bytes) -> Sender:
    """Send messages while none can be applied; return when the first is about to be."""
    store_of(services).open.clear()
    sender = await server.connect()
    for body in bodies:
        sender.write(body)
    await held(services, store_of(services).held + 1)
    return sender


async def test_a_message_and_what_it_makes_are_one_commit(watched: Services) -> None:
    async with running(watched, keep_days=1) as server:
        await server.send(message("1"))
        store_of(watched).commits.clear()
        assert await server.send(message("2", mrn="2")) == "MSA|AA|2"
        ((first, *others),) = store_of(watched).commits
        (_, entry) = await server.entries()
        assert await server.service.inbox.received_body(entry) == message("2", mrn="2")
    assert first == "Patient"
    assert sorted(kind for kind in others if kind.startswith("inbox")) == [
        "inbox-explain",
        "inbox-raw",
        "inbox-seen",
        "inbox/default",
    ]
    assert entry.state == "applied"


async def test_a_message_in_quarantine_is_one_commit_with_its_bytes(watched: Services) -> None:
    body = message("2", type_="ZZZ^Z01")
    async with running(watched) as server:
        await server.send(message("1"))
        store_of(watched).commits.clear()
        assert await server.send(body) == "MSA|AA|2"
        assert len(store_of(watched).commits) == 1
        (_, entry) = await server.entries()
        assert (entry.state, entry.reason) == ("quarantined", "unsupported-message")
        assert await server.service.inbox.received_body(entry) == body
        assert await server.send(body) == "MSA|AA|2"
        assert len(await server.entries()) == 2


async def test_what_can_neither_be_applied_nor_stored_is_not_acknowledged(
    watched: Services,
) -> None:
    async with running(watched) as server:
        await server.send(message("1"))
        store_of(watched).down = True
        assert (await server.send(message("2", mrn="2"))).startswith("MSA|AR|2|")
        counts = server.service.counts["default"]
        assert (counts.applied, counts.refused) == (1, 1)
        store_of(watched).down = False
        assert await states(server) == [("1", "applied")]
        assert await server.send(message("2", mrn="2")) == "MSA|AA|2"
        assert await states(server) == [("1", "applied"), ("2", "applied")]


async def test_the_same_message_over_two_connections_is_applied_once(services: Services) -> None:
    async with running(services) as server:
        await server.send(message("1"))
        one, other = await server.connect(), await server.connect()
        answers = await asyncio.gather(one.send(message("2")), other.send(message("2")))
        assert [answer[1] for answer in answers] == ["MSA|AA|2", "MSA|AA|2"]
        assert await states(server) == [("1", "applied"), ("2", "applied")]
        assert server.service.counts["default"].repeated == 1


async def test_what_waits_long_is_stored_in_its_order(
    watched: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queueing, "LATE_S", 0.01)
    async with running(watched) as server:
        await server.send(message("1"))
        sender = await blocked(server, watched, message("2", name="A^B"), message("3", name="A^C"))

        async def are_kept() -> bool:
            return await states(server) == [
                ("1", "applied"),
                ("2", "received"),
                ("3", "received"),
            ]

        await until(are_kept)
        store_of(watched).open.set()
        assert [(await sender.answer())[1] for _ in range(2)] == ["MSA|AA|2", "MSA|AA|3"]
        assert {state for _, state in await states(server)} == {"applied"}
    numbers = [each.number for each in await watched.store.history(SYSTEM, "Patient", limit=9)]
    assert numbers == [3, 2, 1]


async def test_what_is_acknowledged_when_it_is_stored_is_stored_behind_those_before_it(
    watched: Services,
) -> None:
    last = message("3", name="A^C", more="|||AL|NE")
    async with running(watched) as server:
        await server.send(message("1"))
        sender = await blocked(server, watched, message("2", name="A^B"))
        other = await server.connect()
        assert (await other.send(last))[1] == "MSA|CA|3"
        assert await states(server) == [
            ("1", "applied"),
            ("2", "received"),
            ("3", "received"),
        ]
        store_of(watched).open.set()
        assert (await sender.answer())[1] == "MSA|AA|2"
        await server.service.settle()
        assert {state for _, state in await states(server)} == {"applied"}


async def test_what_is_told_to_be_stored_is(watched: Services) -> None:
    async with running(watched, ack_timeout_s=0.05) as server:
        await server.send(message("1"))
        sender = await blocked(server, watched, message("2", name="A^B"))
        answer = (await sender.answer())[1]
        assert answer == "MSA|AE|2|the message is stored and still being retried"
        assert await states(server) == [("1", "applied"), ("2", "received")]
        store_of(watched).open.set()


async def test_what_was_not_stored_before_the_end_is_not_answered_and_may_come_again(
    watched: Services,
) -> None:
    async with running(watched) as server:
        await server.send(message("1"))
        sender = await blocked(server, watched, message("2", name="A^B"))
        await server.service.stop(grace_s=0.05)
        with pytest.raises(asyncio.IncompleteReadError):
            await sender.answer()
    store_of(watched).open.set()
    async with running(watched) as server:
        assert await states(server) == [("1", "applied")]
        assert await server.send(message("2", name="A^B")) == "MSA|AA|2"


async def test_what_another_process_applied_meanwhile_gets_its_answer(watched: Services) -> None:
    async with running(watched, FeedMaps()) as server, running(watched) as other:
        await server.send(message("1"))
        sender = await blocked(server, watched, message("2", name="A^B"))
        theirs = await other.connect()
        theirs.write(message("2", name="A^B"))
        await held(watched, store_of(watched).held + 1)
        store_of(watched).open.set()
        answers = [(await one.answer())[1] for one in (sender, theirs)]
        entries: list[Entry] = await server.entries()
        assert answers == ["MSA|AA|2", "MSA|AA|2"]
        assert [(entry.control_id, entry.state) for entry in entries] == [
            ("1", "applied"),
            ("2", "applied"),
        ]
    assert len(await watched.store.history(SYSTEM, "Patient", limit=9)) == 2
