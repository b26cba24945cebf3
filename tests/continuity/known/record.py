"""A prepared record and a form of thirty items over it."""

from typing import Any

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
UCUM = "http://unitsofmeasure.org"
R4 = "http://hl7.org/fhir/StructureDefinition/"
FORM = "https://hospital.test/Questionnaire/thirty"
NOW = 1_767_323_045_678_000  # 2026-01-02T03:04:05.678Z
RECENT = "2025-12-20T08:00:00Z"
OLD = "2020-05-05T08:00:00Z"

Resource = dict[str, Any]

DOCTOR = {"reference": "Practitioner/d", "display": "Dr. Weiss"}
PATIENT = {"reference": "Patient/p"}


def concept(system: str, *codes: str, text: str | None = None) -> Resource:
    made: Resource = {"coding": [{"system": system, "code": code} for code in codes]}
    return {**made, "text": text} if text else made


def quantity(value: float, unit: str) -> Resource:
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}


def observation(id_: str, code: str, said: str | None = RECENT, **more: Any) -> Resource:
    return {
        "resourceType": "Observation", "id": id_, "status": "final",
        "code": concept(LOINC, code), "subject": PATIENT, "performer": [DOCTOR],
        **({"effectiveDateTime": said} if said else {}), **more,
    }  # fmt: skip


def condition(id_: str, code: str, **more: Any) -> Resource:
    return {
        "resourceType": "Condition", "id": id_, "code": concept(SNOMED, code), "subject": PATIENT,
        "recordedDate": RECENT, "asserter": DOCTOR, **more,
    }  # fmt: skip


def allergy(id_: str, code: str, **more: Any) -> Resource:
    return {
        "resourceType": "AllergyIntolerance", "id": id_, "code": concept(SNOMED, code),
        "patient": PATIENT, "recordedDate": RECENT, "asserter": DOCTOR, **more,
    }  # fmt: skip


def item(link: str, kind: str, *codes: tuple[str, str], **more: Any) -> Resource:
    code = [{"system": system, "code": code} for system, code in codes]
    return {"linkId": link, "type": kind, **({"code": code} if code else {}), **more}


def answers(id_: str, said: str, who: Resource, **given: Any) -> Resource:
    return {
        "resourceType": "QuestionnaireResponse", "id": id_, "status": "completed",
        "questionnaire": FORM, "subject": PATIENT, "authored": said, "author": who, "source": who,
        "item": [{"linkId": link, "answer": [value]} for link, value in given.items()],
    }  # fmt: skip


def provenance(id_: str, target: str, said: str) -> Resource:
    return {
        "resourceType": "Provenance", "id": id_, "target": [{"reference": target}],
        "occurredDateTime": said, "recorded": said, "agent": [{"who": DOCTOR}],
    }  # fmt: skip


ITEMS: list[Resource] = [
    item("birth", "date", definition=f"{R4}Patient#Patient.birthDate"),
    item("family", "string", definition=f"{R4}Patient#Patient.name.family"),
    item("gender", "choice", definition=f"{R4}Patient#Patient.gender"),
    item("city", "string", definition=f"{R4}Patient#Patient.address.city"),
    item("phone", "string", (LOINC, "42077-8")),
    item("language", "choice", definition=f"{R4}Patient#Patient.communication.language"),
    item("contact", "string", definition=f"{R4}Patient#Patient.contact.name.family"),
    item("member", "string", definition=f"{R4}Coverage#Coverage.subscriberId"),
    item("weight", "decimal", (LOINC, "29463-7"), extension=[{
        "url": f"{R4}questionnaire-unit", "valueCoding": {"system": UCUM, "code": "kg"}}]),
    item("height", "quantity", (LOINC, "8302-2")),
    item("smoking", "choice", (LOINC, "72166-2"), answerOption=[
        {"valueCoding": {"system": SNOMED, "code": "77176002"}},
        {"valueCoding": {"system": SNOMED, "code": "266919005"}}]),
    item("alcohol", "string", (LOINC, "11331-6")),
    item("occupation", "string", (LOINC, "21843-8")),
    item("diabetes", "boolean", (SNOMED, "73211009")),
    item("asthma", "boolean", (SNOMED, "195967001")),
    item("epilepsy", "boolean", (SNOMED, "84757009")),
    item("stroke", "boolean", (SNOMED, "230690007")),
    item("depression", "boolean", (SNOMED, "35489007")),
    item("appendix", "boolean", (SNOMED, "80146002")),
    item("tetanus", "boolean", ("http://hl7.org/fhir/sid/cvx", "113")),
    item("allergies", "open-choice", (LOINC, "48765-2"), repeats=True),
    item("drug-allergy", "boolean", (SNOMED, "416098002")),
    item("medicines", "open-choice", (LOINC, "10160-0"), repeats=True),
    item("pregnant", "boolean", (LOINC, "82810-3")),
    item("blood-group", "choice", (LOINC, "882-1")),
    item("pacemaker", "boolean", (SNOMED, "14106009")),
    item("temperature", "quantity", (LOINC, "8310-5")),
    item("symptoms", "text", (LOINC, "10154-3")),
    item("worry", "text"),
    item("unknown-code", "string", ("https://nowhere.test", "x")),
]  # fmt: skip

