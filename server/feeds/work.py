"""What becomes of one message in its lane: applied, in quarantine with its reason, or tried again.

A message never leaves this module without a state that is stored; a failure that nobody foresaw is
the reason of a quarantine, not the end of the lane.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mappings.feed import Feed
from mappings.maps import Maps
from mappings.parse import Unparsable, parse
from mappings.plan import Plan
from server.feeds import ack
from server.feeds.apply import apply
from server.feeds.failure import where
from server.feeds.header import Header
from server.feeds.inbox import (
    HOLD,
    UNFINISHED,
    WAITING,
    Entry,
    Inbox,
    State,
    body_writes,
    explain_write,
    lane_hash,
)
from server.feeds.lanes import lanes_of
from server.feeds.making import Maker, make
from server.feeds.refused import RefusedMessage
from server.fhir.errors import FhirError, StoreUnavailable
from server.interactions.services import Services
from server.store.port import CommitConflict, Record, RecordWrite

log = logging.getLogger(__name__)

ATTEMPTS = 5  # of a message that fails though the store works; then it goes to quarantine
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 30.0
DAY_US = 24 * 3600 * 1_000_000

Planned = tuple[Plan | None, RefusedMessage | None]
Stamp = Callable[[Header | None, ack.Code, Entry, ack.Fault | None], bytes]


@dataclass(slots=True, eq=False)
class Job:
    """A message on its way.  ``done`` gets its acknowledgement, made once its state is stored.

    Its entry has ``rev`` 0 until it is stored, which may be with what it makes; when it still has
    when it is ``done``, the store was away, and nothing was kept.

    ``given_up``: its sender was told that it was not kept, so that it shall not be applied.

    ``bodies`` are its bytes, received and edited, by record; they get a time to expire when it is
    applied.  ``held``: the records of the lanes that it holds, from when it was in quarantine;
    ``frees``: by lane, the message that goes on in it when this one is applied.
    """

    entry: Entry
    header: Header | None
    feed: Feed
    plan: Plan | None
    refused: RefusedMessage | None
    done: asyncio.Future[bytes]
    bodies: Mapping[str, bytes] = field(default_factory=dict)
    held: Sequence[Record] = ()
    frees: Mapping[str, Entry] = field(default_factory=dict)
    given_up: bool = False

    @property
    def is_lost(self) -> bool:
        """True when nothing is to be done with it any more: it is not stored, and will not be."""
        return not self.entry.rev and (self.given_up or self.done.done())

    @property
    def lanes(self) -> tuple[str, ...]:
        """The lanes that it stands in: its patients', else that of its feed, else one of its own.

        What names no patient and cannot be applied has nothing to be in order with.
        """
        if found := lanes_of(self.plan):
            return found
        if self.plan is not None and self.plan.lane and self.refused is None:
            return (self.plan.lane,)
        return (self.entry.id,)

    @property
    def holds(self) -> tuple[str, ...]:
        """The lanes, hashed, that it holds when it goes to quarantine: those of its patients."""
        if self.feed.lane_when_quarantined != "hold":
            return ()
        return tuple(lane_hash(lane) for lane in lanes_of(self.plan))


def plan_message(maps: Maps, body: bytes, feed: Feed) -> Planned:
    """Return the plan, or why there is none; a plan may itself ask for quarantine."""
    try:
        message = parse(body)
    except Unparsable as error:
        return None, RefusedMessage("unparsable", error.reason)
    except Exception as error:  # any bytes may come; a bug in reading them costs one message
        log.error("a message could not be read: %s", where(error))
        return None, RefusedMessage("unparsable", f"it could not be read: {where(error)}")
    try:
        plan = maps.plan(message, feed)
    except Exception as error:  # a map or rule with a bug must stop one message, not the server
        log.error("a map failed: %s", where(error))
        return None, RefusedMessage("map-error", f"the map failed: {where(error)}")
    if plan.quarantine is not None:
        return plan, RefusedMessage(plan.quarantine, plan.problem)
    return plan, None


class Worker:
    """Does jobs; ``stamp`` makes acknowledgements.

    ``keep_days``: how long applied messages stay in the inbox; 0 is for ever.  ``maker`` works out
    what a message comes to.
    """

    def __init__(
        self, services: Services, inbox: Inbox, stamp: Stamp, *, keep_days: int = 0
    ) -> None:
        self.active = 0
        self.maker: Maker = make
        self._keep_us = keep_days * DAY_US
        self._services = services
        self._inbox = inbox
        self._stamp = stamp
        self._keeping: dict[str, asyncio.Task[None]] = {}

    async def stop(self) -> None:
        """Store nothing more that is only kept; call it when no message is at work."""
        keeping = list(self._keeping.values())
        for task in keeping:
            task.cancel()
        await asyncio.gather(*keeping, return_exceptions=True)

    async def work(self, job: Job) -> None:
        """Bring the message to a stored end, however long that takes; never raises."""
        pause_s = FIRST_PAUSE_S
        self.active += 1
        try:
            while not (await self._is_lost(job) or await self._attempt(job)):
                if await self._kept(job):
                    await asyncio.sleep(pause_s)
                    pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
                else:
                    job.given_up = True
        finally:
            self.active -= 1
        if not job.done.done():
            job.done.set_result(job.entry.ack)

    async def keep(self, job: Job) -> None:
        """Store a message as it was received, if it is not stored yet and shall be.

        Who asks while that is done already hears of the same end: one that failed for some must not
        succeed for others, when the sender has been told.

        Raises:
            StoreUnavailable: it is not.
        """
        if job.entry.rev or job.is_lost:
            return
        id_ = job.entry.id
        if id_ not in self._keeping:
            self._keeping[id_] = task = asyncio.create_task(self._keep(job))
            task.add_done_callback(lambda done: self._is_over(id_, done))
        # shielded: one of those who wait may be gone, the others wait still
        await asyncio.shield(self._keeping[id_])

    async def _keep(self, job: Job) -> None:
        try:
            records = [job.entry.write(), *_bytes(job, job.entry)]
            await self._services.store.commit([], records=records)
        except CommitConflict:  # what becomes of it is stored, or the same message
            job.entry = await self._inbox.stored(job.entry, job.header) or job.entry
        else:
            job.entry = replace(job.entry, rev=job.entry.rev or 1)
        self._inbox.arrived(job.entry)

    def _is_over(self, id_: str, task: asyncio.Task[None]) -> None:
        self._keeping.pop(id_, None)
        if not task.cancelled():
            task.exception()  # nobody may wait for it any more

    async def _is_lost(self, job: Job) -> bool:
        """Tell whether nothing is to be done any more; when it is given up, nobody stores it."""
        if job.given_up and (keeping := self._keeping.get(job.entry.id)) is not None:
            await asyncio.wait({keeping})
        return job.is_lost

    async def _kept(self, job: Job) -> bool:
        """Tell whether a message that could not be applied yet is in the inbox, by now."""
        try:
            await self.keep(job)
            job.entry = await self._inbox.current(job.entry)  # what failed may be there after all
        except FhirError as error:
            log.error("message %s could not be stored: %s", job.entry.id, type(error).__name__)
        return bool(job.entry.rev)

    async def _attempt(self, job: Job) -> bool:
        """Try once; tell whether the message has come to an end."""
        if job.entry.state not in UNFINISHED:
            return True  # the same message did, kept by somebody else
        try:
            job.entry = await self._end(job)
        except StoreUnavailable as error:
            log.warning("message %s waits: %s", job.entry.id, error)
            return False
        except CommitConflict:
            return await self._again(job, "its state changed meanwhile")
        except FhirError as error:  # Conflict, DeadlineExceeded: load, not the message's fault
            return await self._again(job, error.diagnostics)
        return True

    async def _end(self, job: Job) -> Entry:
        """Apply the message or put it into quarantine; return it as stored."""
        try:
            if job.refused is not None:
                raise job.refused
            if holders := await self._holders(job):
                return await self._hold(job, holders)
            assert job.plan is not None
            job.frees = await self._next_held(job)
            return await apply(
                self._services,
                replace(job.entry, lanes=_hashed(job)),
                job.plan,
                job.feed,
                finish=lambda entry: self._finished(job, entry),
                also=lambda entry: self._also(job, entry),
                maker=self.maker,
            )
        except RefusedMessage as refused:
            return await self._quarantine(job, refused)
        except (FhirError, CommitConflict):
            raise
        except Exception as error:  # nothing that one message holds may stop the others
            log.error("message %s failed: %s", job.entry.id, where(error))
            return await self._quarantine(job, RefusedMessage("failed", where(error)))

    async def _again(self, job: Job, problem: str) -> bool:
        """Note a failed attempt; after the last one put the message into quarantine.

        Returns whether that ended it, or somebody else has brought it to its end meanwhile.
        """
        try:
            job.entry = await self._inbox.stored(job.entry, job.header) or job.entry
            if job.entry.state not in UNFINISHED:
                return True
            entry = replace(job.entry, attempts=job.entry.attempts + 1, state="retrying")
            if entry.attempts >= ATTEMPTS:
                job.entry = await self._quarantine(job, RefusedMessage("failed", problem))
                return True
            await self._services.store.commit([], records=[entry.write(), *_bytes(job, entry)])
            job.entry = replace(entry, rev=entry.rev + 1)
            self._inbox.arrived(job.entry)
        except (FhirError, CommitConflict) as error:
            log.warning("message %s waits: %s", job.entry.id, type(error).__name__)
        return False

    async def _quarantine(self, job: Job, refused: RefusedMessage) -> Entry:
        entry = self._ended(job, "quarantined", refused)
        code: ack.Code = job.feed.ack_quarantined
        if job.header is None:
            code = "AR"  # without MSH nobody could tell what a positive answer is about
        fault = ack.NO_HEADER if job.header is None else ack.fault_of(refused.reason)
        entry = self._stamped(job, entry, code, fault)
        holds = [RecordWrite(HOLD, lane, entry.id.encode()) for lane in job.holds]
        return await self._store_end(job, entry, holds)

    async def _hold(self, job: Job, holders: Sequence[Record]) -> Entry:
        """Let the message wait for those that hold its lanes, as long as they do.

        Their records are written anew, so that whoever lets a lane go on meanwhile is refused.
        """
        why = RefusedMessage("held", "an earlier message of this lane is in quarantine")
        entry = self._stamped(job, self._ended(job, "held", why), "AA")
        still = [RecordWrite(HOLD, one.key, one.value, if_rev=one.rev) for one in holders]
        return await self._store_end(job, entry, still)

    def _ended(self, job: Job, state: State, refused: RefusedMessage) -> Entry:
        return replace(
            job.entry,
            state=state,
            reason=refused.reason,
            problem=refused.problem,
            issues=refused.issues,
            lanes=_hashed(job),
            attempts=job.entry.attempts + 1,
            map_version=job.plan.map_version if job.plan is not None else "",
            updated=self._services.now(),
        )

    async def _store_end(self, job: Job, entry: Entry, holds: Sequence[RecordWrite]) -> Entry:
        records = [entry.write(), *holds, *_bytes(job, entry)]
        if job.plan is not None:
            records.append(explain_write(entry, job.plan))
        await self._services.store.commit([], records=records)
        return replace(entry, rev=entry.rev + 1)

    async def _holders(self, job: Job) -> list[Record]:
        """Return the records of its lanes that other messages hold; note those of its own."""
        lanes = dict.fromkeys((*job.holds, *job.entry.lanes)) if job.holds else ()
        found = [await self._services.store.get_record(HOLD, lane) for lane in lanes]
        known = [one for one in found if one is not None]
        job.held = [one for one in known if one.value.decode() == job.entry.id]
        return [one for one in known if one not in job.held and one.key in job.holds]

    async def _next_held(self, job: Job) -> dict[str, Entry]:
        """Return, by lane that this message holds, the first that waits in it, or did just now.

        One that another lane let go on this very moment comes first here as well: two that each
        had one of their lanes would wait for each other.
        """
        lanes = {one.key for one in job.held}
        made: dict[str, Entry] = {}
        if not lanes:
            return made
        async for entry in self._inbox.walk(feed=job.feed.name, states=WAITING):
            if entry.id != job.entry.id:
                made |= dict.fromkeys((lanes - made.keys()).intersection(entry.lanes), entry)
        return made

    def _finished(self, job: Job, entry: Entry) -> Entry:
        ends = entry.updated + self._keep_us if self._keep_us else None
        ack_ = self._stamp(job.header, "AA", entry, None)
        # kept meanwhile, perhaps, as what is not applied soon is
        return replace(entry, ack=ack_, rev=job.entry.rev, expires_at=ends)

    def _also(self, job: Job, entry: Entry) -> list[RecordWrite]:
        """Let the lanes go on when the message that held them is applied, and its bytes expire.

        A lane then is the next held message's, so that none that comes now overtakes it.
        """
        expire = bool(self._keep_us)
        records = body_writes(entry, job.bodies, job.header) if expire else _bytes(job, entry)
        for held in job.held:
            following = job.frees.get(held.key)
            holder = following.id.encode() if following is not None else None
            records.append(RecordWrite(HOLD, held.key, holder, if_rev=held.rev))
        return records + [one.write() for one in freed(job)]

    def _stamped(
        self, job: Job, entry: Entry, code: ack.Code, fault: ack.Fault | None = None
    ) -> Entry:
        shown = None if code in ack.POSITIVE else fault
        return replace(entry, ack=self._stamp(job.header, code, entry, shown))


def freed(job: Job) -> list[Entry]:
    """Return the messages that go on with this one's commit, each once, waiting to be applied."""
    distinct = {entry.id: entry for entry in job.frees.values() if entry.state == "held"}
    return [replace(entry, state="received") for entry in distinct.values()]


def _bytes(job: Job, entry: Entry) -> list[RecordWrite]:
    """Return what keeps the bytes of a message that is stored with ``entry`` for the first time."""
    return body_writes(entry, job.bodies, job.header) if not entry.rev else []


def _hashed(job: Job) -> tuple[str, ...]:
    return tuple(lane_hash(lane) for lane in job.lanes)
