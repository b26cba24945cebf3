"""R4 search.html#composite: the parts are met by one element."""

from typing import Any

import pytest

from server.fhir import definitions
from server.fhir.definitions import SearchParameter
from server.fhir.errors import InvalidSearch
from server.search import composite, parameters
from server.search.catalog import Catalog
from server.search.extract import index_rows
from server.search.rows import hash64, param_hash

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"


def coded(code: str) -> dict[str, Any]:
    return {"coding": [{"system": LOINC, "code": code}]}


def measured(code: str, value: int) -> dict[str, Any]:
    quantity = {"value": value, "system": UCUM, "code": "mm[Hg]"}
    return {"code": coded(code), "valueQuantity": quantity}


BLOOD_PRESSURE: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "bp",
    "code": coded("85354-9"),
    "component": [measured("8480-6", 120), measured("8462-4", 80)],
}
WEIGHT: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "w",
    "code": coded("29463-7"),
    "valueQuantity": {"value": 70, "system": UCUM, "code": "kg"},
}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("component-code-value-quantity=8480-6$gt100", True),
        ("component-code-value-quantity=8462-4$gt100", False),
        (f"component-code-value-quantity={LOINC}|8480-6$120|{UCUM}|mm[Hg]", True),
        (f"component-code-value-quantity={LOINC}|8480-6$16|{UCUM}|kPa", True),
        (f"component-code-value-quantity={LOINC}|$lt81", True),
        ("component-code-value-quantity=|8480-6$120", False),
        ("component-code-value-quantity=8480-6$1,8462-4$80", True),
        ("combo-code-value-quantity=8480-6$gt100", True),
        ("combo-code-value-quantity=85354-9$gt100", False),
        ("code-value-quantity=85354-9$gt100", False),
        ("component-code-value-quantity:missing=false", True),
        ("combo-code-value-quantity:missing=false", True),
        ("code-value-quantity:missing=true", True),
        ("component-code-value-concept:missing=true", True),
    ],
)
def test_a_component_has_both_its_code_and_its_value(finds: Any, query: str, found: bool) -> None:
    assert finds(query, BLOOD_PRESSURE) is found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("code-value-quantity=29463-7$70", True),
        (f"code-value-quantity=29463-7$gt154|{UCUM}|[lb_av]", True),
        ("code-value-quantity=29463-7$71", False),
        ("code-value-quantity=1$70", False),
        ("combo-code-value-quantity=29463-7$70", True),
        ("component-code-value-quantity=29463-7$70", False),
        ("code-value-quantity:missing=false", True),
    ],
)
def test_a_composite_of_the_whole_resource_is_the_and_of_its_parts(
    finds: Any, query: str, found: bool
) -> None:
    assert finds(query, WEIGHT) is found


def test_a_composite_of_the_whole_resource_has_no_rows() -> None:
    assert hash64("Observation|code-value-quantity|?") not in index_rows(WEIGHT).keys
    names = {param_hash("Observation", code) for code in ("value-quantity", "combo-value-quantity")}
    assert {row[0] for row in index_rows(WEIGHT).numbers} == names


@pytest.mark.parametrize(
    ("value", "query", "found"),
    [
        ({"valueString": "Positive"}, "code-value-string=a$pos", True),
        ({"valueString": "Positive"}, "code-value-string=b$pos", False),
        ({"valueDateTime": "2020-05-01"}, "code-value-date=a$2020", True),
        ({"valuePeriod": {"start": "2020-05-01"}}, "code-value-date=a$gt2021", True),
        ({"valueDateTime": "2020-05-01"}, "code-value-date=a$lt2020", False),
        ({"valueCodeableConcept": coded("x")}, f"code-value-concept=a${LOINC}|x", True),
        ({"valueCodeableConcept": coded("x")}, "combo-code-value-concept=a$x", True),
        ({"valueCodeableConcept": coded("x")}, "code-value-concept=a$y", False),
    ],
)
def test_the_last_part_is_of_any_type(
    finds: Any, value: dict[str, Any], query: str, found: bool
) -> None:
    resource = {"resourceType": "Observation", "id": "a", "code": coded("a"), **value}
    assert finds(query, resource) is found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("characteristic-value=gender$mixed", True),
        ("characteristic-value=gender$true", False),
        (f"characteristic-value={LOINC}|owner$true", True),
        ("characteristic-value=owner$|true", True),
        ("characteristic-value=owner$mixed", False),
        ("characteristic-value:missing=false", True),
    ],
)
def test_two_codes_of_one_element(finds: Any, query: str, found: bool) -> None:
    group = {
        "resourceType": "Group",
        "id": "a",
        "characteristic": [
            {"code": coded("gender"), "valueCodeableConcept": coded("mixed")},
            {"code": coded("owner"), "valueBoolean": True},
        ],
    }
    assert finds(query, group) is found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("relationship=DocumentReference/old$replaces", True),
        ("relationship=old$replaces", True),
        ("relationship=DocumentReference/old$signs", False),
        (
            "relationship=DocumentReference/other$http://hl7.org/fhir/document-relationship-type|signs",
            True,
        ),
    ],
)
def test_a_reference_and_a_code(finds: Any, query: str, found: bool) -> None:
    related = [
        {"code": "replaces", "target": {"reference": "DocumentReference/old"}},
        {"code": "signs", "target": {"reference": "DocumentReference/other"}},
    ]
    document = {"resourceType": "DocumentReference", "id": "a", "relatesTo": related}
    assert finds(query, document) is found


