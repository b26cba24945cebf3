"""Allergies, problems, medicines, vaccines and implants that were once taken for what they are not.

Each is written down in the visit, by a physician.
"""

from typing import Any

import pytest

from tests.continuity.known.hostile import HERE, Resource, known, medicine
from tests.continuity.known.house import Record
from tests.continuity.known.record import (
    DOCTOR,
    LOINC,
    PATIENT,
    R4,
    SNOMED,
    allergy,
    answers,
    concept,
    condition,
    item,
    observation,
    quantity,
)

CVX = "http://hl7.org/fhir/sid/cvx"
CODES = "http://terminology.hl7.org/CodeSystem/"
YES = {"system": SNOMED, "code": "373066001"}
NO = {"system": SNOMED, "code": "373067005"}
HERE_ALSO: dict[str, Any] = {"recordedDate": HERE, "encounter": {"reference": "Encounter/e"}}

ALLERGIES = item("x", "open-choice", (LOINC, "48765-2"), repeats=True)
ANY_ALLERGY = item("x", "boolean", (LOINC, "48765-2"))
PENICILLIN = item("x", "boolean", (SNOMED, "91936005"))
MEDICINES = item("x", "open-choice", (LOINC, "10160-0"), repeats=True)
DIABETES = item("x", "boolean", (SNOMED, "73211009"))
TETANUS = item("x", "boolean", (CVX, "113"))


def status(of: str, code: str, *more: tuple[str, str]) -> dict[str, Any]:
    """Return one of the two statuses of a problem or an allergy, with codings of a sender."""
    name, system = {
        "condition": ("clinicalStatus", "condition-clinical"),
        "diagnosis": ("verificationStatus", "condition-ver-status"),
        "allergy": ("clinicalStatus", "allergyintolerance-clinical"),
        "certainty": ("verificationStatus", "allergyintolerance-verification"),
    }[of]
    sent = [{"system": system, "code": code} for system, code in more]
    return {name: {"coding": [*sent, {"system": CODES + system, "code": code}]}}


def here(id_: str, code: str, **more: Any) -> Resource:
    return allergy(id_, code, **{**HERE_ALSO, **more})


def vaccine(**more: Any) -> Resource:
    return {
        "resourceType": "Immunization", "id": "i", "status": "completed", "patient": PATIENT,
        "vaccineCode": concept(CVX, "113"), "occurrenceDateTime": HERE, "recorded": HERE,
        "performer": [{"actor": DOCTOR}], **more,
    }  # fmt: skip


def operation(code: str, **more: Any) -> Resource:
    return {
        "resourceType": "Procedure", "id": "op", "status": "completed", "subject": PATIENT,
        "code": concept(SNOMED, code), "performedDateTime": HERE, "asserter": DOCTOR, **more,
    }  # fmt: skip


def wears(**more: Any) -> Resource:
    return {
        "resourceType": "DeviceUseStatement", "id": "u", "status": "active", "subject": PATIENT,
        "device": {"reference": "#d"}, "recordedOn": HERE, "source": DOCTOR,
        "contained": [{"resourceType": "Device", "id": "d", "status": "active",
                       "type": concept(SNOMED, "14106009")}], **more,
    }  # fmt: skip


def told(link: str, said: Any, **more: Any) -> Resource:
    made = answers("q", HERE, PATIENT, **{link: said})
    return {**made, **more}


PACEMAKER = item("x", "boolean", (SNOMED, "14106009"))
APPENDIX = item("x", "boolean", (SNOMED, "80146002"))
PENICILLIN_IN_WORDS = item("x", "string", (SNOMED, "91936005"))
DIABETES_CHOSEN = item("x", "choice", (SNOMED, "73211009"))
TWO_ALLERGIES = {
    **ALLERGIES,
    "type": "choice",
    "answerOption": [
        {"valueCoding": {"system": SNOMED, "code": code}} for code in ("91936005", "91935009")
    ],
}
SMOKES = item(
    "x",
    "choice",
    (LOINC, "72166-2"),
    answerOption=[
        {"valueCoding": {"system": SNOMED, "code": code}} for code in ("77176002", "266919005")
    ],
)
DOSE = item(
    "x",
    "string",
    definition=f"{R4}MedicationStatement#MedicationStatement.dosage.text",
    repeats=True,
)
OPERATIONS = item("x", "open-choice", (LOINC, "47519-4"), repeats=True)


