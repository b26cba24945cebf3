from decimal import Decimal
from typing import Any

import pytest

from server.search.query import SortKey
from server.search.rows import MIN_TIME
from server.search.sorting import Scalar, sort_value

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "a",
    "name": [{"family": "Żuk", "given": ["Ann"]}, {"family": "Baum"}],
    "birthDate": "1970-01-02",
    "gender": "female",
    "managingOrganization": {"reference": "Organization/o"},
}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (SortKey("_id", "id"), "a"),
        (SortKey("_lastUpdated", "updated"), 7),
        (SortKey("family", "string"), "baum"),
        (SortKey("family", "string", descending=True), "zuk"),
        (SortKey("birthdate", "date"), 86_400_000_000),
        (SortKey("gender", "token"), "female"),
        (SortKey("organization", "reference"), "Organization/o"),
        (SortKey("death-date", "date"), None),
        (SortKey("_profile", "uri"), None),
    ],
)
def test_the_smallest_value_ascending_and_the_largest_descending(
    key: SortKey, value: Scalar
) -> None:
    assert sort_value(PATIENT, key, 7) == value


def test_numbers_and_open_periods() -> None:
    observation = {
        "resourceType": "Observation",
        "id": "a",
        "valueQuantity": {"value": Decimal("5.4")},
        "effectivePeriod": {"end": "2020"},
    }
    assert sort_value(observation, SortKey("value-quantity", "quantity"), 7) == 5.4
    assert sort_value(observation, SortKey("date", "date"), 7) == MIN_TIME


def test_a_parameter_that_is_there_no_longer_has_no_value() -> None:
    assert sort_value(PATIENT, SortKey("withdrawn", "token"), 7) is None
