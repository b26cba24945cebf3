"""S1, S2, S4, S5, S10 and S11 of :mod:`server.store.port`: what a commit promises."""

import anyio
import anyio.lowlevel
import pytest

from server.access.context import SYSTEM
from server.fhir.errors import StoreUnavailable, VersionConflict
from server.search.query import HasKey, Query
from server.store.port import CommitConflict, Expect, OutboxWrite, RecordWrite, Store, Write
from tests.contract.made import START, Clock, deletion, ids, observation, patient

PATIENTS = Query(("Patient",))


async def test_a_commit_returns_the_versions_as_they_are_stored(store: Store) -> None:
    first, second = await store.commit([patient("a"), observation("o")])

    assert (first.type, first.id, first.number, first.at) == ("Patient", "a", 1, START)
    assert first.seq < second.seq
    assert first.method == "PUT"
    assert first.body == (
        b'{"resourceType":"Patient","id":"a","meta":'
        b'{"versionId":"1","lastUpdated":"2026-01-02T03:04:05.678Z"}}'
    )
    assert await store.read(SYSTEM, "Patient", "a") == first


async def test_s1_one_version_conflict_undoes_the_whole_commit(store: Store) -> None:
    await store.commit([patient("a")])

    with pytest.raises(VersionConflict, match="Patient/a is at version 1, not 7"):
        await store.commit(
            [patient("b"), patient("a", if_version=7)],
            records=[RecordWrite("job", "1", b"")],
            outbox=[OutboxWrite("t", b"")],
        )

    assert await store.read(SYSTEM, "Patient", "b") is None
    assert await store.get_record("job", "1") is None
    assert await store.outbox() == []
    assert await store.count(SYSTEM, PATIENTS) == 1
    assert len(await store.changes(SYSTEM, limit=10)) == 1


async def test_s1_a_record_that_changed_undoes_the_resources(store: Store) -> None:
    await store.commit([], records=[RecordWrite("job", "1", b"")])

    with pytest.raises(CommitConflict):
        await store.commit([patient("a")], records=[RecordWrite("job", "1", b"x", if_rev=0)])

    assert await store.read(SYSTEM, "Patient", "a") is None
    assert await store.count(SYSTEM, PATIENTS) == 0


async def test_s1_numbers_are_not_lost_with_a_commit_that_failed(store: Store) -> None:
    await store.commit([patient("a")])
    with pytest.raises(VersionConflict):
        await store.commit([patient("b"), patient("a", must_be_new=True)])

    (made,) = await store.commit([patient("b")])

    assert (made.number, made.seq) == (1, 2)


async def test_s2_concurrent_commits_number_versions_without_gaps(store: Store) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(32):
            group.start_soon(store.commit, [patient("a")])

    history = await store.history(SYSTEM, "Patient", "a", limit=100)
    assert [version.number for version in history] == list(range(32, 0, -1))


async def test_s4_of_32_racing_conditional_creates_one_happens(store: Store) -> None:
    wanted = Query(("Patient",), HasKey(("Patient|identifier|s|mrn|1",)))
    outcomes: list[str] = []

    async def create(id_: str) -> None:
        try:
            await store.commit(
                [patient(id_, identifier=[{"system": "mrn", "value": "1"}])],
                expect=[Expect("Patient?identifier=mrn|1", wanted, frozenset())],
            )
        except CommitConflict:
            outcomes.append("conflict")
        else:
            outcomes.append("created")

    async with anyio.create_task_group() as group:
        for n in range(32):
            group.start_soon(create, f"p{n}")

    assert sorted(outcomes) == ["conflict"] * 31 + ["created"]
    assert await store.count(SYSTEM, wanted) == 1


async def test_s4_an_expectation_names_exactly_what_matches(store: Store) -> None:
    await store.commit([patient("a"), patient("b"), patient("c")])
    await store.commit([deletion("Patient", "c")])

    await store.commit([], expect=[Expect("all", PATIENTS, frozenset({"a", "b"}))])
    for wrong in ({"a"}, {"a", "b", "c"}, {"a", "x"}):
        with pytest.raises(CommitConflict):
            await store.commit([], expect=[Expect("all", PATIENTS, frozenset(wrong))])


