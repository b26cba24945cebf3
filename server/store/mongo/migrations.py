"""Schema history of the MongoDB store.  Append only: never edit a released step.

The number of applied steps lives in ``state``.  A server refuses a database that is newer than
itself and upgrades an older one at start.  Several processes may start together, and one may end
half-way: every step does no harm when it is done again, or by two at a time.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import CollectionInvalid, OperationFailure

from server.store.port import NewerSchema

Database = AsyncDatabase[dict[str, Any]]

COLLECTIONS = ("resources", "versions", "texts", "records", "outbox", "dictionaries", "state")
_EXISTS = 48  # NamespaceExists

RESOURCES = (
    # One index for every token, reference and uri, in the order of the patient's story.
    IndexModel([("t", ASCENDING), ("d", DESCENDING), ("born", DESCENDING)], name="t"),
    IndexModel([("n", ASCENDING)], name="n", sparse=True),
    IndexModel([("s.p", ASCENDING), ("s.v", ASCENDING)], name="s", sparse=True),
    IndexModel([("dt.p", ASCENDING), ("dt.lo", ASCENDING), ("dt.hi", ASCENDING)], name="dt",
               sparse=True),
    IndexModel([("q.p", ASCENDING), ("q.u", ASCENDING), ("q.lo", ASCENDING),
                ("q.hi", ASCENDING)], name="q", sparse=True),
    IndexModel([("pt.p", ASCENDING), ("pt.la", ASCENDING)], name="pt", sparse=True),
    IndexModel([("w", ASCENDING)], name="w", sparse=True),
    IndexModel([("rt", ASCENDING), ("lu", DESCENDING), ("born", DESCENDING)], name="lu"),
    IndexModel([("fp", ASCENDING)], name="fp", sparse=True),
)  # fmt: skip
VERSIONS = (
    IndexModel([("r", ASCENDING), ("v", DESCENDING)], name="r", unique=True),
    IndexModel([("rt", ASCENDING), ("_id", ASCENDING)], name="rt"),
    IndexModel([("at", ASCENDING), ("_id", ASCENDING)], name="at"),
)
RECORDS = (
    IndexModel([("kind", ASCENDING), ("tag", ASCENDING), ("key", ASCENDING)], name="tag"),
    # An expired record is absent at once; this only sweeps, an hour late for clocks that differ.
    IndexModel([("gone", ASCENDING)], name="gone", expireAfterSeconds=3600),
)
TEXTS = (IndexModel([("p", ASCENDING), ("v", ASCENDING)], name="p"),)


async def _first(db: Database) -> None:
    for name in COLLECTIONS:
        try:
            await db.create_collection(name, check_exists=False)
        except (CollectionInvalid, OperationFailure) as error:
            if getattr(error, "code", _EXISTS) != _EXISTS:
                raise
    await db.resources.create_indexes(list(RESOURCES))
    await db.versions.create_indexes(list(VERSIONS))
    await db.records.create_indexes(list(RECORDS))
    await db.texts.create_indexes(list(TEXTS))
    counters = {"seq": 0, "at": 0, "outbox": 0}
    await db.state.update_one({"_id": "commit"}, {"$setOnInsert": counters}, upsert=True)


STEPS: tuple[tuple[str, Callable[[Database], Awaitable[None]]], ...] = (
    ("the collections of layout.py, their indexes, and the counters", _first),
)


async def migrate(db: Database, *, upto: int = len(STEPS)) -> int:
    """Apply the missing steps; return how many were applied.  Raises NewerSchema."""
    found = await db.state.find_one({"_id": "schema"})
    have = int(found["number"]) if found is not None else 0
    if have > len(STEPS):
        raise NewerSchema(
            f"the database {db.name} has schema {have}, this server knows {len(STEPS)}:"
            " use a newer version of the server"
        )
    for number, (_why, step) in enumerate(STEPS[have:upto], start=have + 1):
        await step(db)
        # The greater number stays, should another process have gone on meanwhile.
        raised = {"$max": {"number": number}}
        await db.state.update_one({"_id": "schema"}, raised, upsert=True)
    return max(0, upto - have)
