"""How one who follows the change feed is woken by what is committed."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from server.store.port import Version

SILENT = "AuditEvent"
"""Of these nobody is woken: there is one for each read, and who follows the feed tells nothing."""


class News:
    """Remembers the newest version that it was told of; used on one event loop at a time."""

    def __init__(self) -> None:
        self._newest = 0
        self._waiting: set[asyncio.Future[None]] = set()

    def committed(self, versions: Iterable[Version]) -> None:
        """Tell of what was committed here."""
        self.tell(max((one.seq for one in versions if one.type != SILENT), default=0))

    def tell(self, seq: int) -> None:
        """Wake those who wait for a version that is not older."""
        if seq <= self._newest:
            return
        self._newest = seq
        for one in self._waiting:
            if not one.done():
                one.set_result(None)

    async def wait(self, after: int, within_s: float) -> int:
        """See :meth:`server.store.port.Store.news`."""
        if self._newest <= after:
            woken = asyncio.get_running_loop().create_future()
            self._waiting.add(woken)
            try:
                with suppress(TimeoutError):
                    async with asyncio.timeout(within_s):
                        await woken
            finally:
                self._waiting.discard(woken)
        return self._newest
