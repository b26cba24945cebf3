"""Hops of a predicate about one resource, settled by asking the store.

For a resource that is not stored yet, or not with these rows: what it says of itself is then asked
of its own rows (:mod:`server.search.match`).
"""

from collections.abc import Collection
from typing import Any

from server.access.context import SYSTEM
from server.interactions.services import Services
from server.search import extract
from server.search.query import (
    EVERYTHING,
    NOTHING,
    AllOf,
    AnyOf,
    HasKey,
    IdIs,
    InCompartmentOf,
    Mentioned,
    Not,
    Predicate,
    Query,
    ReferredBy,
    Refers,
)


async def settled(services: Services, where: Predicate, resource: dict[str, Any]) -> Predicate:
    """Return the predicate with each hop replaced by what it comes to: true or false.

    The queries inside the hops are asked as they are; limits belong into them before.  Canonical
    references lead nowhere here, so a limit through one does not hold.
    """
    match where:
        case AllOf(of):
            return AllOf(tuple([await settled(services, one, resource) for one in of]))
        case AnyOf(of):
            return AnyOf(tuple([await settled(services, one, resource) for one in of]))
        case Not(inner):
            return Not(await settled(services, inner, resource))
        case Refers(type_, param, to):
            return _truth(await _refers(services, type_, param, to, resource))
        case ReferredBy(by, param):
            (source,) = by.types
            name = f"{resource['resourceType']}/{resource.get('id', '')}"
            key = HasKey((f"{source}|{param}|r|{name}",))
            return _truth(await _some(services, Query(by.types, AllOf((by.where, key)))))
        case Mentioned():
            type_, id_ = resource["resourceType"], resource.get("id", "")
            return _truth(await _some(services, Query((type_,), AllOf((IdIs((id_,)), where)))))
        case InCompartmentOf(to):
            own = extract.compartments(resource, services.base_url, catalog=services.catalog)
            return _truth(bool(await named(services, to, own)))
        case _:
            return where


async def named(services: Services, wanted: Query, of: Collection[str]) -> set[str]:
    """Return those of some references (``Patient/x``) that a query for one type finds."""
    (type_,) = wanted.types
    found = {one for one in of if one.startswith(f"{type_}/")}
    ids = tuple(one.partition("/")[2] for one in sorted(found))
    query = Query(wanted.types, AllOf((IdIs(ids), wanted.where)))
    page = await services.store.search(
        SYSTEM, query, limit=max(len(ids), 1), deadline_s=services.policy.deadline_s
    )
    return {f"{type_}/{version.id}" for version in page.versions}


async def _refers(
    services: Services, type_: str, param: str, to: Query, resource: dict[str, Any]
) -> bool:
    if resource["resourceType"] != type_:
        return False
    named: dict[str, list[str]] = {}
    for text in extract.targets(resource, param, services.base_url, catalog=services.catalog):
        there, _, id_ = text.partition("/")
        if there in to.types:
            named.setdefault(there, []).append(id_)
    for there, ids in named.items():
        if await _some(services, Query((there,), AllOf((IdIs(tuple(ids)), to.where)))):
            return True
    return False


async def _some(services: Services, query: Query) -> bool:
    page = await services.store.search(
        SYSTEM, query, limit=1, deadline_s=services.policy.deadline_s
    )
    return bool(page.versions)


def _truth(found: bool) -> Predicate:
    return EVERYTHING if found else NOTHING
