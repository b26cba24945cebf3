"""A MongoDB that is slow, or hangs: a search ends at its deadline, and leaves nothing behind."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from pymongo import MongoClient

from server.access.context import SYSTEM
from server.fhir.errors import DeadlineExceeded
from server.search.query import Not, Query, ReferredBy
from server.store.mongo import MongoStore
from server.store.mongo.abandoned import application_name
from tests import mongod
from tests.contract.made import Clock, observation, patient
from tests.contract.test_mongo_commits import failing

TURN_S = 0.02
UNSEEN = Query(("Patient",), Not(ReferredBy(Query(("Observation",)), "subject")))


@pytest.fixture
async def store(clock: Clock) -> AsyncIterator[MongoStore]:
    made = mongod.new_store(clock)
    await made.commit([patient("a"), observation("o")])
    yield made
    await made.close()
    mongod.clean_up(made)


def working(store: MongoStore) -> list[Any]:
    """Return what the database does for the store at this moment."""
    ours = {"appName": application_name(store.database), "active": True}
    searches = {"$or": [{"command.find": {"$exists": 1}}, {"command.aggregate": {"$exists": 1}}]}
    with MongoClient[dict[str, Any]](mongod.url()) as client:
        return list(client.admin.aggregate([{"$currentOp": {}}, {"$match": {**ours, **searches}}]))


async def soon(holds: Callable[[], bool]) -> None:
    for _ in range(100):
        if holds():
            return
        await asyncio.sleep(0.05)
    pytest.fail("it never came")


async def within(seconds: float, work: Coroutine[Any, Any, Any]) -> Any:
    """Return what comes within so many seconds; they are counted in turns, a stall is one."""
    asked = asyncio.create_task(work)
    for _ in range(round(seconds / TURN_S)):
        await asyncio.wait([asked], timeout=TURN_S)
        if asked.done():
            return asked.result()
    asked.cancel()
    return pytest.fail(f"it took longer than {seconds} s")


@pytest.mark.parametrize("command", ["find", "aggregate", "count"])
async def test_a_search_ends_soon_behind_its_deadline_when_the_database_hangs(
    store: MongoStore, command: str
) -> None:
    late = {"blockConnection": True, "blockTimeMS": 3_000}
    with failing(store, [command], {"times": 1}, **late):
        search = store.search(SYSTEM, UNSEEN, limit=5, deadline_s=0.2)
        with pytest.raises(DeadlineExceeded, match=r"the search ran longer than 0\.2 s; narrow it"):
            await within(1.5, search)

    assert (await store.search(SYSTEM, UNSEEN, limit=5)).versions == ()


async def test_a_search_whose_caller_has_gone_is_ended_in_the_database(store: MongoStore) -> None:
    """Within half a second, as the driver closes its connection."""
    many: list[dict[str, Any]] = [
        {"$set": {"a": {"$range": [0, 1_000_000]}, "b": {"$range": [0, 1_000]}}},
        *({"$unwind": name} for name in ("$a", "$b")),
        {"$count": "n"},
    ]
    reading = await store._reading()

    async def search() -> None:
        found = await reading.db.resources.aggregate(many, maxTimeMS=20_000)
        await found.to_list()

    asked = asyncio.create_task(search())
    await soon(lambda: working(store) != [])
    asked.cancel()
    await soon(lambda: working(store) == [])

    with pytest.raises(asyncio.CancelledError):
        await asked
