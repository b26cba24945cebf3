"""The SQLite store's chores with something in their way: a foreign log, a failing resource."""

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from server.access.context import SYSTEM
from server.fhir.errors import StoreUnavailable
from server.search.query import Query
from server.search.rows import IndexRows
from server.store.codec import Codec
from server.store.port import RecordWrite
from server.store.sqlite import SqliteStore
from server.store.sqlite.brief import BODY_BYTES
from tests.contract.made import Clock, ids, index, patient

Index = Callable[[dict[str, Any]], tuple[IndexRows, tuple[str, ...]]]


def open_store(file: Path, made: Index = index, fingerprint: str = "1") -> SqliteStore:
    return SqliteStore(file, now=Clock(), index=made, fingerprint=fingerprint)


async def test_a_backup_is_refused_where_the_log_of_another_record_would_be_played_into_it(
    tmp_path: Path,
) -> None:
    store, other = open_store(tmp_path / "record.db"), open_store(tmp_path / "other.db")
    await store.commit([patient("ours")])
    await other.commit([patient("theirs")])
    shutil.copy(tmp_path / "other.db-wal", tmp_path / "copy.db-wal")  # of a killed server
    with pytest.raises(StoreUnavailable, match=r"copy.db-wal is there"):
        await store.backup(str(tmp_path / "copy.db"))
    with pytest.raises(StoreUnavailable, match=r"other.db is in use"):
        await store.backup(str(tmp_path / "other.db"))
    await other.close()

    await store.backup(str(tmp_path / "other.db"))

    await store.close()
    other = open_store(tmp_path / "other.db")
    assert ids(await other.changes(SYSTEM, limit=9)) == ["ours"]
    await other.close()


async def test_one_resource_that_cannot_be_indexed_anew_does_not_keep_the_others_from_it(
    tmp_path: Path,
) -> None:
    names = [f"p{n:02}" for n in range(60)]
    store = open_store(tmp_path / "record.db")
    await store.commit([patient(name) for name in names])
    await store.close()

    def stumbling(resource: dict[str, Any]) -> tuple[IndexRows, tuple[str, ...]]:
        if resource["id"] == "p30":
            raise ValueError("a bug of the new definitions")
        return index(resource)

    store = open_store(tmp_path / "record.db", stumbling, "2")
    while await store.reindex():
        pass
    found = await store.search(SYSTEM, Query(("Patient",)), limit=99)
    assert sorted(ids(found.versions)) == names
    await store.close()

    store = open_store(tmp_path / "record.db", index, "2")  # a later start of a mended server
    assert await store.reindex(batch=2) == 0  # it was the only one left
    assert await store.verify() == []
    await store.close()


async def test_a_server_whose_disk_was_full_is_ready_when_it_can_write_again_and_not_before(
    tmp_path: Path,
) -> None:
    store = open_store(tmp_path / "record.db")
    await store.commit([patient("a")])
    file = store._writer._db  # a limit of SQLite stands in for the disk's
    limit = file.pragma("max_page_count")
    file.pragma("max_page_count", file.pragma("page_count"))
    large = [RecordWrite("k", "1", bytes(100_000))]
    with pytest.raises(StoreUnavailable):
        await store.commit([], records=large)
    file.pragma("query_only", "on")

    assert [await store.ready(), await store.ready()] == ["the data cannot be written"] * 2

    file.pragma("query_only", "off")
    file.pragma("max_page_count", limit)
    assert await store.ready() is None
    await store.commit([], records=large)
    await store.close()


async def test_a_page_of_long_bodies_is_unpacked_off_the_event_loop(tmp_path: Path) -> None:
    """Steps of SQLite do not tell how long a value is, so bytes are counted as well."""
    store = open_store(tmp_path / "record.db")
    noise = "".join(chr(0x4E00 + byte) for byte in os.urandom(BODY_BYTES))
    await store.commit([patient(f"p{n}", name=[{"text": noise}]) for n in range(4)])
    ran_in = set()
    decode = Codec.decode

    def where(self: Codec, how: int, kept: bytes) -> bytes:
        ran_in.add(threading.current_thread() is threading.main_thread())
        return decode(self, how, kept)

    with pytest.MonkeyPatch.context() as patching:
        patching.setattr(Codec, "decode", where)
        page = await store.search(SYSTEM, Query(("Patient",)), limit=10)

    assert len(page.versions) == 4
    assert ran_in == {False}
    await store.close()


async def test_the_log_does_not_grow_with_every_large_commit(tmp_path: Path) -> None:
    store = open_store(tmp_path / "record.db")
    sizes = []
    for _ in range(8):
        # More than what begins a checkpoint, in one commit.
        blobs = [RecordWrite("blob", str(n), os.urandom(1_000_000)) for n in range(40)]
        await store.commit([], records=blobs)
        sizes.append((tmp_path / "record.db-wal").stat().st_size)
    await store.close()

    assert max(sizes) < 1.5 * sizes[0]
