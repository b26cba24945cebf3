"""Two feed services on one store: who applies what, in which order, and who answers."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from server.access.context import SYSTEM
from server.feeds.inbox import Inbox
from server.feeds.quarantine import ask_replay
from server.fhir import json as fhir_json
from server.interactions.services import Services
from server.store import lease
from server.store.memory import MemoryStore
from server.uuid7 import uuid7
from tests.feeds.conftest import BASE, NOW, index
from tests.feeds.test_service import FeedMaps, Running, message, running


class Clock:
    """Ticks a millisecond each time it is asked, and jumps when it is told."""

    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> int:
        self.at += 1000
        return self.at


def process(store: MemoryStore, name: str, clock: Callable[[], int], ahead_us: int = 0) -> Services:
    """Services of a process of that name; its clock is ``ahead_us`` ahead."""
    numbers = count(1)

    def new_id() -> str:
        return uuid7((clock() + ahead_us) // 1000, random.randbytes(6) + next(numbers).to_bytes(4))

    return Services(store, BASE, lambda: clock() + ahead_us, new_id, b"k", owner=name)


@asynccontextmanager
async def two(
    *, ahead_us: int = 0, maps: FeedMaps | None = None
) -> AsyncIterator[tuple[Running, Running, Clock]]:
    clock = Clock()
    store = MemoryStore(now=clock, index=index)
    one, other = process(store, "a", clock), process(store, "b", clock, ahead_us)
    async with running(one, maps) as first, running(other, maps) as second:
        yield first, second, clock


async def until(what: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while True:
            if await what():
                return
            await asyncio.sleep(0.02)


async def family_names(server: Running, type_: str = "Patient") -> list[str]:
    versions = await server.service.services.store.history(SYSTEM, type_, limit=1000)
    return [fhir_json.loads(v.body or b"")["name"][0]["family"] for v in reversed(versions)]


@pytest.mark.parametrize("ahead_us", [0, 3_000_000, -3_000_000], ids=["same", "ahead", "behind"])
async def test_a_patient_s_messages_are_applied_in_order_whichever_process_they_reach(
    ahead_us: int,
) -> None:
    """What was acknowledged before another was sent is applied before it."""
    sent = [f"Name{n}" for n in range(12)]
    async with two(ahead_us=ahead_us, maps=FeedMaps(ack="inbox")) as (first, second, _):
        for n, name in enumerate(sent):
            at = f"202601020300{n:02d}"
            one = (first, second)[n % 2]
            answer = await one.send(message(str(n), name=f"{name}^Jane", at=at))
            assert answer == f"MSA|AA|{n}"

        async def applied() -> bool:
            return {e.state for e in await first.entries()} == {"applied"}

        await until(applied)
        assert await family_names(first) == sent


async def test_both_processes_answer_when_the_message_is_applied() -> None:
    async with two() as (first, second, _):
        answers = await asyncio.gather(
            *(one.send(message(f"{n}", mrn=str(n))) for n in range(20) for one in (first,)),
            *(one.send(message(f"{n}", mrn=str(n))) for n in range(20, 40) for one in (second,)),
        )
        states = [entry.state for entry in await second.entries()]
    assert sorted(answers) == sorted(f"MSA|AA|{n}" for n in range(40))
    assert states == ["applied"] * 40


async def test_a_message_that_two_processes_receive_is_applied_once() -> None:
    async with two() as (first, second, _):
        body = message("1")
        answers = await asyncio.gather(first.send(body), second.send(body))
        assert answers == ["MSA|AA|1", "MSA|AA|1"]
        assert len(await family_names(first)) == 1
        assert len(await first.entries()) == 1


async def test_what_a_killed_process_received_is_applied_by_the_other() -> None:
    """Its turn is kept, as after SIGKILL; it ends by the clock."""
    async with two(maps=FeedMaps(ack="inbox")) as (first, second, clock):
        await first.send(message("0", mrn="0"))

        async def turn_of_first() -> bool:
            held = await first.service.services.store.get_record(lease.KIND, "feed/default")
            return held is not None and held.value.endswith(b" a")

        await until(turn_of_first)
        sharing = first.service._queueing._sharing
        assert sharing is not None
        await sharing.stop()
        for n in range(1, 5):
            await first.send(message(str(n), mrn=str(n)))
        clock.at += 60_000_000

        async def applied() -> bool:
            return [e.state for e in await second.entries()] == ["applied"] * 5

        await until(applied)


async def test_a_process_that_stops_leaves_the_feed_to_the_other_at_once() -> None:
    async with two() as (first, second, clock):
        assert await first.send(message("1")) == "MSA|AA|1"
        began = clock.at
        await first.service.stop(grace_s=2)
        assert await second.send(message("2", name="Roe^Jane")) == "MSA|AA|2"
        assert clock.at - began < 5_000_000  # of the ten seconds that its turn had


async def test_a_replay_asked_for_at_one_process_is_done_once() -> None:
    maps = FeedMaps()
    maps.broken = True
    async with two(maps=maps) as (first, second, _):
        await first.send(message("1"))
        (entry,) = await second.entries()
        assert entry.state == "quarantined"
        maps.broken = False
        await ask_replay(second.service.services.store, [entry.id])

        async def applied() -> bool:
            return [e.state for e in await second.entries()] == ["applied"]

        await until(applied)
        assert len(await family_names(first)) == 1


async def test_an_id_is_above_those_that_another_process_gave_with_a_clock_ahead() -> None:
    clock = Clock()
    store = MemoryStore(now=clock, index=index)
    ids = []
    for name, ahead in (("a", 5_000_000), ("b", 0), ("a", 5_000_000), ("c", -5_000_000)):
        services = process(store, name, clock, ahead)
        inbox = Inbox(store, now=services.now, new_id=services.new_id, shared=True)
        made: Any = await inbox.receive(FeedMaps().feed("x"), b"MSH|^~\\&|%d" % len(ids), None)
        ids.append(made.entry.id)
    assert ids == sorted(ids)


async def test_an_unshared_store_has_no_leases() -> None:
    clock = Clock()
    store = MemoryStore(now=clock, index=index)
    async with running(replace(process(store, "a", clock), owner=None)) as server:
        await server.send(message("1"))
        assert await store.find_records(lease.KIND) == []
