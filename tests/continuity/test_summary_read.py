"""The summary as a person reads it: nothing is dropped that changes what an entry says."""

import re
from html import unescape
from typing import Any

import pytest

from tests.continuity.story_record import concept, status
from tests.continuity.test_summary import ANNA, Resource, asked, ids, summary

P = {"reference": "Patient/p"}
DOCTOR = {"reference": "Practitioner/doctor"}
NONE = concept("No known allergy", "http://snomed.info/sct", "716186003")
SIGNED = {"recorder": DOCTOR, "recordedDate": "2025-11-05"}


def seen(id_: str, text: str, **more: Any) -> Resource:
    return {"resourceType": "Observation", "id": id_, "status": "final", "subject": P,
            "effectiveDateTime": "2025-11-05", "code": concept(text, "http://loinc.org", "1-8"),
            "category": [status("laboratory", "observation-category")], **more}  # fmt: skip


def allergy(id_: str, code: Any, **more: Any) -> Resource:
    return {"resourceType": "AllergyIntolerance", "id": id_, "patient": P, "code": code, **more}


def taken(**more: Any) -> Resource:
    return {"resourceType": "MedicationStatement", "id": "m", "status": "active", "subject": P,
            "medicationCodeableConcept": concept("Warfarin"), **more}  # fmt: skip


def kg(value: float) -> Resource:
    return {"value": value, "unit": "kg"}


async def read(section: str, *resources: Resource) -> list[str]:
    """Return the lines of a section, cells parted by a bar."""
    bundle = await summary(*resources)
    (found,) = [one for one in bundle["entry"][0]["resource"]["section"]
                if one["code"]["coding"][0]["code"] == section]  # fmt: skip
    lines = re.sub(r"</tr>|</p>", "\n", re.sub(r"</t[dh]>", "|", found["text"]["div"]))
    told = [unescape(one) for one in re.sub(r"<[^>]+>", "", lines).splitlines()]
    return [one for one in told if one and not one.startswith("What|")]


PROBLEMS, ALLERGIES, MEDICINES, RESULTS = "11450-4", "48765-2", "10160-0", "30954-2"


@pytest.mark.parametrize(("section", "resource", "row"), [
    (RESULTS, seen("o", "Grip", bodySite=concept("Right hand"), valueInteger=3),
     "Grip (Right hand)|3|2025-11-05|final|"),
    (RESULTS, seen("o", "Sodium", valueRange={"low": kg(1), "high": kg(5)}),
     "Sodium|1 kg - 5 kg|2025-11-05|final|"),
    (RESULTS, seen("o", "Titre", valueRatio={"numerator": {"value": 1},
                                             "denominator": {"value": 128}}),
     "Titre|1 / 128|2025-11-05|final|"),
    (RESULTS, seen("o", "HIV", valueBoolean=False), "HIV|no|2025-11-05|final|"),
    (RESULTS, seen("o", "Potassium", valueQuantity=kg(6.5), interpretation=[concept("High")],
                   status="corrected"),
     "Potassium|6.5 kg (High)|2025-11-05|corrected|"),
    (PROBLEMS, {"resourceType": "Condition", "id": "c", "subject": P, "code": concept("Fracture"),
                "bodySite": [concept("Left arm")], "severity": concept("Severe")},
     "Fracture (Left arm)|||Severe|"),
    (ALLERGIES, allergy("a", concept("Nuts"), verificationStatus=status("unconfirmed"), reaction=[
        {"manifestation": [concept("Hives"), concept("Wheeze")], "severity": "severe"}]),
     "Nuts|Hives, Wheeze, severe||unconfirmed|"),
    (ALLERGIES, allergy("a", NONE), "No known allergy|||without author or date: ask again|"),
    (ALLERGIES, allergy("a", NONE, **SIGNED), "No known allergy||2025-11-05||"),
    (MEDICINES, taken(dateAsserted="2025", effectivePeriod={"start": "2020", "end": "2021"},
                      dosage=[{"text": "5 mg at night"}]),
     "Warfarin|5 mg at night|2020 - 2021|active|"),
    (MEDICINES, {"resourceType": "MedicationRequest", "id": "m", "status": "active",
                 "intent": "plan", "subject": P, "medicationCodeableConcept": concept("Warfarin")},
     "Warfarin|||plan, active|"),
])  # fmt: skip
async def test_a_row_says_what_the_entry_says(section: str, resource: Resource, row: str) -> None:
    assert await read(section, resource) == [row]


async def test_a_none_beside_something_is_told_as_a_disagreement_first() -> None:
    nuts = allergy("b", concept("Nuts"), recordedDate="2019-01-01")
    disagree, *rows = await read(ALLERGIES, allergy("a", NONE, **SIGNED), nuts)
    assert disagree == (
        "These entries disagree: one says that there is none, another names one. "
        "Take it as real until this is settled."
    )
    assert rows == ["Nuts||2019-01-01||", "No known allergy||2025-11-05||"]


async def test_the_left_side_does_not_stand_for_the_right() -> None:
    bundle = await summary(
        seen("left", "Acuity", bodySite=concept("Left eye"), valueInteger=1),
        seen("right", "Acuity", bodySite=concept("Right eye"), valueInteger=2),
        seen("older", "Acuity", bodySite=concept("Right eye"), valueInteger=3,
             effectiveDateTime="2020"),
    )  # fmt: skip
    assert sorted(ids(bundle, RESULTS)) == ["left", "right"]


async def test_a_record_that_was_merged_away_has_no_summary() -> None:
    merged = {**ANNA, "id": "old", "link": [{"type": "replaced-by",
                                             "other": {"reference": "Patient/p"}}]}  # fmt: skip
    answer = await asked(merged, path="Patient/old/$summary")
    assert answer.status_code == 422
    told = answer.json()["issue"][0]["diagnostics"]
    assert told == "Patient/old was merged into Patient/p; ask for that one"


async def test_what_was_stored_late_is_not_the_newest() -> None:
    bundle = await summary(
        seen("new", "Weight", valueQuantity=kg(70), effectiveDateTime="2025-11-05"),
        seen("old", "Weight", valueQuantity=kg(99), effectiveDateTime="2019-11-05"),
    )
    assert ids(bundle, RESULTS) == ["new"]
