"""What a caller sees does not depend on what is hidden from them, by whatever method they look.

The same record is written into two stores, one of which holds hidden resources around it.  All
that a caller can ask is compared: type, id, number, time, method and bytes of every version, in
their order, counts, and whether a page is the last.  Left out are ``Version.seq`` and the numbers
inside of a page's cursor: they count the commits of the whole store, and whoever answers clients
shows neither.  The clock stands still, so that times are those of the record alone.

That the comparison would notice is shown by taking the limit away from one kind of hop at a time.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.access import narrow as narrowing
from server.access.context import AccessContext
from server.search.parse import parse_search
from server.search.query import (
    EVERYTHING,
    AllOf,
    AnyOf,
    HasKey,
    InCompartmentOf,
    Mentioned,
    Not,
    Predicate,
    Query,
    ReferredBy,
    Refers,
    SortKey,
)
from server.store import past
from server.store.memory import store as memory
from server.store.mongo import sight as mongo_sight
from server.store.mongo import store as mongo
from server.store.mongo import versions as mongo_versions
from server.store.port import Store, Version
from server.store.sqlite import sight, versions
from server.store.sqlite import store as sqlite
from tests import mongod
from tests.contract.conftest import STORES
from tests.contract.hidden_worlds import CALLERS, LOUD, RECORD, Commit, around, own_commit
from tests.contract.made import START, Clock

ASKED: dict[str, tuple[str, ...]] = {
    "Observation": (
        "",
        "code=x",
        "code:not=x",
        "_sort=-date",
        "_sort=date,_id",
        "_sort=-_lastUpdated",
        "subject:Patient.name=ann",
        "performer:Practitioner.name=bo",
        "has-member.code=x",
        "has-member.has-member.code=y",
        "has-member.code:not=x",
        "encounter.status=finished",
        "encounter.status:missing=true",
        "_has:Observation:has-member:code=x",
        "_has:DiagnosticReport:result:status=final",
        "_has:Provenance:target:agent=Practitioner/p3",
        "_filter=not (has-member.code eq x)",
        "_filter=has-member.code eq x or encounter.status eq planned",
        "_filter=has-member.code eq x and code eq y",
        "_sort=has-member.code",
        "_sort=-encounter.date",
        "_sort=has-member:Observation.performer:Practitioner.name,_id",
    ),
    "Patient": ("", "name=ann", "_has:Observation:patient:code=x", "_has:Encounter:patient:_id=x1"),
    "Practitioner": (
        "",
        "name=cy",
        "_sort=name",
        "_has:Observation:performer:code=x",
        "_has:Patient:general-practitioner:name=dee",
        "_has:Provenance:agent:target:Observation.code=y",
    ),
    "Organization": ("", "_has:Observation:performer:code=x"),
    "Encounter": ("", "patient.name=ann", "_has:Observation:encounter:code=x"),
}
_X = HasKey(("Observation|code|c|x",))
_MEMBER = Refers("Observation", "has-member", Query(("Observation",), _X))
_NAMED = Mentioned(Query(("Observation", "DiagnosticReport", "Provenance"), EVERYTHING))
_FINISHED = InCompartmentOf(Query(("Encounter",), HasKey(("Encounter|status|c|finished",))))
PREDICATES = (
    Query(("Practitioner", "Observation"), _NAMED),
    Query(("Practitioner", "Observation"), Not(_NAMED)),
    Query(("Patient", "Observation", "Encounter", "Practitioner", "Provenance")),
    Query(("Observation",), AnyOf((_MEMBER, Not(_X)))),
    Query(("Observation",), _FINISHED),
    Query(("Observation",), Not(_FINISHED)),
)
TYPES = ("Patient", "Observation", "Encounter", "Practitioner", "Provenance", "DiagnosticReport")
PLACES = [
    *[("Observation", id_) for id_ in ("m1", "m2", "m3", "m4", "m5", "x1", "x2", "x3", "no")],
    *[("Patient", id_) for id_ in "abc"],
    *[("Practitioner", id_) for id_ in ("p1", "p2", "p3", "x")],
    *[("Encounter", id_) for id_ in ("e1", "x1", "x2")],
    *[("Provenance", "x"), ("DiagnosticReport", "x"), ("Organization", "o1")],
]

Seen = list[tuple[str, Any]]


def _with_others(caller: str) -> st.SearchStrategy[tuple[str, list[Commit]]]:
    return st.tuples(st.just(caller), around(CALLERS[caller][1]))


WORLDS = st.sampled_from(sorted(CALLERS)).flatmap(_with_others)
PATIENT = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.mark.parametrize("name", [name for name in STORES if name != "mongo"])
@given(world=WORLDS)
@PATIENT
async def test_nothing_that_is_seen_depends_on_what_is_hidden(
    name: str, world: tuple[str, list[Commit]]
) -> None:
    await _nothing_depends(name, world)


@given(world=WORLDS)
@settings(PATIENT, max_examples=4)  # a server is asked a thousand times for each
async def test_nothing_that_is_seen_in_mongodb_depends_on_what_is_hidden(
    world: tuple[str, list[Commit]],
) -> None:
    await _nothing_depends("mongo", world)


@pytest.mark.soak
@given(world=WORLDS)
@PATIENT
async def test_nothing_that_is_seen_in_mongodb_depends_on_what_is_hidden_ever(
    world: tuple[str, list[Commit]],
) -> None:
    await _nothing_depends("mongo", world)


async def _nothing_depends(name: str, world: tuple[str, list[Commit]]) -> None:
    caller, others = world
    access, _ = CALLERS[caller]

    alone = _ALONE.get((name, caller))
    if alone is None:
        alone = _ALONE[name, caller] = await seen_in(name, access, [[]] * (len(RECORD) + 1))

    for here, there in zip(await seen_in(name, access, others), alone, strict=True):
        assert here == there


_ALONE: dict[tuple[str, str], Seen] = {}


@pytest.mark.parametrize(
    ("caller", "versions"),
    [
        ("of a compartment", 9),
        ("of a compartment and what it shares", 11),
        ("with a granular scope", 11),
        ("without clearance", 11),
        ("before the release", 11),
        ("of a department", 13),
        ("of all Practitioners", 13),
    ],
)
async def test_every_caller_sees_something(caller: str, versions: int) -> None:
    """Callers who see nothing would not depend on anything either."""
    access, _ = CALLERS[caller]
    seen = dict(await seen_in("memory", access, [[]] * (len(RECORD) + 1)))

    assert [v[1] for v in seen["Observation? by 10"][0]] == ["m5", "m2", "m1", "m3"]
    assert len(seen["history of all"]) == versions


def _forgetting(kind: type[Predicate]) -> Callable[..., Predicate]:
    limited = narrowing._at_every_hop

    def at_every_hop(where: Predicate, access: AccessContext, interaction: Any) -> Predicate:
        return where if isinstance(where, kind) else limited(where, access, interaction)

    return at_every_hop


def _no_limit(query: Query, access: AccessContext, interaction: Any = "search") -> Query:
    return Query(query.types, narrowing._at_every_hop(query.where, access, interaction))


Patches = Callable[[pytest.MonkeyPatch], None]


def _forget(kind: type[Predicate]) -> Patches:
    return lambda patch: patch.setattr(narrowing, "_at_every_hop", _forgetting(kind))


MODULES = (memory, sqlite, versions, sight, past, mongo, mongo_versions, mongo_sight)


def _in_stores(name: str, instead: Any) -> Patches:
    def patch_all(patch: pytest.MonkeyPatch) -> None:
        for module in MODULES:
            if hasattr(module, name):
                patch.setattr(module, name, instead)

    return patch_all


MUTANTS: dict[str, Patches] = {
    "match": _in_stores("narrow", _no_limit),
    "Refers": _forget(Refers),
    "ReferredBy": _forget(ReferredBy),
    "Mentioned": _forget(Mentioned),
    "InCompartmentOf": _forget(InCompartmentOf),
    "Not": _forget(Not),
    "AnyOf": _forget(AnyOf),
    "AllOf": _forget(AllOf),
    "sort through": _in_stores("narrow_sort", lambda sort, access: tuple(sort)),
    "marks": _in_stores("decide", lambda *_: True),
    "limit": _in_stores("limit", lambda *_: EVERYTHING),
}


IN_STORES = ("match", "sort through", "marks", "limit")
"""What every store does by itself; the others are cut out of what all of them are handed."""


def _felt_by() -> list[Any]:
    """Return each mutant with each store; a server is slow, and asked the shared ones seldom."""
    every = [(name, mutant) for mutant in MUTANTS for name in STORES]
    seldom = {(name, mutant) for name, mutant in every if name == "mongo"} - {
        ("mongo", mutant) for mutant in IN_STORES
    }
    return [pytest.param(*one, marks=pytest.mark.soak if one in seldom else ()) for one in every]


@pytest.mark.parametrize(("name", "mutant"), _felt_by())
async def test_without_the_limit_at_one_kind_of_hop_what_is_hidden_is_felt(
    name: str, mutant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    MUTANTS[mutant](monkeypatch)

    assert await felt(name)


@pytest.mark.parametrize("name", STORES)
async def test_with_every_limit_in_place_the_same_hidden_resources_are_not_felt(name: str) -> None:
    assert not await felt(name)


async def felt(name: str) -> set[str]:
    """Return what differs for a caller when hidden resources that point everywhere are there."""
    for access, loud in LOUD:
        around_it = [loud, *([[]] * (len(RECORD) - 1)), loud]
        here = await seen_in(name, access, around_it)
        there = await seen_in(name, access, [[]] * (len(RECORD) + 1))
        if found := {one[0] for one, other in zip(here, there, strict=True) if one != other}:
            return found
    return set()


async def seen_in(name: str, access: AccessContext, others: list[Commit]) -> Seen:
    """Return all that the caller sees of the record with ``others`` between its commits."""
    with tempfile.TemporaryDirectory() as folder:
        store = STORES[name](Path(folder), Clock())
        try:
            for place, commit in enumerate(others):
                await store.commit(commit)
                if place < len(RECORD):
                    await store.commit(own_commit(place))
            return [*await searched(store, access), *await looked_at(store, access)]
        finally:
            await store.close()
            mongod.clean_up(store)


async def searched(store: Store, access: AccessContext) -> Seen:
    seen: Seen = []
    for type_, texts in ASKED.items():
        for text in texts:
            pairs = [(n, v) for n, _, v in (part.partition("=") for part in text.split("&")) if n]
            search = parse_search(type_, pairs, default_count=10, max_count=10)
            assert not search.reported
            for limit in (10, 2):
                pages = await walked(store, access, search.query, search.sort, limit)
                seen.append((f"{type_}?{text} by {limit}", pages))
            seen.append((f"count of {type_}?{text}", await store.count(access, search.query)))
    for query in PREDICATES:
        seen.append((f"{query}", await walked(store, access, query, (), 10)))
        seen.append((f"count of {query}", await store.count(access, query)))
    return seen


async def walked(
    store: Store, access: AccessContext, query: Query, sort: tuple[SortKey, ...], limit: int
) -> list[list[Any]]:
    pages: list[list[Any]] = []
    after = None
    while not pages or after is not None:
        page = await store.search(access, query, sort=sort, limit=limit, after=after, deadline_s=60)
        pages.append(list(map(shown, page.versions)))
        after = page.after
    return pages


async def looked_at(store: Store, access: AccessContext) -> Seen:
    seen: Seen = []
    for type_, id_ in PLACES:
        place = f"{type_}/{id_}"
        seen.append((place, shown(await store.read(access, type_, id_))))
        for number in (1, 2, 3):
            version = await store.vread(access, type_, id_, number)
            seen.append((f"{place}/_history/{number}", shown(version)))
        versions = await store.history(access, type_, id_, limit=20)
        seen.append((f"history of {place}", list(map(shown, versions))))
    many = await store.read_many(access, PLACES)
    seen.append(("many", {place: shown(version) for place, version in many.items()}))
    for type_ in TYPES:
        for limit in (20, 1):
            some = await store.history(access, type_, limit=limit)
            seen.append((f"history of {type_} by {limit}", list(map(shown, some))))
        fed = await store.changes(access, limit=20, type_=type_)
        seen.append((f"changes of {type_}", list(map(shown, fed))))
    every = await store.history(access, limit=30)
    seen.append(("history of all", list(map(shown, every))))
    since = await store.history(access, since=START, until=START + 1, limit=2)
    seen.append(("history since", list(map(shown, since))))
    seen.append(("changes", list(map(shown, await store.changes(access, limit=30)))))
    return seen


def shown(version: Version | None) -> Any:
    """Return all of a version but its place in the whole store."""
    if version is None:
        return None
    return (version.type, version.id, version.number, version.at, version.method, version.body)
