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
    "Condition", "DocumentReference", "Encounter", "List", "MedicationRequest", "Observation",
    "Patient", "Provenance",
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
