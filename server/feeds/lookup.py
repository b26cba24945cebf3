"""Look many identities up at once: one search, and then who of them each hit answers.

A message asks for a dozen patients, visits, doctors and wards; one search each would be a dozen
ways to a reading thread and back.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mappings.plan import PlannedResource
from server.access.context import SYSTEM
from server.feeds.refused import RefusedMessage
from server.fhir import json as fhir_json
from server.fhir.errors import InvalidRequest, InvalidSearch
from server.interactions.conditional import condition
from server.interactions.services import Services
from server.search import criteria, extract
from server.search.match import matches
from server.search.query import AllOf, AnyOf, HasKey, Predicate, Query
from server.search.rows import IndexRows
from server.store.port import Expect, Version

MOST_HITS = 5  # of one identity; two are a conflict already
_AT_ONCE = 100  # identities of one search; a store's statements have room for some hundred keys
_MAX_VALUE = 200  # characters; what is longer takes the long way, with its limits

Hit = tuple[Version, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Sought:
    """One alternative of an identity, as a search; ``claim`` is equal for equal searches.

    ``codes``: its parameters when index keys alone decide it, else empty.
    """

    query: Query
    claim: str
    codes: tuple[str, ...] = ()

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
    keys: list[Predicate] = []
    ordered = sorted(pairs, key=lambda pair: pair[0] != "identifier")  # the narrowest first
    for name, value in ordered:
        parameter = criteria.common_parameter((type_,), name, catalog=services.catalog)
        if parameter is None or parameter.type not in ("token", "reference"):
            return None
        if not 0 < len(value) <= _MAX_VALUE or not value.isascii():
            return None
        key = criteria.predicate(
            (type_,), parameter, None, value, services.base_url, catalog=services.catalog
        )
        if not isinstance(key, HasKey):
            return None
        keys.append(key)
    if not keys:
        return None
    claim = f"{type_}?" + "&".join(f"{name}={value}" for name, value in sorted(pairs))
    where = keys[0] if len(keys) == 1 else AllOf(tuple(keys))
    return Sought(Query((type_,), where), claim, tuple(sorted({name for name, _ in pairs})))


def _by_search(services: Services, type_: str, pairs: Sequence[tuple[str, str]]) -> Sought:
    read = condition(services, SYSTEM, type_, pairs, where="identity")
    return Sought(read.query, read.claim)


async def find(services: Services, asked: Sequence[Sought]) -> dict[str, dict[str, Hit]]:
    """Return the live matches of each, at most a few: by claim, then by id.

    Raises:
        StoreUnavailable, DeadlineExceeded: the record could not be searched now.
    """
    distinct = list({one.claim: one for one in asked}.values())
    single = [one for one in distinct if isinstance(one.query.where, HasKey) and one.codes]
    several = [one for one in distinct if one.codes and one not in single]
    groups = [
        group[start : start + _AT_ONCE]
        for group in (single, several)
        for start in range(0, len(group), _AT_ONCE)
    ]
    groups += [[one] for one in distinct if not one.codes]
    found: dict[str, dict[str, Hit]] = {one.claim: {} for one in distinct}
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
