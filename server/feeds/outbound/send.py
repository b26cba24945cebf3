"""The queue of one destination -> its receiver, one message after the other.

A message leaves the queue when its acknowledgement came, and is sent again, byte for byte and
under the same control id, until then: at least once.  What follows on each answer:

======================  ======================================================================
AA, CA                  sent
AE, CE                  again after a pause that grows, then parked
AR, CR                  parked
no answer in time       the connection is closed, and it is sent again
connection lost         the same, without end
======================  ======================================================================
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from mappings.emit_destination import Retry
from server.feeds.outbound.connection import Answer, Connection, Lost, Unanswered
from server.feeds.outbound.queue import Message, MessageState, Queue
from server.fhir.errors import StoreUnavailable
from server.store.port import CommitConflict

log = logging.getLogger(__name__)

PAGE = 50  # messages that are in memory at once
_LANES_S = 1.0  # how long knowing which patients are held is good enough
_TAKEN = frozenset({"AA", "CA"})
_REFUSED = frozenset({"AR", "CR"})
_PARKED: tuple[MessageState] = ("parked",)


@dataclass(slots=True)
class Counts:
    """What a destination saw since the start."""

    queued: int = 0
    sent: int = 0  # times that a message went out, the second and third time too
    acknowledged: int = 0
    parked: int = 0
    lost: int = 0
    unanswered: int = 0


def pause_s(retry: Retry, failures: int, random: Callable[[], float]) -> float:
    """Return how long to wait behind the n-th failure in a row, half of it by chance.

    >>> [pause_s(Retry(first_s=1, most_s=60), n, lambda: 1.0) for n in (1, 2, 3, 10)]
    [1.0, 2.0, 4.0, 60.0]
    """
    longest = min(retry.most_s, retry.first_s * 2.0 ** min(failures - 1, 30))
    return float(longest * (0.5 + random() / 2))


class Sender:
    """Sends what waits.  ``remake`` makes the bytes of a message that could not be made before."""

    def __init__(
        self,
        queue: Queue,
        connection: Connection,
        counts: Counts,
        *,
        now: Callable[[], int],
        random: Callable[[], float],
        retry: Retry,
        on_parked: str,
        remake: Callable[[Message], Awaitable[bytes]],
    ) -> None:
        self._queue, self._connection, self._counts = queue, connection, counts
        self._now, self._random = now, random
        self._retry, self._on_parked, self._remake = retry, on_parked, remake
        self._failures = 0
        self._held: set[str] = set()  # lanes with a parked message
        self._held_at = float("-inf")
        self._parked: int | None = None  # that many there are, as far as this side knows
        self.trouble = ""  # why the last try failed; "" when it did not

    def forget(self) -> None:
        """Look anew at what is parked: another process may have sent, or some were made so."""
        self._parked = None
        self._held_at = float("-inf")

    async def round(self, may_send: Callable[[], bool]) -> float | None:
        """Send what waits now; return for how long to pause, ``None`` when all was sent.

        ``may_send``: asked before each message; ``False`` ends the round.

        Raises:
            StoreUnavailable: the state could not be read or written; a message that was sent may
                be sent again.
        """
        async with self._queue.turn:
            if self._on_parked == "hold" and await self._queue.of_state("parked", limit=1):
                return None
            if self._on_parked == "patient":
                await self._look_at_lanes()
            page = await self._queue.of_state("waiting", limit=PAGE)
        for message in page:
            if not may_send():
                return None
            pause = await self._one(message)
            if pause is not None:
                return pause
            if self._on_parked == "hold" and self._held:
                self._held.clear()
                return None
        return 0.0 if page else None

    async def _one(self, message: Message) -> float | None:
        """Send one message; return for how long to pause when it has to be sent again."""
        if self._on_parked == "patient" and message.lanes & self._held:
            self._held |= message.lanes  # nor may it be overtaken
            await self._stored(replace(message, state="held", reason="held", updated=self._now()))
            return None
        current = await self._queue.get(message.id)
        if current is None or current.rev != message.rev:
            return None  # somebody skipped it meanwhile
        body = await self._queue.body(message.id)
        if not body and (body := await self._remake(message)):
            await self._queue.keep(message.id, body)  # a repetition must be the same bytes
        if not body:
            problem = "it still cannot be made; mend the record or the files, or skip it"
            await self._park(replace(message, problem=problem, updated=self._now()), "unmade")
            return None
        self._counts.sent += 1
        try:
            answer = await self._connection.exchange(body, message.control_id)
        except Lost as lost:
            self._counts.lost += 1
            return self._again(str(lost))
        except Unanswered as late:
            self._counts.unanswered += 1
            return await self._late(message, str(late))
        self.trouble = ""
        return await self._answered(message, answer)

    async def _answered(self, message: Message, answer: Answer) -> float | None:
        tried = replace(
            message, attempts=message.attempts + 1, answer=answer.code, updated=self._now()
        )
        if answer.code in _TAKEN:
            self._failures = 0
            self._counts.acknowledged += 1
            await self._stored(replace(tried, state="sent", reason="", problem=""))
            return None
        said = f"the receiver answered {answer.code}" + (f": {answer.text}" if answer.text else "")
        if answer.code in _REFUSED or tried.attempts >= self._retry.attempts:
            self._failures = 0
            await self._park(replace(tried, problem=said), answer.code or "no code")
            return None
        await self._stored(replace(tried, problem=said))
        self._failures += 1
        return pause_s(self._retry, self._failures, self._random)

    async def _late(self, message: Message, why: str) -> float | None:
        tried = replace(message, unanswered=message.unanswered + 1, updated=self._now())
        most = self._retry.unanswered
        if most and tried.unanswered >= most:
            self._failures = 0
            await self._park(replace(tried, problem=f"{most} times {why}"), "unanswered")
            return None
        await self._stored(tried)
        return self._again(why)

    def _again(self, why: str) -> float:
        self.trouble = why
        self._failures += 1
        return pause_s(self._retry, self._failures, self._random)

    async def _park(self, message: Message, reason: str) -> None:
        self._counts.parked += 1
        log.warning(
            "destination %s: message %s is parked: %s", self._queue.name, message.id, reason
        )
        self._held |= message.lanes
        if self._parked is not None:
            self._parked += 1
        await self._stored(replace(message, state="parked", reason=reason))

    async def _stored(self, message: Message) -> None:
        """Store a state; until the store can, nothing further is sent."""
        while True:
            try:
                await self._queue.put(message)
            except CommitConflict:  # somebody skipped it while it was on its way
                return
            except StoreUnavailable as error:
                log.warning("destination %s waits: %s", self._queue.name, error)
                await asyncio.sleep(self._retry.first_s)
            else:
                return

    async def _look_at_lanes(self) -> None:
        """Learn which patients have a parked message; let those go on that have none any more."""
        at = asyncio.get_running_loop().time()
        if at - self._held_at < _LANES_S:
            return
        self._held_at = at
        parked = (await self._queue.counts(_PARKED)).get("parked", 0)
        if parked == self._parked:
            return  # nobody retried or skipped one: nothing to read, however many they are
        self._held, self._parked = set(), parked
        async for message in self._queue.walk("parked"):
            self._held |= message.lanes
        async for message in self._queue.walk("held"):
            if message.lanes & self._held:
                self._held |= message.lanes
            else:
                free = replace(message, state="waiting", reason="", updated=self._now())
                await self._stored(free)
