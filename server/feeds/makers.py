"""Other processes that plan messages and make what they come to, while many are at work.

Python runs on one processor at a time.  Planning, finding, merging, checking and indexing what a
message changes needs no more than to read the record, so it is done beside the server, by processes
that read the same file; the server commits what they made, under the same expectations as what it
made itself.  So nothing is lost with such a process: whatever it did not answer is made here, as is
everything while few messages are at work.
"""

import asyncio
import itertools
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from pickle import HIGHEST_PROTOCOL, dumps
from typing import TypeVar

from mappings.feed import Feed
from mappings.plan import Plan
from server.feeds import making, wire
from server.feeds.inbox import Entry
from server.feeds.making import Made
from server.feeds.packed import PackedPlan
from server.feeds.refused import RefusedMessage
from server.interactions.services import Services

log = logging.getLogger(__name__)

BUSY = 2  # messages at work from which on the way to another process is worth it
WORTH = 3  # resources of a plan; to hand on less costs what it saves
MOST_ASKED = 16  # messages that one process has before it; the server makes others meanwhile
MOST_TO_PLAN = 6  # the same; they come before what is to be made
WORTH_BYTES = 500  # of a message; a shorter one is planned sooner than handed on
ANSWER_S = 30.0
PLANNED_S = 5.0  # the sender of a message waits for it with the next
IDLE_S = 120.0  # without work, after which a process ends
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
        self._processes: list[_Process] = []
        self._leaving: list[_Process] = []
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
        here = services.catalog.custom or count < WORTH
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
        here = services.catalog.custom or len(body) < WORTH_BYTES
        process = None if here else self._free(wire.TO_PLAN, MOST_TO_PLAN)
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

    def _free(self, kind: bytes, most: int) -> "_Process | None":
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
            process = await _started(await self._created(), self._failed)
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
            await _ended(await creating)
            raise

    def _failed(self) -> None:
        self._not_before = asyncio.get_running_loop().time() + AGAIN_S

    def _packed(self, feed: Feed) -> bytes:
        known = self._feeds.get(feed.name)
        if known is None or known[0] is not feed:
            plain = Feed(feed.name, on_conflict=feed.on_conflict)  # all that making looks at
            known = self._feeds[feed.name] = feed, dumps(plain, HIGHEST_PROTOCOL)
        return known[1]


class _Process:
    """One process; answers come in an order of its own.  ``asked`` counts what it is to do."""

    def __init__(self, process: asyncio.subprocess.Process, failed: Callable[[], None]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._in, self._out = process, process.stdin, process.stdout
        self._waiting: dict[int, asyncio.Future[bytes | None]] = {}
        self._numbers = itertools.count()
        self.asked = Counter[bytes]()
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._used = self._loop.time()
        self.alive = True
        self._hearing = asyncio.create_task(self._hear())
        self._ending = self._loop.call_later(IDLE_S, self._end_idle)

    @property
    def pid(self) -> int:
        """The system's number of it."""
        return self._process.pid

    @property
    def leaving(self) -> bool:
        """True from when it is asked nothing more until it has ended."""
        return not self.alive and not self._hearing.done()

    async def ask(self, kind: bytes, body: bytes) -> bytes | None:
        """Return its answer, ``None`` if there is none."""
        future: asyncio.Future[bytes | None] = self._loop.create_future()
        number = next(self._numbers)
        self._waiting[number] = future
        self.asked[kind] += 1
        self._used = self._loop.time()
        self._in.write(wire.question(kind, number, body))
        try:
            async with asyncio.timeout(PLANNED_S if kind == wire.TO_PLAN else ANSWER_S):
                return await future
        except TimeoutError:
            log.warning("a process that makes messages did not answer")
            self._kill()
            return None
        finally:
            self.asked[kind] -= 1

    async def stop(self) -> None:
        """End it; what it has not answered is not answered."""
        self._ending.cancel()
        self.alive = False
        self._in.close()
        try:
            async with asyncio.timeout(2.0):
                await self._process.wait()
        except TimeoutError:
            self._kill()
            await self._process.wait()
        await self._hearing

    async def _hear(self) -> None:
        try:
            while True:
                answer = await read_frame(self._out)
                number = int.from_bytes(answer[: wire.NUMBER_BYTES], "big")
                future = self._waiting.pop(number)
                if not future.done():
                    future.set_result(answer[wire.NUMBER_BYTES :])
        except (EOFError, OSError, KeyError):
            if self.alive:
                log.warning("a process that makes messages has ended")
                self._failed()
        finally:
            self.alive = False
            self._ending.cancel()
            for future in self._waiting.values():
                if not future.done():
                    future.set_result(None)
            self._waiting.clear()
            self._in.close()
            self._kill()  # one that speaks unasked would not end by itself
            await self._process.wait()

    def _end_idle(self) -> None:
        left = self._used + IDLE_S - self._loop.time()
        if left > 0 or self._waiting:
            self._ending = self._loop.call_later(max(left, 1.0), self._end_idle)
            return
        self.alive = False
        self._in.close()

    def _kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()


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


async def _started(process: asyncio.subprocess.Process, failed: Callable[[], None]) -> _Process:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(ANSWER_S):
            await read_frame(process.stdout)
    except BaseException:
        await _ended(process)
        raise
    return _Process(process, failed)


async def _ended(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.communicate()


async def read_frame(stream: asyncio.StreamReader) -> bytes:
    """Return what stands behind its length; raises ``EOFError`` at the end."""
    size = int.from_bytes(await stream.readexactly(wire.HEADER_BYTES), "big")
    return await stream.readexactly(size)


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
