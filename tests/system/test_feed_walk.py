"""Whatever senders do and whenever the server is killed: the record is that of the messages."""

import asyncio
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.feeds.inbox import Entry, Inbox
from tests.feeds.conftest import NOW
from tests.system import forked
from tests.system.process import Process, served
from tests.system.test_feed_kill import in_file
from tests.system.walking import (
    HELD,
    Dropper,
    Message,
    Place,
    Poster,
    Sender,
    State,
    expected,
    held,
    history,
    orderly,
    record,
)

FEEDS = """
feeds:
  adt: {senders: [adt]}
  lab: {senders: [lab]}
  held: {senders: [held]}
  orderly: {senders: [orderly], folder: drop, poll_s: 0.1, settle_s: 0.2}
"""
HOLDS = "feed: held\nlane_when_quarantined: hold\n"


@dataclass(frozen=True, slots=True)
class Walk:
    """How long a walk is: groups of each kind, messages of each, times that the server ends."""

    orderly: int
    histories: int
    messages: int
    ends: int
    held: int = 0


@contextmanager
def server(data: Path, place: Place) -> Iterator[Process]:
    feeds = data.with_name("feeds.yaml")
    feeds.write_text(FEEDS)
    maps = data.with_name("maps")
    maps.mkdir(exist_ok=True)
    (maps / "held.yaml").write_text(HOLDS)
    settings = {"TELLONCE_FEEDS": str(feeds), "TELLONCE_MAPS": str(maps)}
    with served(data, settings=settings) as made:
        place.mllp_port, place.root = made.mllp_port, made.root
        place.token = place.token or made.token
        yield made


async def disturb(data: Path, place: Place, chance: random.Random, process: Process) -> None:
    """Let time go by, with things that happen to a server; then end it, one way or another."""
    for _ in range(chance.randrange(1, 6)):
        await asyncio.sleep(chance.random() * 0.4)
        how = chance.random()
        if how < 0.2:
            await asyncio.to_thread(_keep_from_writing, data / "record.db", chance.random() * 0.7)
        elif how < 0.4:
            await _replay(place, chance.choice(["adt", "lab"]))
        elif how < 0.7:
            await _dismiss(place, chance.randrange(1, 10))
    sent = signal.SIGKILL if chance.random() < 0.7 else signal.SIGTERM
    process.popen.send_signal(sent)
    await asyncio.to_thread(process.popen.wait)


