"""Parameters added at run time, and the zone of dates that state none."""

from typing import Any

import pytest

from server.fhir.definitions import SearchParameter
from server.fhir.errors import InvalidSearch
from server.fhir.fhirpath.errors import FhirPathError
from server.search import criteria, parameters
from server.search.catalog import R4, Catalog
from server.search.extract import compartments, index_rows, indexed, keys, targets
from server.search.query import DateIs, Predicate, SortKey
from server.search.rows import hash64, key_hash, param_hash
from server.search.sorting import sort_value

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "a",
    "name": [{"family": "Baum", "given": ["Eve", "Ann"]}],
    "birthDate": "2000-01-02",
    "generalPractitioner": [{"reference": "Practitioner/d"}],
}


def catalog(kind: str, expression: str, *, zone: str = "UTC", base: str = "Patient") -> Catalog:
    url = "http://h.test/own"
    return Catalog([SearchParameter("own", url, kind, (base,), expression, (), ())], zone=zone)


@pytest.mark.parametrize(
    ("kind", "expression", "key"),
    [
        ("token", "Patient.name.family", "Patient|own|c|Baum"),
        ("token", "Patient.name.given.count() = 2", "Patient|own|c|true"),
        ("token", "Patient.name.select(given.first() & family)", "Patient|own|c|EveBaum"),
        (
            "string",
            "Patient.name.given.first() + ' ' + Patient.name.family",
            "Patient|own|x|Eve Baum",
        ),
        ("reference", "Patient.generalPractitioner", "Patient|own|r|Practitioner/d"),
        (
            "reference",
            "Patient.generalPractitioner.where(resolve() is Practitioner).skip(0)",
            "Patient|own|r|Practitioner/d",
        ),
    ],
)
def test_a_parameter_may_have_any_expression(kind: str, expression: str, key: str) -> None:
    assert key_hash(key) in index_rows(PATIENT, catalog=catalog(kind, expression)).keys


def test_computed_numbers_and_dates_have_rows_too() -> None:
    own = param_hash("Patient", "own")
    counted = index_rows(PATIENT, catalog=catalog("number", "Patient.name.given.count() * 1.5"))
    assert counted.numbers == ((own, 3.0, 3.0000000000000004, hash64("")),)
    dated = index_rows(PATIENT, catalog=catalog("date", "Patient.birthDate + 1 day"))
    assert (own, 946857600000000, 946944000000000) in dated.dates
    measured = index_rows(PATIENT, catalog=catalog("quantity", "2 'kg'"))
    assert (own, 2000.0, 2000.0000000000002, hash64("http://unitsofmeasure.org|g")) in (
        measured.numbers
    )


def test_an_expression_that_fails_on_a_resource_leaves_it_without_rows() -> None:
    broken = catalog("token", "Patient.name.given.single()")
    assert hash64("Patient|own|?") not in index_rows(PATIENT, catalog=broken).keys


def test_what_is_no_expression_is_told_when_it_is_looked_at() -> None:
    with pytest.raises(FhirPathError):
        parameters.branches("Patient", "own", catalog("token", "Patient..name"))


def test_every_function_looks_in_the_catalog() -> None:
    own = catalog("reference", "Patient.generalPractitioner")
    assert "own" not in parameters.searchable("Patient")
    assert parameters.searchable("Patient", own)["own"].url == "http://h.test/own"
    assert criteria.common_parameter(["Patient"], "own") is None
    assert criteria.common_parameter(["Patient"], "own", catalog=own) is not None
    assert targets(PATIENT, "own", catalog=own) == ("Practitioner/d",)
    assert sort_value(PATIENT, SortKey("own", "reference"), 0, catalog=own) == "Practitioner/d"
    assert key_hash("Patient|own|r|Practitioner/d") in keys(PATIENT, ("own",), catalog=own)
    assert compartments(PATIENT, catalog=own) == ("Patient/a", "Practitioner/d")
    assert indexed(PATIENT, catalog=own)[0] == index_rows(PATIENT, catalog=own)


def asked(own: Catalog, text: str) -> Predicate:
    parameter = criteria.common_parameter(["Patient"], "birthdate", catalog=own)
    assert parameter is not None
    return criteria.predicate(("Patient",), parameter, None, text, "", catalog=own)


def test_a_date_without_a_zone_is_in_that_of_the_catalog() -> None:
    berlin = Catalog(zone="Europe/Berlin")
    birthdate = param_hash("Patient", "birthdate")
    day = 86_400_000_000
    assert index_rows(PATIENT).dates == ((birthdate, 946771200000000, 946771200000000 + day),)
    assert index_rows(PATIENT, catalog=berlin).dates == (
        (birthdate, 946767600000000, 946767600000000 + day),
    )
    assert asked(berlin, "2000-01-02") == DateIs(
        "Patient", "birthdate", "eq", 946767600000000, 946767600000000 + day
    )
    assert asked(berlin, "2000-01-02T00:00Z") == asked(R4, "2000-01-02T00:00Z")
    key = SortKey("birthdate", "date")
    assert sort_value(PATIENT, key, 0, catalog=berlin) == 946767600000000


def test_a_summer_day_is_shorter_and_longer_where_clocks_are_changed() -> None:
    berlin = Catalog(zone="Europe/Berlin")
    hours = []
    for day in ("2026-03-29", "2026-10-25"):
        found = asked(berlin, day)
        assert isinstance(found, DateIs)
        hours.append((found.hi - found.lo) // 3_600_000_000)
    assert hours == [23, 25]


def test_another_zone_or_parameter_is_another_index() -> None:
    fingerprints = [
        R4.fingerprint,
        Catalog(zone="Europe/Berlin").fingerprint,
        catalog("token", "Patient.active").fingerprint,
        catalog("token", "Patient.gender").fingerprint,
        catalog("token", "Patient.gender", zone="Europe/Berlin").fingerprint,
    ]
    assert len(set(fingerprints)) == 5
    assert Catalog(zone="UTC").fingerprint == R4.fingerprint
    assert Catalog(zone="UTC") == R4
    assert Catalog(zone="Europe/Berlin") != R4


@pytest.mark.parametrize("zone", ["Nowhere/Land", "", "../etc/passwd", "Europe", "a\0b"])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    with pytest.raises(ValueError, match="is not a time zone"):
        Catalog(zone=zone)


def test_a_composite_that_cannot_be_kept_is_refused_when_it_is_asked_for() -> None:
    def made(code: str, kind: str, expression: str, *parts: tuple[str, str]) -> SearchParameter:
        url = f"http://h.test/{code}"
        return SearchParameter(code, url, kind, ("Patient",), expression, (), parts)

    parts = (("http://h.test/one", "family"), ("http://h.test/two", "period"))
    own = Catalog(
        [
            made("one", "string", "Patient.name.family"),
            made("two", "date", "Patient.name.period"),
            made("both", "composite", "Patient.name", *parts),
        ]
    )
    index_rows(PATIENT, catalog=own)
    parameter = criteria.common_parameter(["Patient"], "both", catalog=own)
    assert parameter is not None
    with pytest.raises(InvalidSearch, match="both: it cannot be used: both has two parts"):
        criteria.predicate(("Patient",), parameter, None, "a$2020", "", catalog=own)
