"""The change feed -> the queue of one destination.

Each step reads the next changes behind the destination's cursor, decides what of it the
destination is told, and commits the messages together with the new cursor: after a crash the same
changes are told again from the same cursor, and nothing is queued twice.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

from mappings.emit import Outlet, Route
from mappings.emit_map import Made
from mappings.encode import Unencodable
from server.access.context import SYSTEM
from server.feeds.inbox import lane_hash
from server.feeds.outbound.clearance import cleared
from server.feeds.outbound.envelope import control_id, to_message
from server.feeds.outbound.gather import MOST_FOUND, Gatherer, Occasion
from server.feeds.outbound.occasions import FIRST, PAGE, UNTOLD, next_limit, read_page
from server.feeds.outbound.queue import Cursor, Message, Queue, message_id
from server.interactions.conditional import condition
from server.interactions.services import Services
from server.store.following import Following
from server.store.port import Version

log = logging.getLogger(__name__)

LOOP_MOST, LOOP_US = 10, 60_000_000  # messages about one resource that feeds may cause in a minute
_REMEMBERED = 10_000  # resources
_NO_PATIENT = "the record names no patient for it"


@dataclass(frozen=True, slots=True)
class _Told:
    """A message that was made, and what it is about.

    ``reason``: why it is parked, ``""``: it is not; ``problem``: the same in words.
    ``withheld``: the labels for which the destination must not be told of it.
    """

    made: Made
    version: Version
    patient: str
    reason: str = ""
    problem: str = ""
    withheld: tuple[str, ...] = ()


class Router:
    """Tells one destination of changes.  ``limit``: versions that one step looks at, at most.

    ``on_parked`` is called when messages were queued that cannot be sent, before others can be.
    ``withheld`` counts the messages for which it is not cleared, since the start.
    """

    def __init__(
        self,
        services: Services,
        outlet: Outlet,
        queue: Queue,
        *,
        limit: int = PAGE,
        on_parked: Callable[[], None] = lambda: None,
    ) -> None:
        self._services, self._outlet, self._queue = services, outlet, queue
        self._most, self._on_parked = limit, on_parked
        self._limit = min(FIRST, limit)
        self._feed = Following(services.store, UNTOLD)
        self._cursor: Cursor | None = None
        self._recent: dict[str, deque[int]] = {}
        self.withheld = 0

    @property
    def at(self) -> int:
        """Time of the last change that was looked at, microseconds; 0 before the first."""
        return self._cursor.at if self._cursor is not None else 0

    def forget(self) -> None:
        """Read the cursor anew: another process may have moved it."""
        self._cursor = None

    async def step(self) -> int | None:
        """Queue what the next changes ask for; return how many messages wait, ``None``: no changes.

        Raises:
            StoreUnavailable, DeadlineExceeded: try again later; nothing was queued.
            CommitConflict: another process tells this destination.
        """
        cursor = self._cursor = self._cursor or await self._begin()
        page = await read_page(self._feed, cursor.seq, limit=self._limit)
        if page is None:
            return None
        self._limit = min(self._most, next_limit(page))
        made: list[tuple[Message, bytes]] = []
        for occasion in page.occasions:
            made += await self._queued(occasion)
        cursor = replace(cursor, seq=page.upto, at=page.at)
        states = Counter(message.state for message, _ in made)
        async with self._queue.turn:
            self._cursor = await self._queue.add(cursor, made)
            if states["parked"]:
                self._on_parked()
        self.withheld += states["withheld"]
        return states["waiting"]

    async def _begin(self) -> Cursor:
        """Return the cursor; that of a new destination is at the newest change, or at the first."""
        known = await self._queue.cursor()
        if known is not None:
            return known
        start = Cursor()
        if self._outlet.destination.start == "now":
            newest = await self._services.store.history(SYSTEM, limit=1)
            start = Cursor(newest[0].seq, newest[0].at) if newest else start
        return await self._queue.add(start, [])

    async def _queued(self, occasion: Occasion) -> list[tuple[Message, bytes]]:
        to = self._outlet.destination
        if occasion.mode != "live" or occasion.feed in (to.not_from or {to.name}):
            return []
        told = await self.told(occasion)
        return [self._message(one, occasion, n) for n, one in enumerate(told, start=1)]

    async def told(self, occasion: Occasion) -> list[_Told]:
        """Return the messages that tell an occasion, in the order of its versions."""
        gatherer = Gatherer(self._services, occasion)
        made: list[_Told] = []
        said: set[tuple[str, str]] = set()  # type and patient of what was told
        for route in self._ordered(occasion):
            for version in await self._about(route, occasion):
                if said & {(type_, f"{version.type}/{version.id}") for type_ in route.map.instead}:
                    continue  # a patient whose visit was told: not worth the making
                one = await self._emitted(route, gatherer, version)
                if one is None or said & {(type_, one.patient) for type_ in route.map.instead}:
                    continue  # another message of this occasion says it too
                made.append(one)
                if not one.withheld:
                    said.add((route.map.about, one.patient))
                await asyncio.sleep(0)  # thousands may be in one commit; others must get on
        return sorted(made, key=lambda one: one.version.seq)

    def _ordered(self, occasion: Occasion) -> Iterable[Route]:
        """Return the routes that the occasion may concern, those that replace others first."""
        types = {version.type for version in occasion.versions}
        routes = [
            route
            for route in self._outlet.routes
            if route.map.about in types or types & route.map.triggers.keys()
        ]
        return sorted(routes, key=lambda route: bool(route.map.instead))

    async def _about(self, route: Route, occasion: Occasion) -> list[Version]:
        """Return the versions of the type that a map is about: changed, or holding what changed."""
        found = {v.id: v for v in occasion.versions if v.type == route.map.about}
        for version in occasion.versions:
            by = route.map.triggers.get(version.type)
            if by is None:
                continue
            asked = condition(
                self._services,
                SYSTEM,
                route.map.about,
                [(by, f"{version.type}/{version.id}")],
                where="triggers",
            )
            page = await self._services.store.search(SYSTEM, asked.query, limit=MOST_FOUND)
            for holder in page.versions:
                found.setdefault(holder.id, holder)
        return sorted(found.values(), key=lambda version: version.seq)

    async def _emitted(self, route: Route, gatherer: Gatherer, version: Version) -> _Told | None:
        change = await gatherer.change(route.map, version)
        try:
            may = cleared(change, self._outlet.destination)
            # What would have been said decides whether there is anything to withhold.
            made = self._outlet.emit(route, change if may.withheld else may.change)
        except Exception as error:  # a bug in a rule fails for ever: it must not stop the others
            return self._failed(route, version, error)
        if made is None:
            return None
        world = change.now if change.now.about is not None else change.was
        assert world is not None
        patients = world.roots.get("Patient", ())
        patient = f"Patient/{patients[0]['id']}" if patients else ""
        if route.map.about == "Patient":
            patient = patient or f"Patient/{version.id}"
        made = replace(made, notes=(*made.notes, *may.notes))
        if not patient:
            return _Told(made, version, "", "incomplete", _NO_PATIENT, may.withheld)
        return _Told(made, version, patient, withheld=may.withheld)

    def _failed(self, route: Route, version: Version, error: Exception) -> _Told:
        name, kind = route.map.name, type(error).__name__
        about = f"{version.type}/{version.id}/_history/{version.number}"
        to = self._outlet.destination.name
        log.error("destination %s: %s of %s failed: %s", to, name, about, kind)
        patient = about.partition("/_history")[0] if version.type == "Patient" else ""
        made = Made(route.map.message, "", ())
        return _Told(made, version, patient, "unmade", f"{name} failed: {kind}")

    async def remade(self, message: Message) -> bytes:
        """Return the bytes of a message that could not be made before, ``b""`` if it still cannot.

        It is made of its version as if that had been committed alone, under its control id.
        """
        type_, id_, _, number = message.about.split("/")
        version = await self._services.store.vread(SYSTEM, type_, id_, int(number))
        if version is None:
            return b""
        for told in await self.told(Occasion((version,))):
            # One that failed is of its map's type alone: nobody knows its event.
            alike = message.type in (told.made.type, told.made.type.partition("^")[0])
            if alike and not told.reason and not told.withheld:
                now = self._services.now()
                to = self._outlet.destination
                with suppress(Unencodable):
                    return to_message(told.made, to, id_=message.control_id, at=now)
        return b""

    def _message(self, told: _Told, occasion: Occasion, number: int) -> tuple[Message, bytes]:
        services, version = self._services, told.version
        about = f"{version.type}/{version.id}"
        now = services.now()
        id_ = control_id(services.new_id())
        if told.withheld:
            labels = " ".join(told.withheld)
            body, reason, problem = b"", "clearance", f"{labels} is above what it may be told"
        else:
            body, reason, problem = self._written(told, occasion, id_, now)
        message = Message(
            message_id(occasion.versions[-1].seq, number),
            self._outlet.destination.name,
            told.made.type,
            id_,
            f"{about}/_history/{version.number}",
            version.at,
            lane_hash(told.patient or about),
            lane_hash(about) if version.type == "Patient" and about != told.patient else "",
            state="withheld" if told.withheld else "parked" if reason else "waiting",
            reason=reason,
            problem=problem,
            notes=() if told.withheld else told.made.notes,
            size_bytes=len(body),
            updated=now,
        )
        return message, body

    def _written(
        self, told: _Told, occasion: Occasion, id_: str, now: int
    ) -> tuple[bytes, str, str]:
        """Return the bytes of a message, and why it is parked, if it is: reason and problem."""
        if told.reason:
            return b"", told.reason, told.problem  # it is made when it is retried
        body, reason, problem = b"", "", ""
        try:
            body = to_message(told.made, self._outlet.destination, id_=id_, at=now)
        except Unencodable as wrong:
            reason, problem = "unencodable", wrong.problem
        if occasion.feed and self._loops(f"{told.version.type}/{told.version.id}", now):
            reason = "loop"
            problem = f"more than {LOOP_MOST} changes of it came by feeds within a minute"
        return body, reason, problem

    def _loops(self, about: str, now: int) -> bool:
        """Tell whether feeds change a resource so often that two systems must be correcting
        each other; the message is then parked, which ends it."""
        recent = self._recent.setdefault(about, deque())
        recent.append(now)
        while recent[0] < now - LOOP_US:
            recent.popleft()
        if len(self._recent) > _REMEMBERED:
            old = [name for name, times in self._recent.items() if times[-1] < now - LOOP_US]
            for name in old or list(self._recent)[: _REMEMBERED // 2]:
                del self._recent[name]
        return len(recent) > LOOP_MOST
