"""Which patients a department sees: those with an Encounter there.

An Encounter is at a department when the department provides it, or when one of its locations is
the department's.  Of other patients, the clinical types are not there; what belongs to no patient
is.  The walk itself obeys the person's clearance: an Encounter that they may not see opens nothing.
"""

from collections.abc import Sequence
from functools import lru_cache

from server.search.query import (
    EVERYTHING,
    AllOf,
    AnyOf,
    HasKey,
    InCompartmentOf,
    Not,
    Predicate,
    Query,
    ReferredBy,
    Refers,
)
from server.search.rows import compartment_key, label_mark

DECIDING = frozenset(("Location",))
"""Types of nobody that decide which patients a department sees: not for its people to change."""


@lru_cache(maxsize=256)
def seen_by(departments: tuple[str, ...], hidden: tuple[str, ...]) -> InCompartmentOf:
    """Return what must hold for a resource of a clinical type.

    What is in no patient's compartment is not seen.
    """
    cleared: Predicate = EVERYTHING
    if hidden:
        cleared = Not(HasKey(tuple(compartment_key(label_mark(label)) for label in hidden)))
    there = ReferredBy(_encounters(departments, cleared), "patient")
    return InCompartmentOf(Query(("Patient",), AllOf((there, cleared))))


def patients_asked_for(where: Predicate) -> Query | None:
    """Return the patients whose compartments a condition asks for, ``None`` if it asks for none."""
    match where:
        case InCompartmentOf(patients):
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
