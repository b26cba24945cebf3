"""search: one type, the whole system, or a compartment.  R4 http.html#search, search.html.

A page holds matches and their includes.  When the includes of its matches do not fit, the next
pages bring the rest of them before the next matches.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from hashlib import blake2b
from typing import Any

from server.access.context import AccessContext
from server.fhir import definitions
from server.fhir.errors import Forbidden, InvalidSearch
from server.interactions import rights
from server.interactions.cursor import seal, unseal
from server.interactions.includes import START, Included, Position, included
from server.interactions.links import CURSOR
from server.interactions.services import Services
from server.search.parse import parse_search
from server.search.query import AllOf, HasKey, Search
from server.search.rows import compartment_key
from server.store.port import Scalar, Version

Pairs = Sequence[tuple[str, str]]

# Matches whose includes go on on later pages travel inside the cursor, and a URL has its limits.
MAX_MATCHES_IN_CURSOR = 50

# Programs ask the same again and again, and a walk repeats its question on every page.
LONGEST_REMEMBERED = 1_000  # characters of names and values
_remembered = lru_cache(maxsize=1_000)(parse_search)


@dataclass(frozen=True, slots=True)
class Found:
    """One page of a search.

    ``path`` is the address below the base URL; ``total`` is exact, or ``None`` when it was not
    counted; ``cursor`` is that of this page, ``next`` that of the next one.
    """

    path: str
    search: Search
    matches: tuple[Version, ...]
    included: tuple[Version, ...] = ()
    total: int | None = None
    cursor: str | None = None
    next: str | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    """What a cursor holds.  ``held``: matches of an earlier page whose includes go on."""

    after: tuple[Scalar, ...] | None = None
    total: int | None = None
    held: tuple[tuple[str, str], ...] = ()
    includes: Position = START
    first: bool = True


_FIRST = _Place()


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
        DeadlineExceeded: it would take too long.
    """
    cursor, asked = _take_cursor(pairs)
    wanted = parsed(services, access, type_, asked, compartment=compartment, strict=strict)
    path = "/".join(part for part in (compartment, type_ or ("*" if compartment else "")) if part)
    found = Found(path, wanted, (), cursor=cursor)
    place = _opened(services, cursor, _context(access, found)) if cursor is not None else _FIRST
    if wanted.summary == "count" or wanted.count == 0:
        return replace(found, total=await _count(services, access, wanted), next=None)
    if place.held:
        return await _rest_of_includes(services, access, found, place)
    return await _page(services, access, found, place, limit=wanted.count)


def parsed(
    services: Services,
    access: AccessContext,
    type_: str | None,
    pairs: Pairs,
    *,
    compartment: str | None = None,
    strict: bool = False,
) -> Search:
    """Return the search that the parameters ask for, within the compartment; errors as above."""
    policy = services.policy
    length = sum(len(name) + len(text) for name, text in pairs)
    wanted = (parse_search if length > LONGEST_REMEMBERED else _remembered)(
        (type_,) if type_ is not None else _types(compartment),
        tuple(pairs),
        base_url=services.base_url,
        default_count=policy.default_page,
        max_count=policy.max_page,
        strict=strict,
    )
    if not any(access.covering(searched, "search") for searched in wanted.query.types):
        if type_ is not None:
            rights.demand(access, "search", type_)
        raise Forbidden("this token does not allow search of any of these types")
    if compartment is not None:
        member = HasKey((compartment_key(compartment),))
        query = replace(wanted.query, where=AllOf((member, wanted.query.where)))
        wanted = replace(wanted, query=query)
    return wanted


async def _page(
    services: Services,
    access: AccessContext,
    found: Found,
    place: _Place,
    *,
    limit: int,
) -> Found:
    wanted, policy = found.search, services.policy
    page = await services.store.search(
        access,
        wanted.query,
        sort=wanted.sort,
        limit=limit,
        after=place.after,
        deadline_s=policy.deadline_s,
    )
    total = place.total
    if place.first and page.after is None:
        total = len(page.versions)
    elif total is None and wanted.total in ("accurate", "estimate"):
        total = await _count(services, access, wanted)
    more = Included((), None)
    if wanted.includes and page.versions:
        more = await included(services, access, wanted.includes, page.versions, START)
        if more.next is not None and limit > MAX_MATCHES_IN_CURSOR:
            return await _page(services, access, found, place, limit=MAX_MATCHES_IN_CURSOR)
    there = replace(found, matches=page.versions, included=more.versions, total=total)
    return _with_next(services, access, there, page.after, page.versions, more.next)


async def _rest_of_includes(
    services: Services, access: AccessContext, found: Found, place: _Place
) -> Found:
    """Go on with the includes of matches that were shown, as far as they are still there."""
    live = await services.store.read_many(access, place.held)
    matches = tuple(live[ref] for ref in place.held if ref in live)
    more = await included(services, access, found.search.includes, matches, place.includes)
    there = replace(found, included=more.versions, total=place.total)
    return _with_next(services, access, there, place.after, matches, more.next)


def _with_next(
    services: Services,
    access: AccessContext,
    found: Found,
    after: tuple[Scalar, ...] | None,
    matches: Sequence[Version],
    includes: Position | None,
) -> Found:
    if includes is None and after is None:
        return found
    state: dict[str, Any] = {"a": after, "t": found.total}
    if includes is not None:
        state["m"] = [f"{m.type}/{m.id}" for m in matches]
        where = includes
        state["w"] = [where.round, where.reverse, where.forward, where.part, where.after]
    return replace(found, next=seal(services.cursor_key, state, _context(access, found)))


def _opened(services: Services, cursor: str, context: str) -> _Place:
    state: Mapping[str, Any] = unseal(services.cursor_key, cursor, context)
    after = tuple(state["a"]) if state["a"] is not None else None
    if "m" not in state:
        return _Place(after, state["t"], first=False)
    held = tuple(_ref(text) for text in state["m"])
    position = START
    if "w" in state:  # the includes of a cursor of an older server begin anew
        round_, reverse, forward, part, behind = state["w"]
        behind = tuple(behind) if behind is not None else None
        position = Position(round_, reverse, forward, part, behind)
    return _Place(after, state["t"], held, position, first=False)


async def _count(services: Services, access: AccessContext, wanted: Search) -> int:
    return await services.store.count(access, wanted.query, deadline_s=services.policy.deadline_s)


@cache
def _all_types() -> tuple[str, ...]:
    return tuple(sorted(definitions.resource_types()))


def _types(compartment: str | None) -> tuple[str, ...]:
    """Return all types, or those that can be in the compartment, with the one that it is of."""
    if compartment is None:
        return _all_types()
    own = compartment.partition("/")[0]
    return tuple(sorted({own, *definitions.compartments()[own]}))


def _take_cursor(pairs: Pairs) -> tuple[str | None, Pairs]:
    values = [value for name, value in pairs if name == CURSOR]
    if not values:
        return None, pairs
    if len(values) > 1:
        raise InvalidSearch(f"{CURSOR} was given {len(values)} times", expression=(CURSOR,))
    return values[0], [pair for pair in pairs if pair[0] != CURSOR]


def _context(access: AccessContext, found: Found) -> str:
    """Return what a cursor of the search is bound to: its caller and its question."""
    wanted = found.search
    asked = repr((found.path, wanted.query, wanted.sort, wanted.includes))
    digest = blake2b(asked.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return f"{access.identity}\n{digest}"


def _ref(text: str) -> tuple[str, str]:
    type_, _, id_ = text.partition("/")
    return type_, id_
