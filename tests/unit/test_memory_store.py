"""What the memory store does its own way: rows made anew, a plan that is a walk, its deadline."""

from typing import Any

import pytest

from server.access.context import SYSTEM
from server.fhir.definitions import SearchParameter
from server.fhir.errors import DeadlineExceeded
from server.search import extract
from server.search.catalog import Catalog
from server.search.parse import parse_search
from server.search.query import Query, SortKey
from server.search.rows import IndexRows
from server.store.memory import MemoryStore
from server.store.port import Step
from tests.contract.made import Clock, deletion, ids, index, observation, patient

MARRIED = SearchParameter(
    "married", "http://x/married", "token", ("Patient",), "Patient.maritalStatus", (), ()
)
CATALOG = Catalog((MARRIED,))
SINGLE = {"coding": [{"code": "S"}]}


def index_with_married(resource: dict[str, Any]) -> tuple[IndexRows, tuple[str, ...]]:
    return extract.indexed(resource, catalog=CATALOG)


def married(code: str) -> Query:
    search = parse_search(
        "Patient", [("married", code)], default_count=9, max_count=9, catalog=CATALOG
    )
    return search.query


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(now=Clock(), index=index, fingerprint="1")


async def test_rows_are_made_anew_batch_by_batch_when_another_index_is_used(
    store: MemoryStore,
) -> None:
    await store.commit([patient(id_, maritalStatus=SINGLE) for id_ in "abc"])
    assert await store.reindex() == 0

    store.use_index(index_with_married, "2", CATALOG)

    assert await store.count(SYSTEM, married("S")) == 0
    assert await store.reindex(batch=2) == 1
    assert await store.count(SYSTEM, married("S")) == 2
    assert await store.reindex(batch=2) == 0
    assert await store.count(SYSTEM, married("S")) == 3
    assert await store.count(SYSTEM, Query(("Patient",))) == 3


async def test_one_resource_that_cannot_be_indexed_does_not_keep_the_others_from_it(
    store: MemoryStore,
) -> None:
    await store.commit([patient(id_, maritalStatus=SINGLE) for id_ in "abc"])

    def broken_for_b(resource: dict[str, Any]) -> tuple[IndexRows, tuple[str, ...]]:
        if resource["id"] == "b":
            raise ZeroDivisionError
        return index_with_married(resource)

    store.use_index(broken_for_b, "2", CATALOG)

    assert await store.reindex() == 0
    page = await store.search(SYSTEM, married("S"), sort=[SortKey("_id", "id")], limit=9)
    assert ids(page.versions) == ["a", "c"]
    assert await store.count(SYSTEM, Query(("Patient",))) == 3


async def test_the_plan_is_a_walk_over_the_types(store: MemoryStore) -> None:
    await store.commit([patient("a", gender="male"), patient("b")])
    await store.commit([observation(f"{n}", "Patient/a") for n in range(3)])
    search = parse_search(
        "Observation",
        [("subject:Patient.gender", "male"), ("_sort", "-subject:Patient.gender,_id")],
        default_count=9,
        max_count=9,
    )

    told = await store.explain(SYSTEM, search.query, sort=search.sort, limit=2)

    assert told.steps == (
        Step("drive", "every live Observation, one by one", rows=3),
        Step("probe", "the whole query, by index rows", rows=3),
        Step("probe", "others that chains lead to", rows=6),
        Step("sort", "subject.gender, descending, _id, ascending", rows=3),
        Step("fetch", "bodies of the page", 2, 2),
    )
    assert told.milliseconds > 0


async def test_a_search_behind_its_deadline_tells_its_plan(store: MemoryStore) -> None:
    await store.commit([patient("a")])
    with pytest.raises(DeadlineExceeded, match="longer than 0 s; its plan is to walk over all"):
        await store.search(SYSTEM, Query(("Patient",)), limit=1, deadline_s=0)


async def test_a_chain_behind_its_deadline_ends_inside_the_chain(store: MemoryStore) -> None:
    await store.commit([patient("a")])
    query = parse_search(
        "Patient", [("_has:Observation:subject:_id", "x")], default_count=1, max_count=1
    ).query
    with pytest.raises(DeadlineExceeded):
        await store.count(SYSTEM, query, deadline_s=0)


async def test_a_removed_resource_is_named_no_more(store: MemoryStore) -> None:
    await store.commit([patient("a"), observation("o", "Patient/a")])
    query = parse_search("Observation", [("subject._id", "a")], default_count=1, max_count=1).query
    assert await store.count(SYSTEM, query) == 1
    await store.commit([deletion("Patient", "a")])
    assert await store.count(SYSTEM, query) == 0
