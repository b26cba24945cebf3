"""``use_index`` and ``reindex``: other definitions while the store runs."""

from dataclasses import replace
from typing import Any

import anyio
import anyio.lowlevel

from server.access.context import SYSTEM
from server.search.query import HasKey, Query
from server.search.rows import IndexRows, key_hash
from server.store.port import Store, Write
from tests.contract.made import index, patient, put, within

NEW = "Patient|shoe-size|c|43"
FOUND = Query(("Patient",), HasKey((NEW,)))


def with_shoes(resource: dict[str, Any]) -> tuple[IndexRows, tuple[str, ...]]:
    rows, compartments = index(resource)
    return IndexRows(rows.keys | {key_hash(NEW)}, rows.date, rows.strings), compartments


def shod(id_: str) -> Write:
    """Return a write whose rows were made by the new definitions."""
    write = patient(id_)
    rows, _ = with_shoes({"resourceType": "Patient", "id": id_})
    return Write(write.type, write.id, write.body, rows, write.compartments)


async def test_what_another_index_made_is_found_by_it_until_it_is_made_anew(store: Store) -> None:
    await store.commit([patient(f"p{n}", gender="male") for n in range(60)])
    males = Query(("Patient",), HasKey(("Patient|gender|c|male",)))

    store.use_index(with_shoes, "2")
    await store.commit([shod("new")])

    assert await store.count(SYSTEM, males) == 60
    while await store.reindex(batch=20):
        assert await store.count(SYSTEM, Query(("Patient",))) == 61
    assert await store.count(SYSTEM, FOUND) == 61
    assert await store.verify() == []


async def test_going_back_to_the_first_index_takes_its_rows_back(store: Store) -> None:
    await store.commit([patient("a")])
    store.use_index(with_shoes, "2")
    while await store.reindex():
        pass
    store.use_index(index, "1")
    while await store.reindex():
        pass

    assert await store.count(SYSTEM, FOUND) == 0
    assert await store.verify() == []


async def test_searches_and_writes_go_on_while_everything_is_indexed_anew(store: Store) -> None:
    await store.commit([patient(f"p{n:03}", gender="male") for n in range(120)])
    done = anyio.Event()

    async def reindex() -> None:
        while await store.reindex(batch=10):
            await anyio.lowlevel.checkpoint()
        done.set()

    async def write() -> None:
        n = 0
        while not done.is_set():
            await store.commit([shod(f"p{n % 120:03}"), shod(f"new{n}")])
            n += 1
            await anyio.lowlevel.checkpoint()

    store.use_index(with_shoes, "2")
    async with anyio.create_task_group() as group:
        group.start_soon(reindex)
        group.start_soon(write)
        while not done.is_set():
            assert await store.count(SYSTEM, Query(("Patient",))) >= 120
            await anyio.lowlevel.checkpoint()

    everyone = await store.count(SYSTEM, Query(("Patient",)))
    assert await store.count(SYSTEM, FOUND) == everyone
    while await store.reindex():
        pass
    assert await store.verify() == []


async def test_a_chain_is_followed_by_rows_that_were_made_anew(store: Store) -> None:
    """The first index knows no references; with the second they are there."""

    def without(resource: dict[str, Any]) -> tuple[IndexRows, tuple[str, ...]]:
        rows, compartments = index(resource)
        return IndexRows(frozenset(), rows.date), compartments

    store.use_index(without, "nothing")
    made = {"resourceType": "Observation", "id": "o", "subject": {"reference": "Patient/a"}}
    write = put(made)
    rows, _ = without(made)
    await store.commit([patient("a"), Write("Observation", "o", write.body, rows)])
    of_a = Query(("Observation",), HasKey(("Observation|subject|r|Patient/a",)))
    assert await store.count(SYSTEM, of_a) == 0

    store.use_index(index, "all")
    while await store.reindex():
        pass

    assert await store.count(SYSTEM, of_a) == 1


async def test_what_the_server_said_of_a_provenance_outlasts_a_new_index(store: Store) -> None:
    """Whose record was written, its references do not tell."""
    told = put(
        {
            "resourceType": "Provenance",
            "id": "w",
            "target": [{"reference": "Observation/o/_history/1"}],
            "recorded": "2026-01-02T03:04:05Z",
            "agent": [{"who": {"display": "app"}}],
        }
    )
    await store.commit([replace(told, compartments=("Patient/a",))])
    mine, wanted = within("Patient/a"), Query(("Provenance",))
    assert await store.count(mine, wanted) == 1
    assert await store.verify() == []

    store.use_index(with_shoes, "2")
    while await store.reindex():
        pass

    assert await store.count(mine, wanted) == 1
    assert await store.count(within("Patient/b"), wanted) == 0
    assert await store.verify() == []
