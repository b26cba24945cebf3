"""Which parameters a type can be searched by, and where their values are."""

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType

from server.fhir import definitions
from server.fhir.definitions import SearchParameter
from server.fhir.fhirpath.branches import Branch
from server.fhir.fhirpath.compile import compile_path
from server.search import date, number, quantity, reference, string, token, uri
from server.search.gather import Indexer

NOT_INDEXED = frozenset(("composite", "special"))
"""Parameter types without index rows; nothing can be searched by them yet."""

DECIDED_BY_STORE = frozenset(("_id", "_lastUpdated"))
"""Parameters that every store answers from what it keeps of a version anyway."""


@cache
def searchable(type_: str) -> Mapping[str, SearchParameter]:
    """Return by code the parameters of a resource type that a search can use."""
    return MappingProxyType(
        {
            code: parameter
            for code, parameter in definitions.search_parameters(type_).items()
            if parameter.expression and parameter.type not in NOT_INDEXED
        }
    )


@cache
def branches(type_: str, code: str) -> tuple[Branch, ...]:
    """Return where the values of a parameter are; an Extension gives way to its values."""
    found: list[Branch] = []
    for branch in compile_path(searchable(type_)[code].expression, type_):
        if branch.type == "Extension":
            values = definitions.children("Extension").values()
            found += [branch.child(child) for child in values if child.choice == "value"]
        else:
            found.append(branch)
    return tuple(found)


def indexer(type_: str, parameter: SearchParameter, branch: Branch) -> Indexer | None:
    """Return what writes the rows of a branch's values, ``None`` if its type holds none."""
    place = (type_, parameter.code, branch.type)
    match parameter.type:
        case "token":
            systems = definitions.required_codes(branch.binding) if branch.binding else None
            return token.indexer(*place, systems)
        case "reference":
            return reference.indexer(*place, _compartments(type_, parameter.code))
        case other:
            return _INDEXERS[other](*place)


def is_telecom(type_: str, code: str) -> bool:
    """Tell whether all values of a token parameter are ContactPoints."""
    return all(branch.type == "ContactPoint" for branch in branches(type_, code))


def _compartments(type_: str, code: str) -> frozenset[str]:
    """Return the types whose compartments a resource enters by this parameter."""
    return frozenset(
        compartment
        for compartment, members in definitions.compartments().items()
        if code in members.get(type_, ())
    )


_INDEXERS: dict[str, Callable[[str, str, str], Indexer | None]] = {
    "string": string.indexer,
    "date": date.indexer,
    "number": number.indexer,
    "quantity": quantity.indexer,
    "uri": uri.indexer,
}
