"""Whom the browser tests are about: a small ward, its people, and the apps that they open."""

from typing import Any

VITAL_SIGNS = "http://terminology.hl7.org/CodeSystem/observation-category"


def ward() -> dict[str, Any]:
    """Return a transaction: two patients, a doctor, a visit, and what was measured."""
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            _put(one)
            for one in (
                _patient("ada", "Ada", "Lovelace", "1985-12-10", "female"),
                _patient("bob", "Bob", "Bernoulli", "1967-01-02", "male"),
                {
                    "resourceType": "Practitioner",
                    "id": "ruth",
                    "name": [{"family": "Ruiz", "given": ["Ruth"], "prefix": ["Dr."]}],
                },
                {
                    "resourceType": "Encounter",
                    "id": "visit",
                    "status": "in-progress",
                    "class": {
                        "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
                        "code": "AMB",
                    },
                    "serviceType": {"text": "Cardiology"},
                    "subject": {"reference": "Patient/ada"},
                    "participant": [{"individual": {"reference": "Practitioner/ruth"}}],
                    "period": {"start": "2026-03-01T09:00:00Z"},
                },
                _measured("ada-pulse", "ada", "8867-4", "Pulse", 64, "/min", "2026-03-01"),
                _measured("ada-weight", "ada", "29463-7", "Weight", 61.5, "kg", "2026-02-01"),
                _measured("bob-pulse", "bob", "8867-4", "Pulse", 99, "/min", "2026-03-01"),
            )
        ],
    }


def _put(resource: dict[str, Any]) -> dict[str, Any]:
    address = f"{resource['resourceType']}/{resource['id']}"
    return {"resource": resource, "request": {"method": "PUT", "url": address}}


def _patient(id_: str, given: str, family: str, born: str, gender: str) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": id_,
        "name": [{"use": "official", "family": family, "given": [given]}],
        "birthDate": born,
        "gender": gender,
    }


def _measured(
    id_: str, patient: str, code: str, name: str, value: float, unit: str, day: str
) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "category": [{"coding": [{"system": VITAL_SIGNS, "code": "vital-signs"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": code}], "text": name},
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": day,
        "valueQuantity": {
            "value": value,
            "unit": unit,
            "system": "http://unitsofmeasure.org",
            "code": unit,
        },
    }
