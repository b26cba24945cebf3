"""The record after a history is the same in whatever order the messages came, and sent again."""

import json
import random
from typing import Any

import pytest

from mappings.maps import load_maps
from mappings.parse import parse
from server.access.context import SYSTEM
from server.feeds.apply import apply
from server.feeds.header import read_header
from server.feeds.inbox import Entry, Inbox
from server.fhir import json as fhir_json
from server.interactions.services import Services
from server.store.memory import MemoryStore
from tests.feeds.conftest import NOW, index, services_on
from tests.feeds.histories import History, Sent

MAPS = load_maps()


class Record:
    """A server without a socket: messages are applied as they are sent."""

    def __init__(self) -> None:
        self.ticks = NOW

        self.services: Services = services_on(MemoryStore(now=self.now, index=index), self.now)
        self.inbox = Inbox(self.services.store, now=self.now, new_id=self.services.new_id)
        self.sent = 0

    def now(self) -> int:
        self.ticks += 1000
        return self.ticks

    async def take(self, message: Sent, *, at: str = "") -> Entry:
        self.sent += 1
        body = message.body(self.sent, at=at)
        feed = MAPS.feed(message.feed)
        plan = MAPS.plan(parse(body), feed)
        assert plan.quarantine is None, plan.problem
        entry = (await self.inbox.receive(feed, body, read_header(body))).entry
        return await apply(self.services, entry, plan, feed, finish=lambda done: done)

    async def resources(self) -> dict[str, Any]:
        """The live resources by what they are, with references to what they mean."""
        latest: dict[str, dict[str, Any]] = {}
        for version in await self.services.store.history(SYSTEM, limit=100_000):
            if version.type != "Provenance":
                resource = fhir_json.loads(version.body or b"{}")
                latest.setdefault(f"{version.type}/{version.id}", resource)
        names = {ref: _name(resource, latest) for ref, resource in latest.items()}
        assert len(set(names.values())) == len(names), "two of one identity"
        return {
            names[ref]: _renamed({k: v for k, v in one.items() if k not in ("id", "meta")}, names)
            for ref, one in latest.items()
        }

    async def versions(self) -> list[str]:
        found = await self.services.store.history(SYSTEM, limit=100_000)
        return [f"{v.type}/{v.id}/{v.number}" for v in found]


def _name(resource: dict[str, Any], everything: dict[str, Any]) -> str:
    ids = {f"{i.get('system')}|{i['value']}" for i in resource.get("identifier", ())}
    keys = {i for i in ids if i.startswith("urn:tellonce:key")} or ids
    what = sorted(keys) if resource["resourceType"] != "Patient" else ["the patient"]
    return f"{resource['resourceType']} {what or json.dumps(resource['code'], sort_keys=True)}"


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {k: _renamed(v, names) for k, v in value.items()}
    if isinstance(value, list):
        return [_renamed(v, names) for v in value]
    return names.get(value, value) if isinstance(value, str) else value


def _unordered(resources: dict[str, Any], *, every: bool) -> dict[str, Any]:
    """Return the resources with the lists sorted whose order is that of arrival."""

    def of(name: str, value: Any) -> Any:
        if isinstance(value, list) and (every or name in ("identifier", "result")):
            return sorted(value, key=lambda one: json.dumps(one, sort_keys=True, default=str))
        return value

    return {ref: {n: of(n, v) for n, v in one.items()} for ref, one in resources.items()}


def _differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    told = []
    for ref in sorted({*one, *other}):
        a, b = one.get(ref, {}), other.get(ref, {})
        told += [
            f"{ref}.{name}: {a.get(name)} / {b.get(name)}"
            for name in sorted({*a, *b})
            if a.get(name) != b.get(name)
        ]
    return told


async def played(messages: list[Sent]) -> Record:
    record = Record()
    for message in messages:
        await record.take(message)
    return record


@pytest.mark.parametrize("feeds", [("adt",), ("adt", "lab")], ids=["one feed", "two feeds"])
@pytest.mark.parametrize("seed", range(30))
async def test_a_history_gives_the_same_record_in_any_order(
    seed: int, feeds: tuple[str, ...]
) -> None:
    chance = random.Random(seed)
    messages = History(chance, feeds).messages(chance.randint(3, 14))
    wanted = _unordered(await (await played(messages)).resources(), every=len(feeds) > 1)
    shuffled = chance.sample(messages, len(messages))
    made = _unordered(await (await played(shuffled)).resources(), every=len(feeds) > 1)
    assert _differences(wanted, made) == []


@pytest.mark.parametrize("feeds", [("adt",), ("adt", "lab")], ids=["one feed", "two feeds"])
@pytest.mark.parametrize("seed", range(10))
async def test_a_history_sent_again_with_other_control_ids_writes_nothing(
    seed: int, feeds: tuple[str, ...]
) -> None:
    chance = random.Random(seed)
    messages = History(chance, feeds).messages(10)
    record = await played(messages)
    before = await record.versions()
    for message in chance.sample(messages, len(messages)):
        done = await record.take(message)
        assert done.produced == ()
    assert await record.versions() == before


@pytest.mark.parametrize("feeds", [("adt",), ("adt", "lab")], ids=["one feed", "two feeds"])
@pytest.mark.parametrize("seed", range(10))
async def test_a_history_sent_again_as_of_now_gives_the_same_record(
    seed: int, feeds: tuple[str, ...]
) -> None:
    chance = random.Random(seed)
    messages = History(chance, feeds).messages(10)
    record = await played(messages)
    wanted = await record.resources()
    for minute, message in enumerate(messages):
        await record.take(message, at=f"20250601{minute:04}00")
    assert _differences(wanted, await record.resources()) == []


@pytest.mark.parametrize("seed", range(10))
async def test_a_message_said_again_as_of_now_writes_nothing(seed: int) -> None:
    record = Record()
    for message in History(random.Random(seed), ("adt",)).messages(1):
        await record.take(message)
        again = await record.take(message, at="20250601000000")
        assert again.produced == ()
