"""Resource to index rows, against the alphabet of ``search.rows``."""

import tarfile
import tracemalloc
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from server.fhir import definitions
from server.fhir import json as fhir_json
from server.fhir.fhirpath.branches import Field
from server.search import parameters
from server.search.clinical import CLINICAL_PARAM
from server.search.extract import compartments, index_rows, indexed, keys, targets
from server.search.rows import hash64, key_hash, param_hash

BASE_URL = "http://me.test/fhir"
NOON = 1577880000000000  # 2020-01-01T12:00:00Z

WEIGHT: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "w",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}], "text": "Weight"},
    "subject": {"reference": f"{BASE_URL}/Patient/p/_history/3"},
    "focus": [{"reference": "Patient/focused"}],
    "effectiveDateTime": "2020-01-01T12:00:00Z",
    "valueQuantity": {
        "value": Decimal("70.5"),
        "unit": "kilo",
        "system": "http://unitsofmeasure.org",
        "code": "kg",
    },
}


def test_every_key_of_an_observation_is_of_the_alphabet() -> None:
    code = ["c|29463-7", "s|http://loinc.org|29463-7", "y|http://loinc.org", "t|weight", "?"]
    person = ["r|Patient/p", "v|Patient/p/_history/3", "?"]
    status = "http://hl7.org/fhir/observation-status"
    expected = [
        "Observation",
        *[f"Observation|code|{tail}" for tail in code],
        *[f"Observation|subject|{tail}" for tail in person],
        *[f"Observation|patient|{tail}" for tail in person],
        *[f"Observation|focus|{tail}" for tail in ("r|Patient/focused", "?")],
        *[f"Observation|status|{t}" for t in ("c|final", "s||final", "?")],
        *[f"Observation|status|{t}" for t in (f"s|{status}|final", f"y|{status}")],
        "Observation|date|?",
        "Observation|value-quantity|?",
        "Observation|combo-value-quantity|?",
        "compartment|Patient/p",
    ]
    rows = index_rows(WEIGHT, BASE_URL)
    assert rows.keys == {key_hash(key) for key in expected}


def test_a_reference_is_a_value_of_the_parameters_that_are_for_its_type() -> None:
    def said(**subject: Any) -> set[str]:
        rows = index_rows({**WEIGHT, "subject": subject}, BASE_URL)
        params = {name: param_hash("Observation", name) for name in ("subject", "patient")}
        present = {name for name in params if hash64(f"Observation|{name}|?") in rows.keys}
        assert {name for name in params if any(p == params[name] for p, _ in rows.references)} <= (
            present
        )
        return present

    assert said(reference="Patient/p") == {"subject", "patient"}
    assert said(reference="http://other.test/Patient/p") == {"subject", "patient"}
    assert said(type="Patient", identifier={"value": "1"}) == {"subject", "patient"}
    assert said(reference="Group/g") == {"subject"}
    assert said(display="somebody") == {"subject"}


def test_a_concept_met_before_has_the_rows_that_it_had() -> None:
    growing = {"url": "http://x.test/of", "valueDecimal": Decimal("1.0")}
    for code in (WEIGHT["code"], {**WEIGHT["code"], "extension": [growing]}):
        resource = {**WEIGHT, "code": code}
        assert index_rows(resource).keys == index_rows(resource).keys == index_rows(WEIGHT).keys


def test_rows_of_dates_and_quantities() -> None:
    rows = index_rows(WEIGHT, BASE_URL)
    assert rows.date == NOON
    assert rows.dates == ((param_hash("Observation", "date"), NOON, NOON + 1_000_000),)
    as_written = [(70.5, 70.50000000000001, hash64(unit)) for unit in ("", "|kg", "|kilo")]
    converted = (70500.0, 70500.00000000001, hash64("http://unitsofmeasure.org|g"))
    assert set(rows.numbers) == {
        (param_hash("Observation", param), *row)
        for param in ("value-quantity", "combo-value-quantity")
        for row in (*as_written, converted)
    }
    assert rows.strings == ()


def test_rows_of_names() -> None:
    patient = {"resourceType": "Patient", "id": "a", "name": [{"family": "Müller"}]}
    rows = index_rows(patient)
    named = {param_hash("Patient", param) for param in ("family", "name")}
    assert set(rows.strings) == {(param, "muller") for param in named}
    assert hash64("Patient|name|x|Müller") in rows.keys
    assert hash64("compartment|Patient/a") in rows.keys


