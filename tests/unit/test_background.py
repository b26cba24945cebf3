import asyncio

import pytest

from server import background
from server.fhir.errors import StoreUnavailable
from server.search.rows import IndexRows
from server.store.memory import MemoryStore


class Stale(MemoryStore):
    """Has three batches to index, and a disk that fails once."""

    def __init__(self) -> None:
        super().__init__(now=lambda: 1, index=lambda _: (IndexRows(frozenset()), ()))
        self.left = 3
        self.failed = False
        self.done = asyncio.Event()

    async def reindex(self, *, batch: int = 500) -> int:
        if not self.failed:
            self.failed = True
            raise StoreUnavailable("the disk is full")
        self.left -= 1
        if self.left == 0:
            self.done.set()
        return self.left


async def test_reindexing_goes_on_to_its_end_and_survives_a_failing_disk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(background, "RETRY_S", 0.0)
    store = Stale()
    async with background.tasks(store, lambda: 1):
        async with asyncio.timeout(30):
            await store.done.wait()
    assert store.left == 0


class Buggy(Stale):
    """Fails once in a way that nobody foresaw."""

    async def reindex(self, *, batch: int = 500) -> int:
        if not self.failed:
            self.failed = True
            raise ValueError("a value of a patient")
        return await super().reindex(batch=batch)


async def test_a_bug_in_a_chore_is_told_and_does_not_end_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(background, "RETRY_S", 0.0)
    store = Buggy()
    async with background.tasks(store, lambda: 1):
        async with asyncio.timeout(30):
            await store.done.wait()
    assert "reindexing failed: ValueError" in caplog.messages
    assert "a value of a patient" not in caplog.text


async def test_the_chores_end_with_the_server() -> None:
    store = MemoryStore(now=lambda: 1, index=lambda _: (IndexRows(frozenset()), ()))
    before = asyncio.all_tasks()
    async with background.tasks(store, lambda: 1):
        assert len(asyncio.all_tasks() - before) == 2
    assert asyncio.all_tasks() - before == set()
