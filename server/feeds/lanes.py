"""Lanes: messages of one patient one after the other, of different patients side by side.

A lane is a text, the identity of a patient.  A job may need several at once (a merge, a report
about two patients, a patient with two numbers): it stands in the line of each, and begins when it
is the first in all of them.  It enters all lines in one step, so no two jobs wait for each other.

Groups (feeds) are bounded and served in turn: ``put`` waits while the unfinished jobs of a group
weigh ``depth`` (1 each, unless ``weigh`` says otherwise), and with it the connection that the
message came by (back pressure).  A group that works off a backlog has few workers
(:meth:`Lanes.restrain`): all jobs share one processor, so that a live message waits about as long
as all of those at work take together.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from mappings.plan import Plan
from server.feeds.failure import where

log = logging.getLogger(__name__)

Job = TypeVar("Job")

WORKERS = 32  # jobs at a time; more only wait for the one writer together
DEPTH = 256  # unfinished jobs of one group
_REMEMBERED = 4096  # lanes that were left last
BACKLOG_WORKERS = 6  # jobs at a time of a group that is only catching up


@dataclass(slots=True, eq=False)
class _Ticket(Generic[Job]):
    """A job in its lines; ``ahead`` counts the lines in which another stands before it."""

    job: Job
    lanes: tuple[str, ...]
    group: str
    weight: int
    ahead: int = 0


class _Room:
    """What a group may have unfinished; who needs much of it is served in turn, before others."""

    def __init__(self, depth: int) -> None:
        self._free = asyncio.Semaphore(depth)
        self._turn = asyncio.Lock()

    async def take(self, weight: int) -> None:
        taken = 0
        async with self._turn:  # two that have a part each would wait for each other
            try:
                while taken < weight:
                    await self._free.acquire()
                    taken += 1
            except BaseException:
                self.give(taken)
                raise

    def give(self, weight: int) -> None:
        for _ in range(weight):
            self._free.release()


class Lanes(Generic[Job]):
    """Runs jobs in their order; ``work`` does one."""

    def __init__(
        self,
        work: Callable[[Job], Awaitable[None]],
        *,
        workers: int = WORKERS,
        depth: int = DEPTH,
        weigh: Callable[[Job], int] = lambda _job: 1,
    ) -> None:
        self._work, self._weigh = work, weigh
        self._workers, self._depth = workers, depth
        self._lines: dict[str, deque[_Ticket[Job]]] = {}
        self._ready: dict[str, deque[_Ticket[Job]]] = {}  # by group; the first group is next
        self._free: dict[str, _Room] = {}
        self._unfinished: Counter[str] = Counter()
        self._at_work: Counter[str] = Counter()
        self._most: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._running = False
        self.active = 0  # jobs at work
        self.left = 0  # jobs that have come to their end
        self._left: dict[str, int] = {}  # that count by lane, when the last of it did
        self._forgotten = 0  # up to where it is not known by lane any more
        self._idle = asyncio.Event()
        self._idle.set()

    def start(self) -> None:
        """Begin to work; jobs put before are done first."""
        self._running = True
        self._dispatch()

    async def put(self, lanes: Iterable[str], job: Job, *, group: str = "") -> None:
        """Queue a job behind all earlier ones of its lanes; waits while the group is full."""
        room = self._free.setdefault(group, _Room(self._depth))
        weight = min(self._weigh(job), self._depth)
        await room.take(weight)
        ticket = _Ticket(job, tuple(dict.fromkeys(lanes)), group, weight)
        self._unfinished[group] += 1
        self._idle.clear()
        for lane in ticket.lanes:
            line = self._lines.setdefault(lane, deque())
            ticket.ahead += bool(line)
            line.append(ticket)
        if not ticket.ahead:
            self._ready.setdefault(group, deque()).append(ticket)
            self._dispatch()

    @property
    def waiting(self) -> int:
        """How many jobs are queued and not begun."""
        return self._unfinished.total() - self.active

    @property
    def busy(self) -> int:
        """How many lanes have something queued or at work."""
        return len(self._lines)

    def restrain(self, group: str, most: int | None) -> None:
        """Let at most so many jobs of a group be at work at a time; ``None``: as many as may be."""
        if most is None:
            self._most.pop(group, None)
        else:
            self._most[group] = most
        self._dispatch()

    def unfinished(self, group: str) -> int:
        """Return how many jobs of a group are queued or at work."""
        return self._unfinished[group]

    def untouched(self, lanes: Iterable[str], since: int) -> bool:
        """Tell whether no job of some lanes has ended since :attr:`left` was ``since``.

        What was made then, ahead of its turn, still follows the one before it.
        """
        return since >= self._forgotten and all(self._left.get(one, 0) <= since for one in lanes)

    async def drain(self) -> None:
        """Wait until everything that was put is done."""
        await self._idle.wait()

    async def stop(self) -> None:
        """Stop working; what is queued stays in the inbox and is done at the next start."""
        self._running = False
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _dispatch(self) -> None:
        """Give free workers to the groups that have something ready, one after the other."""
        while self._running and len(self._tasks) < self._workers:
            group = next((name for name in self._ready if self._has_room(name)), None)
            if group is None:
                return
            ready = self._ready[group]
            ticket = ready.popleft()
            del self._ready[group]
            if ready:
                self._ready[group] = ready  # behind the other groups
            self.active += 1
            self._at_work[group] += 1
            task = asyncio.create_task(self._run(ticket))
            self._tasks.add(task)
            task.add_done_callback(self._done)

    def _has_room(self, group: str) -> bool:
        return self._at_work[group] < self._most.get(group, self._workers)

    async def _run(self, ticket: _Ticket[Job]) -> None:
        try:
            await self._work(ticket.job)
        except Exception as error:  # a bug in one job must not stop its lane for good
            log.error("a lane's job failed: %s", where(error))
        finally:
            self._leave(ticket)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._dispatch()

    def _leave(self, ticket: _Ticket[Job]) -> None:
        """Take a finished job out of its lines; those behind it step forward."""
        self.active -= 1
        self._at_work[ticket.group] -= 1
        self._remember(ticket.lanes)
        for lane in ticket.lanes:
            line = self._lines[lane]
            line.popleft()
            if not line:
                del self._lines[lane]
                continue
            line[0].ahead -= 1
            if not line[0].ahead:
                self._ready.setdefault(line[0].group, deque()).append(line[0])
        self._unfinished[ticket.group] -= 1
        self._free[ticket.group].give(ticket.weight)
        if not self._unfinished.total():
            self._idle.set()

    def _remember(self, lanes: Iterable[str]) -> None:
        self.left += 1
        for lane in lanes:
            self._left.pop(lane, None)
            self._left[lane] = self.left
        while len(self._left) > _REMEMBERED:
            self._forgotten = self._left.pop(next(iter(self._left)))


def lanes_of(plan: Plan | None) -> tuple[str, ...]:
    """Return the identities of all patients that a message names, the same whatever their order.

    Every number of every patient is a lane of its own: two messages that share one number are in
    order, whichever others they name, and a merge is in order with those of both patients.
    Empty when the message names no patient.
    """
    if plan is None:
        return ()
    found = {plan.lane} if plan.lane and not plan.lane.startswith("feed:") else set()
    for planned in plan.resources:
        if planned.type == "Patient":
            found |= {rule[0][1] for rule in planned.identity.any_of if len(rule) == 1}
    return tuple(sorted(found))
