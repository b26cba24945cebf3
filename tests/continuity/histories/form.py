"""The intake form that every generated patient meets, and how long its answers hold.

``MODES`` is what careful people do, written down without looking at the server's policy: ``carry``
holds for good, ``expire`` for weeks and not for years, ``visit`` must be said in this visit,
``confirm`` is read out each time, ``never`` is asked each time.  What is ``CONSTANT`` cannot
change: two answers are a mistake, whoever gave them.
"""

from typing import Any, Literal

from tests.continuity.histories.told import FORM, LOINC, SNOMED

Mode = Literal["carry", "expire", "visit", "confirm", "never"]

MODES: dict[str, Mode] = {
    "birth-date": "carry",
    "gender": "carry",
    "city": "expire",
    "phone": "expire",
    "member": "expire",
    "allergies": "visit",
    "penicillin": "visit",
    "medicines": "visit",
    "diabetes": "expire",
    "breast-cancer": "expire",
    "pregnant": "visit",
    "pacemaker": "visit",
    "smoking": "expire",
    "smoking-local": "expire",
    "weight": "expire",
    "height": "expire",
    "blood-group": "confirm",
    "language": "expire",
    "worry": "confirm",
    "identity": "never",
    "consent": "never",
    "symptoms": "never",
}

CONSTANT = frozenset(("birth-date", "blood-group"))
REPEATS = frozenset(("allergies", "medicines"))
LOCAL = "https://hospital.test/questions"
TOPIC = "https://tellonce.org/fhir/CodeSystem/topic"

_R4 = "http://hl7.org/fhir/StructureDefinition/"


def _item(link: str, kind: str, text: str, **more: Any) -> dict[str, Any]:
    return {"linkId": link, "type": kind, "text": text, **more}


def _code(system: str, code: str) -> list[dict[str, str]]:
    return [{"system": system, "code": code}]


ITEMS: list[dict[str, Any]] = [
    _item("birth-date", "date", "Date of birth", definition=f"{_R4}Patient#Patient.birthDate"),
    _item("gender", "choice", "Administrative sex", definition=f"{_R4}Patient#Patient.gender"),
    _item("city", "string", "Town", definition=f"{_R4}Patient#Patient.address.city"),
    _item("phone", "string", "Telephone", definition=f"{_R4}Patient#Patient.telecom.value"),
    _item("language", "choice", "Language",
          definition=f"{_R4}Patient#Patient.communication.language"),
    _item("member", "string", "Insurance number",
          definition=f"{_R4}Coverage#Coverage.subscriberId"),
    _item("allergies", "open-choice", "Allergies", repeats=True, code=_code(LOINC, "48765-2")),
    _item("penicillin", "boolean", "Allergic to penicillin?", code=_code(SNOMED, "91936005")),
    _item("medicines", "open-choice", "Medicines", repeats=True, code=_code(LOINC, "10160-0")),
    _item("diabetes", "boolean", "Do you have diabetes?", code=_code(SNOMED, "73211009")),
    _item("breast-cancer", "boolean", "Have you had breast cancer?",
          code=_code(SNOMED, "254837009")),
    _item("pregnant", "choice", "Are you pregnant?", code=_code(LOINC, "82810-3")),
    _item("pacemaker", "boolean", "Do you have a pacemaker?", code=_code(SNOMED, "14106009")),
    _item("smoking", "choice", "Do you smoke?", code=_code(LOINC, "72166-2")),
    _item("smoking-local", "choice", "Tobacco", code=_code(LOCAL, "tobacco")),
    _item("weight", "quantity", "Weight", code=_code(LOINC, "29463-7")),
    _item("height", "quantity", "Height", code=_code(LOINC, "8302-2")),
    _item("blood-group", "choice", "Blood group", code=_code(LOINC, "882-1")),
    _item("worry", "text", "What worries you most?", code=_code(LOCAL, "worry")),
    _item("identity", "boolean", "Wristband compared?", code=_code(TOPIC, "identity-check")),
    _item("consent", "boolean", "Consent to the procedure?", code=_code(LOINC, "59284-0")),
    _item("symptoms", "text", "Symptoms today", code=_code(LOINC, "10154-3")),
]  # fmt: skip

QUESTIONNAIRE: dict[str, Any] = {
    "resourceType": "Questionnaire",
    "id": "intake",
    "url": FORM,
    "status": "active",
    "item": ITEMS,
}

CONCEPT_MAP: dict[str, Any] = {
    "resourceType": "ConceptMap",
    "id": "questions",
    "url": "https://hospital.test/ConceptMap/questions",
    "status": "active",
    "group": [
        {
            "source": LOCAL,
            "target": LOINC,
            "element": [
                {
                    "code": "tobacco",
                    "target": [{"code": "72166-2", "equivalence": "equivalent"}],
                }
            ],
        }
    ],
}
