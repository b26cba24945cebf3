"""Bodies at rest in MongoDB: compressed beside their version, large ones in files of GridFS.

A file is written before the transaction that refers to it, so a commit that fails leaves one
behind; :meth:`Bodies.sweep` removes files that nothing refers to.
"""

from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId
from gridfs import NoFile
from gridfs.asynchronous import AsyncGridFSBucket
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from server.store.codec import FIRST_DICTIONARY, RAW, TRAIN_AT, ZSTD, Codec, train
from server.store.mongo.layout import Stored
from server.store.port import CorruptStore

LARGE_BYTES = 8 * 1024 * 1024  # compressed; a document ends at 16 MiB, and holds rows as well
ABANDONED = timedelta(days=1)  # no transaction is open that long


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

    async def encode(self, type_: str, id_: str, body: bytes | None) -> Stored:
        """Return the body as it is to be kept; a large one is in its file when this returns."""
        if body is None:
            return Stored(RAW, None)
        codec, kept = self._codec.encode(type_, body)
        if codec == ZSTD:
            self._untrained[type_] = self._untrained.get(type_, 0) + 1
        if len(kept) <= LARGE_BYTES:
            return Stored(codec, kept)
        # Under the name of its resource, by whose versions ``sweep`` finds whether it is needed.
        return Stored(codec, await self._files.upload_from_stream(f"{type_}/{id_}", kept))

    async def decode(self, type_: str, codec: int, kept: Any) -> bytes | None:
        """Return the JSON, ``None`` of a deletion.

        Raises :class:`CorruptStore`, and :class:`zstandard.ZstdError` when bytes are damaged.
        """
        if kept is None:
            return None
        if codec >= FIRST_DICTIONARY and codec not in self._dictionaries:
            await self.load()  # another process has trained it
            if codec not in self._dictionaries:
                raise CorruptStore(f"dictionary {codec} of {type_} is missing")
        if isinstance(kept, ObjectId):
            kept = await self._read(kept)
        return self._codec.decode(codec, kept)

    async def improve(self) -> None:
        """Train dictionaries for types that have enough bodies now; 30 ms each, once per type."""
        for type_ in [t for t, size in self._untrained.items() if size >= TRAIN_AT]:
            # Set back first, so that a type with nothing to learn is not tried at every commit.
            self._untrained[type_] = 0
            words = train(await self._sample(type_))
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
            needed = {"r": file.filename, "b": file._id}
            if await self._db.versions.find_one(needed, {"_id": 1}) is None:
                await self._files.delete(file._id)
                gone += 1
        await self._db.state.update_one({"_id": "swept"}, {"$set": {"upto": old}}, upsert=True)
        return gone

    async def remove(self, files: Collection[ObjectId]) -> None:
        """Remove the files of a commit that was refused."""
        for file in files:
            await self._files.delete(file)

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
