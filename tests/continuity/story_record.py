"""A prepared record whose story is known word by word."""

from typing import Any

Resource = dict[str, Any]

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
ADA = {"reference": "Patient/ada"}
ROE = {"reference": "Practitioner/roe"}
MOTHER = {"reference": "RelatedPerson/mother"}


def concept(text: str, system: str | None = None, code: str | None = None) -> dict[str, Any]:
    coded = {"coding": [{"system": system, "code": code, "display": text}]} if code else {}
    return {**coded, "text": text}


def status(code: str, system: str = "condition-clinical") -> dict[str, Any]:
    base = "http://terminology.hl7.org/CodeSystem"
    return {"coding": [{"system": f"{base}/{system}", "code": code}]}


def of(type_: str, id_: str, **elements: Any) -> Resource:
    return {"resourceType": type_, "id": id_, **elements}


PEOPLE = [
    of("Practitioner", "roe", name=[{"prefix": ["Dr"], "given": ["Jane"], "family": "Roe"}]),
    of("Organization", "ward", name="Ward 3"),
]

ADA_HERSELF = of(
    "Patient",
    "ada",
    name=[{"given": ["Ada"], "family": "Byron"}],
    gender="female",
    birthDate="1980-12-10",
    communication=[{"language": concept("English", "urn:ietf:bcp:47", "en"), "preferred": True}],
)

RECORD: list[Resource] = [
    *PEOPLE,
    ADA_HERSELF,
    of(
        "RelatedPerson", "mother", patient=ADA, name=[{"text": "Anne Byron"}],
        relationship=[concept("mother")],
    ),
    of(
        "Encounter", "stay", status="in-progress", subject=ADA,
        **{"class": {"code": "EMER", "display": "emergency"}},
        period={"start": "2026-01-01T08:15:00Z"}, reasonCode=[concept("Chest pain")],
        serviceProvider={"reference": "Organization/ward"},
    ),
    of(
        "QuestionnaireResponse", "form", status="completed", subject=ADA, source=ADA,
        authored="2025-12-30", language="en",
        item=[
            {"linkId": "1", "text": "What worries you?",
             "answer": [{"valueString": "I can't sleep, & it isn't <better>."}]},
            {"linkId": "2", "text": "Do you smoke?", "answer": [{"valueBoolean": False}]},
        ],
    ),
    of(
        "Communication", "note", status="completed", subject=ADA, sender=MOTHER,
        sent="2025-12-31T10:00:00Z", payload=[{"contentString": "She fainted twice."}],
    ),
    of(
        "Goal", "walk", lifecycleStatus="active", subject=ADA, expressedBy=ADA,
        description=concept("Walk to the shop"), startDate="2025-11-02",
        target=[{"dueDate": "2026-03-03"}],
    ),
    of(
        "AllergyIntolerance", "pen", patient=ADA, code=concept("Penicillin"),
        clinicalStatus=status("active", "allergyintolerance-clinical"),
        recorder=ROE, recordedDate="2025-06-05", reaction=[{"manifestation": [concept("Hives")]}],
    ),
    of(
        "AllergyIntolerance", "none", patient=ADA,
        code=concept("No known allergy", SNOMED, "716186003"),
        clinicalStatus=status("active", "allergyintolerance-clinical"),
        asserter=ADA, recordedDate="2025-12-30",
    ),
    of(
        "Condition", "asthma", subject=ADA, code=concept("Asthma", SNOMED, "195967001"),
        clinicalStatus=status("active"), recorder=ROE, recordedDate="2024-02-03",
        onsetDateTime="2010",
    ),
    of("Condition", "undated", subject=ADA, code=concept("Migraine"), asserter=MOTHER),
    of(
        "Condition", "wrong", subject=ADA, code=concept("Diabetes"),
        verificationStatus=status("entered-in-error", "condition-ver-status"),
    ),
    of(
        "FamilyMemberHistory", "father", status="completed", patient=ADA, date="2025-12-30",
        relationship=concept("father"), condition=[{"code": concept("Heart attack")}],
    ),
    of(
        "MedicationStatement", "salbutamol", status="active", subject=ADA,
        medicationCodeableConcept=concept("Salbutamol inhaler"), informationSource=ADA,
        dateAsserted="2025-12-30", dosage=[{"text": "two puffs when needed"}],
    ),
    of(
        "Observation", "hb", status="final", subject=ADA, performer=[ROE],
        code=concept("Haemoglobin", LOINC, "718-7"), effectiveDateTime="2026-01-01T09:00:00Z",
        valueQuantity={"value": 13.5, "unit": "g/dL", "code": "g/dL"},
    ),
    of(
        "DiagnosticReport", "ecg", status="final", subject=ADA, performer=[ROE],
        code=concept("ECG"), effectiveDateTime="2026-01-01T08:40:00Z",
        conclusion="No sign of ischaemia.",
    ),
    of(
        "MedicationRequest", "asa", status="active", intent="order", subject=ADA, requester=ROE,
        medicationCodeableConcept=concept("Aspirin"), doNotPerform=True, authoredOn="2026-01-01",
    ),
    of(
        "Procedure", "xray", status="not-done", subject=ADA, code=concept("Chest X-ray"),
        statusReason=concept("Patient refused"), recorder=ROE, performedDateTime="2026-01-01",
    ),
    of(
        "ServiceRequest", "trop", status="active", intent="order", subject=ADA, requester=ROE,
        code=concept("Troponin"), authoredOn="2026-01-01T08:30:00Z",
    ),
    of(
        "ServiceRequest", "blood", status="active", intent="order", subject=ADA, requester=ROE,
        code=concept("Blood count"), authoredOn="2026-01-01T08:30:00Z",
    ),
    of(
        "DiagnosticReport", "count", status="final", subject=ADA, performer=[ROE],
        code=concept("Blood count"), basedOn=[{"reference": "ServiceRequest/blood"}],
        effectiveDateTime="2026-01-01T09:10:00Z",
    ),
    of(
        "Appointment", "control", status="booked", start="2026-02-03T09:30:00+01:00",
        description="Lung clinic", participant=[{"actor": ADA, "status": "accepted"}],
    ),
]  # fmt: skip


def pulse(day: str, value: float) -> Resource:
    return of(
        "Observation", f"pulse-{day}", status="final", subject=ADA, performer=[ADA],
        device={"display": "Watch"}, code=concept("Resting heart rate", LOINC, "40443-4"),
        effectiveDateTime=f"{day}T06:00:00Z",
        valueQuantity={"value": value, "unit": "/min", "code": "/min"},
    )  # fmt: skip


HOME = [
    *(pulse(f"2025-12-{day:02d}", 60) for day in range(1, 18)),
    *(pulse(f"2025-12-{day:02d}", 59) for day in range(20, 24)),
    *(pulse(f"2025-12-{day:02d}", 72) for day in range(24, 32)),
    pulse("2026-01-01", 75),
]
