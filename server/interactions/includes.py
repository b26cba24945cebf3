"""``_include`` and ``_revinclude``: complete, in pages of their own.  R4 search.html#include.

The includes of a page of matches are one ordered list of rounds.  The first round is what the
matches refer to, by reference text, then what refers to them, newest first.  With ``:iterate`` a
round follows from what the round before found.  A page takes what fits; a position in the list
goes into the cursor.  Nothing is ever cut off, and cycles end, because a resource comes once.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

from server.access.context import AccessContext
from server.fhir import json as fhir_json
from server.fhir.errors import TooCostly
from server.interactions import referring
from server.interactions.referring import Links, Ref
from server.interactions.services import Services
from server.search.query import HasKey, Include, Query
from server.store.port import Scalar, Version

MAX_PER_PAGE = 1_000  # included resources
MAX_WALKED = 10_000  # resources of earlier rounds, which every later page goes through again
MAX_KEYS = 2_000  # of one search for what refers to the resources of a round


@dataclass(frozen=True, slots=True)
class Position:
    """Where the list goes on: in a round behind ``forward``, or in the search number ``part`` for
    what refers to its resources, ``after`` a row."""

    round: int = 0
    reverse: bool = False
    forward: str = ""
    part: int = 0
    after: tuple[Scalar, ...] | None = None


START = Position()


@dataclass(frozen=True, slots=True)
class Included:
    """A part of the list; ``next`` is ``None`` at its end."""

    versions: tuple[Version, ...]
    next: Position | None


async def included(
    services: Services,
    access: AccessContext,
    wanted: Sequence[Include],
    matches: Sequence[Version],
    start: Position,
) -> Included:
    """Return at most :data:`MAX_PER_PAGE` included resources, each of them once.

    What is among ``matches`` is not included again.

    Raises:
        TooCostly: the rounds before this page hold more than :data:`MAX_WALKED` resources.
    """
    walk = _Walk(services, access, {(m.type, m.id) for m in matches})
    again = tuple(include for include in wanted if include.iterate)
    here = _Round(tuple(wanted), await Links.of(services, wanted, matches))
    for number in range(start.round):
        here = await walk.passed(here, again, number)
    found: list[Version] = []
    for number in count(start.round):
        at = start if number == start.round else Position(number)
        part = await walk.page(here, at, MAX_PER_PAGE - len(found))
        found += part.versions
        if part.next is not None:
            return Included(tuple(found), part.next)
        if at != Position(number):
            # Pages before this one showed the rest of the round, and it leads on as well.
            return Included(tuple(found), Position(number + 1) if again else None)
        here = _Round(again, await Links.of(services, again, part.versions))
        if not here.links:
            return Included(tuple(found), None)
        if len(found) >= MAX_PER_PAGE:
            return Included(tuple(found), Position(number + 1))
        walk.shown.update((version.type, version.id) for version in part.versions)
    raise AssertionError("count() does not end")


@dataclass(frozen=True, slots=True)
class _Round:
    """``links`` of the resources that the round follows from."""

    includes: tuple[Include, ...]
    links: Links


@dataclass(slots=True)
class _Walk:
    """``shown`` are the matches and what the rounds before the present one found."""

    services: Services
    access: AccessContext
    shown: set[Ref]
    walked: int = field(default=0)

    async def passed(self, here: _Round, again: tuple[Include, ...], number: int) -> _Round:
        """Go through a whole round that earlier pages showed; return the one after it."""
        links, at = Links(), Position(number)
        found: list[Ref] = []
        while True:
            part = await self.page(here, at, MAX_PER_PAGE)
            found += [(version.type, version.id) for version in part.versions]
            await links.add(self.services, again, part.versions)
            self.walked += len(part.versions)
            if self.walked > MAX_WALKED:
                raise TooCostly(
                    f":iterate leads through more than {MAX_WALKED} resources; "
                    "ask for fewer matches with _count, or for fewer includes",
                    expression=("_include",),
                )
            if part.next is None:
                break
            at = part.next
        self.shown.update(found)
        return _Round(again, links)

    async def page(self, here: _Round, at: Position, room: int) -> Included:
        """Return the part of a round that begins at a position; ``next`` stays in the round."""
        targets = await referring.targets(self.services, self.access, here.links) - self.shown
        found: list[Version] = []
        if not at.reverse:
            rest = sorted((ref for ref in targets if "/".join(ref) > at.forward), key="/".join)
            page = rest[:room]
            there = await self.services.store.read_many(self.access, page) if page else {}
            found = [there[ref] for ref in page if ref in there]
            if len(rest) > len(page):
                return Included(tuple(found), Position(at.round, forward="/".join(page[-1])))
        return await self._referrers(here, at, targets, found, room)

    async def _referrers(
        self, here: _Round, at: Position, targets: set[Ref], found: list[Version], room: int
    ) -> Included:
        before: set[str] = set()
        for part, wanted in enumerate(_searches(self.services, here)):
            await asyncio.sleep(0)  # the names of hundreds of resources are made at each step
            if part >= at.part:
                if len(found) >= room:
                    return Included(tuple(found), Position(at.round, reverse=True, part=part))
                answer = await self.services.store.search(
                    self.access,
                    wanted.query,
                    limit=room - len(found),
                    after=at.after if part == at.part else None,
                    deadline_s=self.services.policy.deadline_s,
                )
                hidden = self.shown | targets
                new = [v for v in answer.versions if (v.type, v.id) not in hidden]
                found += [v for v in new if self._is_new(here, v, wanted, before)]
                if answer.after is not None:
                    more = Position(at.round, reverse=True, part=part, after=answer.after)
                    return Included(tuple(found), more)
            before |= wanted.addresses
        return Included(tuple(found), None)

    def _is_new(
        self, here: _Round, version: Version, wanted: "_Referrers", before: set[str]
    ) -> bool:
        """Tell whether no earlier search of the round found it as well, and this one rightly: the
        key of a canonical URL finds references to other versions of it too."""
        if not before and not wanted.canonical:
            return True
        resource = fhir_json.glance(version.body or b"{}")
        names = referring.names_in(self.services, here.includes, version.type, resource)
        return names.isdisjoint(before) and not names.isdisjoint(wanted.addresses)


@dataclass(slots=True)
class _Referrers:
    """A search for what refers to some of a round's resources, and the addresses of those."""

    types: dict[str, None] = field(default_factory=dict)
    keys: dict[str, None] = field(default_factory=dict)
    addresses: set[str] = field(default_factory=set)
    canonical: bool = False

    @property
    def query(self) -> Query:
        return Query(tuple(self.types), HasKey(tuple(self.keys)))


def _searches(services: Services, here: _Round) -> Iterator[_Referrers]:
    """Yield searches that together find what refers to a round's resources.

    One is enough unless the keys, which name type, parameter and resource, are too many for it.
    """
    reverse = [include for include in here.includes if include.reverse]
    made = _Referrers()
    for (type_, id_), names in here.links.sources.items():
        places = list(_places(services, reverse, type_))
        own = [f"{type_}/{id_}", *names]
        if made.keys and len(made.keys) + len(places) * len(own) > MAX_KEYS:
            yield made
            made = _Referrers()
        for source, param in places:
            made.types[source] = None
            made.keys |= dict.fromkeys(f"{source}|{param}|r|{name}" for name in own)
        made.addresses.update(own)
        made.canonical = made.canonical or bool(names)
    if made.keys:
        yield made


def _places(
    services: Services, reverse: Iterable[Include], type_: str
) -> Iterator[tuple[str, str]]:
    """Yield the (type, parameter) by which the includes let something refer to a ``type_``."""
    for include in reverse:
        if include.target in (None, type_):
            for source, param, targets in referring.parameters(services.catalog, include):
                if type_ in targets:
                    yield source, param
