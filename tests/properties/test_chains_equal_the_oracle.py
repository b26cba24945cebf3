"""What is found, sorted and counted through references, for callers who see little as well."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.access.context import SYSTEM, AccessContext, Permit
from server.search.parse import parse_search
from server.search.query import Query, SortKey
from server.store.sqlite import plan
from tests.contract.conftest import STORES
from tests.contract.made import Clock
from tests.properties.linked import callers, changes, queries, sorts, texts, worlds
from tests.properties.stores import HERE, Commits, fill, long_lists_in_mongodb, opened, oracle, walk

Asked = tuple[Query, tuple[SortKey, ...], AccessContext]

commits = st.tuples(worlds, changes).map(
    lambda made: [made[0][:5], made[0][5:], *([change] for change in made[1])]
)
quick = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
few = settings(quick, max_examples=4)
many = settings(quick, max_examples=150)
asked = queries.flatmap(
    lambda query: st.tuples(st.just(query), sorts(query.types), st.just(SYSTEM) | callers)
)


any_chain = given(
    made=commits,
    removed=st.sets(st.integers(0, 20), max_size=3),
    searches=st.lists(asked, min_size=10, max_size=25),
)
any_text = given(
    made=commits,
    searches=st.lists(st.tuples(texts, st.just(SYSTEM) | callers), min_size=10, max_size=25),
)


@pytest.mark.parametrize("name", HERE)
@any_chain
@quick
async def test_every_chain_equals_the_oracle(
    name: str, made: Commits, removed: set[int], searches: list[Asked]
) -> None:
    await check(name, made, removed, searches)


@any_chain
@few
async def test_every_chain_in_mongodb_equals_the_oracle(
    made: Commits, removed: set[int], searches: list[Asked]
) -> None:
    await check("mongo", made, removed, searches)


@pytest.mark.soak
@any_chain
@many
async def test_many_chains_in_mongodb_equal_the_oracle(
    made: Commits, removed: set[int], searches: list[Asked]
) -> None:
    await check("mongo", made, removed, searches)


@pytest.mark.parametrize("far", [True, False])
@any_chain
@settings(few, max_examples=2)
async def test_every_chain_in_mongodb_equals_the_oracle_however_it_is_followed(
    far: bool, made: Commits, removed: set[int], searches: list[Asked]
) -> None:
    """From its far end, whatever that leads to, or asked of each batch of two."""
    with pytest.MonkeyPatch.context() as patch:
        long_lists_in_mongodb(patch, reached=5_000 if far else 0)
        await check("mongo", made, removed, searches)


@pytest.mark.parametrize("each", [0, 3])
@given(made=commits, searches=st.lists(asked, min_size=10, max_size=25))
@settings(quick, max_examples=15)
async def test_every_chain_equals_the_oracle_where_nothing_is_looked_up_beforehand(
    each: int, made: Commits, searches: list[Asked]
) -> None:
    """As for patients with a long record: who is mentioned is found by one walk, or row by row."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "MAX_MENTIONING", 0)
        patch.setattr(plan, "MAX_REACHED", 0)
        patch.setattr(plan, "ASKED_EACH", each)
        await check("sqlite", made, set(), searches)


Written = list[tuple[tuple[str, list[tuple[str, str]]], AccessContext]]


@pytest.mark.parametrize("name", HERE)
@any_text
@quick
async def test_every_chain_as_clients_write_it_equals_the_oracle(
    name: str, made: Commits, searches: Written
) -> None:
    await check_texts(name, made, searches)


@any_text
@few
async def test_every_chain_in_mongodb_as_clients_write_it_equals_the_oracle(
    made: Commits, searches: Written
) -> None:
    await check_texts("mongo", made, searches)


async def check_texts(name: str, made: Commits, searches: Written) -> None:
    parsed = [
        (parse_search(type_, pairs, default_count=3, max_count=9), access)
        for (type_, pairs), access in searches
    ]
    assert not any(search.reported for search, _ in parsed)
    await check(name, made, set(), [(s.query, s.sort, access) for s, access in parsed])


async def check(name: str, made: Commits, removed: set[int], searches: list[Asked]) -> None:
    clock = Clock()
    async with opened(STORES[name], clock) as store:
        live = await fill(store, clock, made, removed)
        for query, sort, access in searches:
            expected = oracle(live, query, sort, access)
            assert await walk(store, query, sort, 3, access) == expected
            assert await store.count(access, query) == len(expected)


HIDDEN = {
    "a chain": ("Observation", "subject:Patient.gender=male"),
    "a chain of two hops": ("Observation", "has-member.subject:Patient.gender=male"),
    "a chain in a negation": ("Observation", "_filter=not (subject:Patient.gender eq male)"),
    "one of two chains": (
        "Observation",
        "_filter=subject:Patient.gender eq male or subject:Patient.gender eq other",
    ),
    "both of two chains": (
        "Observation",
        "_filter=subject:Patient.gender eq male and subject:Patient._id eq a",
    ),
    "_has": ("Practitioner", "_has:Patient:general-practitioner:gender=male"),
    "_has of _has": (
        "Practitioner",
        "_has:Patient:general-practitioner:_has:Observation:patient:code=x",
    ),
    "a chain in _has": ("Practitioner", "_has:Observation:performer:subject:Patient.gender=male"),
}


@pytest.mark.parametrize("name", STORES)
@pytest.mark.parametrize("asked", HIDDEN.values(), ids=HIDDEN)
async def test_a_hidden_resource_cannot_be_felt_through_a_chain(
    name: str, asked: tuple[str, str]
) -> None:
    """Whoever may see all finds; who may not see the patient does as if there were none."""
    clock = Clock()
    type_, text = asked
    name_asked, _, value = text.partition("=")
    query = parse_search(type_, [(name_asked, value)], default_count=9, max_count=9).query
    async with opened(STORES[name], clock) as store:
        await fill(store, clock, [HIDDEN_RECORD], set())
        negated = "not" in text
        assert await store.count(SYSTEM, query) > 0
        seen = await store.count(BLIND, query)
    assert seen == (2 if negated else 0)


@pytest.mark.parametrize("name", STORES)
async def test_a_hidden_resource_cannot_be_felt_through_an_order(name: str) -> None:
    clock = Clock()
    search = parse_search(
        "Observation", [("_sort", "-subject:Patient.gender")], default_count=9, max_count=9
    )
    async with opened(STORES[name], clock) as store:
        await fill(store, clock, [HIDDEN_RECORD], set())
        by_gender = await walk(store, search.query, search.sort, 1, SYSTEM)
        without = await walk(store, search.query, search.sort, 1, BLIND)
    assert by_gender == [("Observation", "1"), ("Observation", "2")]
    assert without == [("Observation", "2"), ("Observation", "1")]


BLIND = AccessContext("user/1", "app", (Permit("Observation"), Permit("Practitioner")))
HIDDEN_RECORD: list[dict[str, Any]] = [
    {
        "resourceType": "Patient",
        "id": "a",
        "gender": "male",
        "generalPractitioner": [{"reference": "Practitioner/p"}],
    },
    {"resourceType": "Practitioner", "id": "p"},
    {
        "resourceType": "Observation",
        "id": "1",
        "status": "final",
        "code": {"coding": [{"code": "x"}]},
        "subject": {"reference": "Patient/a"},
        "performer": [{"reference": "Practitioner/p"}],
    },
    {
        "resourceType": "Observation",
        "id": "2",
        "status": "final",
        "code": {"coding": [{"code": "x"}]},
        "hasMember": [{"reference": "Observation/1"}],
    },
]