def test_a_value_twice_is_one_row() -> None:
    name = {"family": "A", "text": "A"}
    rows = index_rows({"resourceType": "Patient", "id": "a", "name": [name, name]})
    assert len(rows.strings) == len(set(rows.strings)) == 2


def test_long_values_do_not_stay_in_memory() -> None:
    """What was made of short texts is kept; a client could fill the memory with long ones."""

    def index(n: int) -> None:
        long = f"{n}-" + "é" * 100_000
        index_rows(
            {
                "resourceType": "Observation",
                "id": "a",
                "meta": {"profile": [f"http://h.test/{long}"], "tag": [{"system": long}]},
                "identifier": [{"system": long, "value": long}],
                "subject": {"reference": f"http://h.test/{long}", "identifier": {"value": long}},
                "valueQuantity": {"value": 1, "unit": long},
            }
        )
        index_rows({"resourceType": "Patient", "id": "a", "name": [{"family": long}]})

    index(0)
    tracemalloc.start()
    for n in range(1, 10):
        index(n)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 100_000


def test_compartments_are_entered_by_the_parameters_of_their_definition() -> None:
    observation = {
        **WEIGHT,
        "performer": [{"reference": "Practitioner/d"}, {"reference": "http://else.test/Patient/y"}],
        "encounter": {"reference": "Encounter/e"},
        "device": {"reference": "Device/m"},
    }
    expected = ("Device/m", "Encounter/e", "Patient/p", "Practitioner/d")
    assert compartments(observation, BASE_URL) == expected
    keys = index_rows(observation, BASE_URL).keys
    assert {hash64(f"compartment|{one}") for one in expected} <= keys
    assert hash64("compartment|Patient/focused") not in keys


def test_a_patient_is_in_its_own_compartment_and_in_none_that_it_links_to() -> None:
    link = [{"other": {"reference": "Patient/b"}, "type": "refer"}]
    patient = {"resourceType": "Patient", "id": "a", "link": link}
    assert compartments(patient) == ("Patient/a",)
    assert hash64("compartment|Patient/b") not in index_rows(patient).keys


def test_targets_are_local_references() -> None:
    provenance = {
        "resourceType": "Provenance",
        "id": "a",
        "target": [
            {"reference": "Observation/o"},
            {"reference": f"{BASE_URL}/Patient/p/_history/1"},
            {"reference": "http://else.test/Patient/y"},
            {"display": "unknown"},
        ],
    }
    assert targets(provenance, "target", BASE_URL) == ("Observation/o", "Patient/p")


@pytest.mark.parametrize(
    ("resource", "date"),
    [
        ({"resourceType": "Encounter", "period": {"start": "2020-01-01T12:00:00Z"}}, NOON),
        ({"resourceType": "Encounter", "period": {"end": "2020-01-01"}}, None),
        ({"resourceType": "Condition", "recordedDate": "2020-01-01"}, None),
        ({"resourceType": "Condition", "onsetDateTime": "2020-01-01T12:00:00Z"}, NOON),
        ({"resourceType": "Task", "authoredOn": "2020-01-01T12:00:00Z"}, NOON),
        ({"resourceType": "Patient", "birthDate": "2020-01-01"}, None),
        ({"resourceType": "Procedure", "performedString": "long ago"}, None),
    ],
)
def test_the_clinical_date_is_the_start_of_what_happened(
    resource: dict[str, Any], date: int | None
) -> None:
    assert index_rows({"id": "a", **resource}).date == date


def test_a_clinical_date_is_a_date_parameter_with_one_value_at_most() -> None:
    for type_, code in CLINICAL_PARAM.items():
        assert parameters.searchable(type_)[code].type == "date"
        for branch in parameters.branches(type_, code):
            content = type_
            for step in branch.steps:
                assert isinstance(step, Field)
                child = definitions.children(content)[step.key]
                assert child.max == 1
                content = child.content


def test_what_a_search_cannot_compare_is_still_present() -> None:
    observation = {"resourceType": "Observation", "id": "a", "valueSampledData": {"origin": {}}}
    assert hash64("Observation|value-quantity|?") in index_rows(observation).keys
    assert index_rows(observation).numbers == ()


