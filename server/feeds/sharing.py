"""One store, several server processes that listen: each feed is applied by one of them at a time.

Whoever receives a message keeps it in the inbox.  The process that has the feed's turn queues
everything that is unfinished in the inbox, in the order of the ids, whoever received it; the others
wait until the message has come to its end there, and answer their senders.  So a patient's messages
of one feed are in one set of lanes, whichever process their sender reached.

A turn begins with the first message, goes back when nothing came for a while, and ends by itself
when its process is killed.  Two processes that both believe to have it do no harm: the state of a
message is changed in the commit of what it made, guarded by its revision.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress

from server.feeds.inbox import FEED, UNFINISHED, Entry, Inbox
from server.feeds.work import Job
from server.fhir.errors import FhirError
from server.store.port import CommitConflict, Store
from server.store.turn import Turn

log = logging.getLogger(__name__)

LIVELY_S, QUIET_S = 0.02, 0.5  # between two looks at the inbox
LIVELY_FOR_S = 5.0  # after something happened
FEEDS_EVERY_S = 1.0
IDLE_S = 5.0  # without a message, until the turn goes back
LEFT_S = 2.0  # that a message lies there until another process asks for the turn
LOOKED_AT = 64  # messages of which the end is asked for at a time
MOST_WAITING = 10_000
_REMEMBERED = 20_000


class Sharing:
    """The feeds of one process among several.

    ``take`` queues a message in the lanes; ``make`` makes the job of one that others received.
    """

    def __init__(
        self,
        store: Store,
        inbox: Inbox,
        owner: str,
        now: Callable[[], int],
        *,
        make: Callable[[Entry], Job],
        take: Callable[[Job], Awaitable[None]],
        forget: Callable[[Job], None],
    ) -> None:
        self._store, self._inbox, self._owner, self._now = store, inbox, owner, now
        self._make, self._take, self._forget = make, take, forget
        self._feeds: dict[str, _Feed] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look for what there is to do."""
        self._task = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Queue nothing more; what waits for its answer gets none from here on."""
        tasks = [feed.task for feed in self._feeds.values() if feed.task is not None]
        tasks += [self._task] if self._task is not None else []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def give_back(self) -> None:
        """Let the other processes have the turns, without waiting for their end."""
        await asyncio.gather(*(feed.turn.give_back() for feed in self._feeds.values()))

    async def put(self, job: Job) -> None:
        """Have a stored message applied, here or elsewhere; waits while too many are."""
        feed = self._of(job.entry.feed)
        await feed.room.acquire()
        feed.waiting[job.entry.id] = job
        feed.more.set()

    def ended(self, job: Job) -> None:
        """Note that a message has come to its end here."""
        feed = self._of(job.entry.feed)
        feed.queued.discard(job.entry.id)
        feed.ended[job.entry.id] = job.entry.rev
        while len(feed.ended) > _REMEMBERED:
            feed.ended.popitem(last=False)

    def _of(self, name: str) -> "_Feed":
        if name not in self._feeds:
            turn = Turn(self._store, f"feed/{name}", self._owner, self._now)
            self._feeds[name] = feed = _Feed(name, turn)
            feed.task = asyncio.create_task(self._follow(feed))
        return self._feeds[name]

    async def _watch(self) -> None:
        """Follow every feed that any process has received something of."""
        heard = 0
        while True:
            with suppress(FhirError):
                for name in await self._inbox.feeds():
                    self._of(name)
            heard = await self._store.record_news(FEED, heard, FEEDS_EVERY_S)

    async def _follow(self, feed: "_Feed") -> None:
        while True:
            try:
                await self._look(feed)
            except (FhirError, CommitConflict) as error:
                log.warning("feed %s waits: %s", feed.name, type(error).__name__)
                await asyncio.sleep(QUIET_S)
            except Exception as error:  # a bug must be seen, not end the feed unheard
                log.error("feed %s waits: %s", feed.name, type(error).__name__)
                await asyncio.sleep(QUIET_S)
            await feed.pause()

    async def _look(self, feed: "_Feed") -> None:
        if feed.turn.held or feed.waiting or await self._left(feed):
            if not await feed.turn.mine():
                await self._answer(feed)
            elif await self._queue(feed) or feed.queued:
                feed.lively()
            elif not feed.is_lively(IDLE_S):
                await feed.turn.give_back()

    async def _left(self, feed: "_Feed") -> bool:
        """Tell whether something lies there that nobody takes."""
        first = await anext(self._inbox.walk(feed=feed.name, states=UNFINISHED), None)
        return first is not None and self._now() - first.updated > LEFT_S * 1e6

    async def _queue(self, feed: "_Feed") -> bool:
        """Queue what is unfinished, in order; tell if there was anything."""
        found = False
        async for entry in self._inbox.walk(feed=feed.name, states=UNFINISHED):
            if entry.id in feed.queued or entry.rev <= feed.ended.get(entry.id, 0):
                continue
            if not await feed.turn.mine():
                return found
            found = True
            job = feed.no_longer_waiting(entry.id) or self._make(entry)
            job.entry = entry
            feed.queued.add(entry.id)
            await self._take(job)
        if not found and feed.waiting:  # another had the turn until now
            await self._answer(feed)
        return found

    async def _answer(self, feed: "_Feed") -> None:
        """Give senders the answers of messages that another process brought to their end."""
        for job in list(feed.waiting.values())[:LOOKED_AT]:
            entry = await self._inbox.current(job.entry)
            if entry.state in UNFINISHED:
                continue
            if feed.no_longer_waiting(entry.id) is None:
                continue
            feed.lively()
            job.entry = entry
            self._forget(job)
            if not job.done.done():
                job.done.set_result(entry.ack)


class _Feed:
    """What this process knows of a feed.

    ``waiting``: received here and queued nowhere here; ``queued``: in the lanes here; ``ended``:
    the revision of messages when they came to their end here, for a look may be older than that.
    """

    def __init__(self, name: str, turn: Turn) -> None:
        self.name, self.turn = name, turn
        self.waiting: dict[str, Job] = {}
        self.queued: set[str] = set()
        self.ended: OrderedDict[str, int] = OrderedDict()
        self.more = asyncio.Event()
        self.room = asyncio.Semaphore(MOST_WAITING)
        self.task: asyncio.Task[None] | None = None
        self._last = float("-inf")

    def no_longer_waiting(self, id_: str) -> Job | None:
        """Return and forget a message that was received here; ``None``: it was elsewhere."""
        job = self.waiting.pop(id_, None)
        if job is not None:
            self.room.release()
        return job

    def lively(self) -> None:
        """Note that something happened."""
        self._last = asyncio.get_running_loop().time()

    def is_lively(self, for_s: float = LIVELY_FOR_S) -> bool:
        """Tell whether something happened in the last ``for_s`` seconds."""
        return asyncio.get_running_loop().time() - self._last < for_s

    async def pause(self) -> None:
        """Wait until it is time to look again, or something was received."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LIVELY_S if self.waiting or self.is_lively() else QUIET_S):
                await self.more.wait()
        self.more.clear()
