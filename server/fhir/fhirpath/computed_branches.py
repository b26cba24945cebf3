"""Branches by the whole language: slower than the steps of ``compile``, for what they cannot do."""

from collections.abc import Callable
from typing import Any

from server.fhir.fhirpath import ast
from server.fhir.fhirpath.branches import Branch, Compute
from server.fhir.fhirpath.branches import Items as Values
from server.fhir.fhirpath.check import types_of
from server.fhir.fhirpath.errors import FhirPathError
from server.fhir.fhirpath.expression import CLIENT_STEPS, Expression, compile_expression
from server.fhir.fhirpath.items import Item, plain
from server.fhir.fhirpath.quantity import Quantity
from server.fhir.fhirpath.temporal import Temporal
from server.fhir.references import reference_type

_FHIR_TYPES = {
    "System.Boolean": "boolean",
    "System.String": "string",
    "System.Integer": "integer",
    "System.Decimal": "decimal",
    "System.Date": "date",
    "System.DateTime": "dateTime",
    "System.Time": "time",
    "System.Quantity": "Quantity",
}
_UCUM = "http://unitsofmeasure.org"


def computed_branches(expression: str, node: ast.Node, type_: str) -> tuple[Branch, ...]:
    """Return a branch for each type that the result can have.

    Where the expression has no answer for a resource, or takes more than ``CLIENT_STEPS``, it has
    no values.  Raises :class:`FhirPathError` when the types cannot be told.
    """
    compiled = compile_expression(expression, type_)
    types = types_of(node, type_)
    if types is None:
        raise FhirPathError("the type of the result cannot be told: end with ofType(...)")
    return tuple(
        Branch(
            _FHIR_TYPES.get(name, name), _FHIR_TYPES.get(name, content), (_step(compiled, name),)
        )
        for name, content in sorted(types)
    )


def _step(compiled: Expression, type_: str) -> Compute:
    return Compute(_values(compiled, type_))


def _values(compiled: Expression, type_: str) -> Callable[[Any], Values]:
    def values(resource: Any) -> Values:
        try:
            found = compiled.evaluate(resource, resolve=_stub, steps=CLIENT_STEPS)
        except FhirPathError:  # of this resource the expression has no answer
            return []
        return [_json(item) for item in found if item.type == type_ and item.value is not None]

    return values


def _stub(reference: str) -> dict[str, Any] | None:
    """Return as much of a resource as its reference tells: what ``resolve() is Patient`` asks."""
    told = reference_type(reference)
    return None if told is None else {"resourceType": told}


def _json(item: Item) -> Any:
    value = plain(item) if item.type.startswith("System.") else item.value
    if isinstance(value, Quantity):
        return {"value": value.value, "unit": value.unit, "system": _UCUM, "code": value.unit}
    return str(value) if isinstance(value, Temporal) else value
