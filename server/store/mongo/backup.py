"""A copy of one moment in one file, while the server runs, and the way back.

What changes (records, outbox, counters) is read from one snapshot first.  Versions never change, so
those up to the snapshot's number can be read as slowly as they come.  Everything else follows from
them: :func:`restore` makes the resources anew and leaves their index to ``reindex``.

The file is a zstd stream of BSON documents: ``{format, database, seq}``, then ``{c: collection, d:
document}`` for each document, files of large bodies as ``{c: "file", d: {_id, data}}``, at last
``{end: number of documents}``, without which the file is not whole.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import IO, Any

import zstandard
from bson import ObjectId, decode_file_iter, encode
from bson.errors import InvalidBSON
from gridfs.asynchronous import AsyncGridFSBucket
from pymongo import ReplaceOne
from pymongo.asynchronous.database import AsyncDatabase

from server.fhir.errors import StoreUnavailable
from server.store.mongo.bodies import file_of
from server.store.mongo.layout import Birth, Document, Stored, resource_document, version_of
from server.store.port import CorruptStore

Database = AsyncDatabase[dict[str, Any]]

FORMAT = "tellonce backup 1"
_CHANGING = ("state", "dictionaries", "records", "outbox")
_MADE_ANEW = ("schema", "ready", "swept")  # of ``state``
_AT_ONCE = 500
_FILE_BYTES = 12 * 1024 * 1024  # of one document


async def backup(db: Database, target: str) -> None:
    """Write the copy beside ``target``; it gets its name when it is complete and on the disk.

    Raises StoreUnavailable: the file cannot be written.
    """
    path = Path(target)
    partial = path.with_name(path.name + ".partial")
    try:
        # Made with the rights of its owner only, before patients are written into it.
        partial.unlink(missing_ok=True)
        opened = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(opened, "wb") as file:
            with zstandard.ZstdCompressor(level=3).stream_writer(file, closefd=False) as out:
                await _write(db, out)
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
        partial.replace(path)
        await asyncio.to_thread(_sync_folder, path.parent)
    except OSError as error:
        raise StoreUnavailable(f"the backup failed: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)


async def restore(db: Database, source: str) -> int:
    """Fill an empty, migrated database from a file of :func:`backup`; return its versions.

    Index fields are not in the file: run ``reindex`` until it returns 0.

    Raises:
        StoreUnavailable: the database is not empty, or the file cannot be read.
        CorruptStore: the file is no backup, or not whole.
    """
    if await db.versions.find_one({}, {"_id": 1}) is not None:
        raise StoreUnavailable(f"the database {db.name} is not empty: a backup needs an empty one")
    try:
        file = await asyncio.to_thread(Path(source).open, "rb")
        with file:
            found = await _fill(db, _read(file))
    except OSError as error:
        raise StoreUnavailable(f"the backup cannot be read: {error.strerror}") from error
    except (zstandard.ZstdError, InvalidBSON, KeyError) as error:
        raise CorruptStore(f"{Path(source).name} is no whole backup") from error
    await _point(db)
    return found


async def _write(db: Database, out: Any) -> None:
    written = 0
    async with db.client.start_session(snapshot=True) as session:
        counters = await db.state.find_one({"_id": "commit"}, session=session)
        last = int(counters["seq"]) if counters is not None else 0
        out.write(encode({"format": FORMAT, "database": db.name, "seq": last}))
        for name in _CHANGING:
            async for one in db.get_collection(name).find({}, session=session).sort("_id"):
                out.write(encode({"c": name, "d": one}))
                written += 1
    async for one in db.versions.find({"_id": {"$lte": last}}).sort("_id"):
        if (file := file_of(one["b"])) is not None:
            written += await _write_file(db, file, out)
        out.write(encode({"c": "versions", "d": one}))
        written += 1
        if not written % _AT_ONCE:
            await asyncio.sleep(0)
    out.write(encode({"end": written}))


async def _write_file(db: Database, file: ObjectId, out: Any) -> int:
    parts = 0
    async for data in _parts(db, file):
        out.write(encode({"c": "file", "d": {"_id": file, "data": data}}))
        parts += 1
    return parts


async def _parts(db: Database, file: ObjectId) -> AsyncIterator[bytes]:
    stream = await AsyncGridFSBucket(db, bucket_name="bodies").open_download_stream(file)
    while data := await stream.read(_FILE_BYTES):
        yield data


def _read(file: IO[bytes]) -> Iterator[Document]:
    with zstandard.ZstdDecompressor().stream_reader(file) as stream:
        yield from decode_file_iter(stream)


async def _fill(db: Database, documents: Iterator[Document]) -> int:
    """Write what the file holds, in its order; return the number of versions."""
    head = next(documents, {})
    if head.get("format") != FORMAT:
        raise CorruptStore("the file is no whole backup of this server")
    seen = versions = 0
    waiting: list[ReplaceOne[Any]] = []
    into = ""
    data: dict[ObjectId, bytes] = {}
    for one in documents:
        if "end" in one:
            await _put(db, into, waiting)
            if one["end"] != seen:
                raise CorruptStore(f"the backup holds {seen} documents instead of {one['end']}")
            return versions
        seen += 1
        name, document = one["c"], one["d"]
        if name == "file":
            data[document["_id"]] = data.get(document["_id"], b"") + document["data"]
            continue
        if name == "state" and document["_id"] in _MADE_ANEW:
            continue
        for file in list(data):
            bucket = AsyncGridFSBucket(db, bucket_name="bodies")
            await bucket.upload_from_stream_with_id(file, document["r"], data.pop(file))
        if name != into or len(waiting) >= _AT_ONCE:
            await _put(db, into, waiting)
            into, waiting = name, []
        waiting.append(ReplaceOne({"_id": document["_id"]}, document, upsert=True))
        versions += name == "versions"
    raise CorruptStore("the backup has no end: it is not whole")


async def _put(db: Database, name: str, waiting: list[ReplaceOne[Any]]) -> None:
    if waiting:
        await db.get_collection(name).bulk_write(waiting, ordered=False)


async def _point(db: Database) -> None:
    """Make the document of every resource from its versions; ``reindex`` does the rest."""
    made: list[ReplaceOne[Any]] = []
    birth: Birth | None = None
    last: Document | None = None
    async for one in db.versions.find().sort([("r", 1), ("v", 1)]):
        if last is not None and last["r"] != one["r"]:
            made.append(_resource(last, birth))
            birth = None
        if birth is None:
            birth = Birth(one["_id"], one["at"])
        last = one
        if len(made) >= _AT_ONCE:
            await _put(db, "resources", made)
            made = []
    if last is not None:
        made.append(_resource(last, birth))
    await _put(db, "resources", made)


def _resource(version: Document, birth: Birth | None) -> ReplaceOne[Any]:
    assert birth is not None, "a resource has a first version"
    there = version["b"] is not None
    # ``fp`` 0 is of nobody's definitions: what has it is indexed next.
    indexed: Document = {"fp": 0} if there else {}
    made = resource_document(
        version_of(version, b"" if there else None),
        birth,
        version["m"],
        Stored(version["c"], version["b"]),
        indexed,
    )
    return ReplaceOne({"_id": made["_id"]}, made, upsert=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
