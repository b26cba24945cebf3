"""The feed service: listeners, inbox and lanes put together.

``FeedService(services, maps, ports)`` is handed to the composition root, which starts it, asks it
for :meth:`FeedService.stats`, and stops it.  No HTTP here.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from time import gmtime, strftime
from typing import Any

from mappings.feed import Feed
from mappings.maps import Maps
from server.feeds import ack, demographics
from server.feeds.ack import Fault
from server.feeds.backlog import Backlog
from server.feeds.folder import DropFolder
from server.feeds.header import Header, read_header
from server.feeds.inbox import REPLAY, UNFINISHED, Entry, Inbox
from server.feeds.lanes import BACKLOG_WORKERS, WORKERS, Lanes
from server.feeds.mllp import Answer, Limits, Listener
from server.feeds.quarantine import reopen
from server.feeds.receiver import SenderEnd
from server.feeds.stats import AllStats, Moment, oldest
from server.feeds.wiring import Peer, Wiring
from server.feeds.work import Job, Worker, freed, plan_message
from server.fhir.errors import FhirError, StoreUnavailable
from server.interactions.services import Services
from server.store.port import CommitConflict, Record, RecordWrite

log = logging.getLogger(__name__)

REPLAY_POLL_S = 2.0
_INLINE_BYTES = 65536  # larger messages are mapped in a thread, so that the others go on


@dataclass(frozen=True, slots=True)
class Port:
    """One MLLP address and the feed of whoever nothing else names.

    Loopback unless ``host`` says otherwise.
    """

    feed: str = "default"
    host: str = "127.0.0.1"
    port: int = 0
    tls: ssl.SSLContext | None = None
    limits: Limits = field(default_factory=Limits)


class FeedService:
    """Receives, keeps, applies and answers HL7v2 messages.  One per server.

    ``counts`` are those of each feed since the start.  ``keep_days``: how long applied messages
    stay in the inbox; 0 is for ever.
    """

    def __init__(
        self,
        services: Services,
        maps: Maps,
        ports: Sequence[Port],
        *,
        wiring: Wiring | None = None,
        workers: int = WORKERS,
        ack_timeout_s: float | None = None,
        replay_poll_s: float = REPLAY_POLL_S,
        keep_days: int = 0,
    ) -> None:
        self.inbox = Inbox(services.store, now=services.now, new_id=services.new_id)
        self.listeners: list[Listener] = []
        self.counts = AllStats()
        self.wiring = wiring or Wiring()
        self.services, self.maps = services, maps
        self.ports = ports
        self._ack_timeout_s, self._replay_poll_s = ack_timeout_s, replay_poll_s
        self._demographics = demographics.Demographics(services, maps)
        self._worker = Worker(services, self.inbox, self._stamp, keep_days=keep_days)
        self._lanes: Lanes[Job] = Lanes(self._work, workers=workers)
        self._jobs: dict[str, Job] = {}
        self._backlogs: dict[str, Backlog] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._draining = False

    async def start(self) -> None:
        """Finish what the last run left, then listen.

        Raises:
            OSError: an address cannot be bound.
            StoreUnavailable: the inbox cannot be read.
        """
        await self.inbox.resume()
        self._lanes.start()
        upto = self.inbox.next_id()
        for feed in await self.inbox.feeds():
            if await anext(self.inbox.walk(feed=feed, states=UNFINISHED), None) is not None:
                self._backlogs[feed] = Backlog()
                self._lanes.restrain(feed, BACKLOG_WORKERS)
                self._background(self._work_off(feed, upto))
        for port in self.ports:
            listener = Listener(self._door(port), limits=port.limits, tls=port.tls)
            await listener.start(port.host, port.port)
            self.listeners.append(listener)
        for name, wire in self.wiring.feeds.items():
            if wire.folder is not None:
                self._background(DropFolder(self, name, wire).run())
        self._background(self._watch_replays())

    def _door(self, port: Port) -> Callable[[Peer], SenderEnd | None]:
        def admit(peer: Peer) -> SenderEnd | None:
            if self._draining or not self.wiring.admits(port.feed, peer):
                return None
            return SenderEnd(self, port.feed, peer)

        return admit

    async def drain(self, *, grace_s: float = 20.0) -> None:
        """Accept nothing more; answer and finish what was received, at most ``grace_s`` long."""
        self._draining = True
        for task in self._tasks:
            task.cancel()
        for backlog in self._backlogs.values():
            backlog.abandon()
        try:
            async with asyncio.timeout(grace_s):
                await asyncio.gather(*(each.stop(grace_s=grace_s) for each in self.listeners))
                await self.settle()
        except TimeoutError:
            log.warning("%d messages are left for the next start", len(self._jobs))

    async def settle(self) -> None:
        """Wait until everything that is queued now has come to its end."""
        await self._lanes.drain()

    async def stop(self, *, grace_s: float = 20.0) -> None:
        """Drain, then end; what is not finished stays in the inbox for the next start."""
        await self.drain(grace_s=grace_s)
        await self._lanes.stop()
        for job in self._jobs.values():
            job.done.cancel()

    def moment(self, feed: str | None = None) -> Moment:
        """Return what is at work now, of one feed or of all."""
        jobs = [job for job in self._jobs.values() if feed in (None, job.feed.name)]
        ends = [end for each in self.listeners for end in each.receivers]
        return Moment(
            unfinished=len(jobs),
            lag_s=oldest((job.entry.received for job in jobs), self.services.now()),
            connections=sum(feed in (None, end.feed) for end in ends if isinstance(end, SenderEnd)),
            backlog=bool(self._backlogs) if feed is None else feed in self._backlogs,
        )

    @property
    def lanes(self) -> Lanes[Job]:
        """The lanes, to be looked at."""
        return self._lanes

    @property
    def draining(self) -> bool:
        """True when nothing more is accepted."""
        return self._draining

    async def receive(self, body: bytes, feed_name: str, header: Header | None) -> list[Answer]:
        """Keep one message, queue it, and return its answers in the order to send them."""
        try:
            return await self.take(body, feed_name, header)
        except (FhirError, CommitConflict) as error:
            log.error("a message could not be stored: %s", type(error).__name__)
            self.counts[feed_name].refused += 1
            return self._not_stored(self._heard(feed_name, header))

    async def take(self, body: bytes, feed_name: str, header: Header | None) -> list[Answer]:
        """As :meth:`receive`, for who can wait for the store.

        Raises:
            StoreUnavailable, CommitConflict: nothing was kept.
        """
        if header is not None and header.is_acknowledgement:
            return []  # an answer is never answered
        feed = self.maps.feed(feed_name)
        header = self._heard(feed_name, header)
        receipt = await self.inbox.receive(feed, body, header)
        entry, counts = receipt.entry, self.counts[feed.name]
        accepted: list[Answer] = []
        if header is not None and ack.wants_accept(header, "CA"):
            accepted.append(self._stamp(header, "CA", entry, None))
        if receipt.repeated:
            counts.repeated += 1
            return [*accepted, *await self._repeated(entry, feed, header)]
        counts.came(len(body), entry.received)
        if entry.reused_id:
            if not counts.reused_ids:  # once; it is on each message's entry
                log.warning("feed %s uses control ids twice for different messages", feed.name)
            counts.reused_ids += 1
        if feed.ack == "inbox" and header is not None:
            accepted += self._application(header, self._stamp(header, "AA", entry, None))
            await self.enqueue(entry, body, header)
            return accepted
        return [*accepted, self._answer(await self.enqueue(entry, body, header))]

    async def query(self, body: bytes, feed_name: str, header: Header) -> list[Answer]:
        """Answer a query; nothing is kept."""
        header = self._heard(feed_name, header) or header
        accepted: list[Answer] = []
        if ack.wants_accept(header, "CA"):
            accepted.append(self._stamp(header, "CA", None, None))
        if self.wiring.wire(feed_name).queries == "none":
            self.counts[feed_name].refused += 1
            return [*accepted, self._stamp(header, "AR", None, demographics.NOT_ASKED)]
        feed, id_ = self.maps.feed(feed_name), self.own_id("Q")
        try:
            answer = await self._demographics.answer(body, feed, header, id_, self.at())
        except FhirError as error:
            log.warning("a query was not answered: %s", type(error).__name__)
            answer = self._stamp(header, "AR", None, ack.NO_RECORD)
        return [*accepted, answer]

    def _heard(self, feed: str, header: Header | None) -> Header | None:
        """Return the header as the feed wants it understood."""
        how = self.wiring.wire(feed).acknowledge
        if header is None or how == "message":
            return header
        return header.stating(*_STATING[how])

    def refuse(self, head: bytes, fault: Fault) -> bytes:
        """Return the negative answer to a message of which only the first bytes are known."""
        return ack.best_effort(head, fault, control_id=self.own_id("R"), at=self.at())

    def own_id(self, letter: str) -> str:
        """Return a control id (MSH-10) of an answer to no message that is kept."""
        return letter + self.services.new_id().replace("-", "")[-19:]

    async def replay(self, id_: str, edited: bytes = b"") -> Entry | None:
        """Apply a message again with the current maps; return it as it then is.

        ``edited``: bytes that take the place of those received, which are kept.
        """
        job = await self.again(id_, edited)
        if job is None:
            return None
        await asyncio.shield(job.done)
        return job.entry

    async def again(
        self, id_: str, edited: bytes = b"", *, asked: Record | None = None
    ) -> Job | None:
        """Queue a message once more, behind what it may be doing now; ``None``: there is none.

        ``asked``: the record that asked for it; it is gone when the message is queued.
        """
        while (running := self._jobs.get(id_)) is not None:
            await asyncio.wait({running.done})  # an edit must not be lost to what runs already
        entry = await self.inbox.get(id_)
        store = self.services.store
        if entry is None:
            if asked is not None:
                await store.commit([], records=[RecordWrite(REPLAY, asked.key, None)])
            return None
        held = entry.state == "held"  # it goes on, as it would have by itself
        entry = await reopen(store, self.inbox, entry, edited, replayed=not held, asked=asked)
        return await self.enqueue(entry)

    async def enqueue(
        self, entry: Entry, body: bytes | None = None, header: Header | None = None
    ) -> Job:
        """Plan a stored message and queue it in its lanes; waits while its feed is full.

        ``body`` and ``header``: what was received, when it is at hand.

        While the feed has a backlog of before the start, it comes behind that.
        """
        if entry.id in self._jobs:
            return self._jobs[entry.id]
        job = self._job(entry)
        job.header = header
        backlog = self._backlogs.get(entry.feed)
        if backlog is not None and backlog.append(job):
            return job
        if backlog is not None:
            await backlog.done.wait()
        await self._queue(job, body)
        return job

    async def _work_off(self, feed: str, upto: str) -> None:
        """Queue what an earlier run left of a feed, then what came while that was done."""
        backlog = self._backlogs[feed]
        await self._queue_left(feed, upto, backlog)
        while (job := backlog.first()) is not None:
            await self._queue_patiently(job)
        del self._backlogs[feed]
        self._lanes.restrain(feed, None)
        backlog.done.set()

    async def _queue_left(self, feed: str, upto: str, backlog: Backlog) -> None:
        """Queue what has an id up to ``upto``; from the begin again when the inbox is away."""
        try:
            async for entry in self.inbox.walk(feed=feed, states=UNFINISHED):
                if entry.id > upto:
                    return
                job = backlog.take(entry.id)
                if job is None and entry.id not in self._jobs:
                    job = self._job(entry)
                if job is not None:
                    await self._queue_patiently(job)
        except StoreUnavailable as error:
            log.warning("the backlog of feed %s waits: %s", feed, error.diagnostics)
            await asyncio.sleep(self._replay_poll_s)
            await self._queue_left(feed, upto, backlog)

    def _job(self, entry: Entry) -> Job:
        done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        job = Job(entry, None, self.maps.feed(entry.feed), None, None, done)
        self._jobs[entry.id] = job
        return job

    async def _queue_patiently(self, job: Job) -> None:
        """Queue a stored message as soon as its bytes can be read."""
        while True:
            try:
                await self._plan(job, None)
                break
            except StoreUnavailable as error:
                log.warning("message %s waits: %s", job.entry.id, error.diagnostics)
                await asyncio.sleep(self._replay_poll_s)
        await self._lanes.put(job.lanes, job, group=job.feed.name)

    async def _queue(self, job: Job, body: bytes | None) -> None:
        try:
            await self._plan(job, body)
            await self._lanes.put(job.lanes, job, group=job.feed.name)
        except BaseException:  # it is not queued: who asks for it again must not wait for it
            self._jobs.pop(job.entry.id, None)
            job.done.cancel()
            raise

    async def _plan(self, job: Job, body: bytes | None) -> None:
        entry, feed = job.entry, job.feed
        text = body if body is not None else await self.inbox.body(entry)
        job.bodies = {entry.id: text} if not entry.edits else await self.inbox.bodies(entry)
        if job.header is None:
            received = job.bodies.get(entry.id, b"")  # the sender knows nothing of edits
            job.header = self._heard(entry.feed, read_header(received))
        if len(text) > _INLINE_BYTES:
            job.plan, job.refused = await asyncio.to_thread(plan_message, self.maps, text, feed)
        else:
            job.plan, job.refused = plan_message(self.maps, text, feed)

    async def _work(self, job: Job) -> None:
        try:
            await self._worker.work(job)
            state = job.entry.state
            self.counts[job.feed.name].ended(state, job.entry.reason)
        finally:
            self._jobs.pop(job.entry.id, None)
        if state == "applied":
            for entry in freed(job):
                # not waited for: the lane that it waits in is ours until we return
                self._background(self._follow(replace(entry, rev=entry.rev + 1)))

    async def _follow(self, entry: Entry) -> None:
        if entry.id not in self._jobs:
            await self._queue_patiently(self._job(entry))

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _repeated(self, entry: Entry, feed: Feed, header: Header | None) -> list[Answer]:
        """Return the answer given before; a message that was answered negatively is tried again."""
        job = self._jobs.get(entry.id)
        if job is None and header is not None and _negative(entry):
            entry = await reopen(self.services.store, self.inbox, entry, replayed=False)
        if job is None and entry.state in UNFINISHED:
            job = await self.enqueue(entry)
        given_up = entry.state == "dismissed"  # its sender shall not wait for it
        if header is not None and (feed.ack == "inbox" or given_up):
            return self._application(header, self._stamp(header, "AA", entry, None))
        if job is not None:
            return [self._answer(job)]
        return self._application(header, entry.ack)

    def _answer(self, job: Job) -> asyncio.Future[bytes | None]:
        return asyncio.ensure_future(self._answer_in_time(job))

    async def _answer_in_time(self, job: Job) -> bytes | None:
        """Return the application acknowledgement, AE when the message is not finished in time."""
        try:
            async with asyncio.timeout(self._timeout_s(job.feed.name)):
                answer = await asyncio.shield(job.done)
        except TimeoutError:
            answer = self._stamp(job.header, "AE", job.entry, ack.STILL_RETRYING)
        except asyncio.CancelledError:
            return None
        return next(
            (a for a in self._application(job.header, answer) if isinstance(a, bytes)), None
        )

    def _timeout_s(self, feed: str) -> float:
        given = self._ack_timeout_s
        return self.wiring.wire(feed).ack_timeout_s if given is None else given

    def _application(self, header: Header | None, answer: bytes) -> list[Answer]:
        """Return the application acknowledgement if the sender asked for it."""
        if header is None or not answer:
            return [answer] if answer else []
        code: ack.Code = "AA" if ack.is_positive(answer) else "AE"
        return [answer] if ack.wants_application(header, code) else []

    def _not_stored(self, header: Header | None) -> list[Answer]:
        made: list[Answer] = []
        if header is None or ack.wants_application(header, "AR"):
            made = [self._stamp(header, "AR", None, ack.NO_STORE)]
        if header is not None and ack.wants_accept(header, "CR"):
            made = [self._stamp(header, "CR", None, ack.NO_STORE)]
        return made

    def _stamp(
        self, header: Header | None, code: ack.Code, entry: Entry | None, fault: Fault | None
    ) -> bytes:
        """Return an acknowledgement with a control id of its own and the time."""
        made_for = entry.id if entry is not None else self.services.new_id()
        control_id = code[0] + made_for.replace("-", "")[-19:]
        return ack.acknowledge(header, code, control_id=control_id, at=self.at(), fault=fault)

    def at(self) -> str:
        """Return MSH-7 of an answer of this moment."""
        return strftime("%Y%m%d%H%M%S+0000", gmtime(self.services.now() // 1_000_000))

    async def _watch_replays(self) -> None:
        """Do what ``tellonce inbox replay`` asked for, also before this start."""
        while True:
            try:
                await self._replay_asked()
            except (FhirError, CommitConflict) as error:  # a conflict: it was asked anew meanwhile
                log.warning("replays wait: %s", type(error).__name__)
            await asyncio.sleep(self._replay_poll_s)

    async def _replay_asked(self) -> None:
        """Queue everything that was asked for; one that is at work now comes with the next look."""
        after = ""
        while page := await self.services.store.find_records(REPLAY, after=after):
            for asked in page:
                if asked.key not in self._jobs:
                    await self.again(asked.key, asked.value, asked=asked)
            after = page[-1].key


_STATING = {"original": (b"", b""), "enhanced": (b"AL", b"AL"), "commit": (b"AL", b"NE")}


def _negative(entry: Entry) -> bool:
    return entry.state == "quarantined" and not ack.is_positive(entry.ack)
