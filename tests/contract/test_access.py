"""What a caller may not see does not exist, in every method that shows clinical data."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.access.context import AccessContext, Permit
from server.search.query import Query, SortKey
from server.store.port import Store, Write
from tests.contract.conftest import STORES
from tests.contract.made import Clock, deletion, ids, observation, patient, within

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


_days = st.sampled_from(["2019", "2020-02", "2021-03-04"])
_others: st.SearchStrategy[list[list[Write]]] = st.lists(
    st.lists(
        st.one_of(
            st.sampled_from("bcd").map(lambda id_: patient(id_, gender="male")),
            st.builds(
                lambda id_, subject, day: observation(id_, subject, effectiveDateTime=day),
                st.sampled_from(["o1", "o2", "o3"]),
                st.sampled_from(["Patient/b", "Patient/c"]),
                _days,
            ),
            st.sampled_from(["o1", "o2"]).map(lambda id_: deletion("Observation", id_)),
        ),
        max_size=3,
        unique_by=lambda write: (write.type, write.id),
    ),
    min_size=3,
    max_size=3,
)


@pytest.mark.parametrize("name", STORES)
@given(others=_others)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_what_a_patient_sees_does_not_depend_on_other_patients(
    name: str, others: list[list[Write]]
) -> None:
    alone = await shown(name, [[], [], []])

    assert await shown(name, others) == alone


async def shown(name: str, others: list[list[Write]]) -> list[Any]:
    """Return all that patient a can see, after own writes with those of others between them."""
    own = [
        [patient("a"), observation("m1", effectiveDateTime="2020")],
        [observation("m2", effectiveDateTime="2018"), observation("m3")],
        [deletion("Observation", "m3")],
    ]
    with tempfile.TemporaryDirectory() as folder:
        store = STORES[name](Path(folder), Clock())
        try:
            for mine, theirs in zip(own, others, strict=True):
                await store.commit(theirs)
                await store.commit(mine)
            return await seen_by_a(store)
        finally:
            await store.close()


async def seen_by_a(store: Store) -> list[Any]:
    places = [("Observation", f"{kind}{n}") for kind in "mo" for n in (1, 2, 3)]
    seen: list[Any] = [await store.count(OWN, BOTH)]
    for sort in ([], [SortKey("date", "date")], [SortKey("_id", "id")]):
        query = BOTH if sort != [SortKey("date", "date")] else Query(("Observation",))
        for limit in (1, 10):
            page = await store.search(OWN, query, sort=sort, limit=limit)
            seen.append(([v.body for v in page.versions], page.after is None))
    seen += [v.body if (v := await store.read(OWN, *place)) else None for place in places]
    seen += [v.body for v in (await store.read_many(OWN, places)).values()]
    seen += [v.body for v in await store.history(OWN, limit=20)]
    seen += [v.body for v in await store.changes(OWN, limit=20)]
    return seen
