"""Look many identities up at once: who has their keys, and then which version that is.

A message asks for a dozen patients, visits, doctors and wards.  Nearly all of them are decided by
index keys, of which the store tells at once who has them; the few others are searched for.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from mappings.plan import PlannedResource
from server.access.context import SYSTEM
from server.feeds import at_hand
from server.feeds.at_hand import Hit
from server.feeds.refused import RefusedMessage
from server.fhir import json as fhir_json
from server.fhir.errors import InvalidRequest, InvalidSearch
from server.interactions.conditional import condition
from server.interactions.services import Services
from server.search import criteria, extract
from server.search.catalog import Catalog
from server.search.match import matches
from server.search.query import AllOf, AnyOf, HasKey, Query
from server.search.rows import IndexRows
from server.store.port import Expect, Held, Version

MOST_HITS = 5  # of one identity; two are a conflict already
_MOST_HELD = 50  # resources with a key; of more than that nothing is known
_MOST_READ = 10  # resources that are looked at for one identity; of more it is searched
_AT_ONCE = 100  # identities of one search; a store's statements have room for some hundred keys
_MAX_VALUE = 200  # characters; what is longer takes the long way, with its limits


@dataclass(frozen=True, slots=True)
class Sought:
    """One alternative of an identity, as a search; ``claim`` is equal for equal searches.

    ``codes``: its parameters when index keys alone decide it, else empty.  ``keys``: then a match
    has one of each of these; ``narrow`` tells that nothing else is asked of it.
    """

    query: Query
    claim: str
    codes: tuple[str, ...] = ()
    keys: tuple[tuple[str, ...], ...] = ()
    narrow: bool = False

    @property
    def type(self) -> str:
        """The resource type."""
        return self.query.types[0]

    def expect_none(self) -> Expect:
        """Return the expectation that nothing matches."""
        return Expect(self.claim, self.query, frozenset())


def sought(
    services: Services, planned: PlannedResource, pairs: Sequence[tuple[str, str]]
) -> Sought:
    """Return one alternative of an identity, ready to be looked up.

    Raises:
        RefusedMessage: the map asks for what cannot be searched.
    """
    try:
        return _by_keys(services, planned.type, pairs) or _by_search(services, planned.type, pairs)
    except (InvalidSearch, InvalidRequest) as error:
        told = f"the map identifies {planned.label} in a way that cannot be searched"
        raise RefusedMessage("map-error", f"{told}: {error.diagnostics}") from error


def _by_keys(services: Services, type_: str, pairs: Sequence[tuple[str, str]]) -> Sought | None:
    """Read the common case, tokens and references, without all that a request may hold."""
    if not all(0 < len(value) <= _MAX_VALUE and value.isascii() for _, value in pairs):
        return None
    return _of_keys(type_, tuple(pairs), services.base_url, services.catalog)


@lru_cache(maxsize=2048)
def _of_keys(
    type_: str, pairs: tuple[tuple[str, str], ...], base_url: str, catalog: Catalog
) -> Sought | None:
    keys: list[tuple[int, HasKey]] = []
    for name, value in pairs:
        parameter = criteria.common_parameter((type_,), name, catalog=catalog)
        if parameter is None or parameter.type not in ("token", "reference"):
            return None
        key = criteria.predicate((type_,), parameter, None, value, base_url, catalog=catalog)
        if not isinstance(key, HasKey):
            return None
        breadth = 0 if name == "identifier" else 1 if parameter.type == "reference" else 2
        keys.append((breadth, key))
    if not keys:
        return None
    keys.sort(key=lambda pair: pair[0])  # the narrowest first
    claim = f"{type_}?" + "&".join(f"{name}={value}" for name, value in sorted(pairs))
    where = keys[0][1] if len(keys) == 1 else AllOf(tuple(key for _, key in keys))
    # Who has a code, half of the record may be, is not asked where something else is known.
    asked = [key.keys for breadth, key in keys if breadth < 2] or [keys[0][1].keys]
    codes = tuple(sorted({name for name, _ in pairs}))
    return Sought(Query((type_,), where), claim, codes, tuple(asked), len(asked) == len(keys))


def _by_search(services: Services, type_: str, pairs: Sequence[tuple[str, str]]) -> Sought:
    read = condition(services, SYSTEM, type_, pairs, where="identity")
    return Sought(read.query, read.claim)


async def find(services: Services, asked: Sequence[Sought]) -> dict[str, dict[str, Hit]]:
    """Return the live matches of each, at most a few: by claim, then by id.

    Raises:
        StoreUnavailable, DeadlineExceeded: the record could not be searched now.
    """
    distinct = {one.claim: one for one in asked}
    keyed = [one for one in distinct.values() if one.keys]
    keys = dict.fromkeys(key for one in keyed for some in one.keys for key in some)
    by_key = await services.store.holders(keys, most=_MOST_HELD) if keys else {}
    perhaps = {one.claim: _perhaps(one, by_key) for one in keyed}
    wanted = {held for some in perhaps.values() if some is not None for held in some.held}
    known = await at_hand.latest(services.store, wanted) if wanted else {}
    found: dict[str, dict[str, Hit]] = {}
    for one in keyed:
        if (some := perhaps[one.claim]) is not None:
            found[one.claim] = _hits(services, one, some, known)
    return found | await _searched(services, [one for c, one in distinct.items() if c not in found])


class _Perhaps(NamedTuple):
    """Who may match; ``surely``: who is what they were told to be does."""

    held: set[Held]
    surely: bool


def _perhaps(one: Sought, by_key: Mapping[str, tuple[Held, ...] | None]) -> _Perhaps | None:
    """Return who may match, ``None`` when these are too many to look at."""
    lists: list[set[Held]] = []
    for some in one.keys:
        held = [by_key[key] for key in some]
        if None not in held:
            lists.append({each for told in held if told is not None for each in told})
    if not lists:
        return None
    held_by_all = set.intersection(*lists)
    surely = one.narrow and len(lists) == len(one.keys)
    most = MOST_HITS if surely else _MOST_READ
    return _Perhaps(held_by_all, surely) if len(held_by_all) <= most else None


def _hits(
    services: Services, one: Sought, perhaps: _Perhaps, known: Mapping[Held, Hit]
) -> dict[str, Hit]:
    found: dict[str, Hit] = {}
    for held in perhaps.held:
        hit = known.get(held)
        if hit is None:  # deleted meanwhile
            continue
        version, resource = hit
        as_told = perhaps.surely and version.seq == held.seq
        if as_told or _answers(services, one, version, resource):
            found[held.id] = hit
    return found


async def _searched(services: Services, left: Sequence[Sought]) -> dict[str, dict[str, Hit]]:
    single = [one for one in left if one.codes and isinstance(one.query.where, HasKey)]
    several = [one for one in left if one.codes and one not in single]
    groups = [
        group[start : start + _AT_ONCE]
        for group in (single, several)
        for start in range(0, len(group), _AT_ONCE)
    ]
    groups += [[one] for one in left if not one.codes]
    found: dict[str, dict[str, Hit]] = {}
    for made in await asyncio.gather(*(_search(services, group) for group in groups)):
        found |= made
    return found


async def _search(services: Services, group: Sequence[Sought]) -> dict[str, dict[str, Hit]]:
    types = tuple(dict.fromkeys(one.type for one in group))
    where = AnyOf(tuple(one.query.where for one in group)) if len(group) > 1 else None
    page = await services.store.search(
        SYSTEM,
        Query(types, where) if where is not None else group[0].query,
        limit=MOST_HITS * len(group),
        deadline_s=services.policy.deadline_s,
    )
    if page.after is not None and len(group) > 1:  # one of them hides the others' hits
        alone = await asyncio.gather(*(_search(services, [one]) for one in group))
        return {claim: hits for made in alone for claim, hits in made.items()}
    found: dict[str, dict[str, Hit]] = {one.claim: {} for one in group}
    for version in page.versions:
        resource = fhir_json.loads(version.body or b"{}")
        for one in group:
            if one.type != version.type:
                continue
            if len(group) == 1 or _answers(services, one, version, resource):
                found[one.claim][version.id] = version, resource
    return found


def _answers(services: Services, one: Sought, version: Version, resource: dict[str, Any]) -> bool:
    keys = extract.keys(resource, one.codes, services.base_url, catalog=services.catalog)
    rows = IndexRows(keys)
    return matches(one.query, resource, rows, updated=version.at)
