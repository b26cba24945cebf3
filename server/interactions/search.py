"""search: one type, the whole system, or a compartment.  R4 http.html#search, search.html.

A page holds matches and their includes.  When the includes of its matches do not fit, the next
pages bring the rest of them before the next matches.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from urllib.parse import urlencode

from server.access.context import AccessContext
from server.fhir.errors import DeadlineExceeded, InvalidSearch, Issue
from server.interactions import contained, unfinished
from server.interactions.contained import Containers, Inside, Spot
from server.interactions.expand import expand
from server.interactions.explained import explained
from server.interactions.includes import START, Included, Position, included
from server.interactions.links import CURSOR
from server.interactions.place import FIRST, Place, opened, refs, sealed
from server.interactions.question import parsed
from server.interactions.services import Services
from server.search.query import AllOf, Search
from server.store.port import Explanation, Version

Pairs = Sequence[tuple[str, str]]

# Matches whose includes go on on later pages travel inside the cursor, and a URL has its limits.
MAX_MATCHES_IN_CURSOR = 50


@dataclass(frozen=True, slots=True)
class Found:
    """One page of a search.

    ``path`` is the address below the base URL; ``total`` is exact, or ``None`` when it was not
    counted; ``cursor`` is that of this page, ``next`` that of the next one.  ``inside`` are the
    matches in other resources, ``plan`` how the matches were found, when that was asked for, and
    ``warnings`` what may be missing.
    """

    path: str
    search: Search
    matches: tuple[Version, ...] = ()
    included: tuple[Version, ...] = ()
    inside: tuple[Inside, ...] = ()
    total: int | None = None
    cursor: str | None = None
    next: str | None = None
    plan: Explanation | None = None
    warnings: tuple[Issue, ...] = ()

    @property
    def shown(self) -> tuple[Version, ...]:
        """Everything of which the page shows something."""
        inside = tuple(one.container for one in self.inside)
        return (*self.matches, *self.included, *inside)

    @property
    def shaped(self) -> int:
        """How many resources are shown in part (``_summary``, ``_elements``)."""
        if self.search.summary in (None, "false") and not self.search.elements:
            return 0
        return len(self.matches) + len(self.included) + len(self.inside)


async def search(
    services: Services,
    access: AccessContext,
    type_: str | None,
    pairs: Pairs,
    *,
    compartment: str | None = None,
    strict: bool = False,
) -> Found:
    """Return a page of ``type_`` (``None``: of every type, or those of ``_type``).

    ``pairs`` are the decoded parameters in their order, ``compartment`` a reference such as
    ``Patient/x`` that limits the search, ``strict`` refuses parameters that are not known.

    Raises:
        InvalidSearch: a parameter or the page cursor cannot be read.
        Forbidden: the caller may not search any of the types.
        IndexUnfinished: ``strict``, and a parameter does not find everything yet.
        DeadlineExceeded: it would take too long.
    """
    cursor, asked = _take_cursor(pairs)
    wanted = await parsed(services, access, type_, asked, compartment=compartment, strict=strict)
    if strict:
        unfinished.demand_finished(services, wanted)
    if wanted.contained != "false":
        contained.demand_plain(wanted)
    path = "/".join(part for part in (compartment, type_ or ("*" if compartment else "")) if part)
    found = Found(path, wanted, cursor=cursor, warnings=unfinished.issues(services, wanted))
    try:
        walk = _Walk(services, access, found, await expand(services, access, wanted), compartment)
        page = await walk.page(walk.place(cursor))
    except DeadlineExceeded as error:
        if access.unrestricted:
            raise
        # The plan in it counts resources that a limited caller may not know of.
        raise DeadlineExceeded(
            f"the search ran longer than {services.policy.deadline_s:g} s; "
            "narrow it by a patient, a code or a date"
        ) from error
    if services.audit is not None:
        interaction = "search-system" if type_ is None else "search-type"
        question = f"{path}?{urlencode(asked)}" if asked else path
        services.audit.shown(access, interaction, page.shown, question)
    return page


@dataclass(frozen=True, slots=True)
class _Walk:
    """One search by one caller.  ``wanted`` is ``found.search``, its codes named."""

    services: Services
    access: AccessContext
    found: Found
    wanted: Search
    compartment: str | None

    def place(self, cursor: str | None) -> Place:
        """Return where a cursor of this walk goes on."""
        if cursor is None:
            return FIRST
        return opened(self.services.cursor_key, self._context(), cursor)

    async def page(self, place: Place) -> Found:
        found = self.found
        if self.wanted.explain:
            found = replace(found, plan=await explained(self.services, self.access, self.wanted))
        if self.wanted.summary == "count" or self.wanted.count == 0:
            return replace(found, total=await self._count())
        if self.wanted.contained == "true" or place.inside is not None:
            return await self._inside(found, place, place.inside or Spot())
        if place.held:
            return await self._rest_of_includes(found, place)
        return await self._matches(found, place, limit=self.wanted.count)

    async def _matches(self, found: Found, place: Place, *, limit: int) -> Found:
        wanted = self.wanted
        page = await self.services.store.search(
            self.access,
            wanted.query,
            sort=wanted.sort,
            limit=limit,
            after=place.after,
            deadline_s=self.services.policy.deadline_s,
        )
        found = replace(found, matches=page.versions)
        if wanted.contained == "both" and page.after is None:
            return await self._inside(found, place, Spot())
        total = await self._total(place, len(page.versions), complete=page.after is None)
        more = Included((), None)
        if wanted.includes and page.versions:
            more = await included(self.services, self.access, wanted.includes, page.versions, START)
            if more.next is not None and limit > MAX_MATCHES_IN_CURSOR:
                return await self._matches(found, place, limit=MAX_MATCHES_IN_CURSOR)
        found = replace(found, included=more.versions, total=total)
        return self._going_on(found, Place(page.after, total), page.versions, more.next)

    async def _rest_of_includes(self, found: Found, place: Place) -> Found:
        """Go on with the includes of matches that were shown, as far as they are still there."""
        live = await self.services.store.read_many(self.access, place.held)
        matches = tuple(live[ref] for ref in place.held if ref in live)
        more = await included(
            self.services, self.access, self.wanted.includes, matches, place.includes
        )
        found = replace(found, included=more.versions, total=place.total)
        return self._going_on(found, Place(place.after, place.total), matches, more.next)

    async def _inside(self, found: Found, place: Place, spot: Spot) -> Found:
        """Fill the page with what is inside other resources."""
        room = self.wanted.count - len(found.matches)
        part = await self._containers().page(spot, room)
        shown = len(found.matches) + len(part.found)
        total = await self._total(place, shown, complete=part.next is None)
        found = replace(found, inside=part.found, total=total)
        if part.next is None:
            return found
        return self._with_next(found, Place(total=total, inside=part.next))

    def _going_on(
        self, found: Found, place: Place, matches: Sequence[Version], includes: Position | None
    ) -> Found:
        if includes is not None:
            return self._with_next(found, replace(place, held=refs(matches), includes=includes))
        return found if place.after is None else self._with_next(found, place)

    def _with_next(self, found: Found, place: Place) -> Found:
        return replace(found, next=sealed(self.services.cursor_key, self._context(), place))

    async def _total(self, place: Place, shown: int, *, complete: bool) -> int | None:
        if place.first and complete:
            return shown
        if place.total is None and self.wanted.total in ("accurate", "estimate"):
            return await self._count()
        return place.total

    async def _count(self) -> int:
        deadline_s = self.services.policy.deadline_s
        total = 0
        if self.wanted.contained != "true":
            total = await self.services.store.count(
                self.access, self.wanted.query, deadline_s=deadline_s
            )
        if self.wanted.contained != "false":
            total += await self._containers().count()
        return total

    def _containers(self) -> Containers:
        asked = self.wanted.query
        if self.compartment is not None:  # the container is in it, whatever it contains
            assert isinstance(asked.where, AllOf)
            asked = replace(asked, where=asked.where.of[1])
        return Containers(self.services, self.access, self.wanted, asked)

    def _context(self) -> str:
        """Return what a cursor of the search is bound to: its caller and its question."""
        wanted = self.found.search
        asked = repr((self.found.path, wanted.query, wanted.sort, wanted.includes))
        if wanted.contained != "false":
            asked += wanted.contained + wanted.contained_as
        digest = blake2b(asked.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        return f"{self.access.identity}\n{digest}"


def _take_cursor(pairs: Pairs) -> tuple[str | None, Pairs]:
    values = [value for name, value in pairs if name == CURSOR]
    if not values:
        return None, pairs
    if len(values) > 1:
        raise InvalidSearch(f"{CURSOR} was given {len(values)} times", expression=(CURSOR,))
    return values[0], [pair for pair in pairs if pair[0] != CURSOR]
