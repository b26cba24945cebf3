"""What a laboratory or a registration corrects by HL7v2 finds its readers (C11)."""

from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import count
from typing import Any, Literal

import pytest

from mappings.maps import load_maps
from mappings.parse import parse
from server.access.context import SYSTEM, AccessContext, Permit
from server.continuity.citations import Cited, remember
from server.continuity.corrections import occasions
from server.continuity.corrections.watch import Corrections
from server.feeds import provenance
from server.feeds.apply import apply
from server.feeds.header import read_header
from server.feeds.inbox import Inbox
from server.fhir import json as fhir_json
from server.interactions.services import Services
from server.store.memory import MemoryStore
from server.store.port import Version
from tests.rest.house import BASE, START, index

MAPS = load_maps()
DOCTOR = AccessContext("user/doc", "app", (Permit("*"),), person="Practitioner/doc")


Mode = Literal["backload", "live", "replay"]


class Ward:
    """A record that feeds write, a doctor who was shown all of it, and the watcher."""

    def __init__(self) -> None:
        ticks, numbers = count(START, 1_000_000), count(1)
        store = MemoryStore(now=lambda: next(ticks), index=index)
        self.services = Services(
            store,
            BASE,
            lambda: next(ticks),
            lambda: f"019b0000-0000-7000-8000-{next(numbers):012x}",
            b"k",
        )
        self.inbox = Inbox(store, now=self.services.now, new_id=self.services.new_id)
        self.watcher = Corrections(self.services, self.reader, owner="one")
        self.sent = 0

    async def reader(self, _principal: str) -> AccessContext | None:
        return DOCTOR

    async def send(self, kind: str, *segments: str, mode: Mode = "live") -> None:
        self.sent += 1
        feed = MAPS.feed("adt")
        head = f"MSH|^~\\&|LAB|H|T|M|2026010203{self.sent:02}||{kind}|{self.sent}|P|2.5"
        body = "\r".join((head, *segments)).encode()
        plan = MAPS.plan(parse(body), feed)
        assert plan.quarantine is None, plan.problem
        entry = (await self.inbox.receive(feed, body, read_header(body))).entry
        entry = replace(entry, mode=mode)
        await apply(self.services, entry, plan, feed, finish=lambda done: done)

    async def result(self, value: str, status: str, **more: Any) -> None:
        await self.send(
            "ORU^R01",
            "PID|1||1^^^H||Doe^Jane||1985|F",
            "ORC|RE|P1|F1",
            "OBR|1|P1|F1|2345-7^Glucose^LN|||20260102",
            f"OBX|1|NM|2345-7^Glucose^LN||{value}|mmol/L|||||{status}|||20260102",
            **more,
        )

    async def look(self) -> None:
        while await self.watcher.step():
            pass

    async def latest(self, type_: str) -> list[Version]:
        found: dict[str, Version] = {}
        for version in await self.services.store.history(SYSTEM, type_, limit=1000):
            found.setdefault(version.id, version)
        return [one for one in found.values() if one.body is not None]

    async def show_all(self) -> None:
        versions = [v for t in ("Patient", "Observation") for v in await self.latest(t)]
        (patient, *_) = [v.id for v in versions if v.type == "Patient"]
        named = frozenset(f"{v.type}/{v.id}/_history/{v.number}" for v in versions)
        at = self.services.now()
        cited = Cited("story", f"Patient/{patient}", named, at, "user/doc", "Practitioner/doc")
        await remember(self.services, DOCTOR, cited)

    async def told(self) -> list[str]:
        """Return what the doctor was told, without where and when it was shown."""
        texts = [
            fhir_json.loads(v.body or b"{}")["payload"][0]["contentString"]
            for v in await self.latest("Communication")
        ]
        return [text.partition("2026-01-02 ")[2].partition(".")[0] for text in texts]


@pytest.fixture
async def ward() -> AsyncIterator[Ward]:
    made = Ward()
    await made.result("5.1", "F")
    await made.look()
    await made.show_all()
    yield made
    await made.services.store.close()


@pytest.mark.parametrize(
    ("status", "value", "told"),
    [
        ("C", "15.1", ["was corrected"]),
        ("D", "5.1", ["was entered in error"]),
        ("W", "5.1", ["was entered in error"]),
        ("F", "5.1", []),
    ],
)
async def test_a_result_that_the_laboratory_takes_back_is_told(
    ward: Ward, status: str, value: str, told: list[str]
) -> None:
    await ward.result(value, status)

    await ward.look()

    assert await ward.told() == told


@pytest.mark.parametrize("mode", ["backload", "replay"])
async def test_nothing_is_told_of_what_a_feed_loads_or_replays(ward: Ward, mode: Mode) -> None:
    await ward.result("15.1", "C", mode=mode)

    await ward.look()

    assert await ward.told() == []


async def test_a_merge_by_message_is_told_in_one_message(ward: Ward) -> None:
    await ward.send("ADT^A40", "EVN|A40|20260102", "PID|1||2^^^H||Doe^Jane||1985|F", "MRG|1^^^H")

    await ward.look()

    assert len(await ward.told()) == 1


def test_feeds_and_corrections_call_the_mode_the_same() -> None:
    assert occasions.MODE_SYSTEM == provenance.MODE_SYSTEM
