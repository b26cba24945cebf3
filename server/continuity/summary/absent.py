"""What stands where the record says nothing: "no information", never "none".

An empty list is no statement (C3), and IPS 1.1.0 demands an entry in the required sections: one of
the codes ``no-...-info``.  ``no-known-...`` is shown only where somebody said so.
"""

from typing import Any, Final

Resource = dict[str, Any]

SYSTEM: Final = "http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips"
_REASON: Final = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"

_SAID: Final = {
    "11450-4": ("no-problem-info", "No information about current problems"),
    "48765-2": ("no-allergy-info", "No information about allergies"),
    "10160-0": ("no-medication-info", "No information about medications"),
}


def no_information(section: str, patient: dict[str, str], id_: str) -> Resource:
    """Return the resource that says that nothing is known, for a required section.

    ``patient`` is a Reference.  It is made for the document and is not in the record.
    """
    code, display = _SAID[section]
    concept = {"coding": [{"system": SYSTEM, "code": code, "display": display}]}
    if section == "48765-2":
        return {
            "resourceType": "AllergyIntolerance",
            "id": id_,
            "clinicalStatus": {"coding": [_active("allergyintolerance-clinical")]},
            "code": concept,
            "patient": patient,
        }
    if section == "11450-4":
        return {
            "resourceType": "Condition",
            "id": id_,
            "clinicalStatus": {"coding": [_active("condition-clinical")]},
            "code": concept,
            "subject": patient,
        }
    unknown = {"extension": [{"url": _REASON, "valueCode": "unknown"}]}
    return {
        "resourceType": "MedicationStatement",
        "id": id_,
        "status": "unknown",
        "medicationCodeableConcept": concept,
        "subject": patient,
        "_effectiveDateTime": unknown,
    }


def _active(system: str) -> dict[str, str]:
    return {"system": f"http://terminology.hl7.org/CodeSystem/{system}", "code": "active"}
