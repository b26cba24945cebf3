"""S8 of :mod:`server.store.port`: a page walk while others write."""

import random

import anyio
import anyio.lowlevel
import pytest

from server.access.context import SYSTEM
from server.search.query import HasKey, Hop, Query, SortKey
from server.store.port import Store, Write
from tests.contract.made import Clock, deletion, ids, patient, put

ORDERS: dict[str, tuple[SortKey, ...]] = {
    "newest first": (),
    "by id": (SortKey("_id", "id"),),
    "by birthdate, some missing": (SortKey("birthdate", "date", descending=True),),
    "by family, then id backwards": (
        SortKey("family", "string"),
        SortKey("_id", "id", descending=True),
    ),
    "by gender": (SortKey("gender", "token"),),
    "by what changed last": (SortKey("_lastUpdated", "updated", descending=True),),
    "by the organisation": (SortKey("organization", "reference"),),
    "by the organisation's name": (
        SortKey("name", "string", through=(Hop("organization", Query(("Organization",))),)),
    ),
    "by the organisation's name backwards, then birthdate": (
        SortKey("name", "string", True, (Hop("organization", Query(("Organization",))),)),
        SortKey("birthdate", "date"),
    ),
}
STEADY = [f"s{n:02}" for n in range(30)]


def steady(n: int) -> Write:
    more = {"birthDate": f"19{50 + n % 7}"} if n % 3 else {}
    family = ["Abel", "abel", "Öz", "Zorn"][n % 4]
    if n % 5:
        more["managingOrganization"] = {"reference": f"Organization/{n % 5}"}
    return patient(STEADY[n], name=[{"family": family}], gender="female", **more)


def organization(id_: str, name: str) -> Write:
    return put({"resourceType": "Organization", "id": id_, "name": name})


@pytest.mark.parametrize("order", ORDERS)
async def test_s8_a_walk_sees_every_steady_resource_once(store: Store, order: str) -> None:
    await store.commit([organization("1", "North"), organization("2", "South")])
    await store.commit([steady(n) for n in range(30)])
    query = Query(("Patient",), HasKey(("Patient|gender|?",)))
    finished = anyio.Event()

    async def churn() -> None:
        chance = random.Random(7)
        while not finished.is_set():
            name = f"x{chance.randrange(40)}"
            if chance.random() < 0.3:
                await store.commit([deletion("Patient", name)])
            else:
                born = str(chance.randrange(1950, 1960))
                await store.commit([patient(name, gender="male", birthDate=born)])
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group:
        group.start_soon(churn)
        pages = [await walk(store, query, ORDERS[order], limit) for limit in (1, 4, 7)]
        finished.set()

    for seen in pages:
        assert sorted(id_ for id_ in seen if id_ in STEADY) == STEADY


async def test_s8_a_walk_by_last_change_misses_nothing_while_others_write(
    store: Store, clock: Clock
) -> None:
    """What is written during the walk comes at its end, what changes moves there, once or more."""
    sort = (SortKey("_lastUpdated", "updated"),)
    await store.commit([patient(f"old{n:02}") for n in range(20)])
    seen: list[str] = []
    after = None
    written = 0
    while True:
        page = await store.search(SYSTEM, Query(("Patient",)), sort=sort, limit=3, after=after)
        seen += ids(page.versions)
        after = page.after
        if after is None:
            break
        if written < 30:
            clock.at += 1000
            await store.commit([patient(f"new{written:02}"), patient("old19", gender="male")])
            written += 1

    assert [id_ for id_ in seen if id_ != "old19"] == [
        *[f"old{n:02}" for n in range(19)],
        *[f"new{n:02}" for n in range(written)],
    ]
    assert seen[-2:] == ["old19", f"new{written - 1:02}"]  # at one time: as first stored


async def test_s8_the_last_page_says_that_it_is_the_last(store: Store) -> None:
    await store.commit([steady(n) for n in range(4)])
    query = Query(("Patient",))

    exact = await store.search(SYSTEM, query, limit=4)
    short = await store.search(SYSTEM, query, limit=3)

    assert exact.after is None
    assert short.after is not None
    rest = await store.search(SYSTEM, query, limit=3, after=short.after)
    assert (len(rest.versions), rest.after) == (1, None)


async def walk(store: Store, query: Query, sort: tuple[SortKey, ...], limit: int) -> list[str]:
    seen: list[str] = []
    after = None
    while True:
        page = await store.search(SYSTEM, query, sort=sort, limit=limit, after=after)
        seen += [version.id for version in page.versions]
        after = page.after
        if after is None:
            return seen
        await anyio.lowlevel.checkpoint()