async def test_s5_of_32_racing_updates_of_one_version_one_happens(store: Store) -> None:
    await store.commit([patient("a")])
    outcomes: list[str] = []

    async def update() -> None:
        try:
            await store.commit([patient("a", if_version=1)])
        except VersionConflict:
            outcomes.append("conflict")
        else:
            outcomes.append("updated")

    async with anyio.create_task_group() as group:
        for _ in range(32):
            group.start_soon(update)

    assert sorted(outcomes) == ["conflict"] * 31 + ["updated"]


async def test_must_be_new_refuses_what_was_deleted_too(store: Store) -> None:
    await store.commit([patient("a")])
    await store.commit([deletion("Patient", "a")])

    with pytest.raises(VersionConflict, match="Patient/a exists already"):
        await store.commit([patient("a", must_be_new=True)])


async def test_a_deletion_is_a_version_and_takes_if_version(store: Store) -> None:
    await store.commit([patient("a")])

    with pytest.raises(VersionConflict):
        await store.commit([deletion("Patient", "a", if_version=2)])
    (gone,) = await store.commit([deletion("Patient", "a", if_version=1)])

    assert (gone.number, gone.method, gone.body) == (2, "DELETE", None)
    assert await store.read(SYSTEM, "Patient", "a") == gone
    assert await store.count(SYSTEM, PATIENTS) == 0


async def test_a_deleted_resource_comes_back_with_the_next_number(store: Store) -> None:
    await store.commit([patient("a")])
    await store.commit([deletion("Patient", "a")])

    (back,) = await store.commit([patient("a")])

    assert back.number == 3
    assert ids((await store.search(SYSTEM, PATIENTS, limit=9)).versions) == ["a"]


async def test_s10_last_updated_never_goes_back_when_the_clock_does(
    store: Store, clock: Clock
) -> None:
    (first,) = await store.commit([patient("a")])
    clock.at -= 3_600_000_000
    (second,) = await store.commit([patient("b")])
    clock.at += 7_200_000_999
    (third,) = await store.commit([patient("c")])

    assert first.at == second.at == START
    assert third.at == START + 3_600_000_000


async def test_s11_bodies_come_back_byte_for_byte(store: Store) -> None:
    odd = '{"decimal":1.10,"text":"\\u00e9 Zoë","big":12345678901234567890.0}'
    write = patient("a", extension=[{"url": "u", "valueString": odd * 50}])
    (made,) = await store.commit([write])
    assert write.body is not None

    found = await store.read(SYSTEM, "Patient", "a")

    assert found is not None
    decided = b'"versionId":"1","lastUpdated":"2026-01-02T03:04:05.678Z"'
    assert found.body == made.body == write.body.head + decided + write.body.tail


async def test_two_writes_of_one_resource_are_a_bug(store: Store) -> None:
    with pytest.raises(ValueError, match="at most one write"):
        await store.commit([patient("a"), patient("a")])


async def test_a_closed_store_refuses(store: Store) -> None:
    await store.close()

    with pytest.raises(StoreUnavailable):
        await store.commit([patient("a")])
    assert await store.ready() == "the store is closed"


async def test_a_cancelled_commit_leaves_the_store_able_to_commit(store: Store) -> None:
    async def one(write: Write) -> None:
        await store.commit([write])

    for _ in range(5):
        async with anyio.create_task_group() as group:
            for n in range(20):
                group.start_soon(one, patient(f"p{n}"))
            await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()

    (made,) = await store.commit([patient("last")])
    assert await store.read(SYSTEM, "Patient", "last") == made
    for n in range(20):
        numbers = [v.number for v in await store.history(SYSTEM, "Patient", f"p{n}", limit=9)]
        assert numbers == list(range(len(numbers), 0, -1))
    assert await store.verify() == []