@pytest.mark.parametrize(
    "resource",
    [
        {"resourceType": "Patient", "id": "a", "name": [None, {"given": [None, "A"]}]},
        {"resourceType": "Patient", "id": "a", "birthDate": "2021-02-29"},
        {"resourceType": "Patient", "id": "a", "telecom": [{"system": "email"}]},
        {"resourceType": "Patient", "id": "a", "identifier": [{"use": "old"}]},
        {"resourceType": "Observation", "id": "a", "code": {"text": "only text"}},
        {"resourceType": "Observation", "id": "a", "valueQuantity": {"unit": "kg"}},
        {"resourceType": "Observation", "id": "a", "effectivePeriod": {}},
        {"resourceType": "Bundle", "id": "a", "type": "document", "entry": [{}]},
        {"resourceType": "Condition", "id": "a", "onsetRange": {}},
    ],
)
def test_half_filled_resources_have_rows_for_what_they_hold(resource: dict[str, Any]) -> None:
    assert hash64(resource["resourceType"]) in index_rows(resource).keys


def test_every_official_example_has_rows(shared_data: Path) -> None:
    count = 0
    with tarfile.open(shared_data / "r4" / "examples-half.tar.xz") as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is None:
                continue
            resource = fhir_json.loads(file.read())
            rows = index_rows(resource, BASE_URL)
            places = {hash64(f"compartment|{one}") for one in compartments(resource, BASE_URL)}
            assert places <= rows.keys
            count += 1
    assert count == 378


def test_one_walk_makes_the_rows_and_the_compartments(shared_data: Path) -> None:
    with tarfile.open(shared_data / "r4" / "examples-half.tar.xz") as archive:
        for member in archive:
            content = archive.extractfile(member)
            if content is None or not member.name.endswith(".json"):
                continue
            resource = fhir_json.loads(content.read())
            if "id" in resource:
                both = index_rows(resource, BASE_URL), compartments(resource, BASE_URL)
                assert indexed(resource, BASE_URL) == both


def test_the_keys_of_some_parameters_are_those_of_the_whole() -> None:
    whole = index_rows(WEIGHT, BASE_URL).keys
    some = keys(WEIGHT, ("code", "subject"), BASE_URL)
    assert some < whole
    assert hash64("Observation|code|s|http://loinc.org|29463-7") in some
    assert key_hash("Observation|subject|r|Patient/p") in some
    assert hash64("Observation|status|c|final") not in some


def test_a_parameter_without_rows_of_its_own_has_exactly_the_values_of_others() -> None:
    def places(type_: str, code: str) -> set[tuple[str, tuple[object, ...], str | None]]:
        kind = parameters.searchable(type_)[code].type
        found = parameters.branches(type_, code)
        return {(b.type, b.steps, b.binding) for b in found if parameters.holds(kind, b.type)}

    for (type_, code), others in parameters.SHARED.items():
        assert places(type_, code) == {place for one in others for place in places(type_, one)}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("combo-code=http://loinc.org|29463-7", True),
        ("combo-code=8480-6", True),
        ("combo-code=x,8480-6", True),
        ("combo-code=x", False),
        ("combo-code:not=8480-6", False),
        ("combo-code:not=x", True),
        ("combo-code:text=wei", True),
        ("combo-code:missing=false", True),
        ("combo-value-concept:missing=true", True),
        ("combo-data-absent-reason:missing=true", True),
    ],
)
def test_a_parameter_without_rows_of_its_own_is_found_by_those_of_others(
    finds: Any, query: str, found: bool
) -> None:
    part = {"code": {"coding": [{"code": "8480-6"}]}}
    assert finds(query, {**WEIGHT, "component": [part]}) is found


def test_names_that_sound_alike_are_found_and_sorted_as_names(finds: Any) -> None:
    patient = {"resourceType": "Patient", "id": "a", "name": [{"family": "Müller"}]}
    assert finds("phonetic=mull", patient)
    assert not finds("phonetic:exact=muller", patient)
    assert parameters.in_rows(["Patient", "Person"], "phonetic") == "name"
    assert parameters.in_rows(["Observation"], "combo-code") == "combo-code"
