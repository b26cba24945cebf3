"""The example and the table on docs/audit.md are what the server makes."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.audit.codes import KINDS
from server.store.memory import MemoryStore
from tests.audit.house import AuditedHouse
from tests.rest.house import Clock, index, observation

PAGE = (Path(__file__).parents[2] / "docs" / "audit.md").read_text("utf-8")


@pytest.fixture
async def house() -> AsyncIterator[AuditedHouse]:
    clock = Clock()
    made = AuditedHouse(MemoryStore(now=clock, index=index), clock)
    await made.audit.start()
    yield made
    await made.audit.stop()


async def test_the_event_of_a_read_is_the_one_that_is_shown(house: AuditedHouse) -> None:
    async with house.client("anna") as client:
        await client.put("/Observation/o-a", json=observation("Patient/a", "o-a"))
        await client.get("/Observation/o-a", headers={"X-Request-Id": "req-7"})

    made = (await house.events())[-1]
    del made["id"], made["meta"]
    shown = re.search(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert shown
    assert made == json.loads(shown[1])


async def test_the_provenance_that_is_shown_is_taken(house: AuditedHouse) -> None:
    shown = re.search(r"^X-Provenance: (.*)$", PAGE, re.MULTILINE)
    assert shown
    async with house.client("anna") as client:
        sent = observation("Patient/a")
        answer = await client.post("/Observation", json=sent, headers={"X-Provenance": shown[1]})

    assert answer.status_code == 201
    (kept,) = await house.kept("Provenance")
    assert kept["agent"] == [{"who": {"reference": "Organization/lab"}}]


def test_every_kind_of_event_is_in_the_table() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| (\S+) \| (\S+) \|$", PAGE, re.MULTILINE)
    assert rows == [(name, kind.type[1], kind.subtype[1]) for name, kind in KINDS.items()]
