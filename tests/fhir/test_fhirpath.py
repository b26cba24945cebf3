from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.fhir import definitions
from server.fhir.fhirpath.compile import compile_path
from server.fhir.fhirpath.errors import FhirPathError
from server.fhir.fhirpath.parser import parse

OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "valueQuantity": {"value": 5, "unit": "mg"},
    "subject": {"reference": "http://else.test/Patient/a"},
    "component": [{"valueString": "x"}, {"code": {"text": "y"}}],
    "extension": [{"url": "u", "valueCode": "c"}, {"url": "v", "valueCode": "d"}],
}


def typed(expression: str, resource: dict[str, Any]) -> list[tuple[str, Any]]:
    branches = compile_path(expression, resource["resourceType"])
    return [(b.type, value) for b in branches for value in b.values(resource)]


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("Observation.value", [("Quantity", {"value": 5, "unit": "mg"})]),
        ("(Observation.value as Quantity).unit", [("string", "mg")]),
        ("Observation.value.as(CodeableConcept)", []),
        ("Observation.value is Quantity | Observation.missing", [("boolean", True)]),
        ("Patient.name | Observation.component.value", [("string", "x")]),
        ("Observation.component[1].code.text", [("string", "y")]),
        ("Observation.component.first().value.ofType(string)", [("string", "x")]),
        ("Observation.subject.where(resolve() is Patient).reference.exists()", [("boolean", True)]),
        ("Observation.subject.where(resolve() is Group)", []),
        ("Observation.extension('v').value", [("code", "d")]),
        ("Observation.component.where(code.text = 'y').exists()", [("boolean", True)]),
        ("Observation.status.exists() or Observation.value.unit != 'kg'", [("boolean", True)]),
        ("Observation.status.exists() and true", [("boolean", False)]),
        ("Observation.status.empty().not()", [("boolean", False)]),
        ("'it\\'s'", [("string", "it's")]),
    ],
)
def test_values_come_with_their_type(expression: str, found: list[tuple[str, Any]]) -> None:
    assert typed(expression, OBSERVATION) == found


@pytest.mark.parametrize(
    ("deceased", "told"),
    [
        ({}, False),
        ({"deceasedBoolean": False}, False),
        ({"deceasedBoolean": True}, True),
        ({"deceasedDateTime": "2015-01-01"}, True),
    ],
)
def test_deceased_is_told_by_a_flag_or_a_date(deceased: dict[str, Any], told: bool) -> None:
    expression = definitions.search_parameters("Patient")["deceased"].expression
    assert typed(expression, {"resourceType": "Patient", **deceased}) == [("boolean", told)]


def test_every_search_expression_of_r4_compiles_for_each_of_its_types() -> None:
    with_expression = [p for p in definitions.all_search_parameters() if p.expression]
    for parameter in with_expression:
        for base in parameter.base:
            compile_path(parameter.expression, base)
    assert len(with_expression) == 1384


def test_every_parameter_reaches_something_in_each_type_that_has_it() -> None:
    unreachable = [
        (type_, parameter.code)
        for type_ in definitions.resource_types()
        for parameter in definitions.search_parameters(type_).values()
        if parameter.expression and not compile_path(parameter.expression, type_)
    ]
    assert unreachable == []


@pytest.mark.parametrize(
    ("expression", "shape"),
    [
        ("a or b and c", "or(a, and(b, c))"),
        ("a | b = c", "=(|(a, b), c)"),
        ("a implies b or c", "implies(a, or(b, c))"),
        ("1 + 2 * 3 - 4", "-(+(1, *(2, 3)), 4)"),
        ("a.b is T and c", "and(is(a.b, T), c)"),
        ("a in b | c", "in(a, |(b, c))"),
    ],
)
def test_operators_bind_as_the_specification_says(expression: str, shape: str) -> None:
    assert _shape(parse(expression)) == shape


def _shape(node: Any) -> str:
    kind = type(node).__name__
    if kind == "Binary":
        return f"{node.op}({_shape(node.left)}, {_shape(node.right)})"
    if kind == "TypeOp":
        return f"{node.op}({_shape(node.of)}, {node.type})"
    if kind == "Member":
        return node.name if node.of is None else f"{_shape(node.of)}.{node.name}"
    return str(node.value)


@pytest.mark.parametrize("expression", ["", "a.", "a..b", "(a", "a b", "'a", "a.where(", "a ="])
def test_an_expression_that_cannot_be_read_is_refused(expression: str) -> None:
    with pytest.raises(FhirPathError):
        parse(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "a + b",
        "a.repeat(b)",
        "a.where()",
        "%resource",
        "Patient.birthDate = @1974-12-25",
        "Patient.multipleBirth = 2",
        "Patient.name as Nope",
    ],
)
def test_what_is_more_than_a_path_is_refused_before_it_runs(expression: str) -> None:
    with pytest.raises(FhirPathError, match=r"not supported here|no type that an element has"):
        compile_path(expression, "Patient")


def test_nesting_has_a_limit() -> None:
    with pytest.raises(FhirPathError, match="deeper than 64"):
        parse("(" * 4_000 + "a" + ")" * 4_000)


@pytest.mark.parametrize("expression", ["a" + ".a" * 200, "a" + " | a" * 200, "a" + "[0]" * 200])
def test_so_has_the_length_of_a_chain(expression: str) -> None:
    with pytest.raises(FhirPathError, match="more than 128 steps in a row"):
        parse(expression)


def test_spaces_and_comments_take_no_more_than_one_pass() -> None:
    with pytest.raises(FhirPathError, match="cannot read"):
        parse(" " * 50_000 + "/**/" + "#")


@given(st.text(alphabet="ab.()[]'`|=&+-<>{}%$@1T: isand", max_size=40))
def test_no_text_breaks_the_parser(text: str) -> None:
    try:
        parse(text)
    except FhirPathError:
        return
