"""The language beyond what the official suite asks: places, variables, references, limits."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from server.fhir import definitions
from server.fhir.fhirpath.environment import Outside
from server.fhir.fhirpath.errors import FhirPathError
from server.fhir.fhirpath.expression import compile_expression
from server.fhir.fhirpath.items import Item
from server.fhir.fhirpath.quantity import Quantity

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "birthDate": "1974-12-25",
    "_birthDate": {"extension": [{"url": "time", "valueDateTime": "1974-12-25T14:35:45-05:00"}]},
    "name": [
        {"family": "Chalmers", "given": ["Peter", None], "_given": [None, {"id": "g"}]},
        {"given": ["Jim"]},
    ],
    "contained": [
        {"resourceType": "Organization", "id": "o", "name": "Here"},
        {"resourceType": "Practitioner", "id": "p", "name": [{"family": "Who"}]},
    ],
    "managingOrganization": {"reference": "#o"},
    "generalPractitioner": [{"reference": "Practitioner/out"}],
    "deceasedBoolean": False,
}
BUNDLE: dict[str, Any] = {
    "resourceType": "Bundle",
    "entry": [
        {"fullUrl": "http://a.test/fhir/Patient/1", "resource": PATIENT},
        {
            "fullUrl": "http://a.test/fhir/Observation/2",
            "resource": {
                "resourceType": "Observation",
                "subject": {"reference": "Patient/1"},
                "focus": [{"reference": "urn:uuid:5"}],
            },
        },
        {"fullUrl": "urn:uuid:5", "resource": {"resourceType": "Device", "id": "d"}},
    ],
}


def asked(expression: str, resource: Any = PATIENT, **given: Any) -> list[Any]:
    return [item.value for item in compile_expression(expression).evaluate(resource, **given)]


def said(expression: str, **given: Any) -> list[str]:
    return [str(value) for value in asked(expression, **given)]


@pytest.mark.parametrize(
    ("expression", "paths"),
    [
        ("Patient", [()]),
        ("name.given", [("name", 0, "given", 0), ("name", 0, "given", 1), ("name", 1, "given", 0)]),
        ("name[1]", [("name", 1)]),
        ("birthDate", [("birthDate",)]),
        ("birthDate.extension.value", [("_birthDate", "extension", 0, "valueDateTime")]),
        ("name.given[1].id", [("name", 0, "_given", 1, "id")]),
        ("deceased", [("deceasedBoolean",)]),
        ("contained.where(id = 'p').name.family", [("contained", 1, "name", 0, "family")]),
        ("managingOrganization.resolve().name", [("contained", 0, "name")]),
        ("name.family & ''", [None]),
        ("name.where(given = 'Jim').given.last()", [("name", 1, "given", 0)]),
    ],
)
def test_an_item_knows_its_place_in_the_json(expression: str, paths: list[Any]) -> None:
    assert [item.path for item in compile_expression(expression).evaluate(PATIENT)] == paths


@pytest.mark.parametrize(
    ("expression", "types"),
    [
        ("Patient", ["Patient"]),
        ("name", ["HumanName", "HumanName"]),
        ("deceased", ["boolean"]),
        ("contained", ["Organization", "Practitioner"]),
        ("birthDate.extension.value", ["dateTime"]),
        ("birthDate + 1 day", ["System.Date"]),
        ("1 'mg'", ["System.Quantity"]),
        ("contact", []),
    ],
)
def test_an_item_knows_its_type(expression: str, types: list[str]) -> None:
    assert [item.type for item in compile_expression(expression).evaluate(PATIENT)] == types


def test_the_properties_of_every_type_are_reached_by_their_names() -> None:
    unreached = [
        (content, child.name)
        for content in ("Patient", "Observation", "Questionnaire.item", "Extension", "Timing")
        for child in definitions.children(content).values()
        if (name := child.choice or child.name)
        and not compile_expression(f"`{name}`", content).evaluate({child.name: True})
    ]
    assert unreached == []


def test_a_reference_is_found_inside_of_the_bundle() -> None:
    assert asked("entry[1].resource.subject.resolve().birthDate", BUNDLE) == ["1974-12-25"]
    assert asked("entry[1].resource.focus.resolve().id", BUNDLE) == ["d"]


def test_a_bundle_that_is_no_bundle_is_no_reason_to_fail() -> None:
    resource = {"resourceType": "Patient", "link": [{"other": {"reference": "Patient/1"}}]}
    bundle = {"resourceType": "Bundle", "entry": [{"fullUrl": ["x"], "resource": resource}]}
    assert asked("entry.resource.link.other.resolve()", bundle) == []


def test_a_contained_resource_is_found_from_inside_of_a_bundle() -> None:
    found = asked("entry.resource.ofType(Patient).managingOrganization.resolve().name", BUNDLE)
    assert found == ["Here"]


def test_a_reference_to_elsewhere_is_asked_of_the_caller() -> None:
    def resolve(reference: str) -> Any:
        return {"resourceType": "Practitioner", "id": reference}

    found = compile_expression("generalPractitioner.resolve()").evaluate(PATIENT, resolve=resolve)
    assert [(item.value["id"], item.path) for item in found] == [("Practitioner/out", None)]
    assert asked("generalPractitioner.resolve()") == []


def test_a_root_may_be_an_element_of_a_known_type() -> None:
    name = {"given": ["a", "b"]}
    assert compile_expression("given.count() = 2", "HumanName").holds(name)


def test_an_item_of_before_is_asked_where_it_stands() -> None:
    (jim,) = compile_expression("name.where(given = 'Jim')").evaluate(PATIENT)
    assert asked("given & %resource.birthDate", jim) == ["Jim1974-12-25"]
    assert asked("%context.given", jim) == ["Jim"]


def test_the_root_resource_is_what_contains_the_resource() -> None:
    (inner,) = compile_expression("contained.ofType(Organization)").evaluate(PATIENT)
    assert asked("%resource.id | %rootResource.birthDate", inner) == ["o", "1974-12-25"]


def test_variables_are_what_the_caller_gives() -> None:
    given: dict[str, Any] = {
        "limit": 3,
        "name": "x",
        "dose": Quantity(Decimal(2), "mg"),
        "others": ["a", "b"],
        "patient": PATIENT,
        "none": None,
    }
    assert asked("%limit + 1", variables=given) == [4]
    assert asked("%dose = 2000 'ug'", variables=given) == [True]
    assert asked("%others | %name", variables=given) == ["a", "b", "x"]
    assert asked("%patient.name.family", {}, variables=given) == ["Chalmers"]
    assert asked("%none.exists()", variables=given) == [False]


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("%nobody", "there is no variable %nobody (column 1)"),
        ("now()", "there is no clock here (column 1)"),
        (
            "birthDate.memberOf('x')",
            "memberOf() needs a terminology service, and there is none here (column 11)",
        ),
        ("conformsTo('x')", "conformsTo() needs a validator, and there is none here (column 1)"),
        ("name.given + 'x'", "one value is wanted, and there are 3 items (column 12)"),
        (
            "name.single()",
            "single() means that one item is wanted, and there are 2 items (column 6)",
        ),
        ("birthDate > 1", "date and System.Integer have no common order (column 11)"),
        ("birthDate + 1 'mo'", "the unit 'mo' cannot be added to a date or time (column 11)"),
        ("name.given.matches('(')", "a string is wanted, and there are 3 items (column 12)"),
        ("'a'.matches('(a')", "the regular expression is not understood: missing ): (a (column 5)"),
        (
            "'a'.matches('(?=a)')",
            "the regular expression is not understood: invalid perl operator: (?= (column 5)",
        ),
        ("'a'.encode('rot13')", "encode() knows base64, urlbase64, hex, not rot13 (column 5)"),
    ],
)
def test_an_error_names_the_column(expression: str, told: str) -> None:
    with pytest.raises(FhirPathError) as caught:
        asked(expression)
    assert str(caught.value) == told


def test_an_error_does_not_repeat_a_whole_expression() -> None:
    with pytest.raises(FhirPathError) as caught:
        asked("1.f" + "x" * 10_000 + "()")
    assert str(caught.value).startswith("there is no function fxxx")
    assert str(caught.value).endswith("xxx... (column 3)")
    assert len(str(caught.value)) < 350


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("Patient.nam", "Patient has no nam (column 9)"),
        ("name.where(giv = 'x')", "HumanName has no giv (column 12)"),
        ("Encounter.status", "this is asked of Patient, not Encounter (column 1)"),
        ("deceasedBoolean", "deceasedBoolean is written deceased in FHIRPath (column 1)"),
        ("(deceased as boolean).unit", "boolean has no unit (column 23)"),
        ("children().first()", "first() asks for an order, and children() have none (column 12)"),
        ("contact.relationship.coding.cod", "Coding has no cod (column 29)"),
        ("name.as(HumanName)", "as takes a single item; for more there is ofType() (column 6)"),
        ("name.exists().given", "System.Boolean has no given (column 15)"),
    ],
)
def test_the_strict_check_finds_what_can_never_be(expression: str, told: str) -> None:
    compile_expression(expression, "Patient")
    with pytest.raises(FhirPathError) as caught:
        compile_expression(expression, "Patient", strict=True)
    assert str(caught.value) == told


@pytest.mark.parametrize(
    "expression",
    [
        "contained.name",
        "link.other.resolve().name",
        "name.select(given | family).first()",
        "extension('x').extension('y').value.code",
        "deceased.ofType(dateTime) > today()",
        "deceased.as(dateTime)",
        "name.first().as(HumanName)",
        "repeat(contact).name",
        "descendants().where($this is Coding).code",
        "iif(active, name, contact.name).family",
        "birthDate.type().name",
        "%resource.whatever",
    ],
)
def test_the_strict_check_lets_pass_what_may_be(expression: str) -> None:
    compile_expression(expression, "Patient", strict=True)


def test_the_clock_is_what_the_caller_says() -> None:
    assert said("now()", now=NOW) == ["2026-01-02T03:04:05.678Z"]
    assert said("today()", now=NOW) == ["2026-01-02"]
    assert said("timeOfDay()", now=NOW) == ["03:04:05.678"]


def test_trace_tells_the_listener_and_changes_nothing() -> None:
    heard: list[tuple[str, list[Any]]] = []

    def listen(name: str, items: list[Item]) -> None:
        heard.append((name, [item.value for item in items]))

    outside = Outside(trace=listen)
    assert asked("name.trace('n', given.count()).count()", outside=outside) == [2]
    assert heard == [("n", [2, 1])]


def test_terminology_is_asked_of_the_caller() -> None:
    outside = Outside(
        member_of=lambda item, value_set: value_set == f"vs-{item.value}",
        subsumes=lambda wide, narrow: wide.value < narrow.value,
    )
    assert asked("'a'.memberOf('vs-a')", outside=outside) == [True]
    assert asked("'a'.subsumes('b')", outside=outside) == [True]
    assert asked("'a'.subsumedBy('b')", outside=outside) == [False]


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("2147483647 + 1", []),
        ("-2147483648 - 1", []),
        ("2147483647 * 2", []),
        ("2147483647.power(2)", []),
        ("9.9.power(1000000)", []),
        ("1000000.0.exp()", []),
        ("0.ln()", []),
        ("1 / 0", []),
        ("1 mod 0.0", []),
        ("@9999-12-31 + 1 day", []),
        ("@0001-01-01 - 1 month", []),
        ("99999999999.5.round()", ["100000000000"]),
        ("0.1 + 0.2", ["0.3"]),
        ("1.10 * 3", ["3.30"]),
        ("7 div 2", ["3"]),
        ("-7 div 2", ["-3"]),
        ("-7 mod 2", ["-1"]),
        ("10 / 4", ["2.5"]),
    ],
)
def test_numbers_are_exact_and_what_overflows_is_empty(expression: str, result: list[str]) -> None:
    assert said(expression) == result


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("@2024-01-31 + 1 month", ["2024-02-29"]),
        ("@2024-02-29 + 1 year", ["2025-02-28"]),
        ("@2014 + 24 months", ["2016"]),
        ("@2014-01 + 45 days", ["2014-02"]),
        ("@2014 - 800 days", ["2012"]),
        ("@2014-01-01 + 47 hours", ["2014-01-02"]),
        ("@T23:30 + 1 hour", ["00:30"]),
        ("@T00:10:00 - 20 minutes", ["23:50:00"]),
        ("@2014-01-01T00:00:00Z - 1 second", ["2013-12-31T23:59:59Z"]),
        ("@2014-01-01T10 + 90 minutes", ["2014-01-01T11"]),
        ("@2014-01-01T00:00:00.000Z + 1.5 seconds", ["2014-01-01T00:00:01.500Z"]),
        ("@2014-02-28T12:00 + 1 'd'", ["2014-03-01T12:00"]),
        ("@2014.highBoundary()", ["2014-12-31"]),
        ("@2014-02.highBoundary(8)", ["2014-02-28"]),
        ("@T10.lowBoundary()", ["10:00:00.000"]),
        ("@T10:30:05.highBoundary()", ["10:30:05.999"]),
    ],
)
def test_dates_are_added_to_at_their_precision(expression: str, result: list[str]) -> None:
    assert said(expression) == result


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("1 'kg' = 1000 'g'", [True]),
        ("1 'kg' > 2 '[lb_av]'", [True]),
        ("37 'Cel' = 98.6 '[degF]'", [True]),
        ("1 'kg' = 1 'm'", []),
        ("1 year = 12 months", [True]),
        ("1 year = 1 'a'", []),
        ("1 'nonsense' = 1 'nonsense'", [True]),
        ("1 'kg' + 1 'g'", ["1.001 'kg'"]),
        ("1 'kg' + 1 'm'", []),
        ("6 'm' / 2 's'", ["3 'm/s'"]),
        ("2 'm' * 3", ["6 'm'"]),
        ("10 'mg'.toQuantity('g')", ["0.01 'g'"]),
        ("1 'kg' in (1000 'g' | 1 'm')", [True]),
        ("1 year ~ 1 'a'", [True]),
        ("1 month !~ 1 'mo'", [False]),
        ("2 years ~ 1 'a'", [False]),
        ("12 months ~ 1 year", [True]),
        ("1 year.toQuantity('days')", ["365 days"]),
        ("1 year.toQuantity('months')", ["12 months"]),
        ("2 months.toQuantity('days')", ["60 days"]),
        ("90 minutes.toQuantity('hours')", ["1.5 hours"]),
        ("1 'h'.toQuantity('minutes')", ["60 minutes"]),
        ("1 year.toQuantity('kg')", []),
        ("1 'kg'.toQuantity({})", []),
        ("2 'kg'.convertsToQuantity('g')", [True]),
        ("2 'kg'.convertsToQuantity('m')", [False]),
        ("2 'kg'.convertsToQuantity({})", []),
        ("true.toQuantity()", ["1.0 '1'"]),
        ("false.toDecimal()", ["0.0"]),
    ],
)
def test_quantities_are_compared_in_canonical_units(expression: str, result: list[Any]) -> None:
    assert said(expression) == [str(value) for value in result]


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("@2012-01-02 > @2012-01-01T20:00:00-10:00", []),
        ("@2012-01-03 > @2012-01-01T20:00:00-10:00", [True]),
        ("@2012 < @2013-01-01T00:00:00Z", []),
        ("@2012 < @2013-01-01T12:00:00Z", []),
        ("@2012 < @2013-01-01T12:00:01Z", [True]),
        ("@2012-01-01 = @2012-01-03T00:00:00Z", [False]),
        ("@2012-01-02 > @2012-01-01T20:00:00", [True]),
    ],
)
def test_a_date_is_that_of_any_zone(expression: str, result: list[Any]) -> None:
    assert asked(expression) == result


def test_a_quantity_with_a_comparator_is_no_single_number() -> None:
    observation = {
        "resourceType": "Observation",
        "valueQuantity": {"value": 5, "comparator": "<", "unit": "mg"},
    }
    with pytest.raises(FhirPathError, match="no common order"):
        asked("value < 6 'mg'", observation)


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("'abc'.replaceMatches('(a)(b)', '$2-$1')", ["b-ac"]),
        ("'abc'.replaceMatches('(?P<x>b)', '[${x}]')", ["a[b]c"]),
        ("'a\\nb'.matches('a.b')", [True]),
        ("'grüße'.matches('^\\\\p{L}+$')", [True]),
        ("'a,b,,c'.split(',').join('|')", ["a|b||c"]),
        ("'4A6F'.decode('hex')", ["Jo"]),
        ("'!!'.decode('base64')", []),
        ("'x'.substring(0, -1)", [""]),
        ("'abcabc'.lastIndexOf('b')", [4]),
    ],
)
def test_strings(expression: str, result: list[Any]) -> None:
    assert asked(expression) == result


def test_html_checks_are_those_of_the_validation() -> None:
    good = '<div xmlns="http://www.w3.org/1999/xhtml"><p>a</p></div>'
    bad = '<div xmlns="http://www.w3.org/1999/xhtml"><script>a</script></div>'
    for div, wanted in ((good, True), (bad, False)):
        resource = {"resourceType": "Patient", "text": {"div": div}}
        assert asked("text.`div`.htmlChecks()", resource) == [wanted]


def test_the_index_is_that_of_the_innermost_loop() -> None:
    assert asked("name.select(given.select($index) | $index)") == [0, 1, 0, 1]
    assert asked("name.select(given.where($index = 0) & $index.toString())") == ["Peter0", "Jim1"]


def test_a_resource_is_left_as_it_was() -> None:
    before = repr(PATIENT)
    asked("descendants().combine(name).distinct().count() + name.given.count()")
    assert repr(PATIENT) == before


def test_every_rule_of_r4_compiles() -> None:
    names = set(definitions.types())
    contents = list(names)
    for content in contents:
        for child in definitions.children(content).values():
            names.add(child.path)
            if child.content not in contents:
                contents.append(child.content)
    rules = [rule for name in sorted(names) for rule in definitions.invariants(name)]
    for rule in rules:
        compile_expression(rule.expression)
    assert len(rules) == 240
