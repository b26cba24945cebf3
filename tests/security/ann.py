"""Ann, who is ``Patient/a``: what is hers, and what tokens she has.

Her things refer to others' as well, by ids that need not be there.
"""

from dataclasses import dataclass
from typing import Any

from server.access.context import SHARED, AccessContext, Interaction, Permit
from server.access.narrow import narrow
from server.search.query import EVERYTHING, HasKey, Mentioned, Query
from tests.rest.house import START

Resource = dict[str, Any]

RESTRICTED = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality",
    "code": "R",
}
HIDDEN = (f"{RESTRICTED['system']}|R",)
RELEASE = "https://tellonce.org/fhir/StructureDefinition/release"
VITAL = {
    "system": "http://terminology.hl7.org/CodeSystem/observation-category",
    "code": "vital-signs",
}
LOINC = "http://loinc.org"
PROBLEMS = {"coding": [{"system": LOINC, "code": "11450-4"}]}
VALUE_SET = "http://vs.example/rates"

CLINICAL = (
    "AllergyIntolerance", "Composition", "Condition", "DocumentReference", "Encounter", "List",
    "MedicationRequest", "Observation", "Patient", "Provenance", "QuestionnaireResponse",
    "ServiceRequest",
)  # fmt: skip
READING: frozenset[Interaction] = frozenset(("read", "search"))


def ref(target: str) -> dict[str, str]:
    return {"reference": target}


def coded(code: str) -> Resource:
    return {"coding": [{"system": LOINC, "code": code}]}


def vital(id_: str, **more: Any) -> Resource:
    return {
        "resourceType": "Observation", "id": id_, "status": "final",
        "category": [{"coding": [VITAL]}], "code": coded("8867-4"), "subject": ref("Patient/a"),
        **more,
    }  # fmt: skip


NONE_KNOWN = {"coding": [{"system": "http://snomed.info/sct", "code": "716186003"}]}
FORM: Resource = {
    "resourceType": "Questionnaire", "status": "active", "url": "http://forms.example/f1",
    "item": [
        {"linkId": "rate", "type": "quantity", "code": coded("8867-4")["coding"], "extension": [
            {"url": "http://hl7.org/fhir/uv/sdc/StructureDefinition/"
             "sdc-questionnaire-observationLinkPeriod",
             "valueDuration": {"value": 20, "system": "http://unitsofmeasure.org", "code": "a"}},
            {"url": "http://hl7.org/fhir/uv/sdc/StructureDefinition/"
             "sdc-questionnaire-observationExtract", "valueBoolean": True}]},
        {"linkId": "zzz", "type": "quantity", "code": coded("zzz")["coding"]},
        {"linkId": "allergies", "type": "choice", "repeats": True, "definition":
         "http://hl7.org/fhir/StructureDefinition/AllergyIntolerance#AllergyIntolerance.code"},
        {"linkId": "problems", "type": "choice", "repeats": True,
         "definition": "http://hl7.org/fhir/StructureDefinition/Condition#Condition.code"},
        {"linkId": "family", "type": "string",
         "definition": "http://hl7.org/fhir/StructureDefinition/Patient#Patient.name.family"},
    ],
}  # fmt: skip

