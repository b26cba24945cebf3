"""Other processes that plan messages and make what they come to, while many are at work.

Python runs on one processor at a time.  Planning, finding, merging, checking and indexing what a
message changes needs no more than to read the record, so it is done beside the server, by processes
that read the same file; the server commits what they made, under the same expectations as what it
made itself.  So nothing is lost with such a process: whatever it did not answer is made here, as is
everything while few messages are at work.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from pickle import HIGHEST_PROTOCOL, dumps
from typing import TypeVar

from mappings.feed import Feed
from mappings.plan import Plan
from server.feeds import making, wire, wire_made
from server.feeds.asked import AskedProcess, ended, ready
from server.feeds.inbox import Entry
from server.feeds.making import Made
from server.feeds.packed import PackedPlan
from server.feeds.refused import RefusedMessage
from server.interactions.services import Services

log = logging.getLogger(__name__)

BUSY = 2  # messages at work from which on the way to another process is worth it
MOST_ASKED = 16  # messages that one process has before it; the server makes others meanwhile
MOST_TO_PLAN = 6  # the same, of one that comes: its sender waits for its plan with the next
MAKING = wire.TO_MAKE, wire.TO_BOTH
ONLY_PLANNED = 8  # messages, after one was made in vain
AGAIN_S = 30.0  # until one is started again after one failed

Start = Callable[[], Awaitable[asyncio.subprocess.Process]]
"""Starts a process that says ``b"ready"`` when it is, and then answers as :func:`answer` does."""

T = TypeVar("T")
Planned = tuple[Plan | None, RefusedMessage | None]


class Makers:
    """Up to ``count`` processes, started by ``start`` when they are needed.

    ``busy`` tells how many messages are at work.
    """

    def __init__(self, start: Start, count: int, busy: Callable[[], int]) -> None:
        self._start, self._count, self._busy = start, count, busy
        self._processes: list[AskedProcess] = []
        self._leaving: list[AskedProcess] = []
        self._starting: asyncio.Task[None] | None = None
        self._not_before = 0.0
        self._feeds: dict[str, tuple[Feed, bytes]] = {}
        self._stopped = False
        self._in_vain = 0  # how many are still only planned
        self.made = 0  # by other processes
        self.planned = 0

    async def make(self, services: Services, entry: Entry, plan: Plan, feed: Feed) -> Made:
        """As :func:`server.feeds.making.make`, wherever there is time for it.

        What was made with its plan (:meth:`plan`) is what it comes to, the first time.
        """
        # Search parameters of the site are known to the server alone.
        if services.catalog.custom:
            return await making.make(services, entry, wire.unpacked(plan), feed)
        answer = _ahead(plan) or await self._made(entry, plan, feed)
        made = _read(wire_made.read_answer, answer)
        if made is not None and not services.catalog.custom:
            self.made += 1
            return made
        return await making.make(services, entry, wire.unpacked(plan), feed)

    async def _made(self, entry: Entry, plan: Plan, feed: Feed) -> bytes | None:
        count = plan.count if isinstance(plan, PackedPlan) else len(plan.resources)
        process = self._free(MAKING, MOST_ASKED) if count else None
        if process is None:
            return None
        return await process.ask(wire.TO_MAKE, wire.pack_asked(entry, plan, self._packed(feed)))

    async def plan(
        self,
        services: Services,
        version: str,
        feed: str,
        body: bytes,
        *,
        entry: Entry | None = None,
        since: int = 0,
    ) -> Planned | None:
        """Return the plan of a message by the maps of ``version``, ``None``: it is made here.

        With ``entry``, as it stands in the inbox, what it comes to is made on the same way, as long
        as that is of use: whoever lets others before it says so (:meth:`overtaken`).  ``since``
        is kept with the plan.
        """
        kind = wire.TO_PLAN if entry is None or self._in_vain else wire.TO_BOTH
        before = MAKING if kind == wire.TO_BOTH else (kind,)
        process = None if services.catalog.custom else self._free(before, MOST_TO_PLAN)
        if process is None:
            return None
        self._in_vain = max(0, self._in_vain - 1)
        with_entry = entry if kind == wire.TO_BOTH else None
        answer = await process.ask(kind, wire.pack_body(version, feed, body, with_entry))
        planned = _read(wire.read_planned, answer)
        self.planned += planned is not None
        if planned is not None and isinstance(planned[0], PackedPlan):
            planned[0].since = since
        return planned

    def overtaken(self, plan: Plan) -> None:
        """Forget what was made with a plan: another message of its lane came between.

        Where messages of one patient come together the next few are only planned.
        """
        if isinstance(plan, PackedPlan) and plan.ahead:
            plan.ahead = b""
            self._in_vain = ONLY_PLANNED

    async def stop(self) -> None:
        """End the processes."""
        self._stopped = True
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
        await asyncio.gather(*(one.stop() for one in {*self._processes, *self._leaving}))

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes that there are."""
        return tuple(process.pid for process in self._processes if process.alive)

    def _free(self, kinds: Sequence[bytes], most: int) -> AskedProcess | None:
        """Return the process with the least to do of some kinds, if it has room for more.

        ``None`` as well while there is not enough to do.
        """
        if self._busy() < BUSY:
            return None
        self._leaving = [one for one in (*self._leaving, *self._processes) if one.leaving]
        self._processes = [process for process in self._processes if process.alive]
        found = min(self._processes, key=lambda one: one.owes(kinds), default=None)
        if found is not None and found.owes(kinds) < most:
            return found
        self._another()
        return None

    def _another(self) -> None:
        """Begin to start another process, unless there are enough, or one failed just now."""
        if self._stopped or self._starting is not None or len(self._processes) >= self._count:
            return
        if asyncio.get_running_loop().time() >= self._not_before:
            self._starting = asyncio.create_task(self._start_one())

    async def _start_one(self) -> None:
        try:
            process = await ready(await self._created(), self._failed)
            self._processes.append(process)  # of the list that is there now
        except (OSError, EOFError, TimeoutError, NotImplementedError) as error:
            log.warning("messages are made in one process: %s", type(error).__name__)
            self._failed()
        finally:
            self._starting = None

    async def _created(self) -> asyncio.subprocess.Process:
        """Return a new process; one that nobody waits for any more is ended, with its pipes."""
        creating = asyncio.ensure_future(self._start())
        try:
            return await asyncio.shield(creating)
        except asyncio.CancelledError:
            await ended(await creating)
            raise

    def _failed(self) -> None:
        self._not_before = asyncio.get_running_loop().time() + AGAIN_S

    def _packed(self, feed: Feed) -> bytes:
        known = self._feeds.get(feed.name)
        if known is None or known[0] is not feed:
            plain = Feed(feed.name, on_conflict=feed.on_conflict)  # all that making looks at
            known = self._feeds[feed.name] = feed, dumps(plain, HIGHEST_PROTOCOL)
        return known[1]


def _ahead(plan: Plan) -> bytes | None:
    """Return what was made with a plan, once: who asks again knows that it is out of date."""
    if not isinstance(plan, PackedPlan) or not plan.ahead:
        return None
    ahead, plan.ahead = plan.ahead, b""
    return ahead


def _read(read: Callable[[bytes], T | None], answer: bytes | None) -> T | None:
    """Return what an answer says, ``None`` when there is none, or none that can be read."""
    if answer is None:
        return None
    try:
        return read(answer)
    except RefusedMessage:
        raise
    except Exception as error:  # of another version, say, after an upgrade beneath the server
        log.warning("a process that makes messages answered oddly: %s", type(error).__name__)
        return None