def smokes(id_: str, code: str, said: str, **more: Any) -> Resource:
    value = {"valueCodeableConcept": concept(SNOMED, code)}
    return observation(id_, "72166-2", said, **value, **more)


WRONG: dict[str, tuple[Resource, list[Resource]]] = {
    # what is not there, in words
    "refuted, in words": (PENICILLIN_IN_WORDS, [here("a", "91936005",
                                                     **status("certainty", "refuted"))]),
    "refuted, to choose": (DIABETES_CHOSEN, [condition("c", "73211009",
                                                       **status("diagnosis", "refuted"))]),
    "no penicillin, in words": (PENICILLIN_IN_WORDS, [told("y", {"valueBoolean": False})]),
    # statuses of senders
    "resolved, and a sender's code": (DIABETES, [condition("c", "73211009", **status(
        "condition", "resolved", ("urn:sender", "A")))]),
    "provisional, and a sender's code": (DIABETES, [condition("c", "73211009", **status(
        "diagnosis", "provisional", ("urn:sender", "confirmed")))]),
    "status in words": (DIABETES, [condition("c", "73211009", clinicalStatus={"text": "over"})]),
    "differential": (DIABETES, [condition("c", "73211009",
                                          **status("diagnosis", "differential"))]),
    "abated": (DIABETES, [condition("c", "73211009", abatementDateTime="2001")]),
    "abated at an age": (DIABETES, [condition("c", "73211009", abatementAge={"value": 12})]),
    # none of a part, under codes that the topic does not list
    "no food allergy": (ALLERGIES, [here("a", "429625007")]),
    "no environmental allergy": (ALLERGIES, [here("a", "428607008")]),
    "no environmental allergy, any": (ANY_ALLERGY, [here("a", "428607008")]),
    "no latex allergy": (ANY_ALLERGY, [here("a", "716184000")]),
    "no insect allergy, penicillin": (PENICILLIN, [here("a", "428197003")]),
    "none, and amoxicillin": (PENICILLIN, [here("a", "294505008"),
                                           told("y", {"valueBoolean": False})]),
    "nobody takes it": (MEDICINES, [medicine(concept(SNOMED, "787481004"), status="not-taken")]),
    # a choice that does not have all
    "latex is no choice": (TWO_ALLERGIES, [here("a", "91936005"), here("b", "300916003")]),
    "none is no choice": (TWO_ALLERGIES, [here("a", "91936005"), here("b", "716186003")]),
    "stopped since is no choice": (SMOKES, [
        smokes("o1", "77176002", "2025-12-01T08:00:00Z"),
        smokes("o2", "8517006", "2025-12-20T08:00:00Z")]),
    "words since": (SMOKES, [
        smokes("o1", "77176002", "2025-12-01T08:00:00Z"),
        observation("o2", "72166-2", "2025-12-20T08:00:00Z", valueString="stopped at Christmas")]),
    "a number without a unit since": (item("x", "quantity", (LOINC, "29463-7")), [
        observation("o1", "29463-7", "2025-12-20T08:00:00Z", valueQuantity=quantity(70, "kg")),
        observation("o2", "29463-7", "2026-01-01T08:00:00Z", valueQuantity={"value": 62})]),
    # medicines
    "dose over": (MEDICINES, [medicine(concept(SNOMED, "1"), context=HERE_ALSO["encounter"],
                                       effectivePeriod={"end": "2025-06-01"})]),
    "begins later": (MEDICINES, [medicine(concept(SNOMED, "1"),
                                          effectivePeriod={"start": "2027-01-01"})]),
    "bounds over": (MEDICINES, [medicine(concept(SNOMED, "1"), dosage=[
        {"timing": {"repeat": {"boundsPeriod": {"end": "2025-06-01"}}}}])]),
    "a medicine that cannot be read": (MEDICINES, [
        medicine(concept(SNOMED, "1")),
        {k: v for k, v in {**medicine({}), "id": "m2", "medicationReference": {
            "reference": "Medication/gone"}}.items() if k != "medicationCodeableConcept"}]),
    "a Medication in error": (MEDICINES, [
        {"resourceType": "Medication", "id": "w", "status": "entered-in-error",
         "code": concept(SNOMED, "1")},
        {k: v for k, v in {**medicine({}), "medicationReference": {
            "reference": "Medication/w"}}.items() if k != "medicationCodeableConcept"}]),
    "a dose is no name": (DOSE, [medicine(concept(SNOMED, "1", text="metformin"))]),
    "asNeeded is not that there is one": ({**DOSE, "type": "boolean", "repeats": False,
        "definition": f"{R4}MedicationStatement#MedicationStatement.dosage.asNeeded"},
        [medicine(concept(SNOMED, "1"))]),
    # done, and not done
    "not done that day": (TETANUS, [vaccine(status="not-done")]),
    "a part of a dose": (TETANUS, [vaccine(isSubpotent=True)]),
    "no operation that day": (APPENDIX, [operation("80146002", status="not-done")]),
    "planned": (APPENDIX, [operation("80146002", status="preparation")]),
    "operations long ago": (OPERATIONS, [operation("80146002", performedDateTime="1999-07-01")]),
    # implants
    "no longer worn": (PACEMAKER, [wears(timingPeriod={"end": "2025-06-01"})]),
    "the device is off": (PACEMAKER, [wears(contained=[
        {"resourceType": "Device", "id": "d", "status": "inactive",
         "type": concept(SNOMED, "14106009")}])]),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
async def test_what_may_be_otherwise_is_not_known(memory: Record, name: str) -> None:
    asked, given = WRONG[name]
    asked = {**asked, "linkId": "x"}
    found = await known(memory, [asked, item("y", "boolean", (SNOMED, "91936005"))], *given)
    assert found[0] != "known", found


async def test_what_was_refuted_is_not_offered_in_words(memory: Record) -> None:
    given = here("a", "91936005", **status("certainty", "refuted"))
    assert (await known(memory, PENICILLIN_IN_WORDS, given))[0] == "ask"


@pytest.mark.parametrize("code", ["716186003", "160244002"])
async def test_none_known_is_none_under_each_of_its_codes(memory: Record, code: str) -> None:
    assert await known(memory, ANY_ALLERGY, here("a", code)) == ("known", "C1 holds", "False")


async def test_amoxicillin_is_a_penicillin(memory: Record) -> None:
    assert (await known(memory, PENICILLIN, here("a", "294505008")))[::2] == ("known", "True")


async def test_type_one_diabetes_is_diabetes(memory: Record) -> None:
    given = [condition("c", "46635009", recordedDate=HERE), told("x", {"valueBoolean": False})]
    assert (await known(memory, DIABETES, *given))[::2] == ("conflict", "True")


async def test_that_it_is_not_of_one_kind_is_not_that_it_is_of_none(memory: Record) -> None:
    given = condition("c", "46635009", **status("diagnosis", "refuted"))
    assert (await known(memory, DIABETES, given))[0] == "ask"


async def test_a_pregnancy_among_the_problems_contradicts_who_says_no(memory: Record) -> None:
    asked = item("x", "boolean", (LOINC, "82810-3"))
    given = [condition("c", "77386006", recordedDate=HERE), told("x", {"valueBoolean": False})]
    assert (await known(memory, asked, *given))[0] == "conflict"


@pytest.mark.parametrize("said", [NO, {"system": SNOMED, "code": "385432009"}])
async def test_a_no_that_was_chosen_is_no_yes(memory: Record, said: Resource) -> None:
    other = {**PENICILLIN, "linkId": "y", "type": "choice"}
    found = await known(memory, [PENICILLIN, other], told("y", {"valueCoding": said}))
    assert found[2:] == (("False",) if said == NO else ())


async def test_a_no_that_was_chosen_is_none_of_a_list(memory: Record) -> None:
    other = {**ANY_ALLERGY, "linkId": "y", "type": "choice"}
    given = [here("a", "91936005"), told("y", {"valueCoding": NO})]
    assert (await known(memory, [ALLERGIES, other], *given))[0] == "conflict"


async def test_words_in_a_list_are_read_out(memory: Record) -> None:
    assert (await known(memory, ALLERGIES, told("x", {"valueString": "none, I think"})))[0] == (
        "confirm"
    )


async def test_a_no_in_a_later_visit_is_said_of_then(memory: Record) -> None:
    """What was not done once is no contradiction to that it was done."""
    given = [vaccine(), vaccine(id="j", status="not-done")]
    assert (await known(memory, TETANUS, *given))[::2] == ("known", "True")
