"""R4 search.html#number and #quantity: significant digits, prefixes, units."""

from decimal import Decimal
from typing import Any

import pytest

from server.fhir.errors import InvalidSearch
from server.search.number import wanted

UCUM = "http://unitsofmeasure.org"


@pytest.mark.parametrize(
    ("raw", "op", "lo", "hi"),
    [
        ("100", "eq", 99.5, 100.5),
        ("100.00", "eq", 99.995, 100.005),
        ("1e2", "eq", 95.0, 105.0),
        ("ne100", "ne", 99.5, 100.5),
        ("5.40e-3", "eq", 0.005395, 0.005405),
        ("-5", "eq", -5.5, -4.5),
        ("ap100", "ap", 89.5, 110.5),
        ("lt100", "lt", 100.0, 100.00000000000001),
        ("0", "eq", -0.5, 0.5),
    ],
)
def test_digits_say_how_exact_a_number_is(raw: str, op: str, lo: float, hi: float) -> None:
    assert wanted(raw, "probability") == (op, lo, hi)


@pytest.mark.parametrize("raw", ["", "lt", "1,", "NaN", "Infinity", "0x1", "1_0", "1e99999", "１"])
def test_what_is_no_number_is_refused(raw: str) -> None:
    with pytest.raises(InvalidSearch, match="is not a number"):
        wanted(raw, "probability")


def weight(**quantity: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "id": "a", "valueQuantity": quantity}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("5.4", True),
        ("5.4||mg", True),
        ("5.4||milligram", True),
        ("5.4||", True),
        (f"5.4|{UCUM}|mg", True),
        (f"5.4|{UCUM}|g", False),
        ("5.4|urn:other|mg", False),
        ("5", True),
        ("5.40", False),
        ("5.42", True),
        ("gt5.4", True),
        ("gt5.42", False),
        ("ge5.42", True),
        ("lt5.42", False),
        ("le5.42||mg", True),
        ("ne5.4", False),
        ("sa5.4", True),
        ("eb5.4", False),
        ("ap6", True),
        ("1,5.4", True),
    ],
)
def test_a_quantity_is_found_by_number_and_unit(finds: Any, asked: str, found: bool) -> None:
    stored = weight(value=Decimal("5.42"), unit="milligram", system=UCUM, code="mg")
    assert finds(f"value-quantity={asked}", stored) is found


@pytest.mark.parametrize(
    ("comparator", "asked", "found"),
    [
        ("<", "lt10", True),
        ("<", "10", False),
        ("<", "gt10", False),
        ("<=", "ge10", False),
        (">", "gt10", True),
        (">", "gt1000", True),
        (">", "lt10", False),
        (">=", "sa9", True),
    ],
)
def test_a_stored_comparator_leaves_one_end_open(
    finds: Any, comparator: str, asked: str, found: bool
) -> None:
    stored = weight(value=10, comparator=comparator)
    assert finds(f"value-quantity={asked}", stored) is found


def test_numbers_beyond_all_floats_are_the_largest(finds: Any) -> None:
    assert finds("value-quantity=gt1e300", weight(value=Decimal("1e400")))


def test_a_range_is_an_interval(finds: Any) -> None:
    condition = {
        "resourceType": "Condition",
        "id": "a",
        "onsetRange": {"low": {"value": 20, "unit": "years"}, "high": {"value": 29}},
    }
    assert finds("onset-age=20,24.5", condition) is False
    assert finds("onset-age=ge25||years", condition)
    assert finds("onset-age=ap29", condition)


def test_money_is_found_by_its_currency(finds: Any) -> None:
    invoice = {"resourceType": "Invoice", "id": "a", "totalNet": {"value": 40, "currency": "EUR"}}
    assert finds("totalnet=40||EUR", invoice)
    assert finds("totalnet=40|urn:iso:std:iso:4217|EUR", invoice)
    assert not finds("totalnet=40||USD", invoice)


@pytest.mark.parametrize("asked", ["5|mg", "5|a|b|c", "5|", "||mg", "5.4|s|"])
def test_a_quantity_of_another_form_is_refused(finds: Any, asked: str) -> None:
    with pytest.raises(InvalidSearch, match="value-quantity: "):
        finds(f"value-quantity={asked}", weight(value=5))


def test_plain_numbers_are_compared_without_units(finds: Any) -> None:
    risk = {
        "resourceType": "RiskAssessment",
        "id": "a",
        "prediction": [{"probabilityDecimal": Decimal("0.8")}],
    }
    assert finds("probability=gt0.7", risk)
    assert not finds("probability=gt0.8", risk)
