"""Rewrite a query so that it can only find what its caller may see.

Called by every store for every query it is handed, includes and counts as well, before LIMIT.
The limits are put on at every hop of a chain, of ``_has`` and of a chained sort: what the caller
may not see can neither be found nor be felt.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

from server.access.context import AccessContext, Interaction
from server.search.query import (
    EVERYTHING,
    NOTHING,
    AllOf,
    AnyOf,
    HasKey,
    Not,
    Predicate,
    Query,
    ReferredBy,
    Refers,
    SortKey,
)
from server.search.rows import compartment_key, hash64


def narrow(query: Query, access: AccessContext, interaction: Interaction = "search") -> Query:
    """Return ``query`` with the caller's limits ANDed in; equal to it for unrestricted callers.

    >>> from server.access.context import Permit
    >>> own = AccessContext("user/1", "app", (Permit("*", compartment="Patient/a"),))
    >>> narrow(Query(("Patient",)), own).where
    AllOf(of=(AllOf(of=()), HasKey(keys=('compartment|Patient/a',))))
    """
    if access.unrestricted:
        return query
    query = Query(query.types, _at_every_hop(query.where, access, interaction))
    by_limit: dict[Predicate, list[str]] = {}
    for type_ in query.types:
        by_limit.setdefault(_limit(type_, access, interaction), []).append(type_)
    by_limit.pop(NOTHING, None)
    if not by_limit:
        return Query(query.types, NOTHING)
    if len(by_limit) == 1:
        ((limit, types),) = by_limit.items()
        where = query.where if limit == EVERYTHING else AllOf((query.where, limit))
        return Query(tuple(types), where)
    allowed = AnyOf(
        tuple(AllOf((HasKey(tuple(types)), limit)) for limit, types in by_limit.items())
    )
    return Query(
        tuple(t for types in by_limit.values() for t in types), AllOf((query.where, allowed))
    )


def narrow_sort(sort: Sequence[SortKey], access: AccessContext) -> tuple[SortKey, ...]:
    """Return the keys of a sort with the caller's limits at every hop of the chained ones."""
    if access.unrestricted:
        return tuple(sort)
    return tuple(
        replace(key, through=tuple(replace(hop, to=narrow(hop.to, access)) for hop in key.through))
        for key in sort
    )


def may(access: AccessContext, interaction: Interaction, type_: str, keys: Collection[int]) -> bool:
    """Tell whether one version, given its type and hashed index keys, is open to the caller."""
    return any(
        p.compartment is None or hash64(compartment_key(p.compartment)) in keys
        for p in access.covering(type_, interaction)
    )


def _at_every_hop(where: Predicate, access: AccessContext, interaction: Interaction) -> Predicate:
    match where:
        case AllOf(of):
            return AllOf(tuple(_at_every_hop(one, access, interaction) for one in of))
        case AnyOf(of):
            return AnyOf(tuple(_at_every_hop(one, access, interaction) for one in of))
        case Not(of):
            return Not(_at_every_hop(of, access, interaction))
        case Refers(type_, param, to):
            return Refers(type_, param, narrow(to, access, interaction))
        case ReferredBy(by, param):
            return ReferredBy(narrow(by, access, interaction), param)
        case _:
            return where


def _limit(type_: str, access: AccessContext, interaction: Interaction) -> Predicate:
    permits = access.covering(type_, interaction)
    if any(p.compartment is None for p in permits):
        return EVERYTHING
    keys = tuple(dict.fromkeys(compartment_key(p.compartment) for p in permits if p.compartment))
    return HasKey(keys) if keys else NOTHING
