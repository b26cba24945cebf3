"""The feed service: listeners, inbox and lanes put together.

``FeedService(services, maps, ports)`` is handed to the composition root, which starts it, asks it
for :meth:`FeedService.stats`, and stops it.  No HTTP here.
"""

import asyncio
import logging
import ssl
from collections import Counter
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import gmtime, strftime
from typing import Any

from mappings.feed import Feed
from mappings.maps import Maps
from server.feeds import ack
from server.feeds.ack import Fault
from server.feeds.header import Header, read_header, split_messages
from server.feeds.inbox import REPLAY, UNFINISHED, Entry, Inbox
from server.feeds.lanes import WORKERS, Lanes
from server.feeds.mllp import Answer, Limits, Listener
from server.feeds.quarantine import reopen
from server.feeds.work import Job, Worker, freed, plan_message
from server.fhir.errors import FhirError, StoreUnavailable
from server.interactions.services import Services
from server.store.port import CommitConflict, Record, RecordWrite

log = logging.getLogger(__name__)

ACK_TIMEOUT_S = 20.0
REPLAY_POLL_S = 2.0
_INLINE_BYTES = 65536  # larger messages are mapped in a thread, so that the others go on


@dataclass(frozen=True, slots=True)
class Port:
    """One MLLP address and the feed that it receives.

    ``senders``: (MSH-3, MSH-4) -> feed, for several feeds on one port; an empty MSH-4 stands for
    any.  Loopback unless ``host`` says otherwise.
    """

    feed: str = "default"
    host: str = "127.0.0.1"
    port: int = 0
    senders: Mapping[tuple[str, str], str] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts since the start, by feed; gauges of this moment.

    ``lag_s`` is the age of the oldest message that is not finished.
    """

    received: Mapping[str, int]
    repeated: Mapping[str, int]
    applied: Mapping[str, int]
    quarantined: Mapping[str, int]
    held: Mapping[str, int]
    refused: Mapping[str, int]
    reused_ids: Mapping[str, int]
    waiting: int
    active: int
    busy_lanes: int
    connections: int
    lag_s: float


class FeedService:
    """Receives, keeps, applies and answers HL7v2 messages.  One per server.

    ``keep_days``: how long applied messages stay in the inbox; 0 is for ever.
    """

    def __init__(
        self,
        services: Services,
        maps: Maps,
        ports: Sequence[Port],
        *,
        workers: int = WORKERS,
        ack_timeout_s: float = ACK_TIMEOUT_S,
        replay_poll_s: float = REPLAY_POLL_S,
        keep_days: int = 0,
    ) -> None:
        self.inbox = Inbox(services.store, now=services.now, new_id=services.new_id)
        self.listeners: list[Listener] = []
        self._services, self._maps, self._ports = services, maps, ports
        self._ack_timeout_s, self._replay_poll_s = ack_timeout_s, replay_poll_s
        self._worker = Worker(services, self.inbox, self._stamp, keep_days=keep_days)
        self._lanes: Lanes[Job] = Lanes(self._work, workers=workers)
        self._jobs: dict[str, Job] = {}
        self._counts: dict[str, Counter[str]] = {name: Counter() for name in _COUNTED}
        self._replays: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Finish what the last run left, then listen.

        Raises:
            OSError: an address cannot be bound.
            StoreUnavailable: the inbox cannot be read.
        """
        await self.inbox.resume()
        self._lanes.start()
        async for entry in self.inbox.walk(states=UNFINISHED):
            await self.enqueue(entry)
        for port in self._ports:
            listener = Listener(_Receiver(self, port), limits=port.limits, tls=port.tls)
            await listener.start(port.host, port.port)
            self.listeners.append(listener)
        self._replays = asyncio.create_task(self._watch_replays())

    async def drain(self, *, grace_s: float = 20.0) -> None:
        """Accept nothing more; answer and finish what was received, at most ``grace_s`` long."""
        if self._replays is not None:
            self._replays.cancel()
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

    def stats(self) -> Stats:
        """Return the counts and gauges for metrics."""
        oldest = min((job.entry.received for job in self._jobs.values()), default=None)
        return Stats(
            **self._counts,
            waiting=self._lanes.waiting,
            active=self._worker.active,
            busy_lanes=self._lanes.busy,
            connections=sum(each.open_connections for each in self.listeners),
            lag_s=0.0 if oldest is None else max(0, self._services.now() - oldest) / 1e6,
        )

    async def receive(self, body: bytes, feed_name: str, header: Header | None) -> list[Answer]:
        """Keep one message, queue it, and return its answers in the order to send them."""
        if header is not None and header.is_acknowledgement:
            return []  # an answer is never answered
        feed = self._maps.feed(feed_name)
        try:
            return await self._keep(body, feed, header)
        except (FhirError, CommitConflict) as error:
            log.error("a message could not be stored: %s", type(error).__name__)
            self._counts["refused"][feed.name] += 1
            return self._not_stored(header)

    async def _keep(self, body: bytes, feed: Feed, header: Header | None) -> list[Answer]:
        receipt = await self.inbox.receive(feed, body, header)
        entry = receipt.entry
        accepted: list[Answer] = []
        if header is not None and ack.wants_accept(header, "CA"):
            accepted.append(self._stamp(header, "CA", entry, None))
        if receipt.repeated:
            self._counts["repeated"][feed.name] += 1
            return [*accepted, *await self._repeated(entry, feed, header)]
        self._counts["received"][feed.name] += 1
        if entry.reused_id:
            if not self._counts["reused_ids"][feed.name]:  # once; it is on each message's entry
                log.warning("feed %s uses control ids twice for different messages", feed.name)
            self._counts["reused_ids"][feed.name] += 1
        if feed.ack == "inbox" and header is not None:
            accepted += self._application(header, self._stamp(header, "AA", entry, None))
            await self.enqueue(entry, body)
            return accepted
        return [*accepted, self._answer(await self.enqueue(entry, body))]

    def refuse(self, head: bytes, fault: Fault) -> bytes:
        """Return the negative answer to a message of which only the first bytes are known."""
        control_id = "R" + self._services.new_id().replace("-", "")[-19:]
        return ack.best_effort(head, fault, control_id=control_id, at=self._at())

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
        store = self._services.store
        if entry is None:
            if asked is not None:
                await store.commit([], records=[RecordWrite(REPLAY, asked.key, None)])
            return None
        held = entry.state == "held"  # it goes on, as it would have by itself
        entry = await reopen(store, self.inbox, entry, edited, replayed=not held, asked=asked)
        return await self.enqueue(entry)

    async def enqueue(self, entry: Entry, body: bytes | None = None) -> Job:
        """Plan a stored message and queue it in its lane; waits while that is full."""
        if entry.id in self._jobs:
            return self._jobs[entry.id]
        done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        feed = self._maps.feed(entry.feed)
        job = self._jobs[entry.id] = Job(entry, None, feed, None, None, done)
        try:
            await self._plan(job, body)
            await self._lanes.put(job.lanes, job, group=feed.name)
        except BaseException:  # it is not queued: who asks for it again must not wait for it
            self._jobs.pop(entry.id, None)
            done.cancel()
            raise
        return job

    async def _plan(self, job: Job, body: bytes | None) -> None:
        entry, feed = job.entry, job.feed
        text = body if body is not None else await self.inbox.body(entry)
        job.bodies = {entry.id: text} if not entry.edits else await self.inbox.bodies(entry)
        received = job.bodies.get(entry.id, b"")
        job.header = read_header(received)  # the sender knows nothing of edits
        if len(text) > _INLINE_BYTES:
            job.plan, job.refused = await asyncio.to_thread(plan_message, self._maps, text, feed)
        else:
            job.plan, job.refused = plan_message(self._maps, text, feed)

    async def _work(self, job: Job) -> None:
        try:
            await self._worker.work(job)
            state = job.entry.state
            if state in self._counts:
                self._counts[state][job.feed.name] += 1
        finally:
            self._jobs.pop(job.entry.id, None)
        if state == "applied":
            for entry in freed(job):
                # not waited for: the lane that it waits in is ours until we return
                self._background(self._later(replace(entry, rev=entry.rev + 1)))

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _later(self, entry: Entry) -> None:
        """Queue a message that waited for another of its lane."""
        while True:
            try:
                await self.enqueue(entry)
            except StoreUnavailable as error:
                log.warning("message %s waits: %s", entry.id, error.diagnostics)
                await asyncio.sleep(self._replay_poll_s)
            else:
                return

    async def _repeated(self, entry: Entry, feed: Feed, header: Header | None) -> list[Answer]:
        """Return the answer given before; a message that was answered negatively is tried again."""
        job = self._jobs.get(entry.id)
        if job is None and header is not None and _negative(entry):
            entry = await reopen(self._services.store, self.inbox, entry, replayed=False)
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
            answer = await asyncio.wait_for(asyncio.shield(job.done), self._ack_timeout_s)
        except TimeoutError:
            answer = self._stamp(job.header, "AE", job.entry, ack.STILL_RETRYING)
        except asyncio.CancelledError:
            return None
        return next(
            (a for a in self._application(job.header, answer) if isinstance(a, bytes)), None
        )

    def _application(self, header: Header | None, answer: bytes) -> list[Answer]:
        """Return the application acknowledgement if the sender asked for it."""
        if header is None or not answer:
            return [answer] if answer else []
        code: ack.Code = "AA" if _is_positive(answer) else "AE"
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
        made_for = entry.id if entry is not None else self._services.new_id()
        control_id = code[0] + made_for.replace("-", "")[-19:]
        return ack.acknowledge(header, code, control_id=control_id, at=self._at(), fault=fault)

    def _at(self) -> str:
        return strftime("%Y%m%d%H%M%S+0000", gmtime(self._services.now() // 1_000_000))

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
        while page := await self._services.store.find_records(REPLAY, after=after):
            for asked in page:
                if asked.key not in self._jobs:
                    await self.again(asked.key, asked.value, asked=asked)
            after = page[-1].key


class _Receiver:
    """One port's end: which feed a message belongs to, and several messages in a frame."""

    def __init__(self, service: FeedService, port: Port) -> None:
        self._service = service
        self._port = port

    async def receive(self, body: bytes) -> list[Answer]:
        """See :class:`server.feeds.mllp.Receiver`."""
        answers: list[Answer] = []
        for message in split_messages(body):
            header = read_header(message)
            answers += await self._service.receive(message, self._feed(header), header)
        return answers

    def refuse(self, head: bytes, fault: Fault) -> bytes:
        """See :class:`server.feeds.mllp.Receiver`."""
        return self._service.refuse(head, fault)

    def _feed(self, header: Header | None) -> str:
        if header is None:
            return self._port.feed
        sender = header.component(3, 1), header.component(4, 1)
        senders = self._port.senders
        return senders.get(sender) or senders.get((sender[0], "")) or self._port.feed


_COUNTED = ("received", "repeated", "applied", "quarantined", "held", "refused", "reused_ids")


def _is_positive(answer: bytes) -> bool:
    return b"\rMSA" in answer and answer.split(b"\rMSA", 1)[1][1:3] == b"AA"


def _negative(entry: Entry) -> bool:
    return entry.state == "quarantined" and not _is_positive(entry.ack)
