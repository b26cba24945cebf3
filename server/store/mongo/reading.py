"""What reads need: the database, the bodies, and the definitions of the index as they are now.

Searching (``search.py``) and what a caller sees of versions (``sight.py``) are functions of it::

    search.page(reading, access, query, sort, limit, after, deadline_s) -> Page
    search.count(reading, access, query, deadline_s) -> int
    search.explain(reading, access, query, sort, limit, deadline_s) -> Explanation
    search.matching_ids(reading, query, limit) -> set[str]        live ids, in a transaction
    sight.seen(reading, access, interaction, documents) -> list[Version]
        of documents of ``versions`` (or ``resources``), those that the caller may see, in order

They narrow by access themselves and raise DeadlineExceeded; errors of pymongo pass through, and
``connect.explained`` makes StoreUnavailable of them.
"""

from collections.abc import Iterable, Mapping, Sequence
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


Documents = Sequence[Mapping[str, Any]]
