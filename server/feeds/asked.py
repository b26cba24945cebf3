"""One process beside the server that is asked and answers, through its pipes (:mod:`.wire`)."""

import asyncio
import itertools
import logging
from collections import Counter
from collections.abc import Callable, Iterable

from server.feeds import wire

log = logging.getLogger(__name__)

ANSWER_S = {wire.TO_MAKE: 30.0, wire.TO_PLAN: 5.0, wire.TO_BOTH: 10.0}
"""Seconds until a process without an answer is ended; for its plan the sender waits."""
IDLE_S = 120.0  # without work, after which a process ends
START_S = 30.0
_LOOK_S = 0.25  # between two looks for what is not answered
_READ_BYTES = 1 << 20


class AskedProcess:
    """One process; answers come in an order of its own.  ``asked`` counts what it is to do.

    ``failed`` is called when it ends by itself.
    """

    def __init__(self, process: asyncio.subprocess.Process, failed: Callable[[], None]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._in, self._out = process, process.stdin, process.stdout
        self._waiting: dict[int, tuple[asyncio.Future[bytes | None], float]] = {}
        self._numbers = itertools.count()
        self.asked = Counter[bytes]()
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._used = self._loop.time()
        self.alive = True
        self._hearing = asyncio.create_task(self._hear())
        self._looking: asyncio.TimerHandle | None = None
        self._ending = self._loop.call_later(IDLE_S, self._end_idle)

    @property
    def pid(self) -> int:
        """The system's number of it."""
        return self._process.pid

    @property
    def leaving(self) -> bool:
        """True from when it is asked nothing more until it has ended."""
        return not self.alive and not self._hearing.done()

    def owes(self, kinds: Iterable[bytes]) -> int:
        """Return how many answers to questions of some kinds are still to come."""
        return sum(self.asked[kind] for kind in kinds)

    async def ask(self, kind: bytes, body: bytes) -> bytes | None:
        """Return its answer, ``None`` if there is none."""
        future: asyncio.Future[bytes | None] = self._loop.create_future()
        number = next(self._numbers)
        self._used = self._loop.time()
        self._waiting[number] = future, self._used + ANSWER_S[kind]
        if self._looking is None:
            self._looking = self._loop.call_later(_LOOK_S, self._look)
        self.asked[kind] += 1
        self._in.write(wire.question(kind, number, body))
        try:
            return await future
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
        frames = wire.Frames()
        try:
            while data := await self._out.read(_READ_BYTES):
                for answer in frames.add(data):
                    self._answered(answer)
            raise EOFError
        except (EOFError, OSError, KeyError):
            if self.alive:
                log.warning("a process that makes messages has ended")
                self._failed()
        finally:
            self._left()
            await self._process.wait()

    def _answered(self, answer: bytes) -> None:
        number = int.from_bytes(answer[: wire.NUMBER_BYTES], "big")
        future, _ = self._waiting.pop(number)
        if not future.done():
            future.set_result(answer[wire.NUMBER_BYTES :])

    def _left(self) -> None:
        self.alive = False
        self._ending.cancel()
        if self._looking is not None:
            self._looking.cancel()
        for future, _ in self._waiting.values():
            if not future.done():
                future.set_result(None)
        self._waiting.clear()
        self._in.close()
        self._kill()  # one that speaks unasked would not end by itself

    def _look(self) -> None:
        """End it when it owes an answer for too long; one timer for all that it is asked."""
        self._looking = None
        if not self._waiting:
            return
        if min(until for _, until in self._waiting.values()) < self._loop.time():
            log.warning("a process that makes messages did not answer")
            self._kill()
            return
        self._looking = self._loop.call_later(_LOOK_S, self._look)

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


async def ready(process: asyncio.subprocess.Process, failed: Callable[[], None]) -> AskedProcess:
    """Return a process once it says that it is ready.

    Raises:
        OSError, EOFError, TimeoutError: it does not; it is ended.
    """
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_S):
            size = int.from_bytes(await process.stdout.readexactly(wire.HEADER_BYTES), "big")
            await process.stdout.readexactly(size)
    except BaseException:
        await ended(process)
        raise
    return AskedProcess(process, failed)


async def ended(process: asyncio.subprocess.Process) -> None:
    """End a process that nobody asks, with its pipes."""
    if process.returncode is None:
        process.kill()
    await process.communicate()
