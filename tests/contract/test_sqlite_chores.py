"""The SQLite store's chores with something in their way: a foreign log, a failing resource."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from server.access.context import SYSTEM
from server.fhir.errors import StoreUnavailable
from server.search.query import Query
from server.search.rows import IndexRows
from server.store.sqlite import SqliteStore
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
