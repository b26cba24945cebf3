"""The change stream over the versions: who follows the feed is woken by any process's commit.

What there is is read by ``changes``; a stream only says that there is something, and up to where.
Its place (resume token) is kept as a record, so that a process that starts again, or a new primary,
goes on where it was; when MongoDB remembers that place no more, the stream begins with now and says
so by waking its consumer once.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import Any

from bson import decode, encode
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import ConnectionFailure, OperationFailure, PyMongoError

from server.store.mongo.connect import Address, meaning
from server.store.mongo.records import document_of, place_of
from server.store.port import Record

log = logging.getLogger("tellonce")

KIND = "feed-place"
_LOST = frozenset((260, 280, 286))  # InvalidResumeToken, ChangeStreamFatalError, HistoryLost
_AWAIT_S = 1.0
_PAUSE_S = 0.5
_KEPT_EVERY = 100  # versions


async def watch(
    db: AsyncDatabase[dict[str, Any]],
    name: str,
    address: Address,
    *,
    without: str = "",
    await_s: float = _AWAIT_S,
) -> AsyncGenerator[int, None]:
    """Return the ``seq`` of every new version; first of all, without a place, the last one.

    Goes on through failovers.  ``name``: keep the place under it; ``""``: begin with now.
    ``without``: of this type nothing is told. ``await_s``: how long MongoDB
    keeps back an answer that has nothing to tell.
    """
    told_of: list[dict[str, Any]] = [
        {"$match": {"operationType": "insert", "fullDocument.rt": {"$ne": without}}},
        {"$project": {"documentKey": 1}},
    ]
    token = await _place(db, name) if name else None
    while True:
        try:
            stream = await db.versions.watch(
                told_of, resume_after=token, max_await_time_ms=int(await_s * 1000)
            )
            async with stream:
                if token is None:
                    yield await _last(db)
                    if name and (token := stream.resume_token) is not None:
                        await _keep(db, name, token)
                told = 0
                while stream.alive:
                    change = await stream.try_next()
                    if change is not None:
                        yield int(change["documentKey"]["_id"])
                        told += 1
                    # Only behind the yield: what the consumer did not get comes again.
                    token = stream.resume_token
                    if name and told and (change is None or told >= _KEPT_EVERY):
                        await _keep(db, name, token)
                        told = 0
        except OperationFailure as error:
            if error.code not in _LOST:
                raise meaning(error, address) from None
            log.warning("the place in the change stream is lost; the feed is read from now on")
            token = None
        except ConnectionFailure:
            await asyncio.sleep(_PAUSE_S)
        except PyMongoError as error:
            raise meaning(error, address) from None


async def _place(db: AsyncDatabase[dict[str, Any]], name: str) -> Any:
    found = await db.records.find_one({"_id": place_of(KIND, name)})
    return None if found is None else decode(bytes(found["value"]))


async def _keep(db: AsyncDatabase[dict[str, Any]], name: str, token: Any) -> None:
    kept = document_of(Record(KIND, name, encode(token), "", 1))
    await db.records.replace_one({"_id": kept["_id"]}, kept, upsert=True)


async def _last(db: AsyncDatabase[dict[str, Any]]) -> int:
    found = await db.state.find_one({"_id": "commit"})
    return int(found["seq"]) if found is not None else 0
