"""Which later version takes back what was said, by type and status (C11)."""

from typing import Any

import pytest

from server.continuity.corrections.changed import lost, reason


def coded(code: str) -> dict[str, Any]:
    return {"coding": [{"system": "http://h.test/status", "code": code}]}


def verified(code: str) -> dict[str, Any]:
    return {"verificationStatus": coded(code)}


def told(type_: str, before: dict[str, Any], after: dict[str, Any]) -> str | None:
    """Return why a reader is told to whom all of the resource was shown."""
    was, now = ({"resourceType": type_, "id": "x", **one} for one in (before, after))
    why = reason(was, now)
    if why in (None, "corrected") and lost(was, was, now, frozenset()):
        return why or "changed"
    return why


REFUSED = {"url": "http://h.test/refused", "valueBoolean": True}


@pytest.mark.parametrize(
    ("type_", "before", "after", "why"),
    [
        ("AllergyIntolerance", {}, verified("entered-in-error"), "entered-in-error"),
        ("AllergyIntolerance", {}, verified("refuted"), "corrected"),
        ("AllergyIntolerance", verified("confirmed"), verified("refuted"), "corrected"),
        ("Condition", verified("provisional"), verified("refuted"), "corrected"),
        ("Condition", verified("confirmed"), verified("provisional"), "changed"),
        ("Condition", {"code": {"text": "a"}}, {"code": {"text": "b"}}, "changed"),
        ("Consent", {"status": "active"}, {"status": "rejected"}, "cancelled"),
        ("DiagnosticReport", {"status": "final"}, {"status": "preliminary"}, "corrected"),
        ("Goal", {"lifecycleStatus": "active"}, {"lifecycleStatus": "rejected"}, "cancelled"),
        ("Goal", {"lifecycleStatus": "active"}, {"lifecycleStatus": "cancelled"}, "cancelled"),
        ("Immunization", {"status": "completed"}, {"status": "not-done"}, "cancelled"),
        ("MedicationRequest", {"status": "active"}, {"status": "cancelled"}, "cancelled"),
        ("MedicationRequest", {}, {"doNotPerform": True}, "changed"),
        ("MedicationStatement", {"status": "active"}, {"status": "not-taken"}, "cancelled"),
        ("Observation", {"status": "final"}, {"status": "unknown"}, "corrected"),
        (
            "Observation",
            {"valueQuantity": {"value": 5}},
            {"valueQuantity": {"value": 5, "comparator": "<"}},
            "changed",
        ),
        ("Observation", {}, {"focus": [{"reference": "RelatedPerson/child"}]}, "changed"),
        ("Procedure", {}, {"modifierExtension": [REFUSED]}, "changed"),
        ("QuestionnaireResponse", {"status": "completed"}, {"status": "amended"}, "corrected"),
    ],
)
def test_what_takes_back_what_was_said_is_told(
    type_: str, before: dict[str, Any], after: dict[str, Any], why: str
) -> None:
    assert told(type_, before, after) == why


@pytest.mark.parametrize(
    ("type_", "before", "after"),
    [
        ("Appointment", {"status": "booked"}, {"status": "fulfilled"}),
        ("Condition", verified("provisional"), verified("confirmed")),
        ("Condition", {"clinicalStatus": coded("active")}, {"clinicalStatus": coded("resolved")}),
        ("Condition", {"onsetDateTime": "2020"}, {"onsetDateTime": "2020", "note": [{}]}),
        ("DiagnosticReport", {"status": "preliminary"}, {"status": "final"}),
        ("DiagnosticReport", {"status": "final"}, {"status": "appended", "conclusion": "more"}),
        ("Encounter", {"status": "in-progress"}, {"status": "finished"}),
        ("Goal", {"lifecycleStatus": "active"}, {"lifecycleStatus": "completed"}),
        ("MedicationRequest", {}, {"doNotPerform": False}),
        ("MedicationStatement", {"status": "active"}, {"status": "completed"}),
        ("ServiceRequest", {"status": "active"}, {"status": "completed"}),
    ],
)
def test_what_goes_its_way_is_no_correction(
    type_: str, before: dict[str, Any], after: dict[str, Any]
) -> None:
    assert told(type_, before, after) is None
