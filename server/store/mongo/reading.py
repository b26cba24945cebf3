"""What reads need: the database, the bodies, and the definitions of the index as they are now.

Searching is :class:`server.store.mongo.search.Searches`; what a caller sees of versions is
:func:`server.store.mongo.sight.seen`, ``seen(reading, access, interaction, documents) ->
list[Version]`` of documents of ``versions``, those that are open, in order.  Errors of the driver
pass through them; ``connect.explained`` makes StoreUnavailable of those.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from server.search.catalog import Catalog
from server.store.mongo.bodies import Bodies
from server.store.mongo.layout import version_of
from server.store.port import Index, Version

Session = AsyncClientSession | None


@dataclass(frozen=True, slots=True)
class Reading:
    """One read of the record.

    ``db`` reads what a majority has, from the primary.  ``index`` and ``catalog`` are those of
    :meth:`server.store.port.Store.use_index`.  ``session``: every operation of the read is given
    it: a snapshot, or the transaction of a commit (an expectation sees what was written before).
    """

    db: AsyncDatabase[dict[str, Any]]
    bodies: Bodies
    index: Index
    catalog: Catalog
    session: Session = None

    async def versions(self, documents: Iterable[Mapping[str, Any]]) -> list[Version]:
        """Return the versions of documents of ``resources`` or ``versions``, bodies decoded."""
        return [
            version_of(one, await self.bodies.decode(one["rt"], one["c"], one["b"]))
            for one in documents
        ]

    async def version(self, document: Mapping[str, Any]) -> Version:
        """Return the version of one document."""
        (found,) = await self.versions((document,))
        return found
