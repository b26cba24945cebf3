"""Which patients a department sees: those with an Encounter there.

An Encounter is at a department when the department provides it, or when one of its locations is
the department's.  Of other patients, the clinical types are not there; what belongs to no patient
is.  The walk itself obeys the person's clearance: an Encounter that they may not see opens nothing.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType

from server.access.types import patient_parameters
from server.search.query import (
    EVERYTHING,
    AllOf,
    AnyOf,
    HasKey,
    Not,
    Predicate,
    Query,
    ReferredBy,
    Refers,
)
from server.search.rows import compartment_key, label_mark


@lru_cache(maxsize=256)
def seen_by(departments: tuple[str, ...], hidden: tuple[str, ...]) -> Mapping[str, Predicate]:
    """Return by clinical type what must hold for a resource.

    A type that is not there cannot be tied to a patient, and is not seen.
    """
    cleared: Predicate = EVERYTHING
    if hidden:
        cleared = Not(HasKey(tuple(compartment_key(label_mark(label)) for label in hidden)))
    there = ReferredBy(_encounters(departments, cleared), "patient")
    patients = Query(("Patient",), AllOf((there, cleared)))
    found: dict[str, Predicate] = {"Patient": there}
    for type_, params in patient_parameters().items():
        ways = tuple(Refers(type_, param, patients) for param in params)
        found[type_] = ways[0] if len(ways) == 1 else AnyOf(ways)
    return MappingProxyType(found)


def patients_asked_for(where: Predicate) -> Query | None:
    """Return the patients that a condition asks for, ``None`` if it asks for none."""
    match where:
        case Refers(_, _, Query(("Patient",)) as patients):
            return patients
        case AllOf(of) | AnyOf(of):
            return next((found for one in of if (found := patients_asked_for(one))), None)
        case _:
            return None


def _encounters(departments: Sequence[str], cleared: Predicate) -> Query:
    provided = HasKey(tuple(f"Encounter|service-provider|r|{one}" for one in departments))
    of_them = HasKey(tuple(f"Location|organization|r|{one}" for one in departments))
    places = Query(("Location",), AllOf((of_them, cleared)))
    at = AnyOf((provided, Refers("Encounter", "location", places)))
    return Query(("Encounter",), AllOf((at, cleared)))
