"""What a store answers is what :mod:`server.search.match` says, sorted, page by page."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.access.context import SYSTEM
from server.fhir import dates
from server.search.parse import parse_search
from server.search.query import (
    AllOf,
    Comparator,
    DateIs,
    HasKey,
    NumberIs,
    Query,
    SortKey,
    UpdatedIs,
)
from server.store.sqlite import plan
from server.store.sqlite import search as sqlite_search
from tests.contract.conftest import STORES
from tests.contract.made import START, Clock
from tests.properties.clinical import queries, resources, sorts, texts
from tests.properties.stores import HERE, Commits, fill, long_lists_in_mongodb, opened, oracle, walk

Asked = tuple[Query, tuple[SortKey, ...], int]

commits = st.lists(
    st.lists(resources, min_size=1, max_size=4, unique_by=lambda r: (r["resourceType"], r["id"])),
    min_size=1,
    max_size=6,
)
OPS: tuple[Comparator, ...] = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
asked = queries.flatmap(
    lambda query: st.tuples(st.just(query), sorts(query.types), st.integers(1, 4))
)
quick = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
few = settings(quick, max_examples=4)
many = settings(quick, max_examples=150)
any_search = given(
    made=commits,
    removed=st.sets(st.integers(0, 20)),
    searches=st.lists(asked, min_size=10, max_size=30),
)
any_text = given(made=commits, searches=st.lists(texts, min_size=10, max_size=30))


@pytest.mark.parametrize("name", HERE)
@any_search
@quick
async def test_every_search_equals_the_oracle(
    name: str, made: Commits, removed: set[int], searches: list[Asked]
) -> None:
    await check(name, made, removed, searches)


@any_search
@few
async def test_every_search_in_mongodb_equals_the_oracle(
    made: Commits, removed: set[int], searches: list[Asked]
) -> None:
    await check("mongo", made, removed, searches)


@pytest.mark.soak
@any_search
@many
async def test_many_searches_in_mongodb_equal_the_oracle(
    made: Commits, removed: set[int], searches: list[Asked]
) -> None:
    await check("mongo", made, removed, searches)


@any_search
@few
async def test_every_search_in_mongodb_equals_the_oracle_when_every_list_is_long(
    made: Commits, removed: set[int], searches: list[Asked]
) -> None:
    """Long lists are walked in order, and what chains and values lead to is asked in batches."""
    with pytest.MonkeyPatch.context() as patch:
        long_lists_in_mongodb(patch)
        await check("mongo", made, removed, searches)


@given(made=commits, searches=st.lists(asked, min_size=10, max_size=30))
@quick
async def test_every_search_equals_the_oracle_when_every_list_is_long(
    made: Commits, searches: list[Asked]
) -> None:
    """Long posting lists are walked in order and merged; here every list counts as long.

    What three or more have is asked of each row, and walks along other orders soon end.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "FEW", 0)
        patch.setattr(plan, "MANY", 1)
        patch.setattr(plan, "MAX_FOUND", 3)
        patch.setattr(sqlite_search, "WALKED", 4)
        await check("sqlite", made, set(), searches)


@pytest.mark.parametrize("name", HERE)
@any_text
@quick
async def test_every_search_as_clients_write_it_equals_the_oracle(
    name: str, made: Commits, searches: list[tuple[str, list[tuple[str, str]]]]
) -> None:
    await check_texts(name, made, searches)


@any_text
@few
async def test_every_search_in_mongodb_as_clients_write_it_equals_the_oracle(
    made: Commits, searches: list[tuple[str, list[tuple[str, str]]]]
) -> None:
    await check_texts("mongo", made, searches)


async def check_texts(
    name: str, made: Commits, searches: list[tuple[str, list[tuple[str, str]]]]
) -> None:
    parsed = [parse_search(t, pairs, default_count=3, max_count=9) for t, pairs in searches]
    assert not any(search.reported for search in parsed)
    await check(name, made, set(), [(search.query, search.sort, search.count) for search in parsed])


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("name", STORES)
async def test_every_comparator_equals_the_oracle_at_every_edge(name: str, op: Comparator) -> None:
    """Periods and values whose ends lie at, within and beyond each asked interval."""
    clock = Clock()
    days = [f"2020-01-0{day}" for day in range(1, 6)]
    periods = [{"start": a, "end": b} for a in days for b in days if a <= b]
    periods += [{"start": day} for day in days] + [{"end": day} for day in days]
    made: list[dict[str, Any]] = [
        {"resourceType": "Encounter", "id": f"{n}", "status": "planned", "period": period}
        for n, period in enumerate(periods)
    ]
    made += [
        {"resourceType": "Observation", "id": text, "valueQuantity": {"value": Decimal(text)}}
        for text in ("1", "1.5", "2", "2.0", "2.5", "3", "-2")
    ]
    async with opened(STORES[name], clock) as store:
        live = await fill(store, clock, [[resource] for resource in made], set())
        for query in at_every_edge(op):
            assert await walk(store, query, (), 7) == oracle(live, query, ())
            both = Query(query.types, AllOf((query.where, HasKey(("Encounter", "Observation")))))
            assert await store.count(SYSTEM, both) == len(oracle(live, both, ()))


def at_every_edge(op: Comparator) -> list[Query]:
    edges = [dates.interval(f"2020-01-0{day}")[0] for day in range(1, 7)]
    spans = [(a, b) for a in edges for b in edges if a < b]
    sizes = [(1.5, 2.5), (1.95, 2.05), (2.0, 2.0), (0.5, 1.5), (2.5, 3.5)]
    moments = [
        (START + a * 500_000, START + b * 500_000) for a in range(4) for b in range(a + 1, 5)
    ]
    return [
        *[Query(("Encounter",), DateIs("Encounter", "date", op, *span)) for span in spans],
        *[
            Query(("Observation",), NumberIs("Observation", "value-quantity", op, *size))
            for size in sizes
        ],
        *[Query(("Encounter",), UpdatedIs(op, *moment)) for moment in moments],
    ]


async def check(name: str, made: Commits, removed: set[int], searches: list[Asked]) -> None:
    clock = Clock()
    async with opened(STORES[name], clock) as store:
        live = await fill(store, clock, made, removed)
        for query, sort, limit in searches:
            expected = oracle(live, query, sort)
            assert await walk(store, query, sort, limit) == expected
            assert await store.count(SYSTEM, query) == len(expected)
        assert await store.verify() == []
