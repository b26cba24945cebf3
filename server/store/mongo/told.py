"""Who waits for records of a kind is told of those that any process puts, by one change stream.

It follows the kinds that somebody has waited for, of which there is seldom a new record: messages
and what keeps the processes apart would be told of a hundred times a second.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from server.fhir.errors import FhirError
from server.store.news import SURE, RecordNews

log = logging.getLogger("tellonce")

_TOGETHER_S = 0.1  # behind the first who waits for a kind come others
_AWAIT_S = 10.0  # that MongoDB keeps an answer back which holds no news
_AGAIN_S = 2.0  # until one listens again to a database that was away
_PARTING_S = 1.0


class Told:
    """What is heard of records; ``db`` is called when it is needed, raises FhirError."""

    def __init__(self, db: Callable[[], Awaitable[AsyncDatabase[dict[str, Any]]]]) -> None:
        self._db = db
        self._news = RecordNews()
        self._kinds: set[str] = set()
        self._hears = False
        self._closed = False
        self._listening: asyncio.Task[None] | None = None

    async def wait(self, kind: str, heard: int, within_s: float) -> int:
        """See :meth:`server.store.port.RecordStore.record_news`."""
        if kind not in self._kinds and not self._closed:
            self._kinds.add(kind)
            if self._listening is not None:
                self._listening.cancel()
            self._listening = asyncio.create_task(self._listen(), name="store-told")
        return await self._news.wait(kind, heard, within_s * (SURE if self._hears else 1))

    async def close(self) -> None:
        """End; may be called again."""
        self._closed = True
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait((self._listening,), timeout=_PARTING_S)

    async def _listen(self) -> None:
        """Hear of what is put, for ever."""
        await asyncio.sleep(_TOGETHER_S)
        while True:
            try:
                await self._follow(await self._db())
            except (PyMongoError, FhirError) as error:  # who waits looks by himself meanwhile
                log.debug("nothing is heard of records: %s", type(error).__name__)
            finally:
                self._hears = False
            await asyncio.sleep(_AGAIN_S)

    async def _follow(self, db: AsyncDatabase[dict[str, Any]]) -> None:
        told_of: list[dict[str, Any]] = [
            {"$match": {"operationType": {"$ne": "delete"}, "documentKey._id": self._named()}},
            {"$project": {"documentKey": 1}},
        ]
        stream = await db.records.watch(told_of, max_await_time_ms=int(_AWAIT_S * 1000))
        async with stream:
            self._hears = True
            self._news.tell_all()  # what was put before nobody was told of
            async for change in stream:
                self._news.tell(change["documentKey"]["_id"].partition("\t")[0])

    def _named(self) -> dict[str, str]:
        return {"$regex": f"^(?:{'|'.join(map(re.escape, sorted(self._kinds)))})\t"}
