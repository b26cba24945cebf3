"""Expressions of search parameters that are more than a path: evaluated, item by item.

R4's own never are; those of parameters added at run time may use the whole language.  What they
yield has a type only when it is there, so the values of one evaluation are sorted by their types.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from server.fhir.fhirpath import temporal
from server.fhir.fhirpath.branches import Branch, Compute, Items
from server.fhir.fhirpath.errors import FhirPathError
from server.fhir.fhirpath.expression import CLIENT_STEPS, Expression
from server.fhir.fhirpath.items import Item
from server.fhir.fhirpath.quantity import Quantity
from server.fhir.fhirpath.temporal import Temporal
from server.fhir.references import reference_type
from server.search.gather import Gathered, Indexer

_UCUM = "http://unitsofmeasure.org"
_SYSTEM_TYPES = {
    "System.Boolean": "boolean",
    "System.Date": "date",
    "System.DateTime": "dateTime",
    "System.Decimal": "decimal",
    "System.Integer": "integer",
    "System.Quantity": "Quantity",
    "System.String": "string",
}


def branch(expression: Expression, fhir_type: str) -> Branch:
    """Return the branch of those values of an expression that are of one type."""

    def run(resource: Any) -> Items:
        return [value for type_, value in values(expression, resource) if type_ == fhir_type]

    return Branch(fhir_type, fhir_type, (Compute(run),))


def indexer(expression: Expression, indexers: Mapping[str, Indexer]) -> Indexer:
    """Return what writes the rows of all values; ``indexers``: by their FHIR types."""

    def index(resource: Any, rows: Gathered) -> None:
        for type_, value in values(expression, resource):
            if (index_value := indexers.get(type_)) is not None:
                index_value(value, rows)

    return index


def values(expression: Expression, resource: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return (FHIR type, JSON value) of all that an expression yields of a resource.

    Nothing where it fails: a client's expression must not keep a resource from being stored.
    """
    try:
        items = expression.evaluate(resource, resolve=_resolved, steps=CLIENT_STEPS)
    except FhirPathError:
        return []
    return list(_typed(items))


def _typed(items: list[Item]) -> Iterator[tuple[str, Any]]:
    for item in items:
        if item.value is not None:
            yield _SYSTEM_TYPES.get(item.type, item.type), _json(item.value)


def _json(value: Any) -> Any:
    if isinstance(value, Temporal):
        return temporal.text(value)
    if isinstance(value, Quantity):
        system = {} if value.calendar else {"system": _UCUM, "code": value.unit}
        return {"value": value.value, "unit": value.unit, **system}
    return value


def _resolved(text: str) -> Any:
    """Return of a resource elsewhere what its reference tells: ``resolve() is Patient``."""
    type_ = reference_type(text)
    return {"resourceType": type_} if type_ else None
