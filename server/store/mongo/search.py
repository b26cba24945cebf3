"""Searches in MongoDB: plan, walk, resume, count, explain.

What is handed in has been narrowed to what the caller may see (:mod:`server.access.narrow`).
"""

from dataclasses import dataclass

from server.search.query import Query, SortKey
from server.store.mongo.reading import Reading
from server.store.port import Explanation, Page, Scalar


@dataclass(frozen=True, slots=True)
class Asked:
    """A query that access has narrowed, its order and its page."""

    query: Query
    sort: tuple[SortKey, ...]
    limit: int
    after: tuple[Scalar, ...] | None = None


class Searches:
    """One for a store: it remembers how long lists are."""

    async def search(self, reading: Reading, asked: Asked, deadline_s: float) -> Page:
        """Return one page; see :meth:`server.store.port.Store.search`."""
        raise NotImplementedError

    async def count(self, reading: Reading, query: Query, deadline_s: float) -> int:
        """Return how many resources match."""
        raise NotImplementedError

    async def explain(self, reading: Reading, asked: Asked, deadline_s: float) -> Explanation:
        """Run the first page, counting the rows that each step lets through."""
        raise NotImplementedError

    async def matching_ids(self, reading: Reading, query: Query, limit: int) -> set[str]:
        """Return the ids of matches, at most ``limit``, as ``reading.session`` sees them."""
        raise NotImplementedError
