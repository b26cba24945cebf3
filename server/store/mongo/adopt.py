"""Everything in the database as it lies there, given to another store or taken from it.

No transactions: what is kept again is the same, and the counters move last, so whoever is stopped
in between goes on behind what they say.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo import ReplaceOne

from server.store.mongo import backup
from server.store.mongo.connect import explained
from server.store.mongo.layout import (
    UNSURE,
    Birth,
    Document,
    resource_document,
    version_document,
    version_of,
)
from server.store.mongo.reading import Reading
from server.store.mongo.records import document_of, record_of
from server.store.mongo.store import MongoStore
from server.store.moving import Kept
from server.store.port import OutboxRow, Record

_COUNTERS = {"_id": "commit"}


class MongoMover:
    """See :class:`server.store.moving.Mover`.  It works with the insides of the store it is of."""

    def __init__(self, store: MongoStore) -> None:
        self._store = store

    async def last(self) -> int:
        """See :meth:`server.store.moving.Mover.last`."""
        reading = await self._store._reading()
        with explained(self._store._address):
            counters = await reading.db.state.find_one(_COUNTERS)
        return int(counters["seq"]) if counters is not None else 0

    async def versions(self, after: int, limit: int) -> list[Kept]:
        """See :meth:`server.store.moving.Mover.versions`."""
        reading = await self._store._reading()
        with explained(self._store._address):
            found = reading.db.versions.find({"_id": {"$gt": after}}).sort("_id").limit(limit)
            return [await _kept(reading, one) for one in await found.to_list()]

    async def adopt(self, versions: Sequence[Kept]) -> None:
        """See :meth:`server.store.moving.Mover.adopt`."""
        if not versions:
            return
        reading = await self._store._reading()
        with explained(self._store._address):
            births = await _births(reading, versions)
            made: list[ReplaceOne[Document]] = []
            latest: dict[str, Document] = {}
            for kept in versions:
                version, place = kept.version, f"{kept.version.type}/{kept.version.id}"
                stored = await reading.bodies.encode(version.type, version.id, version.body)
                document = version_document(version, kept.marks, stored)
                made.append(ReplaceOne({"_id": version.seq}, document, upsert=True))
                birth = births.setdefault(place, Birth(version.seq, version.at))
                fields = {"fp": UNSURE} if version.body is not None else {}
                latest[place] = resource_document(version, birth, kept.marks, stored, fields)
            await reading.db.versions.bulk_write(made)
            await reading.db.resources.bulk_write(
                [ReplaceOne({"_id": place}, one, upsert=True) for place, one in latest.items()]
            )
            last = versions[-1].version
            counted = {"$max": {"seq": last.seq, "at": last.at}}
            await reading.db.state.update_one(_COUNTERS, counted)
        await reading.bodies.improve()

    async def restore(self, source: str) -> int:
        """Fill the empty database from the file of a backup; return its versions.

        Raises as :func:`server.store.mongo.backup.restore`.  The index is to be made anew.
        """
        reading = await self._store._reading()
        with explained(self._store._address):
            return await backup.restore(reading.db, source)

    async def records(self, after: tuple[str, str], limit: int) -> list[Record]:
        """See :meth:`server.store.moving.Mover.records`."""
        reading = await self._store._reading()
        kind, key = after
        above: Document = {"$or": [{"kind": {"$gt": kind}}, {"kind": kind, "key": {"$gt": key}}]}
        with explained(self._store._address):
            # ``_id`` would be another order: a kind may begin with another one.
            found = reading.db.records.find(above if kind else {}).sort([("kind", 1), ("key", 1)])
            return [record_of(one) for one in await found.limit(limit).to_list()]

    async def adopt_records(self, records: Sequence[Record]) -> None:
        """See :meth:`server.store.moving.Mover.adopt_records`."""
        reading = await self._store._reading()
        made = [document_of(record) for record in records]
        with explained(self._store._address):
            if made:
                await reading.db.records.bulk_write(
                    [ReplaceOne({"_id": one["_id"]}, one, upsert=True) for one in made]
                )

    async def adopt_outbox(self, outbox: Sequence[OutboxRow]) -> None:
        """See :meth:`server.store.moving.Mover.adopt_outbox`."""
        reading = await self._store._reading()
        made = [{"_id": row.seq, "topic": row.topic, "payload": row.payload} for row in outbox]
        with explained(self._store._address):
            if made:
                await reading.db.outbox.bulk_write(
                    [ReplaceOne({"_id": one["_id"]}, one, upsert=True) for one in made]
                )
                counted = {"$max": {"outbox": outbox[-1].seq}}
                await reading.db.state.update_one(_COUNTERS, counted)


async def _kept(reading: Reading, document: Mapping[str, Any]) -> Kept:
    body = await reading.bodies.decode(document["rt"], document["c"], document["b"])
    return Kept(version_of(document, body), tuple(sorted(int(one) for one in document["m"])))


async def _births(reading: Reading, versions: Sequence[Kept]) -> dict[str, Birth]:
    """Return when the resources of later versions were first stored, as far as they are there."""
    names = {f"{kept.version.type}/{kept.version.id}" for kept in versions}
    found = reading.db.resources.find({"_id": {"$in": sorted(names)}}, {"born": 1, "first": 1})
    return {one["_id"]: Birth(int(one["born"]), int(one["first"])) for one in await found.to_list()}
