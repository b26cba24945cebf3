"""Seals the AuditEvents, in the order of the change feed, and checks them against their seals."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass

from server.audit.chain import KIND, Fault, Seal, fault, seal
from server.fhir.dates import DAY, instant_text
from server.store.port import CommitConflict, Digest, RecordWrite, Store
from server.store.turn import Turn

log = logging.getLogger("tellonce")

EVERY_S = 1.0
PARTING_S = 2.0  # that the end waits for a store
MOST = 1000  # events of one seal
_TYPE = "AuditEvent"


class Sealer:
    """Seals what is new about once a second.  ``start`` once, ``stop`` when no more events come.

    ``owner``: this process, of several that seal in turn.
    """

    def __init__(self, store: Store, now: Callable[[], int], owner: str | None = None) -> None:
        self._store = store
        self._turn = Turn(store, "audit-seal", owner, now)
        self._now = now
        self._last: Seal | None = None
        self._read = False
        self._day = -1
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to seal."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Seal what is left, then end; what the store does not take is sealed at the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        with suppress(TimeoutError):
            async with asyncio.timeout(PARTING_S):
                await self._tried()
        await self._turn.give_back()

    async def seal(self) -> int:
        """Seal everything that is not; return how many events that were."""
        if not self._read:
            self._last, self._read = await latest(self._store), True
        sealed = 0
        while True:
            after = self._last.last if self._last is not None else 0
            found = await self._store.digests(_TYPE, after=after, limit=MOST)
            if not found:
                break
            made = seal(self._last, found, self._now())
            write = RecordWrite(KIND, made.key, made.pack(), if_rev=0)
            try:
                await self._store.commit([], records=[write])
            except CommitConflict:
                self._read = False  # another process was first; read on behind its seal
                raise
            self._last = made
            sealed += len(found)
            if len(found) < MOST:
                break
        self._log_head()
        return sealed

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            await self._tried()

    async def _tried(self) -> None:
        try:
            if await self._turn.mine():
                await self.seal()
            else:
                self._read = False  # its holder goes on with the chain
        # Nothing is lost: the same events are sealed a second later, or at the next start.
        except Exception as error:
            log.warning("audit events wait to be sealed: %s", type(error).__name__)

    def _log_head(self) -> None:
        """Log the digest once a day: whoever keeps the log elsewhere can check against it."""
        day = self._now() // DAY
        if self._last is None or day == self._day:
            return
        self._day = day
        log.info("audit chain: seal %d, head %s", self._last.number, self._last.digest.hex())


@dataclass(frozen=True, slots=True)
class Checked:
    """How far checking has come: seals and events so far, of so many seals.

    ``told``: what is wrong, once something is; nothing is checked behind that.
    """

    seals: int
    events: int
    head: str
    told: str | None = None


async def verify(store: Store, *, head: str | None = None) -> AsyncIterator[Checked]:
    """Check every seal in its order; yield after each.

    ``head``: a digest that must be that of one of the seals.
    """
    before: Seal | None = None
    events, known = 0, head is None
    async for stored in seals(store):
        if isinstance(stored, str):
            yield Checked(before.number if before else 0, events, "", stored)
            return
        found = await _between(store, before.last if before else 0, stored.last)
        if isinstance(found, str):
            yield Checked(stored.number - 1, events, "", f"seal {stored.number}: {found}")
            return
        wrong = fault(before, stored, found)
        if wrong is not None:
            yield Checked(stored.number - 1, events, "", _told(stored, before, wrong))
            return
        events += len(found)
        before, digest = stored, stored.digest.hex()
        known = known or digest == head
        yield Checked(stored.number, events, digest)
    if not known:
        reached = before.digest.hex() if before else ""
        number = before.number if before else 0
        yield Checked(number, events, reached, f"no seal has the digest {head}: the chain was cut")


async def seals(store: Store) -> AsyncIterator[Seal | str]:
    """Yield all seals in their order; a text where one cannot be read or is missing."""
    after, number = "", 0
    while records := await store.find_records(KIND, after=after, limit=MOST):
        for record in records:
            number += 1
            try:
                found = Seal.unpack(record.value)
            except ValueError as error:
                yield f"seal {record.key}: {error}"
                return
            if record.key != f"{number:012d}" or found.number != number:
                yield f"seal {number} is missing"
                return
            yield found
        after = records[-1].key


async def latest(store: Store) -> Seal | None:
    """Return the last seal.

    It is found by halving: there is no order but that of the keys.
    """
    low, high = 0, 1
    while await store.get_record(KIND, f"{high:012d}") is not None:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        there = await store.get_record(KIND, f"{middle:012d}")
        low, high = (middle, high) if there is not None else (low, middle)
    record = await store.get_record(KIND, f"{low:012d}") if low else None
    return Seal.unpack(record.value) if record is not None else None


async def _between(store: Store, after: int, upto: int) -> list[Digest] | str:
    """Return the events of a seal as they are now; a text where one cannot be read."""
    found: list[Digest] = []
    size = MOST
    while True:
        try:
            page = await store.digests(_TYPE, after=after, limit=size, anew=True)
        # Whatever a store raises for bytes that make no sense: then one at a time tells which.
        except Exception as error:
            if size == 1:
                place = f" behind AuditEvent/{found[-1].id}" if found else " at its begin"
                return f"an event{place} cannot be read ({type(error).__name__})"
            size = 1
            continue
        found += [event for event in page if event.seq <= upto]
        # More than a seal ever holds is wrong already, however much there is of it.
        if len(page) < size or page[-1].seq >= upto or len(found) > 2 * MOST:
            return found
        after = page[-1].seq


def _told(stored: Seal, before: Seal | None, wrong: Fault) -> str:
    since = f"after {instant_text(before.at)} and " if before is not None else ""
    where = f"seal {stored.number} ({since}up to {instant_text(stored.at)})"
    event = f" AuditEvent/{wrong.event}" if wrong.event is not None else ""
    match wrong.what:
        case "changed":
            return f"{where}:{event} was changed"
        case "inserted":
            return f"{where}:{event} was put in later"
        case "missing":
            place = f", before{event}" if event else ""
            return f"{where}: an event is missing{place}"
        case "seal":
            return f"{where}: the seal itself was changed, or the order of its events"
