"""Which resource types are whose: of a patient's record, or of nobody."""

from collections.abc import Iterable, Mapping
from functools import lru_cache

from server.access.context import shared_types
from server.fhir import definitions
from server.search import parameters

# In the compartment by a mark, not by a parameter (:mod:`server.search.marks`).
_MARKED = frozenset(("Patient", "Binary"))
_BEYOND_R4 = {"Task": ("patient",), "Device": ("patient",)}


@lru_cache(maxsize=1)
def record_types() -> frozenset[str]:
    """Return the types that can be in a patient's compartment, as access sees it."""
    return frozenset(patient_parameters()) | _MARKED


@lru_cache(maxsize=1)
def patient_parameters() -> Mapping[str, tuple[str, ...]]:
    """Return by type the parameters by which it enters a patient's compartment."""
    members = {**definitions.compartments()["Patient"], **_BEYOND_R4}
    found = {
        type_: tuple(code for code in codes if code in parameters.searchable(type_))
        for type_, codes in members.items()
        if codes and type_ != "Patient"
    }
    return {type_: codes for type_, codes in found.items() if codes}


def expanded(words: Iterable[str]) -> frozenset[str]:
    """Return the types that ``*``, ``shared``, types and ``-Type`` name, read from left to right.

    Raises ValueError with the word that is not known.

    >>> sorted(expanded(["Patient", "Observation", "-Patient"]))
    ['Observation']
    """
    found: set[str] = set()
    for word in words:
        name = word.removeprefix("-")
        if name == "*":
            types: frozenset[str] = definitions.resource_types()
        elif name == "shared":
            types = shared_types()
        elif name in definitions.resource_types():
            types = frozenset((name,))
        else:
            raise ValueError(word)
        found = found - types if word.startswith("-") else found | types
    return frozenset(found)
