"""From the inbox to the lanes: each message once, in order, and behind what was left before."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from mappings.feed import Feed
from mappings.maps import Maps
from mappings.plan import Plan
from server.feeds.answering import Answering
from server.feeds.backlog import Backlog
from server.feeds.header import Header, read_header
from server.feeds.inbox import UNFINISHED, Entry, Inbox
from server.feeds.lanes import BACKLOG_WORKERS, Lanes
from server.feeds.packed import PackedPlan
from server.feeds.sharing import Sharing
from server.feeds.stats import AllStats
from server.feeds.work import Job, Planned, Worker, freed, plan_message
from server.fhir.errors import FhirError
from server.store.port import Store

log = logging.getLogger(__name__)

Elsewhere = Callable[[bytes, Feed, Entry | None, int], Awaitable[Planned | None]]
"""Plans a message elsewhere; of one that has an entry, as it is queued, with what it comes to, and
with the number of jobs that had ended when that was asked (:attr:`Lanes.left`)."""

LATE_S = 1.0  # after which what is not applied yet is stored as it was received
_WEIGHT_BYTES = 256 * 1024  # a message of more counts as several: all are in memory
_INLINE_BYTES = 8192  # larger messages are mapped in a thread, so that the others go on


class Queueing:
    """The messages that are at work.

    ``background`` runs what nobody waits for; ``pause_s`` is how long to wait for a store that is
    away.  With ``owner``, the name of this process, the inbox is shared (:mod:`.sharing`).
    ``elsewhere`` plans a message in another process, if one has time for it, and makes what it
    comes to; ``overtaken`` is told when that was before another message of its lanes had ended.
    """

    def __init__(
        self,
        maps: Maps,
        inbox: Inbox,
        worker: Worker,
        answering: Answering,
        counts: AllStats,
        *,
        workers: int,
        background: Callable[[Coroutine[Any, Any, None]], None],
        pause_s: float,
        store: Store,
        owner: str | None = None,
        now: Callable[[], int] = lambda: 0,
        elsewhere: Elsewhere | None = None,
        overtaken: Callable[[Plan], None] = lambda _plan: None,
    ) -> None:
        self.worker = worker
        self.lanes: Lanes[Job] = Lanes(self._work, workers=workers, weigh=_weight)
        self._maps, self._inbox, self._answering, self._counts = maps, inbox, answering, counts
        self._background, self._pause_s = background, pause_s
        self._elsewhere, self._overtaken = elsewhere, overtaken
        self._jobs: dict[str, Job] = {}
        self._unkept: dict[str, Job] = {}  # of those the ones that are not stored, as they came
        self._keeping: asyncio.Task[None] | None = None
        self._backlogs: dict[str, Backlog] = {}
        self._sharing: Sharing | None = None
        if owner is not None:
            self._sharing = Sharing(
                store,
                inbox,
                owner,
                now,
                make=self._job,
                take=self._queue_patiently,
                forget=self._forget,
            )

    async def start(self) -> None:
        """Begin to work; what the last run left comes first, feed by feed.

        Raises:
            StoreUnavailable: the inbox cannot be read.
        """
        self.lanes.start()
        if self._sharing is not None:
            self._sharing.start()
            return
        upto = self._inbox.next_id()
        for feed in await self._inbox.feeds():
            if await anext(self._inbox.walk(feed=feed, states=UNFINISHED), None) is not None:
                self._backlogs[feed] = Backlog()
                self.lanes.restrain(feed, BACKLOG_WORKERS)
                self._background(self._work_off(feed, upto))

    def abandon(self) -> None:
        """Queue nothing more of what was left; it stays for the next start."""
        for backlog in self._backlogs.values():
            backlog.abandon()

    async def leave(self) -> None:
        """Queue nothing more that other processes received: they will."""
        if self._sharing is not None:
            await self._sharing.stop()

    async def stop(self) -> None:
        """End; what is not finished stays in the inbox."""
        await self.leave()
        if self._keeping is not None:
            self._keeping.cancel()
        await self.lanes.stop()
        await self.worker.stop()
        if self._sharing is not None:
            await self._sharing.give_back()
        for job in self._jobs.values():
            job.done.cancel()
            self._inbox.arrived(job.entry)

    def running(self, id_: str) -> Job | None:
        """Return a message that is at work, ``None``: it is not."""
        return self._jobs.get(id_)

    def jobs(self, feed: str | None) -> Iterable[Job]:
        """Return what is at work, of one feed or of all."""
        return [job for job in self._jobs.values() if feed in (None, job.feed.name)]

    def is_behind(self, feed: str | None) -> bool:
        """Tell whether messages of before the start are still worked off."""
        return bool(self._backlogs) if feed is None else feed in self._backlogs

    def queues_at_once(self, feed: Feed) -> bool:
        """Tell whether a message would be queued now: nothing of before the start is in its way."""
        return self._sharing is None and feed.name not in self._backlogs

    async def keep(self, feed: str) -> None:
        """Store what came of a feed and is not stored yet, in its order; then others can follow.

        Raises:
            StoreUnavailable: some of it is not.
        """
        jobs = [(i, job) for i, job in self._unkept.items() if job.feed.name == feed]
        # asked for in their order, so that they are stored in it, and wait for the disk together
        kept = await asyncio.gather(
            *(self.worker.keep(job) for _, job in jobs), return_exceptions=True
        )
        for (id_, _), failed in zip(jobs, kept, strict=True):
            if failed is not None:
                raise failed
            self._unkept.pop(id_, None)

    async def _keep_late(self) -> None:
        """Store what waits long, for its turn or for what it is to make."""
        while known := set(self._unkept):
            await asyncio.sleep(LATE_S)
            for feed in {job.feed.name for id_, job in self._unkept.items() if id_ in known}:
                with suppress(FhirError):  # it is tried again, and told when its turn comes
                    await self.keep(feed)

    async def plan_ahead(self, body: bytes, feed: Feed) -> Planned | None:
        """Return the plan of a message that is being stored.

        ``None`` when it would not be queued at once: then its plan is made when it is its turn.
        """
        await asyncio.sleep(0)  # storing begins: the disk and we are at work in the same time
        return await self.plan(body, feed) if self.queues_at_once(feed) else None

    async def plan(self, body: bytes, feed: Feed, entry: Entry | None = None) -> Planned:
        """Return the plan of a message, made here or in another process.

        ``entry``: as it is queued; then what it comes to may be made with its plan.
        """
        if self._elsewhere is not None and len(body) <= _INLINE_BYTES:
            planned = await self._elsewhere(body, feed, entry, self.lanes.left)
            if planned is not None:
                return planned
        return await self._planned(body, feed)

    async def enqueue(
        self,
        entry: Entry,
        body: bytes | None = None,
        header: Header | None = None,
        planned: Planned | None = None,
    ) -> Job:
        """Plan a message and queue it in its lanes; waits while its feed is full.

        One that is not stored yet is, with what becomes of it, or by itself when that takes long.

        ``body`` and ``header``: what was received, when it is at hand; ``planned``: its plan.

        While the feed has a backlog of before the start, it comes behind that.
        """
        if entry.id in self._jobs:
            return self._jobs[entry.id]
        job = self._job(entry)
        job.header = header
        if not entry.rev:
            self._unkept[entry.id] = job
            if self._keeping is None or self._keeping.done():
                self._keeping = asyncio.create_task(self._keep_late())
        if self._sharing is not None:
            await self._sharing.put(job)
            return job
        backlog = self._backlogs.get(entry.feed)
        if backlog is not None and await backlog.append(job):
            return job
        await self._queue(job, body, planned)
        return job

    async def _work_off(self, feed: str, upto: str) -> None:
        """Queue what an earlier run left of a feed, then what came while that was done."""
        backlog = self._backlogs[feed]
        while True:
            try:
                await self._queue_left(feed, upto, backlog)
                break
            except FhirError as error:  # from the begin again, when it is back
                log.warning("the backlog of feed %s waits: %s", feed, type(error).__name__)
                await asyncio.sleep(self._pause_s)
        while (job := backlog.first()) is not None:
            await self._queue_patiently(job)
        del self._backlogs[feed]
        self.lanes.restrain(feed, None)
        backlog.done.set()

    async def _queue_left(self, feed: str, upto: str, backlog: Backlog) -> None:
        """Queue what has an id up to ``upto``.

        Raises:
            StoreUnavailable, DeadlineExceeded: the inbox cannot be read.
        """
        async for entry in self._inbox.walk(feed=feed, states=UNFINISHED):
            if entry.id > upto:
                return
            job = backlog.take(entry.id)
            if job is None and entry.id not in self._jobs:
                job = self._job(entry)
            if job is not None:
                await self._queue_patiently(job)

    def _job(self, entry: Entry) -> Job:
        done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        job = Job(entry, None, self._maps.feed(entry.feed), None, None, done)
        self._jobs[entry.id] = job
        return job

    async def _queue_patiently(self, job: Job) -> None:
        """Queue a stored message as soon as its bytes can be read."""
        while True:
            try:
                await self._plan(job, None)
                break
            except FhirError as error:
                log.warning("message %s waits: %s", job.entry.id, type(error).__name__)
                await asyncio.sleep(self._pause_s)
        await self.lanes.put(job.lanes, job, group=job.feed.name)

    async def _queue(self, job: Job, body: bytes | None, planned: Planned | None) -> None:
        try:
            await self._plan(job, body, planned)
            await self.lanes.put(job.lanes, job, group=job.feed.name)
        except BaseException:  # it is not queued: who asks for it again must not wait for it
            self._ended(job)
            job.done.cancel()
            raise

    async def _plan(self, job: Job, body: bytes | None, planned: Planned | None = None) -> None:
        entry, feed = job.entry, job.feed
        text = body if body is not None else await self._inbox.body(entry)
        job.bodies = {entry.id: text} if not entry.edits else await self._inbox.bodies(entry)
        if job.header is None:
            received = job.bodies.get(entry.id, b"")  # the sender knows nothing of edits
            job.header = self._answering.heard(entry.feed, read_header(received))
        job.plan, job.refused = planned or await self._planned(text, feed)

    async def _planned(self, body: bytes, feed: Feed) -> Planned:
        if len(body) > _INLINE_BYTES:
            return await asyncio.to_thread(plan_message, self._maps, body, feed)
        return plan_message(self._maps, body, feed)

    async def _work(self, job: Job) -> None:
        try:
            if isinstance(job.plan, PackedPlan):
                self._check(job, job.plan)
            await self.worker.work(job)
            state = job.entry.state
            self._counts[job.feed.name].ended(state, job.entry.reason)
            self._counts[job.feed.name].refused += not job.entry.rev
        finally:
            self._ended(job)
            job.done.cancel()  # without an end: nobody shall wait for it until the next start
            if self._sharing is not None:
                self._sharing.ended(job)
        if state == "applied":
            for entry in freed(job):
                # not waited for: the lane that it waits in is ours until we return
                self._background(self._follow(replace(entry, rev=entry.rev + 1)))

    def _check(self, job: Job, plan: PackedPlan) -> None:
        """Have made anew, now that it is its turn, what was made before the one before it ended."""
        if not self.lanes.untouched(job.lanes, plan.since):
            self._overtaken(plan)

    def _ended(self, job: Job) -> None:
        self._jobs.pop(job.entry.id, None)
        self._unkept.pop(job.entry.id, None)
        self._inbox.arrived(job.entry)

    def _forget(self, job: Job) -> None:
        self._jobs.pop(job.entry.id, None)

    async def _follow(self, entry: Entry) -> None:
        if self._sharing is None and entry.id not in self._jobs:
            await self._queue_patiently(self._job(entry))


def _weight(job: Job) -> int:
    return 1 + job.entry.size_bytes // _WEIGHT_BYTES
