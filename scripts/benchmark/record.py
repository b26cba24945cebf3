"""The synthetic record that the benchmark loads: invented, deterministic."""

import json
import random
import uuid
from typing import Any

Resource = dict[str, Any]

LOINC = "http://loinc.org"
FAMILIES = ("Okafor", "Silva", "Nguyen", "Schmidt", "Haddad", "Tanaka", "Mbeki", "Larsen", "Rossi")
_GIVEN = ("Amara", "João", "Linh", "Petra", "Samir", "Yuki", "Olga", "Thabo", "Ingrid", "Luca")
VITALS = {
    "8867-4": ("Heart rate", "/min"),
    "8310-5": ("Body temperature", "Cel"),
    "9279-1": ("Respiratory rate", "/min"),
    "29463-7": ("Body weight", "kg"),
    "2339-0": ("Glucose", "mg/dL"),
    "718-7": ("Hemoglobin", "g/dL"),
}


def coded(system: str, code: str, display: str) -> Resource:
    """Return a CodeableConcept."""
    return {"coding": [{"system": system, "code": code, "display": display}], "text": display}


def patient(chance: random.Random, number: int) -> Resource:
    """Return a Patient of about 0.9 kB."""
    system = "http://terminology.hl7.org/CodeSystem/"
    return {
        "resourceType": "Patient",
        "identifier": [
            {
                "use": "usual",
                "type": coded(f"{system}v2-0203", "MR", "Medical Record Number"),
                "system": "http://hospital.example.org/mrn",
                "value": f"MRN{number}-{chance.randrange(10**9)}",
            },
            {"system": "http://insurer.example.org", "value": str(chance.randrange(10**9))},
        ],
        "active": True,
        "name": [
            {
                "use": "official",
                "family": chance.choice(FAMILIES),
                "given": [chance.choice(_GIVEN), chance.choice(_GIVEN)],
            }
        ],
        "telecom": [
            {"system": "phone", "value": f"555-{chance.randrange(1000, 9999)}", "use": "home"}
        ],
        "gender": chance.choice(["male", "female"]),
        "birthDate": f"{chance.randrange(1930, 2020)}-{chance.randrange(1, 13):02d}-17",
        "address": [
            {
                "line": [f"{chance.randrange(1, 999)} High St"],
                "city": "Eastmere",
                "postalCode": f"{chance.randrange(1000, 9999)}",
            }
        ],
        "maritalStatus": coded(f"{system}v3-MaritalStatus", "M", "Married"),
        "communication": [{"language": coded("urn:ietf:bcp:47", "en", "English")}],
    }


def observation(chance: random.Random, subject: str, encounter: str | None = None) -> Resource:
    """Return a vital sign of about 0.5 kB."""
    code, (name, unit) = chance.choice(list(VITALS.items()))
    at = _moment(chance)
    made: Resource = {
        "resourceType": "Observation",
        "status": "final",
        "category": [
            coded(
                "http://terminology.hl7.org/CodeSystem/observation-category",
                "vital-signs",
                "Vital Signs",
            )
        ],
        "code": coded(LOINC, code, name),
        "subject": {"reference": subject},
        "effectiveDateTime": at,
        "issued": at,
        "valueQuantity": {
            "value": round(chance.uniform(1, 200), 2),
            "unit": unit,
            "system": "http://unitsofmeasure.org",
            "code": unit,
        },
    }
    if encounter:
        made["encounter"] = {"reference": encounter}
    return made


def transaction(chance: random.Random, number: int, size: int) -> bytes:
    """Return a transaction Bundle: one patient, encounters, conditions, many observations."""
    entries: list[Resource] = []

    def add(resource: Resource) -> str:
        url = f"urn:uuid:{uuid.UUID(int=chance.getrandbits(128), version=4)}"
        request = {"method": "POST", "url": resource["resourceType"]}
        entries.append({"fullUrl": url, "resource": resource, "request": request})
        return url

    subject = add(patient(chance, number))
    while len(entries) < size:
        encounter = add(_encounter(chance, subject))
        add(_condition(chance, subject, encounter))
        for _ in range(8):
            add(observation(chance, subject, encounter))
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries[:size]}
    return json.dumps(bundle, ensure_ascii=False, separators=(",", ":")).encode()


def _encounter(chance: random.Random, subject: str) -> Resource:
    at = _moment(chance)
    code = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}
    return {
        "resourceType": "Encounter",
        "status": "finished",
        "class": code,
        "type": [coded("http://snomed.info/sct", "162673000", "General examination of patient")],
        "subject": {"reference": subject},
        "period": {"start": at, "end": at},
    }


def _condition(chance: random.Random, subject: str, encounter: str) -> Resource:
    status = "http://terminology.hl7.org/CodeSystem/condition-clinical"
    return {
        "resourceType": "Condition",
        "clinicalStatus": coded(status, "active", "Active"),
        "code": coded("http://snomed.info/sct", "38341003", "Hypertension"),
        "subject": {"reference": subject},
        "encounter": {"reference": encounter},
        "onsetDateTime": _moment(chance),
    }


def _moment(chance: random.Random) -> str:
    year, month, day = (chance.randrange(*r) for r in ((2016, 2026), (1, 13), (1, 29)))
    hour, minute = chance.randrange(24), chance.randrange(60)
    return f"{year}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:00Z"


def as_json(resource: Resource) -> bytes:
    """Return compact JSON."""
    return json.dumps(resource, ensure_ascii=False, separators=(",", ":")).encode()
