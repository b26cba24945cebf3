"""A query as a conjunction, flat: what stores plan by.  Pure."""

from collections.abc import Iterator
from functools import lru_cache

from server.fhir import definitions
from server.search.query import (
    NOTHING,
    AllOf,
    AnyOf,
    DateIs,
    HasKey,
    Near,
    NumberIs,
    Predicate,
    Query,
    Refers,
    StringIs,
    TextIs,
)

_COMPARTMENT = "compartment|"


def conjuncts(query: Query) -> list[Predicate]:
    """Return predicates that together say what the query says, the types included.

    >>> conjuncts(Query(("Patient",), AllOf((HasKey(("Patient|active|c|true",)), AllOf(())))))
    [HasKey(keys=('Patient|active|c|true',))]
    >>> conjuncts(Query(("Patient",)))
    [HasKey(keys=('Patient',))]
    """
    members = list(flat(query.where))
    if any(implies(member, query.types) for member in members):
        return members
    return [*members, HasKey(query.types)]


def flat(predicate: Predicate) -> Iterator[Predicate]:
    """Yield the members of a conjunction, at whatever depth; alternatives of keys as one."""
    if isinstance(predicate, AllOf):
        for one in predicate.of:
            yield from flat(one)
    elif isinstance(predicate, AnyOf) and predicate.of:
        if all(isinstance(one, HasKey) for one in predicate.of):
            keys = (key for one in predicate.of if isinstance(one, HasKey) for key in one.keys)
            yield HasKey(tuple(dict.fromkeys(keys)))
        elif len(predicate.of) == 1:
            yield from flat(predicate.of[0])
        else:
            yield predicate
    else:
        yield predicate


def implies(member: Predicate, types: tuple[str, ...]) -> bool:
    """Tell whether only live resources of the types can satisfy the member."""
    match member:
        case HasKey(keys):
            some = frozenset(types)
            return all(is_only_of(key, some) for key in keys)
        case StringIs(type=type_) | DateIs(type=type_) | NumberIs(type=type_):
            return type_ in types
        case TextIs(type=type_) | Refers(type=type_) | Near(type=type_):
            return type_ in types
        case AnyOf(of) if of:
            return all(any(implies(part, types) for part in flat(one)) for one in of)
        case _:
            return member == NOTHING


@lru_cache(maxsize=1024)
def is_only_of(key: str, types: frozenset[str]) -> bool:
    """Tell whether only resources of the types can have a key; of compartments R4 says which.

    >>> is_only_of("compartment|Patient/a", frozenset(("Patient", "Observation")))
    False
    >>> is_only_of("Observation|code|?", frozenset(("Patient", "Observation")))
    True
    """
    if not key.startswith(_COMPARTMENT):
        return key.partition("|")[0] in types
    kind = key.removeprefix(_COMPARTMENT).partition("/")[0]
    held = definitions.compartments().get(kind)
    if held is None:  # a label, or another mark that any type may have
        return False
    return kind in types and all(type_ in types for type_, params in held.items() if params)
