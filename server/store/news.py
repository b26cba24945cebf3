"""How one who waits for versions, or for records of a kind, is woken by what is committed."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import suppress

from server.store.port import RecordWrite, Version

SILENT = "AuditEvent"
"""Of these nobody is woken: there is one for each read, and who follows the feed tells nothing."""


SURE = 4
"""Times as long as it would look, waits who is told of what others put."""


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
        _wake(self._waiting)

    async def wait(self, after: int, within_s: float) -> int:
        """See :meth:`server.store.port.Store.news`."""
        if self._newest <= after:
            await _woken(self._waiting, within_s)
        return self._newest


class RecordNews:
    """Counts what was put of each kind, as far as it was told; used on one event loop at a time."""

    def __init__(self) -> None:
        self._told: Counter[str] = Counter()
        self._waiting: defaultdict[str, set[asyncio.Future[None]]] = defaultdict(set)

    def committed(self, records: Iterable[RecordWrite]) -> None:
        """Tell of what was committed here."""
        for kind in {one.kind for one in records if one.value is not None}:
            if kind in self._waiting:
                self.tell(kind)

    def tell(self, kind: str) -> None:
        """Wake those who wait for a record of the kind."""
        self._told[kind] += 1
        _wake(self._waiting[kind])

    def tell_all(self) -> None:
        """Wake everybody: something may have been missed."""
        for kind in list(self._waiting):
            self.tell(kind)

    async def wait(self, kind: str, heard: int, within_s: float) -> int:
        """See :meth:`server.store.port.RecordStore.record_news`."""
        waiting = self._waiting[kind]
        if self._told[kind] == heard:
            await _woken(waiting, within_s)
        return self._told[kind]


def _wake(waiting: Iterable[asyncio.Future[None]]) -> None:
    for one in waiting:
        if not one.done():
            one.set_result(None)


async def _woken(waiting: set[asyncio.Future[None]], within_s: float) -> None:
    """Return when somebody wakes those who wait, or after ``within_s``."""
    woken = asyncio.get_running_loop().create_future()
    waiting.add(woken)
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await woken
    finally:
        waiting.discard(woken)
