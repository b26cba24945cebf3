"""Rewrite a query so that it can only find what its caller may see.

Called by every store for every query it is handed, includes and counts as well, before LIMIT.
The limits are put on at every hop of a chain, of ``_has`` and of a chained sort: what the caller
may not see can neither be found nor be felt.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import lru_cache

from server.access.context import AccessContext, Interaction, Permit
from server.access.types import record_types
from server.search.query import (
    EVERYTHING,
    NOTHING,
    AllOf,
    AnyOf,
    DateIs,
    HasKey,
    InCompartmentOf,
    Mentioned,
    Not,
    Predicate,
    Query,
    ReferredBy,
    Refers,
    SortKey,
)
from server.search.rows import (
    ANY_TYPE,
    RELEASE,
    RELEASE_MARK,
    compartment_key,
    hash64,
    label_mark,
)

_TELLS = "AuditEvent"


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
    by_limit = _by_limit(query.types, access, interaction)
    if not by_limit:
        return Query(query.types, NOTHING)
    if len(by_limit) == 1:
        ((only, types),) = by_limit.items()
        where = query.where if only == EVERYTHING else AllOf((query.where, only))
        return Query(tuple(types), where)
    allowed = AnyOf(tuple(AllOf((HasKey(tuple(types)), only)) for only, types in by_limit.items()))
    return Query(
        tuple(t for types in by_limit.values() for t in types), AllOf((query.where, allowed))
    )


def _by_limit(
    types: Sequence[str], access: AccessContext, interaction: Interaction
) -> dict[Predicate, list[str]]:
    """Return the types by what must hold for them; those that are not open at all are left out."""
    by_permits: dict[tuple[int, ...], tuple[tuple[Permit, ...], list[str]]] = {}
    for type_ in types:
        found = access.covering(type_, interaction)
        # By identity: to hash a permit is to hash all that its condition consists of.
        by_permits.setdefault(tuple(map(id, found)), (found, []))[1].append(type_)
    by_limit: dict[Predicate, list[str]] = {}
    for permits, some in by_permits.values():
        by_limit.setdefault(_any_of(permits), []).extend(some)
    by_limit.pop(NOTHING, None)
    return by_limit


def narrow_sort(sort: Sequence[SortKey], access: AccessContext) -> tuple[SortKey, ...]:
    """Return the keys of a sort with the caller's limits at every hop of the chained ones."""
    if access.unrestricted:
        return tuple(sort)
    return tuple(
        replace(key, through=tuple(replace(hop, to=narrow(hop.to, access)) for hop in key.through))
        for key in sort
    )


def decide(
    access: AccessContext, interaction: Interaction, type_: str, marks: Collection[int]
) -> bool | None:
    """Tell from what is kept beside a version whether it is open to the caller.

    ``marks``: the hashed keys of its compartments, security labels and release.  ``None``: they do
    not say; then :func:`limit` must hold for it.
    """
    open_: bool | None = False
    for permit in access.permits:
        if not permit.covers(type_, interaction):
            continue
        if permit.compartment is not None and _mark(permit.compartment) not in marks:
            continue
        if permit.hidden and not _label_marks(permit.hidden).isdisjoint(marks):
            continue
        unreleased = permit.released is not None and (
            type_ == _TELLS or _mark(RELEASE_MARK) in marks
        )
        if permit.where == EVERYTHING and not unreleased:
            return True
        open_ = None
    return open_


def limit(type_: str, access: AccessContext, interaction: Interaction) -> Predicate:
    """Return what must hold for a resource of the type that the caller may see.

    Every hop inside is limited already.
    """
    return _any_of(access.covering(type_, interaction))


def _any_of(permits: Sequence[Permit]) -> Predicate:
    limits = [of_permit(permit) for permit in permits]
    if EVERYTHING in limits:
        return EVERYTHING
    # Permits that differ in their compartment only make one list of keys.
    keys = tuple(
        dict.fromkeys(key for one in limits if isinstance(one, HasKey) for key in one.keys)
    )
    others = tuple(dict.fromkeys(one for one in limits if not isinstance(one, HasKey)))
    alternatives = ((HasKey(keys),) if keys else ()) + others
    return alternatives[0] if len(alternatives) == 1 else AnyOf(alternatives)


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
        case Mentioned(by):
            return Mentioned(narrow(by, access, interaction))
        case InCompartmentOf(to):
            return InCompartmentOf(narrow(to, access, interaction))
        case _:
            return where


def of_permit(permit: Permit) -> Predicate:
    """Return what must hold for a resource of a type that the permit covers."""
    parts: list[Predicate] = []
    if permit.compartment is not None:
        parts.append(HasKey((compartment_key(permit.compartment),)))
    if permit.where != EVERYTHING:
        parts.append(permit.where)
    if permit.hidden:
        labels = tuple(compartment_key(label_mark(label)) for label in permit.hidden)
        parts.append(Not(HasKey(labels)))
    if permit.released is not None:
        parts.append(released_by(permit.released))
        if permit.type in (_TELLS, "*") or _TELLS in permit.types:
            parts.append(_telling_of_released(permit.released))
    return parts[0] if len(parts) == 1 else AllOf(tuple(parts))


def released_by(now: int) -> Predicate:
    """Return what holds for a resource that patients may see at ``now`` (microseconds)."""
    return Not(_held_at(now))


def _held_at(now: int) -> Predicate:
    marked = HasKey((compartment_key(RELEASE_MARK),))
    return AllOf((marked, DateIs(ANY_TYPE, RELEASE, "gt", now, now + 1)))


@lru_cache(maxsize=64)
def _telling_of_released(now: int) -> Predicate:
    """Return what holds for an AuditEvent that tells of nothing that is held back at ``now``.

    It is not said by the AuditEvent itself: it stays as it is when what it tells of is released.
    """
    held = Query(tuple(sorted(record_types())), _held_at(now))
    return Not(Refers(_TELLS, "entity", held))


@lru_cache(maxsize=1024)
def _label_marks(labels: tuple[str, ...]) -> frozenset[int]:
    return frozenset(hash64(compartment_key(label_mark(label))) for label in labels)


@lru_cache(maxsize=65_536)
def _mark(mark: str) -> int:
    return hash64(compartment_key(mark))
