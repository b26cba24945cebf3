"""S3, S6 and S7 of :mod:`server.store.port`: reads, history and the change feed."""

import anyio
import anyio.lowlevel
import pytest

from server.access.context import SYSTEM
from server.fhir.errors import DeadlineExceeded
from server.search.query import NOTHING, HasKey, Query
from server.store.port import Store
from tests.contract.made import START, Clock, deletion, ids, observation, patient

SECOND = 1_000_000
OF_A = Query(("Observation",), HasKey(("Observation|subject|r|Patient/a",)))


async def test_nothing_is_found_in_an_empty_store(store: Store) -> None:
    assert await store.read(SYSTEM, "Patient", "a") is None
    assert await store.vread(SYSTEM, "Patient", "a", 1) is None
    assert await store.read_many(SYSTEM, [("Patient", "a")]) == {}
    assert await store.history(SYSTEM, limit=10) == []
    assert await store.history(SYSTEM, "Patient", "a", since=0, until=START, limit=10) == []
    assert await store.changes(SYSTEM, limit=10) == []
    assert (await store.search(SYSTEM, OF_A, limit=10)).versions == ()
    assert await store.reindex() == 0
    assert await store.verify() == []
    assert await store.ready() is None


async def test_s3_searches_see_what_was_committed_before_them(store: Store) -> None:
    for n in range(20):
        await store.commit([observation(f"o{n}")])
        assert await store.count(SYSTEM, OF_A) == n + 1


async def test_s3_an_update_moves_a_resource_between_searches(store: Store) -> None:
    of_b = Query(("Observation",), HasKey(("Observation|subject|r|Patient/b",)))
    await store.commit([observation("o", "Patient/a", effectiveDateTime="2020")])
    await store.commit([observation("o", "Patient/b", effectiveDateTime="2021")])

    assert ids((await store.search(SYSTEM, OF_A, limit=5)).versions) == []
    assert ids((await store.search(SYSTEM, of_b, limit=5)).versions) == ["o"]


async def test_read_many_leaves_out_what_is_deleted_or_unknown(store: Store) -> None:
    made = await store.commit([patient("a"), patient("b"), observation("a")])
    await store.commit([deletion("Patient", "b")])

    wanted = [("Patient", "a"), ("Patient", "b"), ("Observation", "a"), ("Patient", "x")]
    found = await store.read_many(SYSTEM, wanted)

    assert found == {("Patient", "a"): made[0], ("Observation", "a"): made[2]}


async def test_read_many_of_hundreds(store: Store) -> None:
    await store.commit([patient(f"p{n}") for n in range(300)])

    found = await store.read_many(SYSTEM, [("Patient", f"p{n}") for n in range(0, 300, 2)])

    assert len(found) == 150


async def test_s6_history_stays_what_it_was(store: Store, clock: Clock) -> None:
    await store.commit([patient("a", gender="male")])
    await store.commit([deletion("Patient", "a")])
    before = await store.history(SYSTEM, "Patient", "a", limit=10)
    clock.at += SECOND
    await store.commit([patient("a", gender="female")])

    after = await store.history(SYSTEM, "Patient", "a", limit=10)

    assert after[1:] == before
    assert [v.number for v in after] == [3, 2, 1]
    assert [await store.vread(SYSTEM, "Patient", "a", n) for n in (2, 1)] == before
    assert await store.history(SYSTEM, "Patient", "a", limit=10) == after


async def test_history_of_a_type_and_of_everything_is_newest_first(store: Store) -> None:
    await store.commit([patient("a"), observation("o")])
    await store.commit([patient("b")])

    assert ids(await store.history(SYSTEM, "Patient", limit=10)) == ["b", "a"]
    assert ids(await store.history(SYSTEM, limit=10)) == ["b", "o", "a"]
    assert ids(await store.history(SYSTEM, limit=2)) == ["b", "o"]


