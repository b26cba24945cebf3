"""The server's own records, S12, and the notification outbox."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

import anyio
import pytest

from server.store import lease
from server.store.port import CommitConflict, OutboxRow, OutboxWrite, Record, RecordWrite, Store
from tests.contract.made import START, Clock, patient


async def put(store: Store, key: str, value: bytes = b"v", **more: object) -> None:
    await store.commit([], records=[RecordWrite("job", key, value, **more)])  # type: ignore[arg-type]


async def test_a_record_comes_back_with_a_revision_that_counts_puts(store: Store) -> None:
    await put(store, "1", b"one", tag="new")
    await put(store, "1", b"two", tag="old", expires_at=START + 1)

    assert await store.get_record("job", "1") == Record("job", "1", b"two", "old", 2, START + 1)
    assert await store.get_record("other", "1") is None


async def test_a_record_is_put_only_at_the_expected_revision(store: Store) -> None:
    await put(store, "1", if_rev=0)
    for wrong in (0, 2):
        with pytest.raises(CommitConflict):
            await put(store, "1", if_rev=wrong)
    await put(store, "1", b"next", if_rev=1)

    found = await store.get_record("job", "1")
    assert found is not None
    assert (found.value, found.rev) == (b"next", 2)


async def test_of_32_racing_puts_of_one_revision_one_happens(store: Store) -> None:
    happened: list[bytes] = []

    async def race(value: bytes) -> None:
        try:
            await put(store, "1", value, if_rev=0)
        except CommitConflict:
            return
        happened.append(value)

    async with anyio.create_task_group() as group:
        for n in range(32):
            group.start_soon(race, str(n).encode())

    found = await store.get_record("job", "1")
    assert found is not None
    assert happened == [found.value]


async def test_a_record_without_value_is_removed(store: Store) -> None:
    await put(store, "1")
    await store.commit([], records=[RecordWrite("job", "1", None, if_rev=1)])

    assert await store.get_record("job", "1") is None
    assert await store.find_records("job") == []


async def test_records_are_found_by_tag_in_pages_ordered_by_key(store: Store) -> None:
    for key in ("b", "a", "d", "c", "ä"):
        await put(store, key, tag="odd" if key in "ac" else "even")

    everything = await store.find_records("job", limit=3)
    assert [r.key for r in everything] == ["a", "b", "c"]
    assert [r.key for r in await store.find_records("job", after="c")] == ["d", "ä"]
    assert [r.key for r in await store.find_records("job", tag="odd")] == ["a", "c"]
    assert [r.key for r in await store.find_records("job", tag="odd", after="a")] == ["c"]
    assert await store.count_records("job") == {"odd": 2, "even": 3}
    assert await store.count_records("job", ("odd", "none")) == {"odd": 2}
    assert await store.count_records("job", ()) == {}


async def test_records_without_a_tag_are_found_by_that(store: Store) -> None:
    for key, tag in (("a", ""), ("b", "odd"), ("c", "")):
        await put(store, key, tag=tag)
    await put(store, "a", tag="odd", if_rev=1)
    await put(store, "d", tag="")

    assert [r.key for r in await store.find_records("job", tag="")] == ["c", "d"]
    assert [r.key for r in await store.find_records("job", tag="", after="c")] == ["d"]
    assert [r.key for r in await store.find_records("job", tag="odd")] == ["a", "b"]
    assert await store.count_records("job", ("", "odd")) == {"": 2, "odd": 2}


async def test_an_expired_record_counts_as_absent(store: Store, clock: Clock) -> None:
    await put(store, "short", expires_at=START + 10)
    await put(store, "long", expires_at=START + 99)
    await put(store, "ever")
    clock.at = START + 10

    assert await store.get_record("job", "short") is None
    assert await store.take_record("job", "short") is None
    assert [r.key for r in await store.find_records("job")] == ["ever", "long"]
    assert await store.count_records("job") == {"": 2}
    await put(store, "short", if_rev=0)


async def test_expired_records_are_removed_and_counted(store: Store) -> None:
    await put(store, "short", expires_at=START + 10)
    await put(store, "long", expires_at=START + 99)
    await put(store, "ever")

    assert await store.expire_records(START + 10) == 1
    assert await store.expire_records(START + 10) == 0
    assert [r.key for r in await store.find_records("job")] == ["ever", "long"]


async def test_s12_of_32_racing_takers_one_gets_the_record(store: Store) -> None:
    await put(store, "code")
    got: list[Record | None] = []

    async def take() -> None:
        got.append(await store.take_record("job", "code"))

    async with anyio.create_task_group() as group:
        for _ in range(32):
            group.start_soon(take)

    assert [r.key for r in got if r is not None] == ["code"]


async def test_outbox_rows_come_in_commit_order_and_their_numbers_never_return(
    store: Store,
) -> None:
    await store.commit([patient("a")], outbox=[OutboxWrite("t", b"1"), OutboxWrite("u", b"2")])
    await store.commit([], outbox=[OutboxWrite("t", b"3")])

    rows = await store.outbox()
    assert [(r.topic, r.payload) for r in rows] == [("t", b"1"), ("u", b"2"), ("t", b"3")]
    assert await store.outbox(after=rows[0].seq, limit=1) == [rows[1]]
    assert await store.trim_outbox(rows[-1].seq) == 3
    await store.commit([], outbox=[OutboxWrite("t", b"4")])
    assert await store.outbox(after=rows[-1].seq) == [OutboxRow(rows[-1].seq + 1, "t", b"4")]


async def test_a_lease_has_one_owner_until_it_ends(store: Store) -> None:
    assert await lease.acquire(store, "export", "one", now=START, ttl=100)
    assert not await lease.acquire(store, "export", "two", now=START + 99, ttl=100)
    assert await lease.acquire(store, "export", "two", now=START + 100, ttl=100)
    await lease.release(store, "export", "one")
    assert not await lease.acquire(store, "export", "one", now=START + 101, ttl=100)
    await lease.release(store, "export", "two")
    assert await lease.acquire(store, "export", "one", now=START + 101, ttl=100)


class Interrupted:
    """A store on which ``meanwhile`` happens between a caller's reading and its next step."""

    def __init__(self, store: Store, meanwhile: Callable[[], Awaitable[None]]) -> None:
        self._store, self._meanwhile = store, meanwhile

    async def get_record(self, kind: str, key: str) -> Record | None:
        found = await self._store.get_record(kind, key)
        await self._meanwhile()
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


async def test_a_lease_read_before_it_was_given_back_cannot_be_taken_over(store: Store) -> None:
    assert await lease.acquire(store, "export", "slow", now=START, ttl=100)

    async def meanwhile() -> None:
        assert await lease.acquire(store, "export", "two", now=START + 100, ttl=100)
        await lease.release(store, "export", "two")
        assert await lease.acquire(store, "export", "three", now=START + 101, ttl=100)

    slow = cast(Store, Interrupted(store, meanwhile))
    assert not await lease.acquire(slow, "export", "slow", now=START + 99, ttl=100)
    assert not await lease.acquire(store, "export", "slow", now=START + 102, ttl=100)
    await lease.release(store, "export", "slow")  # not its own: nothing happens
    assert not await lease.acquire(store, "export", "slow", now=START + 102, ttl=100)
