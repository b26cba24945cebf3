"""Scopes and the user's policy -> permits: what a token opens is what both allow.

A few permits that speak of many types each: they are looked at on every request.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from server.access.conditions import NoCondition, condition, types_of
from server.access.context import (
    DEFINING,
    SEVERAL,
    AccessContext,
    Interaction,
    Permit,
    shared_types,
)
from server.access.departments import DECIDING, seen_by
from server.access.narrow import narrow, of_permit
from server.access.person import Person, Record, records, role_of
from server.access.policy import Policy, Right
from server.access.scopes import INTERACTIONS, Scope, Scopes, intersect
from server.access.types import record_types
from server.fhir import definitions
from server.search.catalog import R4, Catalog
from server.search.query import EVERYTHING, AllOf, Mentioned, Not, Predicate, Query, Refers

_LOOKING: frozenset[Interaction] = frozenset(("read", "search"))
_CHANGING: frozenset[Interaction] = frozenset(("update", "delete"))
_PROVENANCE = "Provenance"  # in the record of whomever its targets are of, which R4 does not say


def permits(
    policy: Policy,
    person: Person,
    scopes: Scopes,
    patient: str | None,
    now: int,
    catalog: Catalog = R4,
    *,
    role: str | None = None,
    base_url: str = "",
    beyond: bool = False,
) -> tuple[Permit, ...]:
    """Return what a token with ``scopes`` opens to a person at ``now`` (microseconds).

    ``patient``: the one in context, ``Patient/x``.  ``role``: what the person acts as; by default
    :func:`~server.access.person.role_of`.  Without a scope for FHIR resources: nothing.  A scope
    whose conditions cannot be put on opens nothing (:func:`.conditions.grantable` says why).
    ``beyond``: as if no label hid anything, for a role that is told of what is withheld; else none.
    """
    made = _Making(policy, person, catalog, base_url)
    acting = role if role is not None else role_of(policy, person, patient)
    if role is not None and role not in (*person.roles, role_of(policy, person, patient)):
        return ()
    for record in records(policy, person, acting, now, base_url):
        if beyond:
            if person.service or not record.role.told_of_withheld:
                continue
            record = replace(record, clearance=policy.full)
        for scope, place in _opening(scopes, record, person, patient):
            made.add(record, scope, place)
    return made.permits()


def _opening(
    scopes: Scopes, record: Record, person: Person, patient: str | None
) -> Iterable[tuple[Scope, str | None]]:
    """Yield the scopes that open a record, with the compartment that they open."""
    for scope in scopes.resources:
        if (scope.level == "system") is not person.service:
            continue
        place = record.patient
        if scope.level == "patient":
            if patient is None or record.patient not in (None, patient):
                continue
            if record.role.record == "none":
                continue
            place = patient
        if record.scopes is None:
            yield scope, place
        else:
            as_patient = Scopes((Scope("patient", scope.type, scope.letters, scope.query),))
            for both in intersect(as_patient, record.scopes).resources:
                yield both, place


@dataclass(frozen=True, slots=True)
class _Limits:
    """What two permits must have in common to be one."""

    compartment: str | None
    where: Predicate
    hidden: tuple[str, ...]
    released: int | None


@dataclass(frozen=True, slots=True)
class _Derived:
    """Types that are open where what is open already refers to them.

    ``seen``: what departments ask.
    """

    types: frozenset[str]
    interactions: frozenset[Interaction]
    limits: _Limits
    seen: Predicate = EVERYTHING

    @property
    def inside(self) -> Predicate:
        """What holds for what is in the record that is open, by its place, labels and release."""
        limits = replace(self.limits, where=self.seen)
        return of_permit(_permit(frozenset((_PROVENANCE,)), self.interactions, limits))


@dataclass(slots=True)
class _Making:
    """Permits in the making: interactions by type, by what limits them."""

    policy: Policy
    person: Person
    catalog: Catalog
    base_url: str
    found: dict[_Limits, dict[str, set[Interaction]]] = field(default_factory=dict)
    derived: list[_Derived] = field(default_factory=list)

    def add(self, record: Record, scope: Scope, place: str | None) -> None:
        """Add what a scope opens of a record, in a compartment or everywhere."""
        types = definitions.resource_types() if scope.type == "*" else types_of(scope)
        try:
            asked = condition(types_of(scope), scope.query, self.catalog, self.base_url)
        except NoCondition:
            return
        limits = _Limits(place, asked, self.policy.hidden(record.clearance), record.released)
        if looking := scope.interactions & _LOOKING:
            self._open(record, types & record.role.read, looking, limits)
        for right in record.role.write:
            self._add_right(record, right, scope, types, limits)

    def permits(self) -> tuple[Permit, ...]:
        """Return the permits; those for what is referred to rest on the others."""
        self._drop_narrower()
        opened = self._merged()
        for one in self.derived:
            self._add_derived(one, opened)
        return tuple(self._merged())

    def _add_right(
        self, record: Record, right: Right, scope: Scope, types: frozenset[str], limits: _Limits
    ) -> None:
        letters = set(right.letters) & set(scope.letters)
        some = types & right.types
        if not letters or not some:
            return
        try:
            where = _both(limits.where, self._asked_of(record.own, right, some))
        except NoCondition:
            return
        if "c" in letters:
            # What somebody writes may get a label above their clearance; they may write it.
            self._open(record, some, {"create"}, _Limits(limits.compartment, where, (), None))
        changes = {INTERACTIONS[letter] for letter in letters - {"c"}}
        self._open(record, some, changes, replace(limits, where=where))

    def _asked_of(self, own: str | None, right: Right, types: frozenset[str]) -> Predicate:
        """Return the condition of a right; ``self`` in it is ``own``."""
        if own is None and any(text == "self" for _, text in right.query):
            raise NoCondition("the person is not in the record")
        query = tuple((n, own if own and text == "self" else text) for n, text in right.query)
        return condition(types, query, self.catalog, self.base_url)

    def _open(
        self,
        record: Record,
        types: frozenset[str],
        interactions: Iterable[Interaction],
        limits: _Limits,
    ) -> None:
        """Open types as far as they can be tied to what the limits speak of."""
        doing = frozenset(interactions)
        if not doing:
            return
        departments = self.person.departments if record.role.departments else ()
        if limits.compartment is None and not departments:
            self._note(types, doing, limits)
            return
        hidden = self.policy.hidden(record.clearance)
        seen = seen_by(departments, hidden) if departments else EVERYTHING
        clinical = (types & record_types()) - {_PROVENANCE}
        if not departments:
            self._note(clinical, doing, limits)
        elif clinical:
            if "create" in doing and "Patient" in clinical and limits.compartment is None:
                # A new patient has no Encounter yet, and shows nothing to whoever makes it.
                self._note(frozenset(("Patient",)), frozenset(("create",)), limits)
            self._note(clinical, doing, replace(limits, where=_both(limits.where, seen)))
        if limits.compartment is None:
            shared = types & shared_types()
            if departments and not doing.isdisjoint(_CHANGING):
                shared -= DECIDING
            self._note(shared, doing, limits)
            derived = types & {_PROVENANCE}
        else:
            if doing <= _LOOKING:
                self._note(types & DEFINING, doing, replace(limits, compartment=None))
            derived = types & (shared_types() - DEFINING | {_PROVENANCE})
        if derived and doing <= _LOOKING:
            self.derived.append(_Derived(derived, doing, limits, seen))

    def _note(self, types: frozenset[str], doing: frozenset[Interaction], limits: _Limits) -> None:
        if types:
            by_type = self.found.setdefault(limits, {})
            for type_ in types:
                by_type.setdefault(type_, set()).update(doing)

    def _add_derived(self, one: _Derived, opened: Sequence[Permit]) -> None:
        """Open what is referred to by what ``opened`` lets somebody see of the same record."""
        own = tuple(
            replace(permit, interactions=_LOOKING)
            for permit in opened
            if permit.compartment == one.limits.compartment and permit.interactions & _LOOKING
        )
        types = {t for permit in own for t in permit.types or (permit.type,)} & record_types()
        if not types:
            return
        access = AccessContext(self.person.login, "", own)
        seen = narrow(Query(tuple(sorted(types))), access, "read")
        if _PROVENANCE in one.types:
            about = Refers(_PROVENANCE, "target", seen)
            others = Refers(_PROVENANCE, "target", Query(_may_be_others(), Not(one.inside)))
            where = AllOf((about, Not(others)))
            self._note_derived(one, frozenset((_PROVENANCE,)), where)
        self._note_derived(one, one.types - {_PROVENANCE}, Mentioned(seen))

    def _note_derived(self, one: _Derived, types: frozenset[str], where: Predicate) -> None:
        limits = replace(one.limits, compartment=None, where=_both(one.limits.where, where))
        self._note(types, one.interactions, limits)

    def _drop_narrower(self) -> None:
        """Leave out what is open without the condition as well, so that fewer conditions count."""
        for limits, by_type in self.found.items():
            free = self.found.get(replace(limits, where=EVERYTHING), {})
            if limits.where == EVERYTHING:
                continue
            for type_, doing in by_type.items():
                doing -= free.get(type_, set())

    def _merged(self) -> list[Permit]:
        """Return one permit for all types that are open for the same, within the same limits."""
        made: list[Permit] = []
        for limits, by_type in self.found.items():
            by_doing: dict[frozenset[Interaction], set[str]] = {}
            for type_, doing in by_type.items():
                by_doing.setdefault(frozenset(doing), set()).add(type_)
            by_doing.pop(frozenset(), None)
            made += [_permit(frozenset(types), doing, limits) for doing, types in by_doing.items()]
        return made


def _permit(types: frozenset[str], doing: frozenset[Interaction], limits: _Limits) -> Permit:
    held = (limits.compartment, limits.where, limits.hidden, limits.released)
    if types == definitions.resource_types():
        return Permit("*", doing, *held)
    if len(types) == 1:
        (only,) = types
        return Permit(only, doing, *held)
    return Permit(SEVERAL, doing, *held, types=types)


@lru_cache(maxsize=1)
def _may_be_others() -> tuple[str, ...]:
    """Return the types that name somebody else's record; a file that says no owner names none."""
    return tuple(sorted(record_types() - {"Binary", _PROVENANCE}))


def _both(one: Predicate, other: Predicate) -> Predicate:
    if EVERYTHING in (one, other):
        return other if one == EVERYTHING else one
    return AllOf((one, other))
