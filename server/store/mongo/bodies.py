"""Bodies at rest in MongoDB: compressed beside their version, large ones in files of GridFS.

A file is written before the transaction that refers to it begins: others wait for a transaction,
and nobody for a file.  So what a commit decides, number and time, is not in the file but beside it:
``b`` is ``{f: id of the file, n: where they belong, s: their bytes}``, or the id of a file with all
of the body.  A commit that fails leaves a file behind; :meth:`Bodies.sweep` removes those.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId
from gridfs import NoFile
from gridfs.asynchronous import AsyncGridFSBucket
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError, PyMongoError

from server.store.codec import FIRST_DICTIONARY, RAW, TRAIN_AT, ZSTD, Codec, train
from server.store.mongo.layout import Stored
from server.store.port import CorruptStore, Write
from server.store.stored import decided

LARGE_BYTES = 8 * 1024 * 1024  # compressed; a document ends at 16 MiB, and holds rows as well
ABANDONED = timedelta(days=1)  # no transaction is open that long


@dataclass(frozen=True, slots=True)
class Sent:
    """A body in its file, before its version has a number; ``at``: where that belongs."""

    codec: int
    file: ObjectId
    at: int

    def stored(self, number: int, at: int) -> Stored:
        """Return how it is kept as the version of that number and time."""
        return Stored(self.codec, {"f": self.file, "n": self.at, "s": decided(number, at)})


def file_of(kept: Any) -> ObjectId | None:
    """Return the id of the file, if ``b`` of a document refers to one."""
    found = kept.get("f") if isinstance(kept, Mapping) else kept
    return found if isinstance(found, ObjectId) else None


class Bodies:
    """Encodes and decodes bodies; for one event loop."""

    def __init__(self, db: AsyncDatabase[dict[str, Any]]) -> None:
        self._db = db
        self._files = AsyncGridFSBucket(db, bucket_name="bodies")
        self._dictionaries: dict[int, bytes] = {}
        self._codec = Codec(self._dictionaries.__getitem__)
        self._untrained: dict[str, int] = {}

    async def load(self) -> None:
        """Learn the dictionaries that the database has."""
        async for one in self._db.dictionaries.find().sort("_id"):
            if one["_id"] not in self._dictionaries:
                self._dictionaries[one["_id"]] = bytes(one["body"])
                self._codec.use(one["rt"], one["_id"])
                self._untrained.pop(one["rt"], None)

    async def send(self, writes: Iterable[Write]) -> dict[str, Sent]:
        """Write the files of large bodies; return what is in one, by ``Type/id``."""
        sent: dict[str, Sent] = {}
        for write in writes:
            body = write.body
            if body is None or len(body.head) + len(body.tail) <= LARGE_BYTES:
                continue
            codec, kept = self._codec.encode(write.type, body.head + body.tail)
            if len(kept) > LARGE_BYTES:
                file = await self._upload(write.type, write.id, kept)
                sent[f"{write.type}/{write.id}"] = Sent(codec, file, len(body.head))
        return sent

    def compressed(self, type_: str, body: bytes | None) -> Stored:
        """Return a body as it is kept in its document."""
        if body is None:
            return Stored(RAW, None)
        codec, kept = self._codec.encode(type_, body)
        if codec == ZSTD:
            self._untrained[type_] = self._untrained.get(type_, 0) + 1
        return Stored(codec, kept)

    async def encode(self, type_: str, id_: str, body: bytes | None) -> Stored:
        """Return a body that has its number; a large one is in its file when this returns."""
        stored = self.compressed(type_, body)
        if body is None or len(stored.kept) <= LARGE_BYTES:
            return stored
        return Stored(stored.codec, await self._upload(type_, id_, stored.kept))

    async def decode(self, type_: str, codec: int, kept: Any) -> bytes | None:
        """Return the JSON, ``None`` of a deletion.

        Raises :class:`CorruptStore`, and :class:`zstandard.ZstdError` when bytes are damaged.
        """
        if kept is None:
            return None
        if codec not in (RAW, ZSTD) and codec not in self._dictionaries:
            await self.load()  # another process has trained it
            if codec not in self._dictionaries:
                raise CorruptStore(f"dictionary {codec} of {type_} is missing")
        if (file := file_of(kept)) is None:
            if not isinstance(kept, bytes):
                raise CorruptStore(f"the body of a {type_} is no bytes")
            return self._codec.decode(codec, kept)
        body = self._codec.decode(codec, await self._read(file))
        if not isinstance(kept, Mapping):
            return body
        at, said = kept.get("n"), kept.get("s")
        if not isinstance(at, int) or not isinstance(said, bytes):
            raise CorruptStore(f"what belongs to the file {file} is missing")
        return body[:at] + said + body[at:]

    async def improve(self) -> None:
        """Train dictionaries for types that have enough bodies now; 30 ms each, once per type.

        Beside the loop: a feed brings several types to that point together.
        """
        for type_ in [t for t, size in self._untrained.items() if size >= TRAIN_AT]:
            # Set back first, so that a type with nothing to learn is not tried at every commit.
            self._untrained[type_] = 0
            words = await asyncio.to_thread(train, await self._sample(type_))
            if words is None:
                continue
            last = await self._db.dictionaries.find_one({}, sort=[("_id", -1)])
            number = last["_id"] + 1 if last is not None else FIRST_DICTIONARY
            with suppress(DuplicateKeyError):  # another process was first
                await self._db.dictionaries.insert_one({"_id": number, "rt": type_, "body": words})
            await self.load()

    async def sweep(self) -> int:
        """Remove files of commits that failed a day ago or more; return how many.

        Each file is looked at once in its life.
        """
        old = ObjectId.from_datetime(datetime.now(UTC) - ABANDONED)
        swept = await self._db.state.find_one({"_id": "swept"})
        since = swept["upto"] if swept is not None else ObjectId("0" * 24)
        gone = 0
        async for file in self._files.find({"_id": {"$gte": since, "$lt": old}}):
            needed = {"r": file.filename, "$or": [{"b": file._id}, {"b.f": file._id}]}
            if await self._db.versions.find_one(needed, {"_id": 1}) is None:
                await self._files.delete(file._id)
                gone += 1
        await self._db.state.update_one({"_id": "swept"}, {"$set": {"upto": old}}, upsert=True)
        return gone

    async def remove(self, sent: Collection[Sent]) -> None:
        """Remove the files of a commit that was refused; what cannot be removed now is swept."""
        with suppress(PyMongoError, NoFile):
            for one in sent:
                await self._files.delete(one.file)

    async def _upload(self, type_: str, id_: str, kept: bytes) -> ObjectId:
        # Under the name of its resource, by whose versions ``sweep`` finds whether it is needed.
        return await self._files.upload_from_stream(f"{type_}/{id_}", kept)

    async def _read(self, file: ObjectId) -> bytes:
        try:
            stream = await self._files.open_download_stream(file)
        except NoFile as error:
            raise CorruptStore(f"the file {file} of a body is missing") from error
        return bytes(await stream.read())

    async def _sample(self, type_: str) -> list[bytes]:
        found = self._db.versions.find({"rt": type_, "b": {"$type": "binData"}})
        latest = await found.sort("_id", -1).limit(TRAIN_AT).to_list()
        return [body for one in latest if (body := await self.decode(type_, one["c"], one["b"]))]
