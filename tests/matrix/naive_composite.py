"""Composite parameters in the second oracle: one element must meet every part.

R4 search.html#composite.  The elements are found by the parameter's expression, the parts of each
by the expressions of its components.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import fhirpathpy
from fhirpathpy.models import models

from server.fhir import definitions
from server.fhir.definitions import SearchParameter
from tests.matrix import naive
from tests.matrix.naive import Value
from tests.matrix.paths import alternatives

# What R4 writes wrongly: two parts the wrong way round, and a type that there is not.
CORRECTED = {
    "http://hl7.org/fhir/SearchParameter/DocumentReference-relationship": ("target", "code"),
    "http://hl7.org/fhir/SearchParameter/Observation-code-value-date": (
        "code",
        "value.ofType(dateTime) | value.ofType(Period)",
    ),
}

Element = tuple[list[Value], ...]


@cache
def parts(composite: SearchParameter) -> tuple[SearchParameter, ...]:
    """Return the definitions of the parts, in the order in which they are asked."""
    known = {one.url: one for one in definitions.all_search_parameters()}
    return tuple(known[url] for url, _ in composite.components)


def elements(composite: SearchParameter, resource: dict[str, Any]) -> list[Element]:
    """Return for each element the values of its parts."""
    type_ = resource["resourceType"]
    expressions = CORRECTED.get(composite.url, tuple(text for _, text in composite.components))
    return [
        tuple(
            _part(definition, type_, expression, node, resource)
            for definition, expression in zip(parts(composite), expressions, strict=True)
        )
        for one in alternatives(composite.expression)
        if re.match(r"\w+", one)[0] == type_  # type: ignore[index]
        for node in _compiled(one)(resource)
    ]


def finds(composite: SearchParameter, found: Sequence[Element], raw: str) -> bool:
    """Tell whether one element meets every part of one of the values."""
    return any(
        all(
            naive.finds(definition, values, None, part)
            for definition, values, part in zip(
                parts(composite), element, naive.split(one, "$"), strict=True
            )
        )
        for one in naive.split(raw, ",")
        for element in found
    )


def _part(
    definition: SearchParameter, type_: str, expression: str, node: Any, resource: dict[str, Any]
) -> list[Value]:
    whole = expression.startswith("%resource.")
    expression = expression.removeprefix("%resource.")
    found = [
        naive.value_of(value, one)
        for one in alternatives(expression)
        for value in _compiled(one)(resource if whole else node)
    ]
    return naive.with_systems(found, definition, type_)


@cache
def _compiled(expression: str) -> Any:
    text = re.sub(r"\.as\((\w+)\)", r".ofType(\1)", expression)
    return fhirpathpy.compile(text, models["r4"], {"returnRawData": True})