OWN: tuple[Resource, ...] = (
    {"resourceType": "Practitioner", "id": "p0", "name": [{"family": "Poe"}]},
    {"resourceType": "Organization", "id": "g0", "name": "General",
     "partOf": ref("Organization/w0")},
    {"resourceType": "Patient", "id": "a", "identifier": [{"system": "s", "value": "a"}],
     "name": [{"family": "Adams"}], "birthDate": "1980-01-01",
     "generalPractitioner": [ref("Practitioner/p0")],
     "managingOrganization": ref("Organization/g0")},
    {"resourceType": "Encounter", "id": "e0", "status": "finished", "class": {"code": "AMB"},
     "subject": ref("Patient/a"), "partOf": ref("Encounter/k0"),
     "serviceProvider": ref("Organization/g0")},
    vital("o0", effectiveDateTime="2020-01-01", valueQuantity={"value": 60, "unit": "/min"},
          encounter=ref("Encounter/e0"), performer=[ref("Practitioner/p0")],
          identifier=[{"system": "s", "value": "1"}],
          hasMember=[ref("Observation/h0"), ref("Observation/o1")], focus=[ref("Patient/b")]),
    vital("o1", effectiveDateTime="2021-01-01", valueQuantity={"value": 70, "unit": "/min"},
          encounter=ref("Encounter/k0"), derivedFrom=[ref("Observation/h1")],
          contained=[{"resourceType": "Device", "id": "d", "deviceName": [
              {"name": "Meter", "type": "other"}], "parent": ref("Device/y0")}],
          device=ref("#d")),
    vital("o2", effectiveDateTime="2022-01-01", performer=[ref("Practitioner/p0")]),
    {"resourceType": "Condition", "id": "c0", "subject": ref("Patient/a"),
     "encounter": ref("Encounter/e0"), "code": coded("c"),
     "evidence": [{"detail": [ref("Observation/h1"), ref("Observation/o0")]}]},
    {"resourceType": "List", "id": "l0", "status": "current", "mode": "working", "code": PROBLEMS,
     "subject": ref("Patient/a"),
     "entry": [{"item": ref(it)} for it in ("Condition/c0", "Condition/d0", "Observation/h0",
                                            "Observation/o0", "Patient/b", "Practitioner/p0")]},
    {"resourceType": "DocumentReference", "id": "r0", "status": "current",
     "subject": ref("Patient/a"), "content": [{"attachment": {"url": "Binary/n0"}}]},
    {"resourceType": "Binary", "id": "n0", "contentType": "text/plain", "data": "QQ==",
     "securityContext": ref("Patient/a")},
    {"resourceType": "MedicationRequest", "id": "x0", "status": "active", "intent": "order",
     "subject": ref("Patient/a"), "medicationReference": ref("Medication/t0")},
    {"resourceType": "Medication", "id": "t0", "code": coded("m")},
    {"resourceType": "AllergyIntolerance", "id": "g1", "patient": ref("Patient/a"),
     "code": NONE_KNOWN, "recordedDate": "2025-01-01", "recorder": ref("Practitioner/p0")},
    {**FORM, "id": "f1", "identifier": [{"system": "s", "value": "form"}]},
    {"resourceType": "QuestionnaireResponse", "id": "a0", "status": "completed",
     "questionnaire": "http://forms.example/f1", "subject": ref("Patient/a"),
     "encounter": ref("Encounter/k0"), "authored": "2025-01-01", "author": ref("Practitioner/p0"),
     "item": [{"linkId": "rate", "answer": [
         {"valueQuantity": {"value": 70, "unit": "/min"}}]}]},
    {"resourceType": "ServiceRequest", "id": "r1", "status": "active", "intent": "order",
     "subject": ref("Patient/a"), "code": coded("c"), "requester": ref("Practitioner/p0")},
    {"resourceType": "Composition", "id": "b0", "status": "final", "type": coded("c"),
     "subject": ref("Patient/a"), "date": "2026-01-01", "title": "Of Ann",
     "author": [ref("Practitioner/p0")], "custodian": ref("Organization/g0"), "section": [
         {"title": "All", "code": coded("c"), "entry": [ref(it) for it in (
             "Observation/o0", "Observation/h0", "Observation/h1/_history/1", "Observation/h2",
             "Observation/h2/_history/1", "Observation/none", "Observation/none/_history/1",
             "Observation/o0/_history/1", "Observation/o0/_history/2", "AllergyIntolerance/i0",
             "Patient/b", "Patient/b/_history/1", "Condition/d0")]}]},
)  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """A kind of token: Ann's permits, and why some of her own things may be hidden from it."""

    name: str
    permits: tuple[Permit, ...]
    hides: tuple[str, ...] = ()
    types: tuple[str, ...] = ("Observation",)

    @property
    def caller(self) -> AccessContext:
        return AccessContext("user/ann", "app", self.permits, "Patient/a", "Patient/a", "grant")


def shared(*inside: Permit) -> tuple[Permit, ...]:
    """Return the permits, and the one for what those can see refer to."""
    seen = narrow(Query(CLINICAL), AccessContext("", "", inside))
    return (*inside, Permit(SHARED, READING, where=Mentioned(seen)))


_RATES = HasKey((f"Observation|category|s|{VITAL['system']}|vital-signs",))
_A = "Patient/a"

KINDS = (
    Kind("plain", (Permit("*", compartment=_A),)),
    Kind("reading", (Permit("*", READING, _A),)),
    Kind("granular", (Permit("Observation", compartment=_A, where=_RATES),
                      Permit("Patient", READING, _A)), ("other",)),
    Kind("shared", shared(Permit("*", compartment=_A))),
    Kind("labels", (Permit("*", compartment=_A, hidden=HIDDEN),), ("label",),
         ("Observation", "Condition", "Encounter", "List", "DocumentReference")),
    Kind("released", (Permit("*", compartment=_A, released=START),), ("held", "later"),
         ("Observation", "Condition", "DocumentReference")),
    Kind("proxy", shared(Permit("Observation", READING, _A, _RATES, HIDDEN, START),
                         Permit("Patient", READING, _A, EVERYTHING, HIDDEN, START)),
         ("label", "held", "later", "other")),
)  # fmt: skip
