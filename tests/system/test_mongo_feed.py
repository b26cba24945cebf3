"""A hospital's day of HL7v2 by MLLP makes the same record on MongoDB as in a file."""

import time
from collections import Counter
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from mappings.maps import Maps, load_maps
from server.access.context import SYSTEM
from server.demo.day import messages
from server.demo.run import FEED
from server.demo.send import send
from server.feeds import FeedService
from server.feeds.inbox import UNFINISHED
from server.feeds.service import Port
from server.fhir import json as fhir_json
from server.interactions.services import Services
from server.store.mongo import MongoStore
from server.store.port import Store
from server.store.sqlite import SqliteStore
from server.uuid7 import new_id
from tests.feeds.conftest import BASE, index
from tests.system.mongo import database, soon

MADE: dict[str, Any] = {
    "acknowledged": 159,
    "states": {"applied": 157, "quarantined": 2},
    "resources": {
        "Account": 40,
        "AllergyIntolerance": 13,
        "Condition": 40,
        "Coverage": 42,
        "DiagnosticReport": 63,
        "Encounter": 40,
        "Location": 90,
        "Observation": 289,
        "Organization": 9,
        "Patient": 42,
        "Practitioner": 8,
        "Provenance": 155,
        "RelatedPerson": 15,
        "ServiceRequest": 63,
    },
    "names": 42,
}


def now() -> int:
    return time.time_ns() // 1000


async def day_on(store: Store, maps: Maps, owner: str | None) -> dict[str, Any]:
    """Return counts of what the day has made of an empty store, which is closed then."""
    services = Services(store, BASE, now, new_id, b"k", owner=owner)
    service = FeedService(services, maps, [Port(FEED)])
    try:
        await service.start()
        sent = await send(messages(), "127.0.0.1", service.listeners[0].port)

        async def settled() -> bool:
            return not [e async for e in service.inbox.walk(states=UNFINISHED)]

        await soon(settled)
        await service.stop()
        versions = await store.history(SYSTEM, limit=100_000)
        states = Counter([entry.state async for entry in service.inbox.walk()])
    finally:
        await store.close()
    latest = {(v.type, v.id): v for v in reversed(versions)}
    patients = [fhir_json.loads(v.body or b"{}") for v in latest.values() if v.type == "Patient"]
    return {
        "acknowledged": sent.total,
        "states": states,
        "resources": Counter(type_ for type_, _ in latest),
        "names": len({str(p["name"][0]["family"]) for p in patients}),
    }


def opened_on(kind: str, tmp_path: Path, url: str) -> Store:
    if kind == "sqlite":
        return SqliteStore(tmp_path / "record.db", now=now, index=index, fingerprint="1")
    return MongoStore(url, now=now, index=index, fingerprint="1")


@pytest.mark.parametrize(
    ("kind", "owner"),
    [
        ("mongo", "a process of several"),
        pytest.param("mongo", None, marks=pytest.mark.soak),
        pytest.param("sqlite", None, marks=pytest.mark.soak),  # the same as in tests/demo
    ],
)
async def test_the_day_makes_the_same_record_on_every_store(
    kind: str, owner: str | None, tmp_path: Path
) -> None:
    maps = load_maps((Path(str(files("server.demo"))) / "maps",))
    with database() as url:
        found = await day_on(opened_on(kind, tmp_path, url), maps, owner)
    assert found == MADE
