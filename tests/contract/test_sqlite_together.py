"""What commits of one transaction know of one another, though the file is written at its end."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from server.access.context import SYSTEM
from server.search.query import AllOf, HasKey, Query
from server.store.port import CommitConflict, Expect, OutboxWrite, RecordWrite, Store
from server.store.sqlite import SqliteStore
from tests.contract.made import Clock, ids, index, patient

MALE, FEMALE = (HasKey((f"Patient|gender|c|{code}",)) for code in ("male", "female"))
NUMBERED = HasKey(("Patient|identifier|s|mrn|1",))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    made = SqliteStore(tmp_path / "record.db", now=Clock(), index=index, fingerprint="1")
    yield made
    await made.close()


def nobody(*where: HasKey) -> list[Expect]:
    return [Expect(str(where), Query(("Patient",), AllOf(where)), frozenset())]


def told(made: Sequence[object]) -> list[str]:
    return [type(one).__name__ for one in made]


async def test_nobody_is_expected_whom_a_commit_before_made_or_changed(store: Store) -> None:
    await store.commit([patient("first", gender="female")])
    numbered = {"identifier": [{"system": "mrn", "value": "1"}]}

    made = await asyncio.gather(
        store.commit([patient("alone")]),  # the others wait while this one is written
        store.commit([patient("a", **numbered)], expect=nobody(NUMBERED)),
        store.commit([patient("b", **numbered)], expect=nobody(NUMBERED)),
        store.commit([patient("first", gender="male")], expect=nobody(MALE)),
        store.commit([patient("c")], expect=nobody(MALE)),
        store.commit([patient("d")], expect=nobody(FEMALE)),
        store.commit([patient("e")], expect=nobody(MALE, NUMBERED)),
        return_exceptions=True,
    )

    assert told(made) == [
        "list",
        "list",
        "CommitConflict",
        "list",
        "CommitConflict",
        "list",
        "list",
    ]
    assert ids(await store.changes(SYSTEM, limit=99)) == ["first", "alone", "a", "first", "d", "e"]
    assert await store.verify() == []


async def test_somebody_who_has_one_of_two_keys_only_is_nobody(store: Store) -> None:
    await store.commit([patient("a", gender="male", identifier=[{"system": "mrn", "value": "1"}])])

    await store.commit([patient("b")], expect=nobody(FEMALE, NUMBERED))
    with pytest.raises(CommitConflict):
        await store.commit([patient("c")], expect=nobody(MALE, NUMBERED))


async def test_records_of_one_transaction_follow_one_another(store: Store) -> None:
    def put(key: str, value: bytes | None, if_rev: int | None = None) -> RecordWrite:
        return RecordWrite("k", key, value, if_rev=if_rev)

    made = await asyncio.gather(
        store.commit([patient("alone")]),
        store.commit([], records=[put("a", b"1", 0), put("b", b"1")]),
        store.commit([], records=[put("a", b"2", 0)]),
        store.commit([], records=[put("a", b"2", 1), put("c", b"1"), put("c", None)]),
        store.commit([], records=[put("b", None, 1), put("a", b"3")]),
        store.take_record("k", "a"),
        store.commit([], records=[put("b", b"new", 0), put("a", b"new", 0)]),
        return_exceptions=True,
    )

    assert told(made) == ["list", "list", "CommitConflict", "list", "list", "Record", "list"]
    found = await store.find_records("k")
    assert [(one.key, one.value, one.rev) for one in found] == [("a", b"new", 1), ("b", b"new", 1)]


async def test_an_expired_record_is_put_anew(store: Store) -> None:
    await store.commit([], records=[RecordWrite("k", "a", b"old", expires_at=1)])

    await store.commit([], records=[RecordWrite("k", "a", b"new", if_rev=0)])

    record = await store.get_record("k", "a")
    assert record is not None
    assert (record.value, record.rev, record.expires_at) == (b"new", 1, None)


async def test_a_commit_of_many_records_knows_the_revision_of_each(store: Store) -> None:
    many = [RecordWrite("k", f"{n:03}", b"1", if_rev=0) for n in range(100)]
    await store.commit([], records=many)

    with pytest.raises(CommitConflict):
        await store.commit([], records=many)
    await store.commit([], records=[RecordWrite("k", one.key, b"2", if_rev=1) for one in many])

    assert {one.rev for one in await store.find_records("k", limit=200)} == {2}


async def test_the_outbox_is_in_the_order_of_the_commits(store: Store) -> None:
    await asyncio.gather(
        *(store.commit([], outbox=[OutboxWrite("t", b"%d" % n)] * 2) for n in range(20))
    )

    rows = await store.outbox(limit=100)
    assert [row.payload for row in rows] == [b"%d" % n for n in range(20) for _ in range(2)]
    assert [row.seq for row in rows] == list(range(1, 41))
