"""Units of one kind are found in one another.  R4 search.html#quantity, "canonical units"."""

from decimal import Decimal
from typing import Any

import pytest

from server.search.quantity import wanted

UCUM = "http://unitsofmeasure.org"


def observation(value: str, code: str, **more: Any) -> dict[str, Any]:
    quantity = {"value": Decimal(value), "system": UCUM, "code": code, **more}
    return {"resourceType": "Observation", "id": "a", "valueQuantity": quantity}


@pytest.mark.parametrize(
    ("asked", "stored", "found"),
    [
        ("154|[lb_av]", ("70", "kg"), True),
        ("155|[lb_av]", ("70", "kg"), False),
        ("70|kg", ("154.3", "[lb_av]"), True),
        ("gt154|[lb_av]", ("70", "kg"), True),
        ("lt154|[lb_av]", ("70", "kg"), False),
        ("70000|g", ("70", "kg"), True),
        ("132|g/L", ("13.2", "g/dL"), True),
        ("13.2|g/dL", ("132", "g/L"), True),
        ("13.2|g/dL", ("13200", "mg/dL"), True),
        ("37|Cel", ("98.6", "[degF]"), True),
        ("98.6|[degF]", ("37", "Cel"), True),
        ("310.15|K", ("37", "Cel"), True),
        ("gt37|Cel", ("98.6", "[degF]"), False),
        ("ge37|Cel", ("98.6", "[degF]"), True),
        ("120|mm[Hg]", ("16.0", "kPa"), True),
        ("70|kg", ("70", "cm"), False),
        ("70|kg", ("70", "nonsense"), False),
        ("70|nonsense", ("70", "nonsense"), True),
        ("7.4|[pH]", ("7.4", "[pH]"), True),
        ("5|{score}", ("5", "1"), True),
    ],
)
def test_a_quantity_is_found_in_another_unit(
    finds: Any, asked: str, stored: tuple[str, str], found: bool
) -> None:
    number, code = asked.split("|")
    assert finds(f"value-quantity={number}|{UCUM}|{code}", observation(*stored)) is found


@pytest.mark.parametrize(("asked", "found"), [("70||kg", True), ("70000||g", False), ("70", True)])
def test_without_a_system_units_are_compared_as_they_are_written(
    finds: Any, asked: str, found: bool
) -> None:
    assert finds(f"value-quantity={asked}", observation("70", "kg")) is found


def test_the_interval_that_digits_leave_open_is_converted_as_it_is() -> None:
    assert wanted(f"154|{UCUM}|[lb_av]", "q") == (
        "eq",
        153.5 * 453.59237,
        154.5 * 453.59237,
        f"{UCUM}|g",
    )
    assert wanted(f"ap100|{UCUM}|Cel", "q") == ("ap", 362.65, 383.65, f"{UCUM}|K")


@pytest.mark.parametrize(
    ("value", "asked", "found"),
    [
        ("1e999999999", f"gt1e300|{UCUM}|kg", True),
        ("-1e999999999", f"lt-1e300|{UCUM}|kg", True),
        ("1e-999999999", f"lt1|{UCUM}|g", True),
        ("0e999999999", f"0|{UCUM}|kg", True),
    ],
)
def test_numbers_of_any_size_are_converted(finds: Any, value: str, asked: str, found: bool) -> None:
    assert finds(f"value-quantity={asked}", observation(value, "kg")) is found


def test_a_comparator_is_kept_through_the_conversion(finds: Any) -> None:
    stored = observation("1", "kg", comparator="<")
    assert finds(f"value-quantity=lt1000|{UCUM}|g", stored)
    assert not finds(f"value-quantity=gt1000|{UCUM}|g", stored)


def test_a_range_is_converted_at_both_ends(finds: Any) -> None:
    quantity = {"system": UCUM, "code": "a"}
    onset = {"low": {"value": 1, **quantity}, "high": {"value": 2, **quantity}}
    condition = {"resourceType": "Condition", "id": "a", "onsetRange": onset}
    assert finds(f"onset-age=ap18|{UCUM}|mo", condition)
    assert not finds(f"onset-age=lt11|{UCUM}|mo", condition)
