"""The feed service: listeners, inbox and lanes put together.

``FeedService(services, maps, ports)`` is handed to the composition root, which starts it, asks it
for :meth:`FeedService.stats`, and stops it.  No HTTP here.  What it is made of: :mod:`.answering`,
:mod:`.queueing`, :mod:`.replays`.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from mappings.feed import Feed
from mappings.maps import Maps
from mappings.plan import Plan
from server.feeds import ack, demographics
from server.feeds.answering import Answering
from server.feeds.folder import DropFolder
from server.feeds.header import Header
from server.feeds.inbox import UNFINISHED, Entry, Inbox
from server.feeds.lanes import WORKERS, Lanes
from server.feeds.makers import Makers, Start
from server.feeds.mllp import Answer, Limits, Listener
from server.feeds.quarantine import reopen
from server.feeds.queueing import Queueing
from server.feeds.receiver import SenderEnd
from server.feeds.replays import Replays
from server.feeds.stats import AllStats, Moment, oldest
from server.feeds.wiring import Peer, Wiring
from server.feeds.work import Job, Planned, Worker
from server.fhir.errors import FhirError
from server.interactions.services import Services
from server.store.port import CommitConflict
from server.store.turn import Turn

log = logging.getLogger(__name__)

REPLAY_POLL_S = 2.0


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
    stay in the inbox; 0 is for ever.  ``start`` starts one of up to ``processes`` that help when
    much is to be done (:mod:`.makers`).
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
        processes: int = 0,
        start: Start | None = None,
    ) -> None:
        owner = services.owner
        self.inbox = Inbox(
            services.store, now=services.now, new_id=services.new_id, shared=owner is not None
        )
        self.listeners: list[Listener] = []
        self.counts = AllStats()
        self.wiring = wiring or Wiring()
        self.services, self.maps = services, maps
        self.ports = ports
        self._demographics = demographics.Demographics(services, maps)
        self._tasks: set[asyncio.Task[None]] = set()
        self._draining = False
        self._answering = Answering(services, self.wiring, ack_timeout_s, self._keep)
        worker = Worker(services, self.inbox, self._answering.stamp, keep_days=keep_days)
        self.makers: Makers | None = None
        if start is not None and processes:
            self.makers = Makers(start, processes, lambda: worker.active)
            worker.maker = self.makers.make
        self._queueing = Queueing(
            maps,
            self.inbox,
            worker,
            self._answering,
            self.counts,
            workers=workers,
            background=self._background,
            pause_s=replay_poll_s,
            store=services.store,
            owner=owner,
            now=services.now,
            elsewhere=self._plan_elsewhere if self.makers is not None else None,
            overtaken=self._overtaken,
        )
        self._replays = Replays(
            services.store,
            self.inbox,
            self._queueing,
            poll_s=replay_poll_s,
            turn=Turn(services.store, "replays", owner, services.now),
        )
        self.replay, self.again = self._replays.replay, self._replays.again
        self.enqueue = self._queueing.enqueue
        self.refuse, self.own_id = self._answering.refuse, self._answering.own_id
        self.at = self._answering.at

    async def start(self) -> None:
        """Finish what the last run left, then listen.

        Raises:
            OSError: an address cannot be bound.
            StoreUnavailable: the inbox cannot be read.
        """
        await self.inbox.resume()
        await self._queueing.start()
        for port in self.ports:
            listener = Listener(self._door(port), limits=port.limits, tls=port.tls)
            await listener.start(port.host, port.port)
            self.listeners.append(listener)
        for name, wire in self.wiring.feeds.items():
            if wire.folder is not None:
                self._background(DropFolder(self, name, wire).run())
        self._background(self._replays.watch())

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
        self._queueing.abandon()
        try:
            async with asyncio.timeout(grace_s):
                await asyncio.gather(*(each.stop(grace_s=grace_s) for each in self.listeners))
                await self._queueing.leave()
                await self.settle()
        except TimeoutError:
            left = len(list(self._queueing.jobs(None)))
            log.warning("%d messages are left for the next start", left)

    async def settle(self) -> None:
        """Wait until everything that is queued now has come to its end."""
        await self.lanes.drain()

    async def stop(self, *, grace_s: float = 20.0) -> None:
        """Drain, then end; what is not finished stays in the inbox for the next start."""
        await self.drain(grace_s=grace_s)
        await asyncio.gather(*(each.stop(grace_s=0) for each in self.listeners))  # who is left
        await self._queueing.stop()
        if self.makers is not None:
            await self.makers.stop()

    def moment(self, feed: str | None = None) -> Moment:
        """Return what is at work now, of one feed or of all."""
        jobs = list(self._queueing.jobs(feed))
        ends = [end for each in self.listeners for end in each.receivers]
        return Moment(
            unfinished=len(jobs),
            lag_s=oldest((job.entry.received for job in jobs), self.services.now()),
            connections=sum(feed in (None, end.feed) for end in ends if isinstance(end, SenderEnd)),
            backlog=self._queueing.is_behind(feed),
        )

    @property
    def lanes(self) -> Lanes[Job]:
        """The lanes, to be looked at."""
        return self._queueing.lanes

    @property
    def draining(self) -> bool:
        """True when nothing more is accepted."""
        return self._draining

    async def receive(self, body: bytes, feed_name: str, header: Header | None) -> list[Answer]:
        """Keep one message, queue it, and return its answers in the order to send them.

        Who is only told what becomes of it has it kept with that, in one commit: what waits for no
        answer before is not written before.
        """
        try:
            at_once = await self._take_at_once(body, feed_name, header)
            return at_once if at_once is not None else await self.take(body, feed_name, header)
        except (FhirError, CommitConflict) as error:
            log.error("a message could not be stored: %s", type(error).__name__)
            self.counts[feed_name].refused += 1
            return self._answering.not_stored(self._answering.heard(feed_name, header))

    async def take(self, body: bytes, feed_name: str, header: Header | None) -> list[Answer]:
        """As :meth:`receive`, for who can wait for the store.

        Raises:
            StoreUnavailable, CommitConflict: nothing was kept.
        """
        if header is not None and header.is_acknowledgement:
            return []  # an answer is never answered
        feed, answering = self.maps.feed(feed_name), self._answering
        header = answering.heard(feed_name, header)
        await self._queueing.keep(feed_name)  # those before it in its lane must not be lost alone
        storing = asyncio.ensure_future(self.inbox.receive(feed, body, header))
        try:
            planned = await self._queueing.plan_ahead(body, feed)
            receipt = await storing
        finally:
            storing.cancel()  # nobody waits for it any more, or it has ended
        entry = receipt.entry
        accepted = answering.accepted(header, entry)
        if receipt.repeated:
            self.counts[feed.name].repeated += 1
            return [*accepted, *await self._repeated(entry, feed, header)]
        self._count(body, entry)
        if feed.ack == "inbox" and header is not None:
            accepted += answering.application(header, answering.stamp(header, "AA", entry, None))
            await self._queueing.enqueue(entry, body, header, planned)
            return accepted
        job = await self._queueing.enqueue(entry, body, header, planned)
        return [*accepted, answering.finished(job)]

    async def _take_at_once(
        self, body: bytes, feed_name: str, header: Header | None
    ) -> list[Answer] | None:
        """Queue a message that is stored with what becomes of it; ``None``: :meth:`take` it."""
        feed, answering = self.maps.feed(feed_name), self._answering
        header = answering.heard(feed_name, header)
        if header is None or header.enhanced or header.is_acknowledgement:
            return None
        if feed.ack == "inbox" or not self._queueing.queues_at_once(feed):
            return None
        entry = await self.inbox.announce(feed, body, header)
        if entry is None:
            return None
        try:
            planned = await self._queueing.plan(body, feed, entry)
            self._count(body, entry)
            job = await self._queueing.enqueue(entry, body, header, planned)
        except BaseException:  # nobody waits for its answer: its sender has it still
            self.inbox.arrived(entry)
            raise
        return [answering.finished(job)]

    async def query(
        self, body: bytes, feed_name: str, header: Header, *, address: str = ""
    ) -> list[Answer]:
        """Answer a query; nothing is kept.  ``address``: of who asks, for audit."""
        answering = self._answering
        self.counts[feed_name].queries += 1
        header = answering.heard(feed_name, header) or header
        accepted = answering.accepted(header, None)
        if self.wiring.wire(feed_name).queries == "none":
            self.counts[feed_name].refused += 1
            return [*accepted, answering.stamp(header, "AR", None, demographics.NOT_ASKED)]
        feed, id_ = self.maps.feed(feed_name), self.own_id("Q")
        try:
            answer = await self._demographics.answer(
                body, feed, header, id_, self.at(), address=address
            )
        except FhirError as error:
            log.warning("a query was not answered: %s", type(error).__name__)
            answer = answering.stamp(header, "AR", None, ack.NO_RECORD)
        return [*accepted, answer]

    async def _keep(self, feed: str) -> None:
        await self._queueing.keep(feed)

    async def _plan_elsewhere(
        self, body: bytes, feed: Feed, entry: Entry | None, since: int
    ) -> Planned | None:
        assert self.makers is not None
        return await self.makers.plan(
            self.services, self.maps.version, feed.name, body, entry=entry, since=since
        )

    def _overtaken(self, plan: Plan) -> None:
        if self.makers is not None:
            self.makers.overtaken(plan)

    def _count(self, body: bytes, entry: Entry) -> None:
        counts = self.counts[entry.feed]
        counts.came(len(body), entry.received)
        if entry.reused_id:
            if not counts.reused_ids:  # once; it is on each message's entry
                log.warning("feed %s uses control ids twice for different messages", entry.feed)
            counts.reused_ids += 1

    async def _repeated(self, entry: Entry, feed: Feed, header: Header | None) -> list[Answer]:
        """Return the answer given before; a message that was answered negatively is tried again."""
        answering = self._answering
        job = self._queueing.running(entry.id)
        if job is None and header is not None and _negative(entry):
            entry = await reopen(self.services.store, self.inbox, entry, replayed=False)
        if job is None and entry.state in UNFINISHED:
            job = await self._queueing.enqueue(entry)
        given_up = entry.state == "dismissed"  # its sender shall not wait for it
        if header is not None and (feed.ack == "inbox" or given_up):
            return answering.application(header, answering.stamp(header, "AA", entry, None))
        if job is not None:
            return [answering.finished(job)]
        return answering.application(header, entry.ack)

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _negative(entry: Entry) -> bool:
    return entry.state == "quarantined" and not ack.is_positive(entry.ack)