def _keep_from_writing(file: Path, seconds: float) -> None:
    """Hold the write lock of the file, as a backup tool might."""
    with suppress(sqlite3.OperationalError):
        other = sqlite3.connect(file, timeout=2, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        time.sleep(seconds)
        other.execute("ROLLBACK")
        other.close()


async def _replay(place: Place, feed: str) -> None:
    with suppress(httpx.HTTPError):
        async with httpx.AsyncClient(timeout=30) as client:
            await client.post(
                f"{place.root}/admin/inbox/replay",
                json={"feed": feed, "states": ["applied", "quarantined"]},
                headers={"Authorization": f"Bearer {place.token}"},
            )


async def _dismiss(place: Place, most: int) -> None:
    """Dismiss some of what holds its lanes."""
    shown = {"Authorization": f"Bearer {place.token}"}
    with suppress(httpx.HTTPError):
        async with httpx.AsyncClient(timeout=30, headers=shown, base_url=place.root) as client:
            wanted: dict[str, str | int] = {"feed": HELD, "state": "quarantined", "limit": most}
            page = await client.get("/admin/inbox", params=wanted)
            for one in page.json()["messages"]:
                why = {"reason": "nobody's"}
                done = await client.post(f"/admin/inbox/{one['id']}/dismiss", json=why)
                assert done.status_code in (200, 409)


def senders(walk: Walk, chance: random.Random, place: Place, drop: Path) -> list[Sender]:
    made: list[Sender] = []
    for group in range(walk.orderly):
        messages, ways = orderly(group, chance, walk.messages), random.Random(chance.random())
        if group % 3 == 2:
            made.append(Dropper(messages, drop, place, ways))
        else:
            made.append((Sender, Poster)[group % 3](messages, place, ways))
    for group in range(walk.orderly, walk.orderly + walk.held):
        kept = held(group, chance, walk.messages)
        made.append((Sender, Poster)[group % 2](kept, place, random.Random(chance.random())))
    for group in range(walk.histories):
        messages = history(group, chance, walk.messages)
        half = len(messages) // 2
        for part in (messages[:half], messages[half:]):
            window = chance.choice([1, 6, 40])
            made.append(Sender(part, place, random.Random(chance.random()), window))
    return made


async def all_sent(
    walk: Walk, data: Path, place: Place, chance: random.Random, sending: Sequence[Sender]
) -> None:
    tasks = [asyncio.create_task(sender.run()) for sender in sending]
    try:
        for _ in range(walk.ends):
            with server(data, place) as process:
                await disturb(data, place, chance, process)
            failed = [task for task in tasks if task.done() and task.exception()]
            assert not failed, failed[0].exception()
    finally:
        if any(task.done() and task.exception() for task in tasks):
            for task in tasks:
                task.cancel()
    with server(data, place):
        async with asyncio.timeout(300):
            await asyncio.gather(*tasks)
        await settled(data)
        await given_up(data, place)


async def given_up(data: Path, place: Place) -> None:
    """Dismiss what holds its lanes until nothing waits in any of them."""
    ended = ("applied", "dismissed")
    async with asyncio.timeout(120):
        while [1 for one in await entries(data) if one.feed == HELD and one.state not in ended]:
            await _dismiss(place, 1000)
            await asyncio.sleep(0.2)


async def settled(data: Path) -> None:
    """Return when nothing is left to be done."""
    for _ in range(600):
        if not [one for one in await entries(data) if one.state in ("received", "retrying")]:
            return
        await asyncio.sleep(0.1)
    raise TimeoutError("something is never finished")


async def entries(data: Path) -> list[Entry]:
    store = in_file(data)
    try:
        return [entry async for entry in Inbox(store, now=lambda: NOW, new_id=str).walk()]
    finally:
        await store.close()


async def found(data: Path) -> tuple[dict[str, Any], dict[bytes, State]]:
    """Return the record, and the states of all messages by their bytes."""
    store = in_file(data)
    try:
        inbox = Inbox(store, now=lambda: NOW, new_id=str)
        states: dict[bytes, State] = {}
        async for entry in inbox.walk():
            body = await inbox.received_body(entry)
            assert body not in states
            states[body] = entry.state, entry.reason
        return await record(store), states
    finally:
        await store.close()


def check(data: Path, sending: Sequence[Sender]) -> None:
    messages: list[Message] = [one for sender in sending for one in sender.messages]
    wanted = asyncio.run(expected(messages))
    made, states = asyncio.run(found(data))
    wrong = {body: (state, wanted.states[body]) for body, state in states.items()
             if state != wanted.states[body]}  # fmt: skip
    assert wrong == {}, wrong
    missing = wanted.states.keys() ^ states.keys()
    assert not missing, missing
    differing = differences(wanted.record, made)
    assert not differing, "\n".join(differing)


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    told = [f"only one has {name}" for name in one.keys() ^ other.keys()]
    for name in one.keys() & other.keys():
        a, b = one[name], other[name]
        told += [f"{name}.{k}: {a.get(k)} / {b.get(k)}"
                 for k in sorted({*a, *b}) if a.get(k) != b.get(k)]  # fmt: skip
    return told


def walked(tmp_path: Path, walk: Walk, seed: int) -> None:
    chance, place, data = random.Random(seed), Place(), tmp_path / "d"
    (tmp_path / "drop").mkdir()
    sending = senders(walk, chance, place, tmp_path / "drop")
    asyncio.run(all_sent(walk, data, place, chance, sending))
    codes = Counter(code for sender in sending for code in sender.codes)
    assert codes.keys() <= {"AA", "AR"}
    check(data, sending)
    assert forked.tellonce("verify", "--data", data).stdout == "sound\n"


def test_a_short_walk_leaves_what_the_messages_say(tmp_path: Path) -> None:
    walked(tmp_path, Walk(orderly=3, histories=1, messages=10, ends=1, held=1), seed=1)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
def test_a_long_walk_leaves_what_the_messages_say(tmp_path: Path, seed: int) -> None:
    walked(tmp_path, Walk(orderly=6, histories=6, messages=60, ends=8, held=4), seed)
