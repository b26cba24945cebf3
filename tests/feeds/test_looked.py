"""Who reads a message, or decides what becomes of it, is in the audit: by patient where known."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from server.access.context import SYSTEM
from server.app import operator
from server.audit.port import Told
from server.commands.inbox_replay import inbox_app
from server.fhir.errors import StoreUnavailable
from server.interactions import audit_later
from server.interactions.audit_log import AuditLog
from server.interactions.services import Services
from server.store.sqlite import SqliteStore
from server.uuid7 import new_id
from tests.feeds.conftest import BASE, NOW, index
from tests.feeds.test_http import UNIDENTIFIED, Site, sent
from tests.feeds.test_inbox_cli import folder, ids, said
from tests.feeds.test_service import message

__all__ = ["folder"]

VIP = message("1").replace(b"PV1|", b"PD1||||||||||||Y\rPV1|")


class Watched:
    """A site with an audit; ``events`` are those of people, as (action, subtype, patient, ...)."""

    def __init__(self, services: Services, *, durable: bool = False) -> None:
        self.audit = AuditLog(services.store, services.now, new_id, BASE, durable=durable)
        self.services = replace(services, audit=self.audit)
        self.site = Site(self.services)

    async def events(self) -> list[dict[str, Any]]:
        await self.audit.settled()
        found = await self.services.store.changes(SYSTEM, limit=1000, type_="AuditEvent")
        made = [json.loads(version.body or b"{}") for version in found]
        return [one for one in made if one["type"]["code"] != "110107"]  # those of the feed itself


@pytest.fixture
async def watched(services: Services) -> AsyncIterator[Watched]:
    made = Watched(services)
    await made.audit.start()
    await made.site.start()
    yield made
    await made.site.service.stop(grace_s=2)
    await made.audit.stop()


async def received(watched: Watched, client: httpx.AsyncClient, body: bytes) -> str:
    await sent(client, body)
    await watched.site.service.settle()
    return str((await client.get("/admin/inbox")).json()["messages"][0]["id"])


async def patient_of(watched: Watched) -> str:
    (version,) = await watched.services.store.history(SYSTEM, "Patient", limit=10)
    return f"Patient/{version.id}"


def told(event: dict[str, Any]) -> tuple[str, str, str, list[str]]:
    """Action, subtype, who, and what an event is about."""
    who = next(a["who"]["identifier"]["value"] for a in event["agent"] if a["requestor"])
    whats = [one["what"] for one in event["entity"] if "what" in one]
    names = [what.get("reference") or what["identifier"]["value"] for what in whats]
    return event["action"], event["subtype"][0]["code"], who, names


@pytest.mark.parametrize("address", ["", "/raw"])
async def test_reading_a_message_is_told_for_its_patient(watched: Watched, address: str) -> None:
    async with watched.site.client() as client:
        id_ = await received(watched, client, message("1"))
        assert await watched.events() == []  # the list shows states, and nothing of anybody
        answer = await client.get(f"/admin/inbox/{id_}{address}", headers={"X-Request-Id": "q7"})

    assert answer.status_code == 200
    (event,) = await watched.events()
    patient = await patient_of(watched)
    assert told(event) == ("R", "read", "administrator/ann", [patient, f"urn:uuid:{id_}", "q7"])
    assert event["agent"][0]["network"] == {"address": "127.0.0.1", "type": "2"}


async def test_a_message_of_nobody_known_is_told_without_a_patient(watched: Watched) -> None:
    async with watched.site.client() as client:
        id_ = await received(watched, client, UNIDENTIFIED)
        await client.get(f"/admin/inbox/{id_}/raw")

    (event,) = await watched.events()
    assert told(event) == ("R", "read", "administrator/ann", [f"urn:uuid:{id_}", "-"])


async def test_the_labels_of_the_patient_are_those_of_the_event(watched: Watched) -> None:
    async with watched.site.client() as client:
        id_ = await received(watched, client, VIP)
        await client.get(f"/admin/inbox/{id_}/raw")

    (event,) = await watched.events()
    system = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
    assert event["meta"]["security"] == [{"system": system, "code": "R"}]


async def test_what_becomes_of_a_message_is_told_as_administration(watched: Watched) -> None:
    async with watched.site.client() as client:
        id_ = await received(watched, client, message("1"))
        other = await received(watched, client, UNIDENTIFIED)
        edited = message("1").decode().replace("\r", "\n")
        await client.post(f"/admin/inbox/{id_}/replay", json={"edited": edited})
        await client.post(f"/admin/inbox/{other}/dismiss", json={"reason": "a test"})
        await client.post("/admin/inbox/replay", json={"feed": "lab", "states": ["applied"]})

    patient = await patient_of(watched)
    ann, code = "administrator/ann", "110136"
    assert [told(event) for event in await watched.events()] == [
        ("E", code, ann, [patient, f"urn:uuid:{id_}", "-"]),
        ("U", code, ann, [f"urn:uuid:{other}", "-"]),
        ("E", code, ann, ["-"]),
    ]


async def test_a_dry_run_tells_whom_it_showed(watched: Watched) -> None:
    """A message in quarantine concerns nobody yet; edited and tried, it shows a patient."""
    async with watched.site.client() as client:
        await received(watched, client, message("1"))
        other = await received(watched, client, UNIDENTIFIED)
        edited = message("2", name="Other^Name").decode()
        answer = await client.post(
            f"/admin/inbox/{other}/replay", json={"edited": edited, "dry_run": True}
        )

    assert answer.json()["dry_run"]["resources"]
    (event,) = await watched.events()
    patient = await patient_of(watched)
    assert told(event) == (
        "R", "read", "administrator/ann", [patient, f"urn:uuid:{other}", "-"],
    )  # fmt: skip


class Full(AuditLog):
    """An audit that can keep nothing more."""

    def tell(self, told: Told) -> None:
        raise StoreUnavailable("no room")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("GET", "/raw", None),
        ("POST", "/replay", {}),
        ("POST", "/replay", {"dry_run": True}),
        ("POST", "/dismiss", {"reason": "x"}),
    ],
)
async def test_what_cannot_be_told_is_not_shown_or_done(
    services: Services, method: str, path: str, body: dict[str, Any] | None
) -> None:
    full = Full(services.store, services.now, new_id, BASE)
    site = Site(replace(services, audit=full))
    await site.start()
    async with site.client() as client:
        await sent(client, UNIDENTIFIED)
        await site.service.settle()
        (entry,) = [one async for one in site.service.inbox.walk()]
        answer = await client.request(method, f"/admin/inbox/{entry.id}{path}", json=body)
        (after,) = [one async for one in site.service.inbox.walk()]
    await site.service.stop(grace_s=2)

    assert answer.status_code == 503
    assert b"MSH" not in answer.content
    assert after == entry


async def test_where_audit_is_durable_it_is_on_disk_before_the_answer(services: Services) -> None:
    watched = Watched(services, durable=True)
    await watched.audit.start()
    await watched.site.start()
    async with watched.site.client() as client:
        id_ = await received(watched, client, message("1"))
        await client.get(f"/admin/inbox/{id_}/raw")
        assert watched.audit.waiting == 0
    await watched.site.service.stop(grace_s=2)
    await watched.audit.stop()


async def test_the_log_names_the_message_and_nothing_in_it(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "server.feeds")
    async with watched.site.client() as client:
        id_ = await received(watched, client, message("1", name="Verysecret^Name"))
        await client.get(f"/admin/inbox/{id_}/raw")

    assert f"message {id_} was read by administrator/ann" in caplog.text
    assert "Verysecret" not in caplog.text


def left(folder: Path) -> list[tuple[str, str, str, str | None, str | None]]:
    """What commands left word of for audit: action, kind, who, patient, what was asked."""

    async def read() -> list[Any]:
        store = SqliteStore(folder / "record.db", now=lambda: NOW, index=index, fingerprint="test")
        found = await store.find_records(audit_later.KIND)
        await store.close()
        return [json.loads(one.value) for one in found]

    return [
        (one["action"], one["interaction"], one["principal"], one["patient"], one["query"])
        for one in asyncio.run(read())
    ]


def test_commands_leave_word_of_what_they_show(folder: Path) -> None:
    (id_,) = ids(folder, "applied")
    said("show", id_, "--data", folder)
    assert left(folder) == []  # states only

    for option in ("--raw", "--explain"):
        CliRunner().invoke(inbox_app, ["show", id_, option, "--data", str(folder)])
    (patient,) = {one[3] for one in left(folder)}
    assert patient is not None
    assert patient.startswith("Patient/")
    assert [(*one[:3], one[4]) for one in left(folder)] == [
        ("R", "read", operator(), "tellonce inbox show --raw"),
        ("R", "read", operator(), "tellonce inbox show --explain"),
    ]


def test_commands_leave_word_of_replays_and_dismissals(folder: Path, tmp_path: Path) -> None:
    mended = tmp_path / "mended.hl7"
    mended.write_bytes(b"MSH|^~\\&|A\r")
    first, second = ids(folder)
    said("replay", first, "--edited", mended, "--data", folder)
    said("dismiss", second, "--reason", "a test", "--data", folder)
    said("replay", "--all", "--state", "all", "--data", folder)
    said("replay", first, "--dry-run", "--data", folder)

    who = operator()
    assert left(folder) == [
        ("E", "administer", who, None, "tellonce inbox replay --edited"),
        ("U", "administer", who, None, "tellonce inbox dismiss"),
        ("E", "administer", who, None, "tellonce inbox replay --all: 3 messages"),
        ("R", "read", who, None, "tellonce inbox replay --dry-run"),
    ]