SEQUENCE: dict[str, Any] = {
    "resourceType": "MolecularSequence",
    "id": "a",
    "referenceSeq": {
        "chromosome": coded("12"),
        "referenceSeqId": coded("NC_1"),
        "windowStart": 100,
        "windowEnd": 200,
    },
    "variant": [{"start": 110, "end": 120}, {"start": 150, "end": 190}],
}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("chromosome-variant-coordinate=12$gt100$lt130", True),
        ("chromosome-variant-coordinate=12$110$120", True),
        ("chromosome-variant-coordinate=12$110$190", False),
        ("chromosome-variant-coordinate=12$ge150$le190", True),
        ("chromosome-variant-coordinate=12$gt150$le190", False),
        ("chromosome-variant-coordinate=12$lt150$gt150", False),
        ("chromosome-variant-coordinate=12$lt120$lt130", True),
        ("chromosome-variant-coordinate=12$ne110$190", True),
        ("chromosome-variant-coordinate=13$110$120", False),
        ("referenceseqid-variant-coordinate=NC_1$sa140$eb191", True),
        ("chromosome-window-coordinate=12$100$200", True),
        ("chromosome-window-coordinate=12$lt100$200", False),
        ("referenceseqid-window-coordinate=NC_1$ap100$ap200", True),
        ("chromosome-variant-coordinate:missing=false", True),
    ],
)
def test_three_parts_of_one_variant(finds: Any, query: str, found: bool) -> None:
    assert finds(query, SEQUENCE) is found


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("code-value-quantity=a", "1 parts between $, where 2 are due"),
        ("code-value-quantity=a$1$2", "3 parts between $, where 2 are due"),
        ("code-value-quantity=a\\$1", "1 parts between $, where 2 are due"),
        ("code-value-quantity=$1", "part 1 is empty"),
        ("code-value-quantity=a$", "part 2 is empty"),
        ("code-value-quantity=a$tall", "'tall' is not a number"),
        ("component-code-value-quantity=a$5|mg", "a quantity is number"),
        ("code-value-quantity:exact=a$1", "a composite parameter has no :exact"),
    ],
)
def test_a_value_of_another_form_is_refused_by_name(finds: Any, query: str, why: str) -> None:
    with pytest.raises(InvalidSearch) as caught:
        finds(query, WEIGHT)
    assert why in caught.value.diagnostics
    assert caught.value.expression == (query.partition("=")[0],)


def test_a_dollar_in_a_code_does_not_end_it(finds: Any) -> None:
    group = {
        "resourceType": "Group",
        "id": "a",
        "characteristic": [{"code": coded("a$c|b"), "valueCodeableConcept": coded("c")}],
    }
    assert finds("characteristic-value=a\\$c\\|b$c", group)
    assert not finds("characteristic-value=a$b\\$c\\|c", group)


def test_every_composite_of_r4_can_be_asked() -> None:
    asked = [
        composite.forms(type_, code)
        for type_ in definitions.resource_types()
        for code, parameter in parameters.searchable(type_).items()
        if parameter.type == "composite"
    ]
    assert len(asked) == 72
    assert all(len(form.parts) in (2, 3) for forms in asked for form in forms)
    assert {len(forms) for forms in asked} == {1, 2}


def test_a_composite_added_at_run_time_is_asked_like_those_of_r4(finds: Any) -> None:
    def parameter(
        code: str, kind: str, expression: str, *parts: tuple[str, str]
    ) -> SearchParameter:
        url = f"http://h.test/{code}"
        return SearchParameter(code, url, kind, ("Patient",), expression, (), parts)

    catalog = Catalog(
        [
            parameter("line", "token", "Patient.telecom.system"),
            parameter("since", "date", "Patient.telecom.period"),
            parameter(
                "line-since",
                "composite",
                "Patient.telecom",
                ("http://h.test/line", "system"),
                ("http://h.test/since", "period"),
            ),
        ]
    )
    phone = {"system": "phone", "period": {"start": "2020"}}
    patient = {"resourceType": "Patient", "id": "a", "telecom": [phone, {"system": "email"}]}
    rows = index_rows(patient, catalog=catalog)
    assert param_hash("Patient", "line-since$c|phone") in {row[0] for row in rows.dates}
    assert param_hash("Patient", "line-since$c|email") not in {row[0] for row in rows.dates}
