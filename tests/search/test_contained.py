"""The rows of contained resources stand under their type behind ``#``."""

from typing import Any

from server.search.extract import index_rows
from server.search.rows import hash64, key_hash, param_hash

REQUEST: dict[str, Any] = {
    "resourceType": "MedicationRequest",
    "id": "a",
    "status": "active",
    "medicationReference": {"reference": "#m"},
    "contained": [
        {
            "resourceType": "Medication",
            "id": "m",
            "code": {"coding": [{"system": "http://h.test/drugs", "code": "x"}]},
            "manufacturer": {"reference": "Organization/o"},
        },
        {
            "resourceType": "Observation",
            "id": "o",
            "subject": {"reference": "Patient/elsewhere"},
            "effectiveDateTime": "2020-01-01",
        },
    ],
}


def test_contained_rows_are_apart() -> None:
    keys = index_rows(REQUEST).keys
    for key in ("#Medication", "#Medication|code|c|x", "#Medication|manufacturer|r|Organization/o"):
        assert key_hash(key) in keys
    for key in ("Medication", "Medication|code|c|x", "MedicationRequest|code|c|x"):
        assert key_hash(key) not in keys


def test_a_contained_resource_neither_enters_compartments_nor_dates_its_container() -> None:
    rows = index_rows(REQUEST)
    assert hash64("compartment|Patient/elsewhere") not in rows.keys
    assert rows.date is None
    assert param_hash("#Observation", "date") in {param for param, _, _ in rows.dates}


def test_containers_are_found_by_what_they_do_not_contain() -> None:
    none = {"resourceType": "Medication", "id": "m"}
    rows = index_rows({**REQUEST, "contained": [none]})
    assert hash64("#Medication") in rows.keys
    assert hash64("#Medication|code|?") not in rows.keys
