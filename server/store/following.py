"""The change feed as one consumer follows it, without the types that it has no use for."""

from collections.abc import Collection

from server.access.context import SYSTEM
from server.store.port import Store, Version


class Following:
    """What is new for one consumer.  Its place is the consumer's to keep, in the store.

    Of versions that it wants nothing of no place is kept, so that a server on which people only
    read writes nothing for them; up to where there was nothing is known here, and not read again.
    """

    def __init__(self, store: Store, without: Collection[str]) -> None:
        self._store, self._without = store, without
        self._nothing = (0, 0)  # behind the first, up to the second

    async def changes(self, after: int, limit: int) -> list[Version]:
        """Return what :meth:`Store.changes` does, for the server itself."""
        newest = await self._store.history(SYSTEM, limit=1)  # before the look: commits go on
        seq = newest[0].seq if newest else 0
        low, high = self._nothing
        begin = high if low <= after < high else after
        if seq <= begin:
            return []
        found = await self._store.changes(SYSTEM, after=begin, limit=limit, without=self._without)
        if not found:
            self._nothing = (min(low, after) if begin == high else after, seq)
        return found
