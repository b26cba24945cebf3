"""Codes that only terminology or the record can name: ``:in :not-in :below :above``.

R4 search.html#modifiers, search.html#recursive.  A search is expanded once, before a store sees it,
for the caller: a value set that the caller may not read is not there.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from server.access.context import AccessContext
from server.fhir import json as fhir_json
from server.fhir.errors import DeadlineExceeded, FhirError, InvalidSearch, TooCostly
from server.fhir.references import split_reference
from server.interactions.services import Services
from server.search import extract
from server.search.query import (
    NOTHING,
    AllOf,
    AnyOf,
    CodesOf,
    HasKey,
    Hop,
    Not,
    Predicate,
    Query,
    ReferredBy,
    Refers,
    Search,
    SortKey,
)
from server.store.port import Version
from terminology.enumerated import Enumerated
from terminology.port import Terminology

MAX_HIERARCHY = 10_000  # resources of one hierarchy, such as the rooms of a hospital
MAX_CODES = 100_000  # codes and resources that one search comes to: what a store takes

_PAGE = 1_000
_PART_OF = ("partof", "part-of")


async def expand(services: Services, access: AccessContext, search: Search) -> Search:
    """Return the search with every ``CodesOf`` replaced by the keys of its codes.

    Raises:
        InvalidSearch: there is no such hierarchy.
        NotEnumerable, Unknown, TooCostly: the codes cannot be listed; the text says of what.
        DeadlineExceeded: to list all of them would take too long.
    """
    if not asks(search):
        return search
    return await _Expansion(services, access).of_search(search)


async def expanded(services: Services, access: AccessContext, query: Query) -> Query:
    """As :func:`expand`, of a query alone."""
    return await _Expansion(services, access).of_query(query) if _asks(query.where) else query


def asks(search: Search) -> bool:
    """Tell whether a search asks for codes that must be named first."""
    hops = (hop.to.where for key in search.sort for hop in key.through)
    return _asks(search.query.where) or any(map(_asks, hops))


def _asks(where: Predicate) -> bool:
    match where:
        case CodesOf():
            return True
        case AllOf(of) | AnyOf(of):
            return any(map(_asks, of))
        case Not(inner):
            return _asks(inner)
        case Refers(to=to):
            return _asks(to.where)
        case ReferredBy(by=by):
            return _asks(by.where)
        case _:
            return False


@dataclass(frozen=True, slots=True)
class StoredDefinitions:
    """The ValueSets and CodeSystems that a caller may see: a ``terminology.port.Definitions``.

    Of several of one address the active one counts, then the one that was changed last.
    """

    services: Services
    access: AccessContext

    async def value_set(self, url: str) -> dict[str, Any] | None:
        """Return by canonical URL, ``url|version`` or ``ValueSet/id``."""
        named = split_reference(url, self.services.base_url)
        if named.type == "ValueSet" and named.id is not None:
            ref = (named.type, named.id)
            found = (await self.services.store.read_many(self.access, [ref])).get(ref)
            return None if found is None else _resource(found)
        return await self._named("ValueSet", url)

    async def code_system(self, url: str) -> dict[str, Any] | None:
        """Return by canonical URL, or ``url|version``."""
        return await self._named("CodeSystem", url)

    async def _named(self, type_: str, canonical: str) -> dict[str, Any] | None:
        url, _, version = canonical.partition("|")
        page = await self.services.store.search(
            self.access,
            Query((type_,), HasKey((f"{type_}|url|u|{url}",))),
            sort=(SortKey("_lastUpdated", "updated", descending=True),),
            limit=_PAGE,
            deadline_s=self.services.policy.deadline_s,
        )
        found = [_resource(one) for one in page.versions]
        wanted = [one for one in found if version in ("", one.get("version"))]
        active = [one for one in wanted if one.get("status") == "active"]
        return next(iter(active or wanted), None)


class _Expansion:
    def __init__(self, services: Services, access: AccessContext) -> None:
        self._services = services
        self._access = access
        self._terminology: Terminology = Enumerated(StoredDefinitions(services, access))
        self._end = time.monotonic() + services.policy.deadline_s
        self._codes_named = 0

    async def of_search(self, search: Search) -> Search:
        sort = tuple([await self._sort_key(key) for key in search.sort])
        query, inside = await self.of_query(search.query), search.containers
        containers = await self.of_query(inside) if inside is not None else None
        return replace(search, query=query, sort=sort, containers=containers)

    async def of_query(self, query: Query) -> Query:
        return Query(query.types, await self._predicate(query.where))

    async def _sort_key(self, key: SortKey) -> SortKey:
        through = [Hop(hop.param, await self.of_query(hop.to)) for hop in key.through]
        return replace(key, through=tuple(through))

    async def _predicate(self, where: Predicate) -> Predicate:
        match where:
            case CodesOf():
                return await self._named(where)
            case AllOf(of):
                return AllOf(tuple([await self._predicate(one) for one in of]))
            case AnyOf(of):
                return AnyOf(tuple([await self._predicate(one) for one in of]))
            case Not(inner):
                return Not(await self._predicate(inner))
            case Refers(type_, param, to):
                return Refers(type_, param, await self.of_query(to))
            case ReferredBy(by, param):
                return ReferredBy(await self.of_query(by), param)
            case _:
                return where

    async def _named(self, asked: CodesOf) -> Predicate:
        place = f"{asked.type}|{asked.param}"
        try:
            keys = tuple(f"{place}|{tail}" for tail in await self._tails(asked))
        except FhirError as error:
            shown = f"{asked.param}:{asked.relation}"
            raise type(error)(f"{shown}: {error.diagnostics}", expression=(shown,)) from error
        return HasKey(keys) if keys else NOTHING

    async def _tails(self, asked: CodesOf) -> list[str]:
        await asyncio.sleep(0)  # a request may ask for thousands, and others wait
        if time.monotonic() > self._end:
            raise DeadlineExceeded("to list all codes takes too long; ask for fewer value sets")
        if self._is_reference(asked):
            found = [f"r|{name}" for name in await self._hierarchy(asked)]
        else:
            found = [f"s|{system}|{code}" for system, code in await self._codes(asked)]
        self._codes_named += len(found)
        if self._codes_named > MAX_CODES:
            raise TooCostly(f"the search comes to more than {MAX_CODES} codes; ask for fewer")
        return found

    def _is_reference(self, asked: CodesOf) -> bool:
        known = self._services.catalog.parameters(asked.type.removeprefix("#"))
        parameter = known.get(asked.param)
        return parameter is not None and parameter.type == "reference"

    async def _codes(self, asked: CodesOf) -> Sequence[tuple[str, str]]:
        if asked.relation == "in":
            return await self._terminology.codes_in(asked.value)
        system, bar, code = asked.value.partition("|")
        if not (system and bar and code):
            raise InvalidSearch(f"{asked.value[:200]!r} is not system|code")
        if asked.relation == "below":
            return await self._terminology.below(system, code)
        return await self._terminology.above(system, code)

    async def _hierarchy(self, asked: CodesOf) -> list[str]:
        """Return the ``Type/id`` of a resource and of all that are part of it, or it of them."""
        type_, _, _ = asked.value.partition("/")
        known = self._services.catalog.parameters(type_)
        code = next((c for c in _PART_OF if c in known and type_ in known[c].target), None)
        if code is None:
            raise InvalidSearch(f"a {type_[:80]} is not part of another")
        found = {asked.value: None}
        newest = [asked.value]
        while newest:
            step = self._parts if asked.relation == "below" else self._wholes
            reached = await step(type_, code, newest)
            newest = [name for name in dict.fromkeys(reached) if name not in found]
            found |= dict.fromkeys(newest)
            if len(found) > MAX_HIERARCHY:
                told = f"{asked.value} has more than {MAX_HIERARCHY} parts; ask for one of them"
                raise TooCostly(told)
        return list(found)

    async def _parts(self, type_: str, code: str, names: Sequence[str]) -> list[str]:
        found: list[str] = []
        for start in range(0, len(names), _PAGE):
            some = names[start : start + _PAGE]
            query = Query((type_,), HasKey(tuple(f"{type_}|{code}|r|{name}" for name in some)))
            after = None
            while len(found) <= MAX_HIERARCHY:
                page = await self._services.store.search(
                    self._access,
                    query,
                    limit=_PAGE,
                    after=after,
                    deadline_s=self._services.policy.deadline_s,
                )
                found += [f"{version.type}/{version.id}" for version in page.versions]
                after = page.after
                if after is None:
                    break
        return found

    async def _wholes(self, type_: str, code: str, names: Iterable[str]) -> list[str]:
        refs = [(type_, name.partition("/")[2]) for name in names]
        there = await self._services.store.read_many(self._access, refs)
        prefix = f"{type_}/"
        return [
            target
            for version in there.values()
            for target in self._targets(version, code)
            if target.startswith(prefix)
        ]

    def _targets(self, version: Version, code: str) -> tuple[str, ...]:
        services = self._services
        resource = _resource(version)
        return extract.targets(resource, code, services.base_url, catalog=services.catalog)


def _resource(version: Version) -> dict[str, Any]:
    found: dict[str, Any] = fhir_json.glance(version.body or b"{}")
    return found
