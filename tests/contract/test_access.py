"""What a caller may not see does not exist, in every method that shows clinical data."""

import pytest

from server.access.context import AccessContext, Permit
from server.search.query import Query, SortKey
from server.store.port import Store
from tests.contract.made import deletion, ids, observation, patient, within

OWN = within("Patient/a")
NOBODY = AccessContext("user/2", "app", ())
BOTH = Query(("Patient", "Observation"))


@pytest.fixture
async def filled(store: Store) -> Store:
    await store.commit([patient("a"), patient("b")])
    await store.commit([observation("mine", "Patient/a"), observation("other", "Patient/b")])
    return store


async def test_reads_see_own_compartment_only(filled: Store) -> None:
    assert await filled.read(OWN, "Observation", "mine") is not None
    assert await filled.read(OWN, "Observation", "other") is None
    assert await filled.vread(OWN, "Observation", "other", 1) is None
    found = await filled.read_many(OWN, [("Patient", "a"), ("Patient", "b")])
    assert list(found) == [("Patient", "a")]


async def test_searches_and_counts_see_own_compartment_only(filled: Store) -> None:
    page = await filled.search(OWN, BOTH, sort=[SortKey("_id", "id")], limit=10)

    assert ids(page.versions) == ["a", "mine"]
    assert await filled.count(OWN, BOTH) == 2
    assert await filled.count(NOBODY, BOTH) == 0


async def test_history_and_changes_see_own_compartment_only(filled: Store) -> None:
    assert ids(await filled.history(OWN, limit=10)) == ["mine", "a"]
    assert ids(await filled.history(OWN, "Observation", limit=10)) == ["mine"]
    assert await filled.history(OWN, "Observation", "other", limit=10) == []
    assert ids(await filled.changes(OWN, limit=10)) == ["a", "mine"]
    assert ids(await filled.changes(OWN, limit=1)) == ["a"]


async def test_a_limit_counts_what_is_seen_not_what_is_skipped(filled: Store) -> None:
    await filled.commit([observation(f"x{n}", "Patient/b") for n in range(450)])

    assert ids(await filled.history(OWN, limit=2)) == ["mine", "a"]
    assert ids(await filled.changes(OWN, limit=2)) == ["a", "mine"]


async def test_an_old_version_is_judged_by_its_own_compartments(filled: Store) -> None:
    await filled.commit([observation("mine", "Patient/b")])

    assert await filled.read(OWN, "Observation", "mine") is None
    assert await filled.vread(OWN, "Observation", "mine", 1) is not None
    seen = await filled.history(OWN, "Observation", "mine", limit=10)
    assert [version.number for version in seen] == [1]


async def test_a_deletion_is_seen_by_those_who_saw_the_resource(filled: Store) -> None:
    await filled.commit([deletion("Observation", "mine"), deletion("Observation", "other")])

    gone = await filled.read(OWN, "Observation", "mine")
    assert gone is not None
    assert gone.body is None
    assert await filled.read(OWN, "Observation", "other") is None


async def test_a_permit_for_searching_does_not_read(filled: Store) -> None:
    searching = AccessContext("u", "app", (Permit("*", frozenset({"search"})),))

    assert await filled.read(searching, "Patient", "a") is None
    assert await filled.count(searching, BOTH) == 4


async def test_permits_of_several_types_and_compartments_are_alternatives(filled: Store) -> None:
    mixed = AccessContext(
        "u", "app", (Permit("Patient"), Permit("Observation", compartment="Patient/b"))
    )

    page = await filled.search(mixed, BOTH, sort=[SortKey("_id", "id")], limit=10)

    assert ids(page.versions) == ["a", "b", "other"]
    assert ids((await filled.search(mixed, BOTH, limit=10)).versions) == ["other", "b", "a"]
