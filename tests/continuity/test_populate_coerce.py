"""What a value is as an answer of an item's type, without a server."""

from decimal import Decimal
from typing import Any

import pytest

from server.continuity.form import form_of
from server.continuity.populate.coerce import NoAnswerError, Options, answer
from server.fhir.fhirpath.expression import compile_expression
from tests.continuity.populating import UCUM, form, item, unit

GENDER = "http://hl7.org/fhir/administrative-gender"
RESOURCE: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "o",
    "status": "final",
    "issued": "2026-01-02T03:04:05Z",
    "effectiveDateTime": "2026-01-02T03:04:05Z",
    "code": {
        "text": "Pulse",
        "coding": [
            {"system": "http://loinc.org", "code": "8867-4", "display": "Heart rate"},
            {"system": "urn:local", "code": "HR"},
        ],
    },
    "subject": {"reference": "Patient/a"},
    "valueQuantity": {"value": Decimal("70.5"), "unit": "kg", "system": UCUM, "code": "kg"},
    "component": [
        {"code": {"text": "x"}, "valueInteger": 3},
        {"code": {"text": "t"}, "valueTime": "08:30:00"},
        {"code": {"text": "b"}, "valueBoolean": True},
        {"code": {"text": "q"}, "valueQuantity": {"value": 5, "comparator": "<", "unit": "mg"}},
    ],
}


def made(type_: str, text: str, *extensions: Any, codes: Any = None, **more: Any) -> dict[str, Any]:
    (found,) = compile_expression(text).evaluate(RESOURCE)
    wanted = form_of(form(item("x", type_, *extensions, **more))).items[0]
    options = Options(frozenset(codes)) if codes is not None else Options()
    return answer(wanted, found, options)


HEART_RATE = {"system": "http://loinc.org", "code": "8867-4", "display": "Heart rate"}
HR = {"system": "urn:local", "code": "HR"}
KG = {"value": Decimal("70.5"), "unit": "kg", "system": UCUM, "code": "kg"}


@pytest.mark.parametrize(
    ("type_", "text", "expected"),
    [
        ("boolean", "component[2].value", {"valueBoolean": True}),
        ("boolean", "status = 'final'", {"valueBoolean": True}),
        ("integer", "component[0].value", {"valueInteger": 3}),
        ("decimal", "component[0].value", {"valueDecimal": Decimal(3)}),
        ("decimal", "value.value", {"valueDecimal": Decimal("70.5")}),
        ("date", "effective", {"valueDate": "2026-01-02"}),
        ("dateTime", "effective", {"valueDateTime": "2026-01-02T03:04:05Z"}),
        ("dateTime", "@2026-01-02", {"valueDateTime": "2026-01-02"}),
        ("time", "component[1].value", {"valueTime": "08:30:00"}),
        ("string", "code", {"valueString": "Pulse"}),
        ("text", "code.coding[0]", {"valueString": "Heart rate"}),
        ("string", "component[0].value", {"valueString": "3"}),
        ("url", "code.coding[0].system", {"valueUri": "http://loinc.org"}),
        ("choice", "code", {"valueCoding": HEART_RATE}),
        ("choice", "code.coding[1]", {"valueCoding": HR}),
        ("open-choice", "code.text", {"valueString": "Pulse"}),
        ("reference", "subject", {"valueReference": {"reference": "Patient/a"}}),
        ("reference", "$this", {"valueReference": {"reference": "Observation/o"}}),
        ("quantity", "value", {"valueQuantity": KG}),
    ],
)
def test_a_value_is_told_in_the_type_of_the_item(
    type_: str, text: str, expected: dict[str, Any]
) -> None:
    assert made(type_, text) == expected


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        ("boolean", "status"),
        ("integer", "value.value"),
        ("integer", "status"),
        ("decimal", "value"),
        ("date", "status"),
        ("date", "component[1].value"),
        ("time", "effective"),
        ("string", "value"),
        ("string", "component[2].value"),
        ("choice", "code.text"),
        ("reference", "status"),
        ("attachment", "code"),
        ("quantity", "component[0].value"),
        ("quantity", "component[3].value"),
        ("group", "status"),
    ],
)
def test_what_is_not_clearly_an_answer_is_none(type_: str, text: str) -> None:
    with pytest.raises(NoAnswerError):
        made(type_, text)


@pytest.mark.parametrize(
    ("type_", "units", "expected"),
    [
        ("quantity", ["kg"], {"valueQuantity": KG}),
        ("quantity", ["g"], {"valueQuantity": {"value": 70500, "unit": "g", "system": UCUM,
                                               "code": "g"}}),
        ("decimal", ["g"], {"valueDecimal": Decimal(70500)}),
        ("integer", ["g"], {"valueInteger": 70500}),
    ],
)  # fmt: skip
def test_quantities_are_told_in_the_unit_of_the_item(
    type_: str, units: list[str], expected: dict[str, Any]
) -> None:
    assert made(type_, "value", *map(unit, units)) == expected


def test_a_quantity_of_another_kind_is_none() -> None:
    with pytest.raises(NoAnswerError, match="another unit"):
        made("quantity", "value", unit("cm"))


def option(**coding: str) -> dict[str, Any]:
    return {"valueCoding": coding}


def test_the_option_that_fits_is_the_answer() -> None:
    options = [option(system="urn:local", code="HR", display="Rate"), option(code="other")]
    expected = {"valueCoding": {"system": "urn:local", "code": "HR", "display": "Rate"}}
    assert made("choice", "code", answerOption=options) == expected
    with pytest.raises(NoAnswerError, match="options"):
        made("choice", "code", answerOption=[option(system="urn:x", code="HR")])


def test_a_code_without_system_fits_only_one_option() -> None:
    one = [option(system="urn:a", code="final"), option(system="urn:b", code="amended")]
    two = [option(system="urn:a", code="final"), option(system="urn:b", code="final")]
    expected = {"valueCoding": {"system": "urn:a", "code": "final"}}
    assert made("choice", "status", answerOption=one) == expected
    with pytest.raises(NoAnswerError):
        made("choice", "status", answerOption=two)


def test_options_may_be_words_and_numbers() -> None:
    words = [{"valueString": "Pulse"}, {"valueString": "Other"}]
    assert made("choice", "code.text", answerOption=words) == {"valueString": "Pulse"}
    with pytest.raises(NoAnswerError):
        made("choice", "component[0].code.text", answerOption=words)


def test_a_value_set_chooses_among_codings() -> None:
    assert made("choice", "code", codes=[("urn:local", "HR")]) == {"valueCoding": HR}
    with pytest.raises(NoAnswerError):
        made("choice", "code", codes=[("urn:local", "BP")])
    found = made("choice", "status", codes=[("urn:s", "final"), ("urn:s", "amended")])
    assert found == {"valueCoding": {"system": "urn:s", "code": "final"}}
