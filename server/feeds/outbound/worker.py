"""What is at work for one destination: a router and a sender, while its lease is ours.

Nothing here waits for a writer, and no writer waits for anything here.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import orjson

from mappings.emit import Outlet
from server.feeds.outbound.connection import Connection
from server.feeds.outbound.queue import STATE, MessageState, Queue, is_paused
from server.feeds.outbound.route import Router
from server.feeds.outbound.send import Counts, Sender, pause_s
from server.fhir.errors import FhirError
from server.interactions.services import Services
from server.store import lease
from server.store.port import CommitConflict, RecordWrite

log = logging.getLogger(__name__)

# messages waiting; further changes wait in the change feed, which is the record
QUEUE_MOST = 10_000
_CONTROL_S = 1.0
_TOLD, _UNTOLD = 0.2, 4  # of the pause for the change feed, when something is told, and when not
_OPEN: tuple[MessageState, ...] = ("waiting", "held", "parked")


@dataclass(frozen=True, slots=True)
class DestinationStats:
    """What Prometheus is told.  ``lag_s``: age of the oldest change that was not acknowledged.

    ``withheld``: messages for which it is not cleared, since the start.
    """

    counts: Counts
    waiting: int
    held: int
    parked: int
    connected: bool
    paused: bool
    lag_s: float
    withheld: int = 0


class Worker:
    """Works for one destination."""

    def __init__(
        self,
        services: Services,
        outlet: Outlet,
        owner: str,
        poll_s: float,
        lease_s: float,
        chance: Callable[[], float],
    ) -> None:
        self.to = to = outlet.destination
        self.name = to.name
        self.stopping = asyncio.Event()
        self._services, self._owner = services, owner
        self._poll_s, self._lease_s, self._chance = poll_s, lease_s, chance
        self._counts = Counts()
        self._queue = Queue(services.store, to.name, keep_days=to.keep_days)
        self._router = Router(
            services, outlet, self._queue, on_parked=lambda: self._sender.forget()
        )
        self._connection = Connection(to)
        self._sender = Sender(
            self._queue,
            self._connection,
            self._counts,
            now=services.now,
            random=chance,
            retry=to.retry,
            on_parked=to.on_parked,
            remake=self._router.remade,
        )
        self._waiting = self._held = self._parked = 0
        self._oldest = 0  # time of the oldest change that waits; 0: none does
        self._paused = False
        self._held_until = 0.0  # of the lease, on the loop's clock
        self._told = ""
        self._more = asyncio.Event()  # something was queued

    async def work(self) -> None:
        """Work until it is stopped; a fault of the store or a bug costs a pause, not the rest."""
        failures = 0
        while not self.stopping.is_set():
            try:
                if await self._leads():
                    await self._lead()
                failures = 0
            except (FhirError, CommitConflict) as error:
                failures += 1
                log.warning("destination %s waits: %s", self.name, type(error).__name__)
            except Exception as error:  # a bug must be seen, not end the destination unheard
                failures += 1
                log.error("destination %s failed: %s", self.name, type(error).__name__)
            self._router.forget()
            self._sender.forget()
            pause = pause_s(self.to.retry, failures, self._chance) if failures else self._poll_s
            await self._pause(pause)
        await self._connection.close()
        with suppress(FhirError):
            await lease.release(self._services.store, f"outbound/{self.name}", self._owner)

    def stats(self) -> DestinationStats:
        """See :class:`DestinationStats`."""
        oldest = self._oldest
        return DestinationStats(
            self._counts,
            self._waiting,
            self._held,
            self._parked,
            self._connection.is_open,
            self._paused,
            max(0, self._services.now() - oldest) / 1e6 if oldest else 0.0,
            self._router.withheld,
        )

    async def _leads(self) -> bool:
        """Take or renew the lease; tell if it is ours."""
        services, now = self._services, asyncio.get_running_loop().time()
        ours = await lease.acquire(
            services.store,
            f"outbound/{self.name}",
            self._owner,
            now=services.now(),
            ttl=int(self._lease_s * 1e6),
        )
        self._held_until = now + self._lease_s if ours else 0.0
        return ours

    async def _lead(self) -> None:
        """Route and send side by side while the lease is ours."""
        routing = asyncio.create_task(self._route())
        try:
            await self._send(routing)
        finally:
            routing.cancel()
            with suppress(asyncio.CancelledError):
                await routing

    def _may_send(self) -> bool:
        """Tell whether a message may go out now: a third of the lease is kept for its answer."""
        left = self._held_until - asyncio.get_running_loop().time()
        return not self.stopping.is_set() and not self._paused and left > self._lease_s / 3

    async def _route(self) -> None:
        heard = 0
        while not self.stopping.is_set():
            if self._waiting >= QUEUE_MOST:
                await asyncio.sleep(self._poll_s)
                continue
            queued = await self._router.step()
            if queued:
                self._counts.queued += queued
                self._waiting += queued
                self._more.set()
            if queued is None:
                await asyncio.sleep(self._poll_s * _TOLD)
                heard = await self._services.store.news(heard, self._poll_s * _UNTOLD)

    async def _send(self, routing: asyncio.Task[None]) -> None:
        looked = float("-inf")
        clock = asyncio.get_running_loop().time
        while not self.stopping.is_set():
            if routing.done():
                routing.result()  # its fault is ours
                return
            if self._held_until - clock() < self._lease_s * 2 / 3 and not await self._leads():
                return
            if clock() - looked > _CONTROL_S:
                looked = clock()
                await self._look()
            self._more.clear()
            pause = await self._sender.round(self._may_send)
            await self._tell_state()
            if pause is None:
                if self._waiting:
                    await self._look()
                await self._wait_for_more()
            elif pause:
                await self._pause(min(pause, self._lease_s / 4))

    async def _look(self) -> None:
        """Learn what was said at the command line, and how much there is."""
        to, store = self.to, self._services.store
        self._paused = await is_paused(store, self.name, default=to.paused)
        counts = await self._queue.counts(_OPEN)
        self._waiting, self._held, self._parked = (counts.get(state, 0) for state in _OPEN)
        head = await self._queue.of_state("waiting", limit=1)
        self._oldest = head[0].at if head else 0

    async def _wait_for_more(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._poll_s):
                await self._more.wait()

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.stopping.wait()

    async def _tell_state(self) -> None:
        """Keep how the connection is, for the command line, whenever that changes."""
        state = self._sender.trouble or ("connected" if self._connection.is_open else "idle")
        if state == self._told:
            return
        if self._sender.trouble:
            log.warning("destination %s: %s", self.name, self._sender.trouble)
        self._told = state
        value = orjson.dumps({"state": state, "at": self._services.now()})
        await self._services.store.commit([], records=[RecordWrite(STATE, self.name, value)])
