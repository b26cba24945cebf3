"""The record of these tests: three patients, who acts for two of them, and visits."""

from typing import Any

PATIENTS: list[dict[str, Any]] = [
    {
        "resourceType": "Patient",
        "id": "anna",
        "name": [{"use": "official", "given": ["Anna"], "family": "Roe"}],
        "birthDate": "1980-02-01",
        "gender": "female",
        "identifier": [{"system": "urn:mrn", "value": "1001"}],
    },
    {
        "resourceType": "Patient",
        "id": "kim",
        "name": [{"given": ["Kim"], "family": "Doe"}],
        "birthDate": "2015-03-01",
        "identifier": [{"system": "urn:mrn", "value": "1002"}],
    },
    {
        "resourceType": "Patient",
        "id": "lee",
        "name": [{"given": ["Lee"], "family": "Doe"}],
        "birthDate": "2017-04-01",
        "identifier": [{"system": "urn:mrn", "value": "1003"}],
    },
]
RELATIVES: list[dict[str, Any]] = [
    *(
        {
            "resourceType": "RelatedPerson",
            "id": f"of-{child}",
            "patient": {"reference": f"Patient/{child}"},
        }
        for child in ("kim", "lee")
    ),
    {
        "resourceType": "Person",
        "id": "mother",
        "link": [{"target": {"reference": f"RelatedPerson/of-{one}"}} for one in ("kim", "lee")],
    },
]
ENCOUNTERS: list[dict[str, Any]] = [
    {
        "resourceType": "Encounter",
        "id": f"visit-{number}",
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": code},
        "subject": {"reference": f"Patient/{patient}"},
        "period": {"start": f"2025-0{number}-01T08:00:00Z", "end": f"2025-0{number}-01T09:00:00Z"},
    }
    for number, code, patient in ((1, "AMB", "anna"), (2, "EMER", "anna"), (3, "AMB", "kim"))
]
