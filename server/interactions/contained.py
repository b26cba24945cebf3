"""``_contained``: matches inside other resources.  R4 search.html#contained.

The index tells which resources may contain a match (``search.containers``); each contained
resource of theirs is then checked by itself, so that what is asked holds of one of them and not of
several together.  A page goes on until it is full.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from server.access.context import AccessContext
from server.fhir import json as fhir_json
from server.fhir.errors import InvalidSearch, TooCostly
from server.interactions import referring
from server.interactions.referring import Links
from server.interactions.services import Services
from server.search import extract
from server.search.match import matches
from server.search.query import (
    EVERYTHING,
    NOTHING,
    AllOf,
    AnyOf,
    IdIs,
    Include,
    Not,
    Predicate,
    Query,
    Refers,
    Search,
)
from server.store.port import Scalar, Version

Ref = tuple[str, str]

AT_ONCE = 20  # containers that are looked into together; those that are left go into the cursor
MAX_COUNTED = 10_000


@dataclass(frozen=True, slots=True)
class Inside:
    """A match inside ``container``; ``resource`` is ``None`` when the container stands for it."""

    container: Version
    resource: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Spot:
    """Where the walk through containers goes on.

    ``held``: containers that come first, ``skip`` matches in the first of them were shown; then
    those behind the row ``after``, unless these were the ``last``.
    """

    after: tuple[Scalar, ...] | None = None
    held: tuple[Ref, ...] = ()
    skip: int = 0
    last: bool = False


@dataclass(frozen=True, slots=True)
class Insides:
    """A part of the matches inside; ``next`` is ``None`` when there are no more."""

    found: tuple[Inside, ...]
    next: Spot | None


def demand_plain(search: Search) -> None:
    """Raise ``InvalidSearch`` for what has no meaning inside other resources."""
    if search.sort:
        raise InvalidSearch(
            "_sort: what is contained cannot be sorted; leave out _contained or _sort",
            expression=("_sort",),
        )
    if search.includes:
        raise InvalidSearch(
            "_include: what is contained brings no other resources; leave out _contained",
            expression=("_include",),
        )


class Containers:
    """The matches inside other resources, of one search by one caller.

    ``search.containers`` finds the candidates; ``asked`` is what a contained resource must match.
    Both are expanded.
    """

    def __init__(
        self, services: Services, access: AccessContext, search: Search, asked: Query
    ) -> None:
        assert search.containers is not None
        self._services = services
        self._access = access
        self._candidates = search.containers
        self._asked = asked
        self._search = search

    async def page(self, spot: Spot, room: int) -> Insides:
        """Return at most ``room`` matches; fewer, and where to go on, when time is up."""
        found: list[Inside] = []
        end = time.monotonic() + self._services.policy.deadline_s / 2
        while True:
            if len(found) >= room or time.monotonic() > end:
                return Insides(tuple(found), spot)
            versions, after, last = await self._next(spot, room - len(found))
            await asyncio.sleep(0)  # indexing what they contain takes a while
            for at, version in enumerate(versions):
                # Of a container that is gone, what was shown is gone with it.
                again = spot.held[:1] == ((version.type, version.id),)
                skip = spot.skip if again else 0
                hits = (await self._hits(version))[skip:]
                left = room - len(found)
                found += hits[:left]
                if len(hits) > left:
                    held = tuple((v.type, v.id) for v in versions[at:])
                    return Insides(tuple(found), Spot(after, held, skip + left, last))
            if last:
                return Insides(tuple(found), None)
            spot = Spot(after)

    async def count(self) -> int:
        """Return how many matches there are.

        Raises:
            TooCostly: more than can be looked into for a number.
        """
        total, spot = 0, Spot()
        end = time.monotonic() + self._services.policy.deadline_s
        while True:
            part = await self.page(spot, AT_ONCE)
            total += len(part.found)
            if part.next is None:
                return total
            if total > MAX_COUNTED or time.monotonic() > end:
                raise TooCostly(
                    "what is contained is too much to be counted; ask without _total and "
                    "follow the pages",
                    expression=("_total",),
                )
            spot = part.next

    async def _next(
        self, spot: Spot, room: int
    ) -> tuple[Sequence[Version], tuple[Scalar, ...] | None, bool]:
        """Return the containers to look into, the row behind them, and whether it is the end."""
        if spot.held:
            live = await self._services.store.read_many(self._access, spot.held)
            return [live[ref] for ref in spot.held if ref in live], spot.after, spot.last
        page = await self._services.store.search(
            self._access,
            self._candidates,
            limit=min(room, AT_ONCE),
            after=spot.after,
            deadline_s=self._services.policy.deadline_s,
        )
        return page.versions, page.after, page.after is None

    async def _hits(self, container: Version) -> list[Inside]:
        resource = fhir_json.loads(container.body or b"{}")
        found = []
        for part in resource.get("contained", ()):
            if await self._is_match(container, part):
                if self._search.contained_as == "container":
                    if await self._is_shown_anyway(container):
                        return []
                    return [Inside(container)]
                found.append(Inside(container, part))
        return found

    async def _is_match(self, container: Version, resource: dict[str, Any]) -> bool:
        if resource.get("resourceType") not in self._asked.types:
            return False
        services = self._services
        where = await self._settled(self._asked.where, resource)
        query = Query(self._asked.types, where)
        rows = extract.index_rows(resource, services.base_url, catalog=services.catalog)
        return matches(query, resource, rows, updated=container.at)

    async def _is_shown_anyway(self, container: Version) -> bool:
        """Tell whether the container is a match itself, and so is among the ordinary ones."""
        if self._search.contained != "both" or container.type not in self._asked.types:
            return False
        where = AllOf((self._search.query.where, IdIs((container.id,))))
        query = Query((container.type,), where)
        return await self._services.store.count(self._access, query) > 0

    async def _settled(self, where: Predicate, resource: dict[str, Any]) -> Predicate:
        """Return the predicate with every chain replaced by its answer for one resource."""
        match where:
            case AllOf(of):
                return AllOf(tuple([await self._settled(one, resource) for one in of]))
            case AnyOf(of):
                return AnyOf(tuple([await self._settled(one, resource) for one in of]))
            case Not(inner):
                return Not(await self._settled(inner, resource))
            case Refers():
                return EVERYTHING if await self._refers(where, resource) else NOTHING
            case _:
                return where

    async def _refers(self, chain: Refers, resource: dict[str, Any]) -> bool:
        if chain.type != resource["resourceType"]:
            return False
        links = Links()
        include = Include(chain.type, chain.param, None, reverse=False)
        links.add_targets(self._services, [include], resource)
        for type_, id_ in await referring.targets(self._services, self._access, links):
            if type_ in chain.to.types:
                query = Query((type_,), AllOf((IdIs((id_,)), chain.to.where)))
                if await self._services.store.count(self._access, query) > 0:
                    return True
        return False