@pytest.mark.parametrize("place", [(None, None), ("Patient", None), ("Patient", "a")])
async def test_history_is_bounded_by_time_and_resumed_by_seq(
    store: Store, clock: Clock, place: tuple[str | None, str | None]
) -> None:
    for _ in range(6):
        await store.commit([patient("a")])
        clock.at += SECOND

    since, until = START + SECOND, START + 4 * SECOND
    bounded = await store.history(SYSTEM, *place, since=since, until=until, limit=10)
    rest = await store.history(
        SYSTEM, *place, since=since, until=until, before=bounded[0].seq, limit=1
    )

    assert [v.number for v in bounded] == [4, 3, 2]
    assert rest == bounded[1:2]
    assert await store.history(SYSTEM, *place, since=START + 60 * SECOND, limit=10) == []


async def test_changes_of_one_type_are_told_without_those_of_others(store: Store) -> None:
    await store.commit([patient("a"), observation("x")])
    await store.commit([patient("b"), observation("y")])
    await store.commit([deletion("Observation", "x")])

    seen = await store.changes(SYSTEM, limit=10, type_="Observation")

    assert [(v.type, v.id, v.seq) for v in seen] == [
        ("Observation", "x", 2),
        ("Observation", "y", 4),
        ("Observation", "x", 5),
    ]
    assert ids(await store.changes(SYSTEM, after=2, limit=1, type_="Observation")) == ["y"]
    assert await store.changes(SYSTEM, after=3, limit=9, type_="Patient") == []


async def test_changes_without_some_types_are_full_pages_of_the_others(store: Store) -> None:
    for _ in range(3):
        await store.commit([patient("a"), observation("x")])
    await store.commit([deletion("Observation", "x"), patient("b")])

    async def seqs(after: int, limit: int, *without: str, type_: str | None = None) -> list[int]:
        found = await store.changes(SYSTEM, after=after, limit=limit, without=without, type_=type_)
        return [version.seq for version in found]

    assert await seqs(0, 3, "Observation") == [1, 3, 5]
    assert await seqs(5, 3, "Observation") == [8]
    assert await seqs(0, 9, "Patient", "Observation") == []
    assert await seqs(0, 9, "Patient", type_="Patient") == []
    assert await seqs(1, 9, "Patient", type_="Observation") == [2, 4, 6, 7]


async def test_s7_a_consumer_of_changes_misses_nothing_under_concurrent_writers(
    store: Store,
) -> None:
    seen: list[int] = []
    done = anyio.Event()

    async def write(name: str) -> None:
        for _ in range(15):
            await store.commit([patient(name), observation(name)])

    async def consume() -> None:
        while True:
            finished = done.is_set()
            page = await store.changes(SYSTEM, after=seen[-1] if seen else 0, limit=7)
            seen.extend(version.seq for version in page)
            if finished and not page:
                return
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group:
        group.start_soon(consume)
        async with anyio.create_task_group() as writers:
            for n in range(6):
                writers.start_soon(write, f"w{n}")
        done.set()

    assert seen == sorted(set(seen))
    assert len(seen) == 6 * 15 * 2


async def test_a_search_ends_at_its_deadline(store: Store) -> None:
    await store.commit([patient(f"p{n}") for n in range(5)])

    with pytest.raises(DeadlineExceeded):
        await store.search(SYSTEM, Query(("Patient",)), limit=5, deadline_s=0.0)


async def test_a_query_for_nothing_finds_nothing(store: Store) -> None:
    await store.commit([patient("a")])

    page = await store.search(SYSTEM, Query(("Patient",), NOTHING), limit=5)

    assert page.versions == ()
    assert await store.count(SYSTEM, Query(("Patient",), NOTHING)) == 0


async def test_a_limit_of_zero_returns_no_page(store: Store) -> None:
    await store.commit([patient("a")])

    page = await store.search(SYSTEM, Query(("Patient",)), limit=0)

    assert (page.versions, page.after) == ((), None)


async def test_the_newest_clinical_date_comes_first_whatever_was_stored_first(
    store: Store,
) -> None:
    await store.commit(
        [
            observation("old", effectiveDateTime="2019-05-01"),
            observation("new", effectiveDateTime="2021"),
            observation("undated"),
            observation("middle", effectiveDateTime="2020-05-01"),
        ]
    )

    page = await store.search(SYSTEM, OF_A, limit=10)

    assert ids(page.versions) == ["undated", "new", "middle", "old"]
