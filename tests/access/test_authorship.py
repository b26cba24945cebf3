"""A patient's app names nobody of the staff as who says what it writes."""

from typing import Any

import pytest

from server.access.authorship import speaks_for_staff
from server.access.context import AccessContext, Permit

LAY = AccessContext("user/anna", "app", (Permit("*", compartment="Patient/a", released=0),))
NURSE = AccessContext("user/bert", "app", (Permit("*", compartment="Patient/a"),))

WRONG: list[tuple[str, dict[str, Any]]] = [
    ("Observation.performer", {"performer": [{"reference": "Practitioner/bert"}]}),
    (
        "Observation.performer",
        {"performer": [{"reference": "Patient/a"}, {"reference": "PractitionerRole/b"}]},
    ),
    ("Observation.performer", {"performer": [{"reference": "https://h.test/Organization/lab"}]}),
    ("Observation.performer", {"performer": [{"type": "Practitioner", "display": "Dr Bert"}]}),
    ("QuestionnaireResponse.author", {"author": {"reference": "Practitioner/bert"}}),
    ("QuestionnaireResponse.source", {"source": {"reference": "Practitioner/b/_history/2"}}),
    ("Communication.sender", {"sender": {"reference": "CareTeam/ward"}}),
    ("Goal.expressedBy", {"expressedBy": {"reference": "Practitioner/bert"}}),
]
RIGHT: list[dict[str, Any]] = [
    {"resourceType": "Observation"},
    {"resourceType": "Observation", "performer": [{"reference": "Patient/a"}]},
    {"resourceType": "Observation", "performer": [{"reference": "RelatedPerson/mum"}]},
    {"resourceType": "DocumentReference", "author": [{"reference": "Practitioner/bert"}]},
    {"resourceType": "Communication", "recipient": [{"reference": "Practitioner/bert"}]},
]


def resource(element: str, said: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": element.partition(".")[0], **said}


@pytest.mark.parametrize(("element", "said"), WRONG)
def test_a_patient_speaks_for_nobody_of_the_staff(element: str, said: dict[str, Any]) -> None:
    assert speaks_for_staff(LAY, "create", resource(element, said)) == element


@pytest.mark.parametrize(("element", "said"), WRONG)
def test_staff_write_down_what_others_say(element: str, said: dict[str, Any]) -> None:
    assert speaks_for_staff(NURSE, "create", resource(element, said)) is None


@pytest.mark.parametrize("said", RIGHT)
def test_a_patient_says_and_brings(said: dict[str, Any]) -> None:
    assert speaks_for_staff(LAY, "create", said) is None
