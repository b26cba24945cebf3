"""The server's own records and the outbox in MongoDB.

``records {_id: "kind<tab>key", kind, key, tag, value, rev, until, gone}``: ``until`` are the
microseconds from which on the record is absent, ``gone`` the same as a date, for the TTL index that
sweeps it later.  ``outbox {_id: seq, topic, payload}``.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from server.store.mongo.layout import Document
from server.store.port import OutboxRow, Record

Database = AsyncDatabase[dict[str, Any]]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_DATE = 253_402_300_799_000_000  # the year 9999 in microseconds: dates end there


def place_of(kind: str, key: str) -> str:
    """Return the ``_id`` of a record."""
    return f"{kind}\t{key}"


def document_of(record: Record) -> Document:
    """Return the document of a record."""
    made: Document = {
        "_id": place_of(record.kind, record.key),
        "kind": record.kind,
        "key": record.key,
        "tag": record.tag,
        "value": record.value,
        "rev": record.rev,
    }
    if record.expires_at is not None:
        made["until"] = record.expires_at
        if 0 <= record.expires_at < _LATEST_DATE:
            made["gone"] = _EPOCH + timedelta(microseconds=record.expires_at)
    return made


def record_of(document: Mapping[str, Any]) -> Record:
    """Return the record of a document."""
    until = document.get("until")
    return Record(
        document["kind"],
        document["key"],
        bytes(document["value"]),
        document["tag"],
        document["rev"],
        None if until is None else int(until),
    )


async def get(db: Database, kind: str, key: str, now: int) -> Record | None:
    """See :meth:`server.store.port.RecordStore.get_record`."""
    found = await db.records.find_one({"_id": place_of(kind, key), **there(now)})
    return None if found is None else record_of(found)


async def find(
    db: Database, kind: str, tag: str | None, after: str, limit: int, now: int
) -> list[Record]:
    """See :meth:`server.store.port.RecordStore.find_records`."""
    if limit <= 0:
        return []
    if tag is None:
        # Behind a tab comes a line feed: all keys of the kind lie between.
        place = {"_id": {"$gt": place_of(kind, after), "$lt": f"{kind}\n"}}
        cursor = db.records.find({**place, **there(now)}).sort("_id")
    else:
        wanted = {"kind": kind, "tag": tag, "key": {"$gt": after}}
        cursor = db.records.find({**wanted, **there(now)}).sort("key")
    return [record_of(one) for one in await cursor.limit(limit).to_list()]


async def count(db: Database, kind: str, tags: Collection[str] | None, now: int) -> dict[str, int]:
    """See :meth:`server.store.port.RecordStore.count_records`."""
    wanted = {"kind": kind} if tags is None else {"kind": kind, "tag": {"$in": list(tags)}}
    groups = await db.records.aggregate(
        [{"$match": {**wanted, **there(now)}}, {"$group": {"_id": "$tag", "n": {"$sum": 1}}}]
    )
    return {one["_id"]: one["n"] async for one in groups}


async def take(db: Database, kind: str, key: str, now: int) -> Record | None:
    """See :meth:`server.store.port.RecordStore.take_record`."""
    found = await db.records.find_one_and_delete({"_id": place_of(kind, key), **there(now)})
    return None if found is None else record_of(found)


async def expire(db: Database, now: int) -> int:
    """See :meth:`server.store.port.RecordStore.expire_records`."""
    return (await db.records.delete_many({"until": {"$lte": now}})).deleted_count


async def outbox(db: Database, after: int, limit: int) -> list[OutboxRow]:
    """See :meth:`server.store.port.Store.outbox`."""
    if limit <= 0:
        return []
    found = await db.outbox.find({"_id": {"$gt": after}}).sort("_id").limit(limit).to_list()
    return [OutboxRow(int(one["_id"]), one["topic"], bytes(one["payload"])) for one in found]


async def trim(db: Database, upto: int) -> int:
    """See :meth:`server.store.port.Store.trim_outbox`."""
    return (await db.outbox.delete_many({"_id": {"$lte": upto}})).deleted_count


def there(now: int) -> Document:
    """Return the condition that a record has not expired."""
    return {"$or": [{"until": {"$exists": False}}, {"until": {"$gt": now}}]}
