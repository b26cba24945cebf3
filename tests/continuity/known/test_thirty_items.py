"""A form of thirty items over a prepared record; one source less flips exactly its items."""

from collections import Counter
from typing import Any

import pytest

from tests.continuity.known.house import Record
from tests.continuity.known.record import QUESTIONNAIRE, RECORD

EXPECTED: dict[str, tuple[str, ...]] = {
    "birth": ("known", "C1 holds", "1980-02-03"),
    "family": ("known", "C1 holds", "Adam"),
    "gender": ("known", "C1 holds", "female"),
    "city": ("known", "C1 holds", "Bonn"),
    "phone": ("known", "C1 holds", "+49 228 1"),
    "language": ("ask", "no source"),
    "contact": ("ask", "no source"),
    "member": ("confirm", "C2 undated", "A-1"),
    "weight": ("known", "C1 holds", "72.5"),
    "height": ("confirm", "C1 expired", "171 cm"),
    "smoking": ("conflict", "C4 different answers", "77176002", "266919005"),
    "alcohol": ("confirm", "C2 undated", "a glass of wine a day"),
    "occupation": ("confirm", "C6 nobody named", "welder"),
    "diabetes": ("known", "C1 holds", "True"),
    "asthma": ("conflict", "C4 different answers", "True", "False"),
    "epilepsy": ("known", "C1 holds", "False"),
    "stroke": ("ask", "no source"),
    "depression": ("ask", "C3 ended"),
    "appendix": ("known", "C1 holds", "True"),
    "tetanus": ("known", "C1 holds", "True"),
    "allergies": ("conflict", "C4 none and some", "91936005", "716186003"),
    "drug-allergy": ("conflict", "C4 none and some", "True", "False"),
    "medicines": ("confirm", "C1 each encounter", "6809"),
    "pregnant": ("ask", "no source"),
    "blood-group": ("confirm", "C1 always confirmed", "112144000"),
    "pacemaker": ("confirm", "C1 each encounter", "True"),
    "temperature": ("ask", "C1 never carried"),
    "symptoms": ("ask", "C1 never carried"),
    "worry": ("confirm", "C1 not listed", "the needle"),
    "unknown-code": ("ask", "no source"),
}

ASK = ("ask", "no source")
ALLERGIC: dict[str, tuple[str, ...]] = {
    "allergies": ("confirm", "C1 each encounter", "91936005"),
    "drug-allergy": ("confirm", "C1 each encounter", "True"),
}
NOT_ALLERGIC: dict[str, tuple[str, ...]] = {
    "allergies": ("confirm", "C1 each encounter", "716186003"),
    "drug-allergy": ("confirm", "C1 each encounter", "False"),
}
FLIPS: dict[str, dict[str, tuple[str, ...]]] = {
    "Provenance/v-p": {
        "birth": ("confirm", "C2 undated", "1980-02-03"),
        "family": ("confirm", "C2 undated", "Adam"),
        "gender": ("confirm", "C2 undated", "female"),
        "city": ("confirm", "C2 undated", "Bonn"),
        "phone": ("confirm", "C2 undated", "+49 228 1"),
    },
    "Coverage/c": {"member": ASK},
    "Observation/weight-old": {},
    "Observation/weight": {"weight": ("confirm", "C1 expired", "60")},
    "Observation/height": {"height": ASK},
    "Observation/smoking": {"smoking": ("known", "C1 holds", "77176002")},
    "QuestionnaireResponse/smokes": {"smoking": ("known", "C1 holds", "266919005")},
    "Observation/alcohol": {"alcohol": ASK},
    "Observation/occupation": {"occupation": ASK},
    "Condition/diabetes": {"diabetes": ASK},
    "QuestionnaireResponse/no-asthma": {"asthma": ("known", "C1 holds", "True")},
    "Condition/asthma": {"asthma": ("known", "C1 holds", "False")},
    "Condition/epilepsy": {"epilepsy": ASK},
    "FamilyMemberHistory/stroke": {},
    "Condition/depression": {"depression": ASK},
    "Procedure/appendix": {"appendix": ASK},
    "Immunization/tetanus": {"tetanus": ASK},
    "AllergyIntolerance/none": ALLERGIC,
    "AllergyIntolerance/penicillin": NOT_ALLERGIC,
    "MedicationStatement/metformin": {"medicines": ("confirm", "limit", "6809")},
    "MedicationRequest/metformin": {},
    "Observation/fetus": {},
    "Observation/blood": {"blood-group": ASK},
    "Device/pacer": {"pacemaker": ASK},
    "DeviceUseStatement/pacer": {"pacemaker": ("confirm", "C2 undated", "True")},
    "Observation/temperature": {},
    "QuestionnaireResponse/words": {"worry": ASK},
}  # fmt: skip

_IN_ERROR = "entered-in-error"


async def test_thirty_items_are_answered_as_written_here(record: Record) -> None:
    await record.put(QUESTIONNAIRE, *RECORD)

    assert await record.table(QUESTIONNAIRE) == EXPECTED
    states = Counter(row[0] for row in EXPECTED.values())
    assert states == {"known": 10, "confirm": 8, "conflict": 4, "ask": 8}


def test_every_source_is_taken_away_once() -> None:
    there = {f"{one['resourceType']}/{one['id']}" for one in RECORD}
    assert there - set(FLIPS) == {"Practitioner/d", "Patient/baby", "Patient/p"}


@pytest.mark.parametrize("source", FLIPS)
async def test_without_a_source_exactly_its_items_change(memory: Record, source: str) -> None:
    await memory.put(QUESTIONNAIRE, *RECORD)

    await memory.delete(*source.split("/"))

    assert await memory.table(QUESTIONNAIRE) == EXPECTED | FLIPS[source]


def in_error(resource: dict[str, Any]) -> dict[str, Any]:
    """Return it as its author takes it back."""
    if resource["resourceType"] in ("AllergyIntolerance", "Condition"):
        kind = "condition-ver-status"
        if resource["resourceType"] == "AllergyIntolerance":
            kind = "allergyintolerance-verification"
        system = f"http://terminology.hl7.org/CodeSystem/{kind}"
        status = {"coding": [{"system": system, "code": _IN_ERROR}]}
        left = {k: v for k, v in resource.items() if k != "clinicalStatus"}
        return {**left, "verificationStatus": status}
    return {**resource, "status": _IN_ERROR}


@pytest.mark.parametrize("source", [one for one in FLIPS if not one.startswith("Provenance/")])
async def test_a_source_entered_in_error_counts_as_one_that_is_not_there(
    memory: Record, source: str
) -> None:
    await memory.put(QUESTIONNAIRE, *RECORD)
    (resource,) = [one for one in RECORD if f"{one['resourceType']}/{one['id']}" == source]

    await memory.put(in_error(resource))

    found = await memory.table(QUESTIONNAIRE)
    rules_aside = {link: (row[0], *row[2:]) for link, row in found.items()}
    wanted = EXPECTED | FLIPS[source]
    assert rules_aside == {link: (row[0], *row[2:]) for link, row in wanted.items()}


async def test_a_corrected_value_is_the_one_that_is_shown(memory: Record) -> None:
    await memory.put(QUESTIONNAIRE, *RECORD)
    (diabetes,) = [one for one in RECORD if one["id"] == "diabetes"]
    system = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
    refuted = {"coding": [{"system": system, "code": "refuted"}]}

    await memory.put({**diabetes, "verificationStatus": refuted})

    found = await memory.table(QUESTIONNAIRE)
    assert found == EXPECTED | {"diabetes": ("known", "C1 holds", "False")}
