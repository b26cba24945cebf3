"""R4 search.html#token: the forms of a value, the types it is asked of."""

from typing import Any

import pytest

from server.fhir.errors import InvalidSearch
from server.search import criteria
from server.search.query import AnyOf, CodesOf, Not, Predicate
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


WORDED: dict[str, Any] = {
    "resourceType": "Condition",
    "id": "a",
    "code": {
        "coding": [{"system": "urn:x", "code": "1", "display": "Fasting Glucose, high"}],
        "text": "Zucker nüchtern",
    },
    "identifier": [
        {
            "type": {"coding": [{"system": "urn:types", "code": "MR"}], "text": "Record number"},
            "value": "446|053",
        }
    ],
    "meta": {"tag": [{"system": "urn:x", "code": "2", "display": "Very important"}]},
}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("code:text=fasting", True),
        ("code:text=GLUCOSE", True),
        ("code:text=glucose high", True),
        ("code:text=gluc", True),
        ("code:text=lucose", False),
        ("code:text=nuchtern", True),
        ("code:text=nothing,zucker", True),
        ("code:text=1", False),
        ("identifier:text=record", True),
        ("identifier:text=446", False),
        ("_tag:text=important", True),
        ("identifier:of-type=urn:types|MR|446\\|053", True),
        ("identifier:of-type=urn:types|MR|446", False),
        ("identifier:of-type=urn:types|PI|446\\|053", False),
        ("identifier:of-type=urn:other|MR|446\\|053", False),
    ],
)
def test_codes_are_found_by_their_words_and_identifiers_by_their_type(
    finds: Any, query: str, found: bool
) -> None:
    assert finds(query, WORDED) is found


def predicate(types: tuple[str, ...], code: str, modifier: str, text: str) -> Predicate:
    parameter = criteria.common_parameter(types, code)
    assert parameter is not None
    return criteria.predicate(types, parameter, modifier, text, "http://me.test/fhir")


@pytest.mark.parametrize(
    ("modifier", "text", "expected"),
    [
        ("in", "http://x.test/vs", CodesOf("Condition", "code", "in", "http://x.test/vs")),
        ("in", "http://x.test/vs\\|2", CodesOf("Condition", "code", "in", "http://x.test/vs|2")),
        ("in", "ValueSet/v", CodesOf("Condition", "code", "in", "ValueSet/v")),
        ("in", "http://me.test/fhir/ValueSet/v", CodesOf("Condition", "code", "in", "ValueSet/v")),
        ("not-in", "ValueSet/v", Not(CodesOf("Condition", "code", "in", "ValueSet/v"))),
        ("below", "urn:x|1", CodesOf("Condition", "code", "below", "urn:x|1")),
        ("above", "urn:x|1", CodesOf("Condition", "code", "above", "urn:x|1")),
        (
            "below",
            "urn:x|1,urn:x|2",
            AnyOf(
                (
                    CodesOf("Condition", "code", "below", "urn:x|1"),
                    CodesOf("Condition", "code", "below", "urn:x|2"),
                )
            ),
        ),
    ],
)
def test_what_only_terminology_can_tell_is_left_to_be_expanded(
    modifier: str, text: str, expected: Predicate
) -> None:
    assert predicate(("Condition",), "code", modifier, text) == expected


def test_a_code_that_other_parameters_hold_is_looked_for_in_each() -> None:
    assert predicate(("Observation",), "combo-code", "not-in", "ValueSet/v") == Not(
        AnyOf(
            (
                CodesOf("Observation", "code", "in", "ValueSet/v"),
                CodesOf("Observation", "component-code", "in", "ValueSet/v"),
            )
        )
    )


@pytest.mark.parametrize(
    ("code", "modifier", "text", "why"),
    [
        ("code", "below", "1", "'1' is not system|code"),
        ("code", "above", "urn:x|", "'urn:x|' is not system|code"),
        ("code", "in", "some set", "is not the address of a value set"),
        ("code", "text", "---", "no letter or digit"),
        ("code", "of-type", "a|b|c", "only identifiers have a type"),
        ("identifier", "of-type", "a|b", "is not system|code|value"),
        ("identifier", "of-type", "a||c", "is not system|code|value"),
        ("_id", "in", "ValueSet/v", "an id has no :in, only :not"),
    ],
)
def test_a_value_that_a_modifier_cannot_use_is_refused_by_name(
    code: str, modifier: str, text: str, why: str
) -> None:
    with pytest.raises(InvalidSearch) as caught:
        predicate(("Condition",), code, modifier, text)
    assert why in caught.value.diagnostics
    assert caught.value.expression == (f"{code}:{modifier}",)
