"""S8 of :mod:`server.store.port`: a page walk while others write."""

import random

import anyio
import anyio.lowlevel
import pytest

from server.access.context import SYSTEM
from server.search.query import HasKey, Query, SortKey
from server.store.port import Store, Write
from tests.contract.made import deletion, patient

ORDERS: dict[str, tuple[SortKey, ...]] = {
    "newest first": (),
    "by id": (SortKey("_id", "id"),),
    "by birthdate, some missing": (SortKey("birthdate", "date", descending=True),),
    "by family, then id backwards": (
        SortKey("family", "string"),
        SortKey("_id", "id", descending=True),
    ),
    "by gender": (SortKey("gender", "token"),),
}
STEADY = [f"s{n:02}" for n in range(30)]


def steady(n: int) -> Write:
    more = {"birthDate": f"19{50 + n % 7}"} if n % 3 else {}
    family = ["Abel", "abel", "Öz", "Zorn"][n % 4]
    return patient(STEADY[n], name=[{"family": family}], gender="female", **more)


@pytest.mark.parametrize("order", ORDERS)
async def test_s8_a_walk_sees_every_steady_resource_once(store: Store, order: str) -> None:
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
