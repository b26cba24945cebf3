"""R4 search.html#reference and #uri."""

from typing import Any

import pytest

from server.fhir.errors import InvalidSearch

ME = "http://me.test/fhir"  # the base URL of the fixture ``finds``


def observation(**subject: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "id": "a", "subject": subject}


@pytest.mark.parametrize(
    ("query", "stored", "found"),
    [
        ("subject=Patient/x", "Patient/x", True),
        ("subject=x", "Patient/x", True),
        ("subject=X", "Patient/x", False),
        ("subject:Patient=x", "Patient/x", True),
        ("subject:Group=x", "Patient/x", False),
        (f"subject={ME}/Patient/x", "Patient/x", True),
        ("subject=Patient/x", f"{ME}/Patient/x", True),
        ("patient=Patient/x", "Patient/x", True),
        ("patient=x", "Group/x", False),
        ("patient=http://else.test/Patient/x", "http://else.test/Patient/x", True),
        ("subject=Patient/x", "http://else.test/Patient/x", False),
        ("subject=x", "http://else.test/Patient/x", False),
        ("subject=Patient/x", "Patient/x/_history/2", True),
        ("subject=Patient/x/_history/2", "Patient/x/_history/2", True),
        ("subject=Patient/x/_history/2", "Patient/x", False),
        ("subject=urn:uuid:7", "urn:uuid:7", True),
        ("subject=Patient/y,Group/x", "Group/x", True),
        ("subject:missing=false", "#contained", True),
    ],
)
def test_every_form_of_a_reference(finds: Any, query: str, stored: str, found: bool) -> None:
    assert finds(query, observation(reference=stored)) is found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("subject:identifier=s|7", True),
        ("subject:identifier=7", True),
        ("subject:identifier=s|", True),
        ("subject:identifier=|7", False),
        ("patient:identifier=s|7", True),
        ("subject=7", False),
    ],
)
def test_a_logical_reference_is_found_by_its_identifier(
    finds: Any, query: str, found: bool
) -> None:
    stored = observation(type="Patient", identifier={"system": "s", "value": "7"})
    assert finds(query, stored) is found


@pytest.mark.parametrize("stored", ["urn:uuid:7", "http://else.test/people/7", "#7"])
def test_a_reference_that_does_not_show_its_type_may_state_it(finds: Any, stored: str) -> None:
    assert finds("patient:missing=true", observation(reference=stored))
    assert finds("patient:missing=true", observation(reference=stored, type="Group"))
    assert finds("patient:missing=false", observation(reference=stored, type="Patient"))
    assert finds("patient:missing=true", observation(reference="Group/7", type="Patient"))


@pytest.mark.parametrize(
    "query", ["subject=Foo/1", "subject=a b", "subject:Practitioner=x", "subject:Patient=Group/x"]
)
def test_what_can_never_be_referred_to_is_refused(finds: Any, query: str) -> None:
    with pytest.raises(InvalidSearch, match="subject"):
        finds(query, observation())


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("http://x.test/Questionnaire/q", True),
        ("http://x.test/Questionnaire/q|2", True),
        ("http://x.test/Questionnaire/q|3", False),
    ],
)
def test_a_canonical_is_found_with_and_without_its_version(
    finds: Any, asked: str, found: bool
) -> None:
    response = {
        "resourceType": "QuestionnaireResponse",
        "id": "a",
        "questionnaire": "http://x.test/Questionnaire/q|2",
        "meta": {"profile": ["http://x.test/Questionnaire/q|2"]},
    }
    assert finds(f"questionnaire={asked}", response) is found
    assert finds(f"_profile={asked}", response) is found


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("http://x.test/a", True),
        ("http://x.test/", False),
        ("HTTP://x.test/a", False),
        ("http://x.test/b,http://x.test/a", True),
    ],
)
def test_a_uri_is_compared_as_a_whole(finds: Any, asked: str, found: bool) -> None:
    value_set = {"resourceType": "ValueSet", "id": "a", "url": "http://x.test/a"}
    assert finds(f"url={asked}", value_set) is found
