"""The texts of which a record has few: each kept once, before what needs it is committed.

A text that is there and belongs to nothing finds nothing, so it is written outside of the
transaction: two of them that meet a new display at the same time do not conflict over it.
"""

from collections.abc import Sequence
from typing import Any

from pymongo import WriteConcern
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError

from server.store.mongo.layout import Document

_MOST = 200_000  # that are known to be there
_DUPLICATE = 11000


class Texts:
    """Remembers which texts this process has seen in the database."""

    def __init__(self, db: AsyncDatabase[dict[str, Any]]) -> None:
        # The commit behind it waits for a majority, and with it for all that was written before.
        self._texts = db.get_collection("texts", write_concern=WriteConcern(1))
        self._known: set[int] = set()

    async def keep(self, wanted: Sequence[Document]) -> None:
        """Write those that are not known to be there."""
        new = {one["_id"]: one for one in wanted if one["_id"] not in self._known}
        if not new:
            return
        try:
            await self._texts.insert_many(list(new.values()), ordered=False)
        except BulkWriteError as error:
            if any(one["code"] != _DUPLICATE for one in error.details["writeErrors"]):
                raise
        if len(self._known) > _MOST:
            self._known.clear()
        self._known.update(new)

    def forget(self) -> None:
        """Forget what was seen: it may have been undone by a failover."""
        self._known.clear()
