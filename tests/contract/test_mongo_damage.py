"""Damage of every kind, behind the server's back: ``verify`` names it and does not fail itself."""

import copy
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from bson import Binary
from pymongo import MongoClient
from pymongo.errors import DuplicateKeyError

from server.store.mongo import MongoStore
from server.store.port import RecordWrite
from tests import mongod
from tests.contract.made import Clock, deletion, observation, patient, put

DISPLAY = {"coding": [{"system": "s", "code": "c", "display": "Rare"}], "text": "Rare"}


@pytest.fixture
async def store(clock: Clock) -> AsyncIterator[MongoStore]:
    made = mongod.new_store(clock)
    seen: dict[str, Any] = {
        "effectiveDateTime": "2024-05-06",
        "valueQuantity": {"value": 7, "unit": "kg"},
    }
    await made.commit([patient("a", name=[{"family": "Silva"}]), observation("o", **seen)])
    place = {"resourceType": "Location", "id": "l", "position": {"longitude": 1, "latitude": 2}}
    shown = {"resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/a"}}
    await made.commit([put(place), put({**shown, "code": DISPLAY})])
    await made.commit([patient("a"), deletion("Observation", "o")])
    await made.commit([observation("o2", **seen)], records=[RecordWrite("job", "1", b"")])
    yield made
    await made.close()
    mongod.clean_up(made)


@contextmanager
def inside(store: MongoStore) -> Iterator[Any]:
    with MongoClient[dict[str, Any]](mongod.url()) as client:
        yield client[store.database]


def others(value: Any) -> list[Any]:
    """Return what a value could be damaged to: something like it, something else, nothing."""
    match value:
        case bool():
            return [not value]
        case int():
            return [value + 1, -value - 1, "x"]
        case float():
            return [value + 1]
        case bytes():
            flipped = bytearray(value)
            flipped[len(value) // 2] ^= 1
            return [Binary(bytes(flipped)), Binary(value[:-1]), Binary(b""), "x", 5, {}]
        case str():
            return [value + "x", 5]
        case list():
            return [value[:-1], [*value, value[-1]]] if value else [[7]]
        case dict():
            return [{**value, name: other} for name, one in value.items() for other in others(one)]
        case _:
            return [Binary(b"{}"), 5]


@pytest.mark.parametrize("collection", ["versions", "resources"])
async def test_whatever_field_is_changed_or_lost_is_told(
    store: MongoStore, collection: str
) -> None:
    assert await store.verify() == []
    unseen = []
    with inside(store) as db:
        for document in list(db[collection].find({"rt": {"$in": ["Patient", "Observation"]}})):
            for field, value in document.items():
                if field in ("_id", "fp") or (field == "c" and document["b"] is None):
                    continue  # of what is deleted nothing is decoded
                lost = {name: one for name, one in document.items() if name != field}
                for damaged in [lost, *({**document, field: one} for one in others(value))]:
                    with suppress(DuplicateKeyError):  # MongoDB itself keeps two from being one
                        db[collection].replace_one({"_id": document["_id"]}, copy.deepcopy(damaged))
                    kept = db[collection].find_one({"_id": document["_id"]})
                    if kept != document and not await store.verify():
                        unseen.append((document["_id"], field, damaged.get(field)))
            db[collection].replace_one({"_id": document["_id"]}, document)

    assert unseen == []
    assert await store.verify() == []


@pytest.mark.parametrize("collection", ["versions", "resources", "texts"])
async def test_whatever_document_is_lost_is_told(store: MongoStore, collection: str) -> None:
    with inside(store) as db:
        for document in list(db[collection].find()):
            db[collection].delete_one({"_id": document["_id"]})
            assert await store.verify() != [], document["_id"]
            db[collection].insert_one(document)

    assert await store.verify() == []
