"""Stores and services for the feeds: a fixed clock that ticks, ids in order."""

from collections.abc import AsyncIterator, Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from server.access.context import SYSTEM
from server.feeds import at_hand
from server.fhir import json as fhir_json
from server.interactions.services import Services
from server.search import extract
from server.search.rows import IndexRows
from server.store.memory import MemoryStore
from server.store.port import Store
from server.store.sqlite import SqliteStore

NOW = 1_767_323_045_000_000  # 2026-01-02T03:04:05Z
BASE = "http://fhir.test"


def index(resource: dict[str, Any]) -> tuple[IndexRows, tuple[str, ...]]:
    return extract.index_rows(resource, BASE), extract.compartments(resource, BASE)


def services_on(store: Store, now: Callable[[], int]) -> Services:
    numbers = count(1)
    return Services(store, BASE, now, lambda: f"019b0000-0000-7000-8000-{next(numbers):012x}", b"k")


@pytest.fixture
def now() -> Callable[[], int]:
    ticks = count(NOW, 1000)
    return lambda: next(ticks)


@pytest.fixture(params=["memory", "sqlite"])
async def services(
    request: pytest.FixtureRequest, tmp_path: Path, now: Callable[[], int]
) -> AsyncIterator[Services]:
    store: Store = (
        MemoryStore(now=now, index=index)
        if request.param == "memory"
        else SqliteStore(tmp_path / "record.db", now=now, index=index, fingerprint="test")
    )
    yield services_on(store, now)
    for version, resource in at_hand.kept(store):  # many messages look at one object
        assert resource == fhir_json.loads(version.body or b"{}")
    await store.close()


@pytest.fixture
def resources(services: Services) -> Any:
    """Return a function: the live resources of a type, oldest first, without ``meta``."""

    async def of_type(type_: str) -> list[dict[str, Any]]:
        latest: dict[str, dict[str, Any]] = {}
        for version in await services.store.history(SYSTEM, type_, limit=10_000):
            resource = fhir_json.loads(version.body or b"{}")
            resource.pop("meta", None)
            latest.setdefault(version.id, resource)
        return [latest[id_] for id_ in sorted(latest)]

    return of_type
