"""The outbound service: for each destination one router and one sender, at work while we serve.

Several server processes may share a store: who has a destination's lease works for it, the others
look again.  Changed files take effect without a restart; files with a fault leave all as it was.
Nothing here waits for a writer, and no writer waits for anything here.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mappings.emit import load_outbound
from mappings.emit_destination import Destination
from mappings.maps import MapError, Maps
from server.feeds.outbound.worker import DestinationStats, Worker
from server.feeds.tls import UnusableTls
from server.interactions.services import Services

log = logging.getLogger(__name__)

POLL_S = 0.5  # how often is looked when there is nothing to do
LEASE_S = 15.0
RELOAD_S = 1.0


class OutboundService:
    """Tells destinations of changes.  One per server.

    ``folders``: where destinations and emit maps are; the tables are those of ``maps``.
    ``owner``: name of this process among those that share the store.  A store that only one server
    can have open takes one name for ever, so that a restart does not wait for the lease to end.

    Raises:
        MapError: the files have faults.
        UnusableTls: a destination's certificate or key cannot be used.
    """

    def __init__(
        self,
        services: Services,
        maps: Maps,
        folders: Sequence[Path],
        *,
        owner: str,
        poll_s: float = POLL_S,
        lease_s: float = LEASE_S,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.services = services
        self._maps, self._folders = maps, tuple(folders)
        self._owner, self._poll_s, self._lease_s, self._chance = owner, poll_s, lease_s, chance
        self._version = maps.version
        self._workers = self._made()
        self._tasks: list[asyncio.Task[None]] = []
        self._watching: asyncio.Task[None] | None = None

    def _made(self) -> list[Worker]:
        outbound = load_outbound(self._folders, self._maps.tables)
        how = self._owner, self._poll_s, self._lease_s, self._chance
        return [Worker(self.services, outlet, *how) for outlet in outbound.outlets.values()]

    async def start(self) -> None:
        """Begin; what waits from the last run goes out first."""
        self._tasks = [asyncio.create_task(worker.work()) for worker in self._workers]
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())

    async def stop(self, *, grace_s: float = 20.0) -> None:
        """Send nothing new; an answer that is awaited is waited for, at most ``grace_s`` long."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
            self._watching = None
        await self._end(grace_s)

    async def _end(self, grace_s: float) -> None:
        for worker in self._workers:
            worker.stopping.set()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=grace_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _watch(self) -> None:
        """Take the files again whenever the maps became others."""
        while True:
            await asyncio.sleep(RELOAD_S)
            if self._version == self._maps.version:
                continue
            self._version = self._maps.version
            try:
                made = await asyncio.to_thread(self._made)
            except (MapError, UnusableTls) as error:
                log.error("changed destinations are not used: %s", error)
                continue
            await self._end(self._lease_s)
            self._workers = made
            await self.start()
            log.info("%d destinations are in use", len(made))

    @property
    def destinations(self) -> list[Destination]:
        """The settings of each destination, as they are in force, by name."""
        return sorted((one.to for one in self._workers), key=lambda to: to.name)

    def stats(self) -> Mapping[str, DestinationStats]:
        """Return the counts and gauges of each destination, by name."""
        return {worker.name: worker.stats() for worker in self._workers}
