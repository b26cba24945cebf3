"""The log of commits: played into the file beside them, and begun anew while they go on."""

import asyncio
import os
import threading
from pathlib import Path

import apsw
import pytest

from server.access.context import SYSTEM
from server.store.port import RecordWrite
from server.store.sqlite import SqliteStore
from server.store.sqlite.checkpoints import CHECKPOINT_PAGES, Checkpoints
from server.store.sqlite.connect import PAGE_SIZE_BYTES, connect, prepare
from tests.contract.made import Clock, index, patient

LOG_BYTES = CHECKPOINT_PAGES * PAGE_SIZE_BYTES


async def test_the_log_begins_anew_while_commits_go_on(tmp_path: Path) -> None:
    store = open_store(tmp_path / "record.db")
    for n in range(80):
        blob = RecordWrite("blob", str(n % 40), os.urandom(1_000_000))
        await store.commit([patient(f"p{n}")], records=[blob])
    size = (tmp_path / "record.db-wal").stat().st_size
    threads = {thread.name for thread in threading.enumerate()}
    stored = await store.changes(SYSTEM, limit=1000)
    faults = await store.verify()
    await store.close()

    assert size < 2 * LOG_BYTES
    assert "store-log" in threads
    assert len(stored) == 80
    assert faults == []


async def test_a_reader_that_stays_lets_the_log_grow_and_loses_nothing(tmp_path: Path) -> None:
    file = tmp_path / "record.db"
    store = open_store(file)
    await store.commit([patient("before")])
    reader = connect(file, readonly=True)
    reader.execute("begin")
    seen = reader.execute("select count(*) from res").get
    for n in range(60):
        await store.commit([], records=[RecordWrite("blob", str(n), os.urandom(1_000_000))])

    assert reader.execute("select count(*) from res").get == seen
    assert (await store.get_record("blob", "59")) is not None
    reader.close()
    assert await store.verify() == []
    await store.close()


def test_a_checkpoint_that_fails_is_told_and_the_next_one_is_tried(tmp_path: Path) -> None:
    prepare(tmp_path / "record.db")
    db = connect(tmp_path / "record.db")
    checkpoints = Checkpoints(db)
    db.execute("create table t (a)")
    (tmp_path / "record.db").rename(tmp_path / "away.db")

    with pytest.raises(apsw.CantOpenError):
        go_on(db, checkpoints)
    (tmp_path / "away.db").rename(tmp_path / "record.db")
    grow(db, CHECKPOINT_PAGES)
    checkpoints.tend()

    assert (tmp_path / "record.db").stat().st_size > 2 * LOG_BYTES
    checkpoints.close()
    db.close()


async def test_the_log_begins_anew_where_the_system_has_no_thread_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, start = open_store(tmp_path / "record.db"), threading.Thread.start

    def refused(thread: threading.Thread) -> None:
        if thread.name == "store-log":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refused)
    for n in range(80):
        blob = RecordWrite("blob", str(n % 40), os.urandom(1_000_000))
        async with asyncio.timeout(20):
            await store.commit([patient(f"p{n}")], records=[blob])
    size = (tmp_path / "record.db-wal").stat().st_size
    faults = await store.verify()
    await store.close()

    assert size < 2 * LOG_BYTES
    assert faults == []


def go_on(db: apsw.Connection, checkpoints: Checkpoints) -> None:
    for _ in range(6):
        grow(db, CHECKPOINT_PAGES // 4)
        checkpoints.tend()


def open_store(file: Path) -> SqliteStore:
    return SqliteStore(file, now=Clock(), index=index, fingerprint="1")


def grow(db: apsw.Connection, pages: int) -> None:
    """Commit about so many pages."""
    with db:
        db.executemany("insert into t values (?)", ((os.urandom(4000),) for _ in range(pages)))
