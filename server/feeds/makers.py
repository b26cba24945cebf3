"""Other processes that plan messages and make what they come to, while many are at work.

Python runs on one processor at a time.  Planning, finding, merging, checking and indexing what a
message changes needs no more than to read the record, so it is done beside the server, by processes
that read the same file; the server commits what they made, under the same expectations as what it
made itself.  So nothing is lost with such a process: whatever it did not answer is made here, as is
everything while few messages are at work.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pickle import HIGHEST_PROTOCOL, dumps
from typing import TypeVar

from mappings.feed import Feed
from mappings.plan import Plan
from server.feeds import making, wire
from server.feeds.asked import AskedProcess, ended, ready
from server.feeds.inbox import Entry
from server.feeds.making import Made
from server.feeds.packed import PackedPlan
from server.feeds.refused import RefusedMessage
from server.interactions.services import Services

log = logging.getLogger(__name__)

BUSY = 2  # messages at work from which on the way to another process is worth it
MOST_ASKED = 16  # messages that one process has before it; the server makes others meanwhile
MOST_TO_PLAN = 6  # the same; they come before what is to be made
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
        self.made = 0  # by other processes
        self.planned = 0

    async def make(self, services: Services, entry: Entry, plan: Plan, feed: Feed) -> Made:
        """As :func:`server.feeds.making.make`, wherever there is time for it."""
        # Search parameters of the site are known to the server alone.
        count = plan.count if isinstance(plan, PackedPlan) else len(plan.resources)
        here = services.catalog.custom or not count
        process = None if here else self._free(wire.TO_MAKE, MOST_ASKED)
        if process is not None:
            asked = wire.pack_asked(entry, plan, self._packed(feed))
            answer = await process.ask(wire.TO_MAKE, asked)
            made = _read(wire.read_answer, answer)
            if made is not None and not services.catalog.custom:
                self.made += 1
                return made
        return await making.make(services, entry, wire.unpacked(plan), feed)

    async def plan(
        self, services: Services, version: str, feed: str, body: bytes
    ) -> Planned | None:
        """Return the plan of a message by the maps of ``version``, ``None``: it is made here."""
        process = None if services.catalog.custom else self._free(wire.TO_PLAN, MOST_TO_PLAN)
        if process is None:
            return None
        answer = await process.ask(wire.TO_PLAN, dumps((version, feed, body), HIGHEST_PROTOCOL))
        planned = _read(wire.read_planned, answer)
        self.planned += planned is not None
        return planned

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

    def _free(self, kind: bytes, most: int) -> AskedProcess | None:
        """Return the process with the least to do, if it has room and there is enough to do."""
        if self._busy() < BUSY:
            return None
        self._leaving = [one for one in (*self._leaving, *self._processes) if one.leaving]
        self._processes = [process for process in self._processes if process.alive]
        found = min(self._processes, key=lambda one: one.asked[kind], default=None)
        if found is None or found.asked[kind] >= most:
            self._another()
        return found if found is not None and found.asked[kind] < most else None

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


async def answer(services: Services, body: bytes, feeds: dict[bytes, Feed]) -> bytes:
    """Make what a server asks for; ``feeds`` is kept from one message to the next."""
    try:
        asked = wire.read_asked(body, feeds)
        return wire.pack_made(await making.make(services, *asked))
    except RefusedMessage as refused:
        return wire.pack_refused(refused)
    except Exception as error:  # the server makes it itself, and meets what this met
        log.warning("a message could not be made: %s", type(error).__name__)
        return wire.FAILED
