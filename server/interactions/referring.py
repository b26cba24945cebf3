"""What resources refer to by their reference parameters, and what they are referred to by.

References are local (``Type/id``; one to a version leads to the current one, R4
search.html#include) or canonical (the ``url`` of a definition, with its version or without).
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from server.access.context import AccessContext
from server.fhir import definitions
from server.fhir import json as fhir_json
from server.interactions.rights import READ_ONLY
from server.interactions.services import Services
from server.search import extract
from server.search import parameters as search_parameters
from server.search.catalog import Catalog
from server.search.query import HasKey, Include, Query
from server.store.port import Version

Ref = tuple[str, str]

_IN_A_ROW = 50  # resources that are looked into before others get their turn
_AT_ONCE = 500  # canonical references in one search
_CANONICAL = frozenset(("canonical", "uri"))


@dataclass(slots=True)
class Links:
    """Where a set of resources leads to by some includes.

    ``forward``: local references of theirs; ``canonical``: canonical references, with the types
    that they may lead to; ``sources``: those of them that something may refer to, with the
    canonical names by which it may.
    """

    forward: set[Ref] = field(default_factory=set)
    canonical: dict[str, frozenset[str]] = field(default_factory=dict)
    sources: dict[Ref, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    async def of(
        cls, services: Services, includes: Sequence[Include], versions: Sequence[Version]
    ) -> "Links":
        """Return the links of some versions."""
        made = cls()
        await made.add(services, includes, versions)
        return made

    def __bool__(self) -> bool:
        return bool(self.forward or self.canonical or self.sources)

    async def add(
        self, services: Services, includes: Sequence[Include], versions: Sequence[Version]
    ) -> None:
        """Add the links of more versions; a thousand take a while, so others get their turn."""
        for start in range(0, len(versions), _IN_A_ROW):
            self._add(services, includes, versions[start : start + _IN_A_ROW])
            await asyncio.sleep(0)

    def _add(
        self, services: Services, includes: Sequence[Include], versions: Iterable[Version]
    ) -> None:
        forward = [include for include in includes if not include.reverse]
        reverse = [include for include in includes if include.reverse]
        for version in versions:
            ahead = [i for i in forward if i.source in (version.type, "*")]
            behind = _may_be_referred_to(services.catalog, tuple(reverse), version.type)
            if not ahead and not behind:
                continue
            named = behind and version.type in _definitions()
            resource = fhir_json.glance(version.body or b"{}") if ahead or named else {}
            if ahead:
                self.add_targets(services, ahead, resource)
            if behind:
                self.sources[version.type, version.id] = canonical_names(resource)

    def add_targets(
        self, services: Services, ahead: Iterable[Include], resource: dict[str, Any]
    ) -> None:
        """Add what a resource refers to by some ``_include``, all of which speak of its type."""
        for include in ahead:
            for _, param, targets in parameters(
                services.catalog, include, resource["resourceType"]
            ):
                wanted = targets if include.target is None else frozenset((include.target,))
                for text in _local(services, resource, param):
                    type_there, _, id_ = text.partition("/")
                    if include.target in (None, type_there):
                        self.forward.add((type_there, id_))
                for text in _canonicals(services.catalog, resource, param):
                    self.canonical[text] = self.canonical.get(text, frozenset()) | wanted


async def targets(services: Services, access: AccessContext, links: Links) -> set[Ref]:
    """Return the (type, id) of everything referred to, as far as the caller may see it."""
    found = set(links.forward)
    asked = sorted(links.canonical)
    for start in range(0, len(asked), _AT_ONCE):
        some = {text: links.canonical[text] for text in asked[start : start + _AT_ONCE]}
        found |= await _named(services, access, some)
    return found


async def _named(
    services: Services, access: AccessContext, wanted: dict[str, frozenset[str]]
) -> set[Ref]:
    """Return what has the canonical names; one without a version names every version."""
    keys: dict[str, None] = {}
    types: dict[str, None] = {}
    for text, allowed in wanted.items():
        url = text.partition("|")[0]
        for type_ in sorted(allowed & _definitions()):
            types[type_] = None
            keys[f"{type_}|url|u|{url}"] = None
    found: set[Ref] = set()
    after = None
    while keys:
        answer = await services.store.search(
            access,
            Query(tuple(types), HasKey(tuple(keys))),
            limit=1_000,
            after=after,
            deadline_s=services.policy.deadline_s,
        )
        for version in answer.versions:
            names = canonical_names(fhir_json.glance(version.body or b"{}"))
            if any(version.type in wanted.get(name, ()) for name in names):
                found.add((version.type, version.id))
        after = answer.after
        if after is None:
            break
    return found


def names_in(
    services: Services, includes: Iterable[Include], type_: str, resource: dict[str, Any]
) -> set[str]:
    """Return the addresses that a resource names by the ``_revinclude`` among the includes."""
    return {
        text
        for include in includes
        if include.reverse and include.source in (type_, "*")
        for _, param, _ in parameters(services.catalog, include, type_)
        for text in (
            *_local(services, resource, param),
            *_canonicals(services.catalog, resource, param),
        )
    }


def canonical_names(resource: dict[str, Any]) -> tuple[str, ...]:
    """Return the names by which canonical references name a resource.

    >>> canonical_names({"url": "http://a", "version": "2"})
    ('http://a', 'http://a|2')
    """
    url, version = resource.get("url"), resource.get("version")
    if not isinstance(url, str):
        return ()
    return (url, f"{url}|{version}") if isinstance(version, str) else (url,)


@lru_cache(maxsize=1_000)
def parameters(
    catalog: Catalog, include: Include, type_: str | None = None
) -> tuple[tuple[str, str, frozenset[str]], ...]:
    """Return the (type, parameter, types it may refer to) that an include follows, of one type or
    of every type that it speaks of."""
    if type_ is not None:
        sources = [type_]
    else:
        every = sorted(definitions.resource_types() - READ_ONLY)  # those have to be named
        sources = every if include.source == "*" else [include.source]
    return tuple(
        (source, code, frozenset(parameter.target) or definitions.resource_types())
        for source in sources
        for code, parameter in catalog.parameters(source).items()
        if parameter.type == "reference" and parameter.expression and include.param in ("*", code)
    )


@lru_cache(maxsize=1_000)
def _may_be_referred_to(catalog: Catalog, reverse: tuple[Include, ...], type_: str) -> bool:
    return any(
        include.target in (None, type_)
        and any(type_ in targets for _, _, targets in parameters(catalog, include))
        for include in reverse
    )


def _local(services: Services, resource: dict[str, Any], param: str) -> tuple[str, ...]:
    return extract.targets(resource, param, services.base_url, catalog=services.catalog)


def _canonicals(catalog: Catalog, resource: dict[str, Any], param: str) -> list[str]:
    """Return the values of a parameter that are canonical URLs, without fragments."""
    return [
        value.partition("#")[0]
        for branch in _canonical_branches(catalog, resource["resourceType"], param)
        for value in branch.values(resource)
        if isinstance(value, str) and ":" in value
    ]


@lru_cache(maxsize=2_000)
def _canonical_branches(catalog: Catalog, type_: str, param: str) -> tuple[Any, ...]:
    found = search_parameters.branches(type_, param, catalog)
    return tuple(branch for branch in found if branch.type in _CANONICAL)


@lru_cache(maxsize=1)
def _definitions() -> frozenset[str]:
    """Return the types that have a canonical URL to be found by."""
    return frozenset(
        type_
        for type_ in definitions.resource_types()
        if (found := definitions.search_parameters(type_).get("url")) and found.type == "uri"
    )