QUESTIONNAIRE: Resource = {
    "resourceType": "Questionnaire", "id": "thirty", "url": FORM, "status": "active",
    "item": [{"linkId": "all", "type": "group", "item": ITEMS}],
}  # fmt: skip

RECORD: list[Resource] = [
    {"resourceType": "Practitioner", "id": "d"},
    {"resourceType": "Patient", "id": "baby"},
    {
        "resourceType": "Patient", "id": "p", "birthDate": "1980-02-03", "gender": "female",
        "name": [{"use": "official", "family": "Adam", "given": ["Eva"]},
                 {"use": "maiden", "family": "Braun"}],
        "address": [{"use": "old", "city": "Aachen"}, {"use": "home", "city": "Bonn"}],
        "telecom": [{"system": "email", "value": "eva@adam.test"},
                    {"system": "phone", "value": "+49 228 1"}],
    },
    provenance("v-p", "Patient/p/_history/1", RECENT),
    {"resourceType": "Coverage", "id": "c", "status": "active", "subscriberId": "A-1",
     "beneficiary": PATIENT, "payor": [{"display": "Fund"}]},
    observation("weight-old", "29463-7", OLD, valueQuantity=quantity(60, "kg")),
    observation("weight", "29463-7", valueQuantity=quantity(159.835, "[lb_av]")),
    observation("height", "8302-2", OLD, valueQuantity=quantity(171, "cm")),
    observation("smoking", "72166-2", valueCodeableConcept=concept(SNOMED, "266919005")),
    answers("smokes", RECENT, PATIENT, smoking={"valueCoding": {"system": SNOMED,
                                                               "code": "77176002"}}),
    observation("alcohol", "11331-6", None, valueString="a glass of wine a day"),
    {k: v for k, v in observation("occupation", "21843-8", valueString="welder").items()
     if k != "performer"},
    condition("diabetes", "73211009"),
    answers("no-asthma", RECENT, PATIENT, asthma={"valueBoolean": False}),
    condition("asthma", "195967001"),
    condition("epilepsy", "84757009",
              verificationStatus=concept("http://terminology.hl7.org/CodeSystem/"
                                         "condition-ver-status", "refuted")),
    {"resourceType": "FamilyMemberHistory", "id": "stroke", "status": "completed",
     "patient": PATIENT, "relationship": {"text": "mother"}, "date": RECENT,
     "condition": [{"code": concept(SNOMED, "230690007")}]},
    condition("depression", "35489007",
              clinicalStatus=concept("http://terminology.hl7.org/CodeSystem/condition-clinical",
                                     "resolved")),
    {"resourceType": "Procedure", "id": "appendix", "status": "completed",
     "code": concept(SNOMED, "80146002"), "subject": PATIENT, "performedDateTime": "1999-07-01",
     "asserter": DOCTOR},
    {"resourceType": "Immunization", "id": "tetanus", "status": "completed",
     "vaccineCode": concept("http://hl7.org/fhir/sid/cvx", "113"), "patient": PATIENT,
     "occurrenceDateTime": OLD, "performer": [{"actor": DOCTOR}]},
    allergy("none", "716186003", asserter=PATIENT),
    allergy("penicillin", "91936005", category=["medication"], criticality="high"),
    {"resourceType": "MedicationStatement", "id": "metformin", "status": "active",
     "subject": PATIENT, "dateAsserted": RECENT, "informationSource": PATIENT,
     "medicationCodeableConcept": concept(RXNORM, "6809", text="metformin")},
    {"resourceType": "MedicationRequest", "id": "metformin", "status": "active",
     "intent": "order", "subject": PATIENT, "authoredOn": OLD, "requester": DOCTOR,
     "medicationCodeableConcept": concept(RXNORM, "6809")},
    observation("fetus", "82810-3", focus=[{"reference": "Patient/baby"}],
                valueCodeableConcept=concept(SNOMED, "77386006")),
    observation("blood", "882-1", valueCodeableConcept=concept(SNOMED, "112144000")),
    {"resourceType": "Device", "id": "pacer", "status": "active", "patient": PATIENT,
     "type": concept(SNOMED, "14106009")},
    {"resourceType": "DeviceUseStatement", "id": "pacer", "status": "active",
     "subject": PATIENT, "device": {"reference": "Device/pacer"}, "recordedOn": RECENT,
     "source": DOCTOR},
    observation("temperature", "8310-5", valueQuantity=quantity(37.2, "Cel")),
    answers("words", RECENT, PATIENT, symptoms={"valueString": "sore throat"},
            worry={"valueString": "the needle"}),
]  # fmt: skip
