"""Which parameters a type can be searched by, and where their values are."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType

from server.fhir import definitions
from server.fhir.definitions import SearchParameter
from server.fhir.fhirpath.branches import Branch
from server.fhir.fhirpath.compile import compile_path
from server.fhir.fhirpath.errors import FhirPathError
from server.fhir.fhirpath.expression import Expression, compile_expression
from server.search import evaluated, reference, token
from server.search.catalog import R4, Catalog
from server.search.gather import Indexer
from server.search.kinds import INDEXERS

DECIDED_BY_STORE = frozenset(("_id", "_lastUpdated"))
"""Parameters that every store answers from what it keeps of a version anyway."""

OF_WORDS = frozenset(("_text", "_content"))
"""Parameters over the words of a resource; they have no expression."""


_COMBINED = ("code", "data-absent-reason", "value-concept")
_NAMED = ("Patient", "Person", "Practitioner", "RelatedPerson")

SHARED: Mapping[tuple[str, str], tuple[str, ...]] = MappingProxyType(
    {("Observation", f"combo-{code}"): (code, f"component-{code}") for code in _COMBINED}
    | {(type_, "phonetic"): ("name",) for type_ in _NAMED}
)
"""Parameters of R4 that have exactly the values of others, and no rows but theirs."""


def searchable(type_: str, catalog: Catalog = R4) -> Mapping[str, SearchParameter]:
    """Return by code the parameters of a resource type that a search can use.

    ``_text`` and ``_content`` are ``special`` here, as they are from R5 on: R4 calls them strings,
    but nothing that can be asked of a string can be asked of them.
    """
    return _searchable(type_, catalog)


@lru_cache(maxsize=1024)
def _searchable(type_: str, catalog: Catalog) -> Mapping[str, SearchParameter]:
    return MappingProxyType(
        {
            code: replace(parameter, type="special") if code in OF_WORDS else parameter
            for code, parameter in catalog.parameters(type_).items()
            if parameter.expression or code in OF_WORDS
        }
    )


def shared(type_: str, code: str, catalog: Catalog = R4) -> tuple[str, ...]:
    """Return the parameters whose rows a parameter shares; ``()`` if it has rows of its own."""
    found = SHARED.get((type_, code), ())
    own = found and catalog.parameters(type_)[code] is definitions.search_parameters(type_)[code]
    return found if own else ()


def in_rows(types: Sequence[str], code: str, catalog: Catalog = R4) -> str:
    """Return the code under which all types have ordered rows of a parameter, for sorting."""
    found = {shared(type_, code, catalog) or (code,) for type_ in types}
    return found.pop()[0] if len(found) == 1 and all(len(some) == 1 for some in found) else code


def branches(type_: str, code: str, catalog: Catalog = R4) -> tuple[Branch, ...]:
    """Return where the values of a parameter are; an Extension gives way to its values."""
    return _branches(type_, code, catalog)


@lru_cache(maxsize=8192)
def _branches(type_: str, code: str, catalog: Catalog) -> tuple[Branch, ...]:
    parameter = searchable(type_, catalog)[code]
    if not parameter.expression:
        return ()
    expression = expression_of(type_, code, catalog)
    if expression is None:
        return located(parameter.expression, type_)
    held = (name for name in definitions.types() if holds(parameter.type, name))
    return tuple(evaluated.branch(expression, name) for name in held)


@lru_cache(maxsize=8192)
def expression_of(type_: str, code: str, catalog: Catalog) -> Expression | None:
    """Return what is to be evaluated where an expression is more than a path; else ``None``.

    Raises :class:`FhirPathError` where it is neither.
    """
    parameter = searchable(type_, catalog)[code]
    if not parameter.expression:
        return None
    try:
        located(parameter.expression, type_)
    except FhirPathError:
        if parameter.type == "composite":
            raise
        return compile_expression(parameter.expression, type_)
    return None


def located(expression: str, type_: str) -> tuple[Branch, ...]:
    """Return where the values of an expression are, asked of a resource or element of ``type_``."""
    found: list[Branch] = []
    for branch in compile_path(expression, type_):
        if branch.type == "Extension":
            values = definitions.children("Extension").values()
            found += [branch.child(child) for child in values if child.choice == "value"]
        else:
            found.append(branch)
    return tuple(found)


def indexer(
    parameter: SearchParameter, branch: Branch, place: str, catalog: Catalog = R4
) -> Indexer | None:
    """Return what writes the rows of a branch's values, ``None`` if its type holds none.

    ``place``: the name under which rows stand, the type, or ``#Type`` for contained resources.
    """
    return indexer_of(parameter.type, parameter.code, branch, place, catalog)


def indexer_of(
    kind: str, code: str, branch: Branch, place: str, catalog: Catalog = R4
) -> Indexer | None:
    """Return what writes the rows of a branch's values as a parameter of ``kind``."""
    named = (place, code, branch.type)
    match kind:
        case "token":
            return token.indexer(*named, systems(branch))
        case "reference":
            return reference.indexer(*named, compartments(place, code))
        case other:
            return INDEXERS[other](*named, catalog)


def holds(kind: str, fhir_type: str) -> bool:
    """Tell whether values of a FHIR type can be compared as a parameter of ``kind``."""
    return indexer_of(kind, "", Branch(fhir_type, fhir_type), "") is not None


def systems(branch: Branch) -> Mapping[str, frozenset[str]] | None:
    """Return {system: codes} where a branch is bound to codes of its own; else ``None``."""
    return definitions.required_codes(branch.binding) if branch.binding else None


def is_telecom(type_: str, code: str, catalog: Catalog = R4) -> bool:
    """Tell whether all values of a token parameter are ContactPoints."""
    return all(branch.type == "ContactPoint" for branch in branches(type_, code, catalog))


@lru_cache(maxsize=4096)
def compartments(type_: str, code: str) -> frozenset[str]:
    """Return the types whose compartments a resource enters by this parameter."""
    return frozenset(
        compartment
        for compartment, members in definitions.compartments().items()
        if code in members.get(type_, ())
    )
