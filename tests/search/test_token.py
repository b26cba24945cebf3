"""R4 search.html#token: the forms of a value, the types it is asked of."""

from typing import Any

import pytest

from server.fhir.errors import InvalidSearch
from server.search.token import token_keys, wanted_key

LOINC = "http://loinc.org"


@pytest.mark.parametrize(
    ("raw", "finds_coding_with_system", "finds_coding_without"),
    [
        ("8867-4", True, True),
        (f"{LOINC}|8867-4", True, False),
        ("|8867-4", False, True),
        (f"{LOINC}|", True, False),
        ("8867-5", False, False),
        ("http://snomed.info/sct|8867-4", False, False),
    ],
)
def test_the_four_forms_of_r4(
    raw: str, finds_coding_with_system: bool, finds_coding_without: bool
) -> None:
    key = wanted_key(raw, "code")
    assert (key in token_keys(LOINC, "8867-4")) is finds_coding_with_system
    assert (key in token_keys(None, "8867-4")) is finds_coding_without


@pytest.mark.parametrize("raw", ["", "|", "a|b|c"])
def test_a_value_of_another_form_is_refused(raw: str) -> None:
    with pytest.raises(InvalidSearch, match="code: "):
        wanted_key(raw, "code")


PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "a",
    "identifier": [{"system": "http://h.test/mrn", "value": "12|3"}, {"value": "A,B"}],
    "active": True,
    "gender": "male",
    "telecom": [{"system": "email", "value": "Ann@H.test"}, {"system": "phone", "value": "0151 2"}],
    "communication": [{"language": {"coding": [{"code": "de"}], "text": "German"}}],
    "meta": {"tag": [{"system": "http://h.test/tags", "code": "vip"}]},
}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("identifier=http://h.test/mrn|12\\|3", True),
        ("identifier=12\\|3", True),
        ("identifier=A\\,B", True),
        ("identifier=a\\,b", False),
        ("identifier=http://h.test/mrn|", True),
        ("identifier=|A\\,B", True),
        ("identifier=nobody,A\\,B", True),
        ("active=true", True),
        ("active=false", False),
        ("gender=male", True),
        ("gender=Male", False),
        ("gender=http://hl7.org/fhir/administrative-gender|male", True),
        ("gender=http://hl7.org/fhir/administrative-gender|female", False),
        ("gender:not=female", True),
        ("gender:not=female,male", False),
        ("email=ann@h.test", True),
        ("phone=ann@h.test", False),
        ("telecom=0151 2", True),
        ("language=de", True),
        ("language=German", False),
        ("_tag=http://h.test/tags|vip", True),
        ("deceased=false", True),
        ("deceased=true", False),
        ("gender:missing=false", True),
        ("general-practitioner:missing=true", True),
    ],
)
def test_each_type_is_found_by_what_identifies_it(finds: Any, query: str, found: bool) -> None:
    assert finds(query, PATIENT) is found


def test_not_also_finds_what_has_no_value(finds: Any) -> None:
    assert finds("gender:not=male", {"resourceType": "Patient", "id": "a"})


def test_one_of_several_codings_is_enough(finds: Any) -> None:
    codings = [{"system": LOINC, "code": "a"}, {"system": "urn:local", "code": "b"}]
    observation = {"resourceType": "Observation", "id": "a", "code": {"coding": codings}}
    assert finds(f"code={LOINC}|a&code=urn:local|b", observation)
    assert not finds(f"code={LOINC}|b", observation)
