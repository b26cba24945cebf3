"""Resources as senders write them: who, when, about whom."""

from datetime import UTC, datetime
from typing import Any

from tests.continuity.histories.world import Resource, Who

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
UCUM = "http://unitsofmeasure.org"
CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
ALLERGY_CLINICAL = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"
ALLERGY_VERIFICATION = "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
FORM = "https://hospital.test/Questionnaire/intake"

PEOPLE: dict[Who, str] = {
    "patient": "Patient/p",
    "proxy": "RelatedPerson/parent",
    "clinician": "Practitioner/doctor",
}


def instant(at: int) -> str:
    """Return a FHIR instant."""
    return datetime.fromtimestamp(at // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def concept(system: str, code: str) -> dict[str, Any]:
    """Return a CodeableConcept."""
    return {"coding": [{"system": system, "code": code}]}


def dated(name: str, said: int | None) -> dict[str, str]:
    """Return the element, or nothing where nobody knows when."""
    return {} if said is None else {name: instant(said)}


def by(name: str, who: Who, *, many: bool = False) -> dict[str, Any]:
    """Return the element that names who said it, or nothing."""
    if who == "nobody":
        return {}
    reference = {"reference": PEOPLE[who]}
    return {name: [reference] if many else reference}


def labelled(resource: Resource) -> Resource:
    """Return it as something that not everybody may see."""
    security = [{"system": CONFIDENTIALITY, "code": "R"}]
    return {**resource, "meta": {"security": security}}


def observation(
    id_: str, code: str, value: dict[str, Any], who: Who, said: int | None, **more: Any
) -> Resource:
    """Return an Observation of the patient; ``more`` replaces what differs."""
    return {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "code": concept(LOINC, code),
        "subject": {"reference": "Patient/p"},
        **dated("effectiveDateTime", said),
        **by("performer", who, many=True),
        **value,
        **more,
    }


def condition(id_: str, code: str, who: Who, said: int | None, **more: Any) -> Resource:
    """Return an active, confirmed problem."""
    return {
        "resourceType": "Condition",
        "id": id_,
        "clinicalStatus": concept(CLINICAL, "active"),
        "verificationStatus": concept(VERIFICATION, "confirmed"),
        "code": concept(SNOMED, code),
        "subject": {"reference": "Patient/p"},
        **dated("recordedDate", said),
        **by("asserter", who),
        **more,
    }


def allergy(id_: str, code: str, who: Who, said: int | None, **more: Any) -> Resource:
    """Return an active, confirmed allergy."""
    return {
        "resourceType": "AllergyIntolerance",
        "id": id_,
        "clinicalStatus": concept(ALLERGY_CLINICAL, "active"),
        "verificationStatus": concept(ALLERGY_VERIFICATION, "confirmed"),
        "code": concept(SNOMED, code),
        "patient": {"reference": "Patient/p"},
        **dated("recordedDate", said),
        **by("asserter", who),
        **more,
    }


def medicine(id_: str, code: str, who: Who, said: int | None, **more: Any) -> Resource:
    """Return a medicine that is taken."""
    return {
        "resourceType": "MedicationStatement",
        "id": id_,
        "status": "active",
        "medicationCodeableConcept": concept(RXNORM, code),
        "subject": {"reference": "Patient/p"},
        **dated("dateAsserted", said),
        **by("informationSource", who),
        **more,
    }


def answers(
    id_: str, given: dict[str, list[dict[str, Any]]], who: Who, said: int | None, **more: Any
) -> Resource:
    """Return answers to the form, by linkId."""
    return {
        "resourceType": "QuestionnaireResponse",
        "id": id_,
        "questionnaire": FORM,
        "status": "completed",
        "subject": {"reference": "Patient/p"},
        **dated("authored", said),
        **by("author", who),
        **by("source", who),
        "item": [{"linkId": link, "answer": answer} for link, answer in given.items()],
        **more,
    }


def family(id_: str, code: str, said: int) -> Resource:
    """Return what a relative has."""
    return {
        "resourceType": "FamilyMemberHistory",
        "id": id_,
        "status": "completed",
        "patient": {"reference": "Patient/p"},
        "date": instant(said),
        "relationship": concept("http://terminology.hl7.org/CodeSystem/v3-RoleCode", "MTH"),
        "condition": [{"code": concept(SNOMED, code)}],
    }


def provenance(id_: str, target: str, said: int, who: Who) -> Resource:
    """Return who said a version, and when."""
    return {
        "resourceType": "Provenance",
        "id": id_,
        "target": [{"reference": target}],
        "occurredDateTime": instant(said),
        "recorded": instant(said),
        "agent": [{"who": {"reference": PEOPLE[who]}}],
    }
