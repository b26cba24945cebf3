"""What becomes of one message in its lane: applied, in quarantine with its reason, or tried again.

A message never leaves this module without a state that is stored; a failure that nobody foresaw is
the reason of a quarantine, not the end of the lane.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from mappings.feed import Feed
from mappings.maps import Maps
from mappings.parse import Unparsable, parse
from mappings.plan import Plan
from server.feeds import ack
from server.feeds.apply import apply
from server.feeds.header import Header
from server.feeds.inbox import (
    HOLD,
    UNFINISHED,
    Entry,
    Inbox,
    body_writes,
    explain_write,
    lane_hash,
)
from server.feeds.refused import RefusedMessage
from server.fhir.errors import FhirError, StoreUnavailable
from server.interactions.services import Services
from server.store.port import CommitConflict, RecordWrite

log = logging.getLogger(__name__)

ATTEMPTS = 5  # of a message that fails though the store works; then it goes to quarantine
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 30.0
DAY_US = 24 * 3600 * 1_000_000

Stamp = Callable[[Header | None, ack.Code, Entry, ack.Fault | None], bytes]


@dataclass(slots=True, eq=False)
class Job:
    """A message on its way.  ``done`` gets its acknowledgement, made once its state is stored.

    ``bodies`` are its bytes, received and edited, by record; they get a time to expire when it is
    applied.  ``frees``: the held message, reopened, that goes on when this one is applied.
    """

    entry: Entry
    header: Header | None
    feed: Feed
    plan: Plan | None
    refused: RefusedMessage | None
    done: asyncio.Future[bytes]
    bodies: Mapping[str, bytes] = field(default_factory=dict)
    frees: Entry | None = None

    @property
    def lane(self) -> str:
        """The text that keeps messages of one patient in order."""
        return self.plan.lane if self.plan is not None and self.plan.lane else self.entry.id


def plan_message(maps: Maps, body: bytes, feed: Feed) -> tuple[Plan | None, RefusedMessage | None]:
    """Return the plan, or why there is none; a plan may itself ask for quarantine."""
    try:
        message = parse(body)
    except Unparsable as error:
        return None, RefusedMessage("unparsable", error.reason)
    except Exception as error:  # any bytes may come; a bug in reading them costs one message
        log.error("a message could not be read: %s", _where(error))
        return None, RefusedMessage("unparsable", f"it could not be read: {_where(error)}")
    try:
        plan = maps.plan(message, feed)
    except Exception as error:  # a map or rule with a bug must stop one message, not the server
        log.error("a map failed: %s", _where(error))
        return None, RefusedMessage("map-error", f"the map failed: {_where(error)}")
    if plan.quarantine is not None:
        return plan, RefusedMessage(plan.quarantine, plan.problem)
    return plan, None


class Worker:
    """Does jobs; ``stamp`` makes acknowledgements.

    ``keep_days``: how long applied messages stay in the inbox; 0 is for ever.
    """

    def __init__(
        self, services: Services, inbox: Inbox, stamp: Stamp, *, keep_days: int = 0
    ) -> None:
        self.active = 0
        self._keep_us = keep_days * DAY_US
        self._services = services
        self._inbox = inbox
        self._stamp = stamp

    async def work(self, job: Job) -> None:
        """Bring the message to a stored end, however long that takes; never raises."""
        pause_s = FIRST_PAUSE_S
        self.active += 1
        try:
            while not await self._attempt(job):
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
        finally:
            self.active -= 1
        if not job.done.done():
            job.done.set_result(job.entry.ack)

    async def _attempt(self, job: Job) -> bool:
        """Try once; tell whether the message has come to an end."""
        try:
            job.entry = await self._end(job)
        except StoreUnavailable as error:
            log.warning("message %s waits: %s", job.entry.id, error.diagnostics)
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
            if await self._held(job):
                raise RefusedMessage("held", "an earlier message of this lane is in quarantine")
            assert job.plan is not None
            job.frees = await self._next_held(job)
            return await apply(
                self._services,
                replace(job.entry, lane=lane_hash(job.lane)),
                job.plan,
                job.feed,
                finish=lambda entry: self._finished(job, entry),
                also=lambda entry: self._also(job, entry),
            )
        except RefusedMessage as refused:
            return await self._quarantine(job, refused)
        except (FhirError, CommitConflict):
            raise
        except Exception as error:  # nothing that one message holds may stop the others
            log.error("message %s failed: %s", job.entry.id, _where(error))
            return await self._quarantine(job, RefusedMessage("failed", _where(error)))

    async def _again(self, job: Job, problem: str) -> bool:
        """Note a failed attempt; after the last one put the message into quarantine.

        Returns whether that ended it, or somebody else has brought it to its end meanwhile.
        """
        try:
            job.entry = await self._inbox.current(job.entry)
            if job.entry.state not in UNFINISHED:
                return True
            entry = replace(job.entry, attempts=job.entry.attempts + 1, state="retrying")
            if entry.attempts >= ATTEMPTS:
                job.entry = await self._quarantine(job, RefusedMessage("failed", problem))
                return True
            await self._services.store.commit([], records=[entry.write()])
            job.entry = replace(entry, rev=entry.rev + 1)
        except (FhirError, CommitConflict) as error:
            log.warning("message %s waits: %s", job.entry.id, type(error).__name__)
        return False

    async def _quarantine(self, job: Job, refused: RefusedMessage) -> Entry:
        held = refused.reason == "held"
        entry = replace(
            job.entry,
            state="held" if held else "quarantined",
            reason=refused.reason,
            problem=refused.problem,
            issues=refused.issues,
            lane=lane_hash(job.lane),
            attempts=job.entry.attempts + 1,
            map_version=job.plan.map_version if job.plan is not None else "",
            updated=self._services.now(),
        )
        code: ack.Code = "AA" if held else job.feed.ack_quarantined
        if job.header is None:
            code = "AR"  # without MSH nobody could tell what a positive answer is about
        fault = ack.NO_HEADER if job.header is None else ack.fault_of(refused.reason)
        entry = self._stamped(job, entry, code, fault)
        records = [entry.write()]
        if job.plan is not None:
            records.append(explain_write(entry, job.plan))
        if not held and job.plan is not None and job.feed.lane_when_quarantined == "hold":
            records.append(RecordWrite(HOLD, entry.lane, entry.id.encode()))
        await self._services.store.commit([], records=records)
        return replace(entry, rev=entry.rev + 1)

    async def _held(self, job: Job) -> bool:
        if job.feed.lane_when_quarantined != "hold":
            return False
        holder = await self._services.store.get_record(HOLD, lane_hash(job.lane))
        return holder is not None and holder.value.decode() != job.entry.id

    async def _next_held(self, job: Job) -> Entry | None:
        """Return the first message that waits for this one, as one that waits to be applied."""
        lane = lane_hash(job.lane)
        if job.feed.lane_when_quarantined != "hold":
            return None
        if await self._services.store.get_record(HOLD, lane) is None:
            return None
        async for entry in self._inbox.walk(feed=job.feed.name, states=("held",)):
            if entry.lane == lane and entry.id != job.entry.id:
                return replace(entry, state="received")
        return None

    def _finished(self, job: Job, entry: Entry) -> Entry:
        ends = entry.updated + self._keep_us if self._keep_us else None
        return replace(self._stamped(job, entry, "AA"), expires_at=ends)

    def _also(self, job: Job, entry: Entry) -> list[RecordWrite]:
        """Let the lane go on when the message that held it is applied, and its bytes expire.

        The lane then is the next held message's, so that none that comes now overtakes it.
        """
        records = body_writes(entry, job.bodies) if self._keep_us else []
        if job.frees is not None:
            records += [RecordWrite(HOLD, entry.lane, job.frees.id.encode()), job.frees.write()]
        elif job.feed.lane_when_quarantined == "hold":
            records.append(RecordWrite(HOLD, entry.lane, None))
        return records

    def _stamped(
        self, job: Job, entry: Entry, code: ack.Code, fault: ack.Fault | None = None
    ) -> Entry:
        shown = None if code in ack.POSITIVE else fault
        return replace(entry, ack=self._stamp(job.header, code, entry, shown))


def _where(error: BaseException) -> str:
    """Name an unforeseen failure by its class and place; its text may hold patient data."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}" if trace else "?"
    return f"{type(error).__name__} at {place}"
