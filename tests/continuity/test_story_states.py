"""No sentence says more, less or something else than its entry: states, sides, times, authors.

Each entry is told to both audiences; the sentences are literal.
"""

from typing import Any

import pytest

from tests.continuity.story_house import sentences, texts, told
from tests.continuity.story_record import (
    ADA,
    ADA_HERSELF,
    LOINC,
    PEOPLE,
    ROE,
    SNOMED,
    Resource,
    concept,
    of,
    status,
)

DAY = "2026-01-01"


def seen(**more: Any) -> Resource:
    return of("Observation", "x", subject=ADA, performer=[ROE], effectiveDateTime=DAY,
              **{"status": "final", **more})  # fmt: skip


def taken(status_: str, **more: Any) -> Resource:
    return of("MedicationStatement", "x", status=status_, subject=ADA, informationSource=ADA,
              dateAsserted=DAY, medicationCodeableConcept=concept("Warfarin"), **more)  # fmt: skip


def prescribed(status_: str, intent: str = "order", **more: Any) -> Resource:
    return of("MedicationRequest", "x", status=status_, intent=intent, subject=ADA, requester=ROE,
              authoredOn=DAY, medicationCodeableConcept=concept("Warfarin"), **more)  # fmt: skip


def ordered(status_: str, intent: str = "order", **more: Any) -> Resource:
    return of("ServiceRequest", "x", status=status_, intent=intent, subject=ADA, requester=ROE,
              authoredOn=DAY, code=concept("MRI"), bodySite=[concept("Left knee")],
              **more)  # fmt: skip


def allergic(code: Any, **more: Any) -> Resource:
    return of("AllergyIntolerance", "x", patient=ADA, code=code, recorder=ROE,
              **{"recordedDate": "2025", **more})  # fmt: skip


def operated(status_: str, **more: Any) -> Resource:
    return of("Procedure", "x", status=status_, subject=ADA, code=concept("Lens"), recorder=ROE,
              bodySite=[concept("Left eye")], **{"performedDateTime": "1990", **more})  # fmt: skip


def booked(status_: str, start: str | None = "2026-02-03T09:30:00Z", **more: Any) -> Resource:
    when = {"start": start} if start else {}
    return of("Appointment", "x", status=status_, description="Clinic", **when,
              **{"participant": [{"actor": ADA, "status": "accepted"}], **more})  # fmt: skip


def visited(status_: str, **period: str) -> Resource:
    return of("Encounter", "x", status=status_, subject=ADA, period=period,
              **{"class": {"code": "AMB"}})  # fmt: skip


Case = tuple[Resource, str, str, str]
ROE_ON = "recorded by Dr Jane Roe, 1 January 2026."
YOU_ON = "You told us this on 1 January 2026."
WROTE = "Dr Jane Roe wrote this down."
WROTE_2025 = "Dr Jane Roe wrote this down in 2025."
WROTE_ON = "Dr Jane Roe wrote this down on 1 January 2026."

CASES: dict[str, Case] = {
    "a corrected result": (
        seen(code=concept("Potassium"), status="corrected", interpretation=[concept("High")],
             valueQuantity={"value": 6.5, "unit": "mmol/L"}),
        "findings",
        "Potassium: 6.5 mmol/L (High, corrected), 1 January 2026; recorded by Dr Jane Roe.",
        ("Potassium: 6.5 millimoles per litre (High, corrected), on 1 January 2026. "
        "Dr Jane Roe wrote this down.")),
    "a cancelled test without a value": (
        seen(code=concept("Sodium"), status="cancelled"),
        "findings", "Sodium: value missing (cancelled), 1 January 2026; recorded by Dr Jane Roe.",
        "Sodium: the value is missing (cancelled), on 1 January 2026. " + WROTE),
    "a side of the body": (
        seen(code=concept("Grip"), bodySite=concept("Right hand"), valueInteger=3),
        "findings", "Grip (Right hand): 3, 1 January 2026; recorded by Dr Jane Roe.",
        "Grip (Right hand): 3, on 1 January 2026. Dr Jane Roe wrote this down."),
    "parts that were judged, and one that is missing": (
        seen(code=concept("BP"), component=[
            {"code": concept("systolic"), "valueQuantity": {"value": 90, "unit": "mmHg"},
             "interpretation": [concept("Low")]},
            {"code": concept("diastolic"), "dataAbsentReason": concept("Not performed")}]),
        "findings", ("BP: systolic 90 mmHg (Low); diastolic missing (Not performed), "
        "1 January 2026; recorded by Dr Jane Roe."),
        ("BP: systolic 90 millimetres of mercury (Low); diastolic missing (Not performed), "
        "on 1 January 2026. Dr Jane Roe wrote this down.")),
    "a value that no sentence can hold is not missing": (
        seen(code=concept("ECG"), valueSampledData={"origin": {"value": 0}, "period": 10,
                                                    "dimensions": 1, "data": "1 2"}),
        "findings", ("ECG: the value is of a kind that a story leaves out; open the entry, "
        "1 January 2026; recorded by Dr Jane Roe."),
        "ECG: a result that this page leaves out, on 1 January 2026. Dr Jane Roe wrote this down."),
    "one of a unit": (
        seen(code=concept("Score"), valueQuantity={"value": 1, "unit": "{score}"}),
        "findings", "Score: 1 point, 1 January 2026; recorded by Dr Jane Roe.",
        "Score: 1 point, on 1 January 2026. Dr Jane Roe wrote this down."),
    "measured in one year, written down in another": (
        of("Observation", "x", status="final", subject=ADA, performer=[ROE], code=concept("Height"),
           effectiveDateTime="2019", issued="2026-01-01T10:00:00Z",
           valueQuantity={"value": 170, "unit": "cm"}),
        "findings", "Height: 170 cm, 2019; recorded by Dr Jane Roe.",
        "Height: 170 centimetres, in 2019. Dr Jane Roe wrote this down."),
    "a side and a severity of a problem": (
        of("Condition", "x", subject=ADA, code=concept("Fracture"), bodySite=[concept("Left arm")],
           severity=concept("Severe"), recorder=ROE, recordedDate=DAY),
        "findings", f"Fracture (Left arm, Severe); {ROE_ON}",
        f"You have this on file: Fracture (Left arm, Severe). {WROTE_ON}"),
    "one of several diagnoses": (
        of("Condition", "x", subject=ADA, code=concept("Gout"), recorder=ROE, recordedDate=DAY,
           verificationStatus=status("differential"), abatementString="last year"),
        "findings", f"Gout (differential), ended last year; {ROE_ON}",
        "You have this on file: Gout (one of several that it could be), ended last year. "
        + WROTE_ON),
    "an allergy that is over": (
        allergic(concept("Nuts"), clinicalStatus=status("resolved")),
        "findings", "Allergy or intolerance: Nuts (resolved); recorded by Dr Jane Roe, 2025.",
        "On file as an allergy or a bad reaction: Nuts (over). " + WROTE_2025),
    "an allergy that nobody confirmed": (
        allergic(concept("Latex"), verificationStatus=status("unconfirmed"), criticality="high",
                 reaction=[{"manifestation": [concept("Anaphylaxis")], "severity": "severe"}]),
        "findings", ("Allergy or intolerance: Latex (Anaphylaxis, severe, criticality high, "
        "unconfirmed); recorded by Dr Jane Roe, 2025."),
        ("On file as an allergy or a bad reaction: Latex (Anaphylaxis, severe, it can be "
        "dangerous, still to be confirmed). Dr Jane Roe wrote this down in 2025.")),
    "an allergy that is called one": (
        allergic(concept("Allergy to mould (finding)")),
        "findings",
        "Allergy or intolerance: Allergy to mould (finding); recorded by Dr Jane Roe, 2025.",
        "You have this on file: Allergy to mould. " + WROTE_2025),
    "an allergy that is called one, and refuted": (
        allergic(concept("Allergy to mould"), verificationStatus=status("refuted")),
        "findings", "Refuted: Allergy to mould; recorded by Dr Jane Roe, 2025.",
        "This was ruled out: Allergy to mould. " + WROTE_2025),
    "when it began is not when it was said": (
        allergic(concept("Nuts"), recordedDate=None, onsetDateTime="1990"),
        "findings", "Allergy or intolerance: Nuts, since 1990; recorded by Dr Jane Roe, undated.",
        ("You have an allergy or react badly to Nuts, since 1990. "
        "Dr Jane Roe wrote this down; the date is missing.")),
    "a none that is no code": (
        allergic({"text": "NKDA"}),
        "findings", "In the list of allergies: “NKDA”; recorded by Dr Jane Roe, 2025.",
        "Your list of allergies has this on file: “NKDA”. Dr Jane Roe wrote this down in 2025."),
    "a none of one thing": (
        allergic(concept("No known latex allergy", SNOMED, "1003774007")),
        "findings",
        "In the list of allergies: “No known latex allergy”; recorded by Dr Jane Roe, 2025.",
        ("Your list of allergies has this on file: “No known latex allergy”. "
        "Dr Jane Roe wrote this down in 2025.")),
    "a none that does not hold any more": (
        allergic(concept("No known allergy", SNOMED, "716186003"),
                 clinicalStatus=status("inactive")),
        "findings",
        "In the list of allergies: “No known allergy” (inactive); recorded by Dr Jane Roe, 2025.",
        ("Your list of allergies has this on file: “No known allergy” (over). "
        "Dr Jane Roe wrote this down in 2025.")),
    "a medicine that is meant to be taken": (
        taken("intended"), "findings",
        "Is meant to take Warfarin; the patient says, 1 January 2026.",
        f"You are meant to take Warfarin. {YOU_ON}"),
    "a medicine that is paused": (
        taken("on-hold"), "findings", "Paused: takes Warfarin; the patient says, 1 January 2026.",
        f"This medicine is paused: Warfarin. {YOU_ON}"),
    "a medicine of which nobody knows whether it is taken": (
        taken("unknown"), "findings",
        "Medicine Warfarin (status unknown); the patient says, 1 January 2026.",
        f"On file as your medicine: Warfarin (state unknown). {YOU_ON}"),
    "a medicine whose time is over": (
        taken("active", effectivePeriod={"start": "2020-01", "end": "2020-02"}), "findings",
        ("Medicine Warfarin (active), January 2020 to February 2020; "
        "the patient says, 1 January 2026."),
        "On file as your medicine: Warfarin (active), from January 2020 to February 2020. "
        + YOU_ON),
    "why a medicine is not taken": (
        taken("not-taken", statusReason=[concept("Bleeding")]), "findings",
        "Does not take Warfarin, Bleeding; the patient says, 1 January 2026.",
        f"You do not take Warfarin, Bleeding. {YOU_ON}"),
    "a medicine that was only proposed": (
        prescribed("active", "proposal"), "decisions", f"Warfarin (proposal, active); {ROE_ON}",
        f"This medicine was proposed for you: Warfarin (active). {WROTE_ON}"),
    "a prescription that is being written": (
        prescribed("draft"), "decisions", f"Warfarin (order, draft); {ROE_ON}",
        f"A medicine is being planned for you: Warfarin. {WROTE_ON}"),
    "an order that forbids does not wait for a result": (
        ordered("active", doNotPerform=True), "decisions",
        f"Do not perform MRI (Left knee) (active); {ROE_ON}",
        f"This should not be done: MRI (Left knee) (active). {WROTE_ON}"),
    "an order that is only proposed": (
        ordered("active", "proposal"), "decisions",
        f"Proposed: MRI (Left knee) (proposal, active); {ROE_ON}",
        f"This was proposed for you: MRI (Left knee) (proposed, active). {WROTE_ON}"),
    "an order that is being written waits for nothing": (
        ordered("draft"), "decisions", f"Order: MRI (Left knee) (draft); {ROE_ON}",
        f"An order is being written for you: MRI (Left knee). {WROTE_ON}"),
    "an order that was taken back": (
        ordered("revoked"), "decisions",
        "Order: MRI (Left knee) (revoked); ordered by Dr Jane Roe, 1 January 2026.",
        "This order was taken back: MRI (Left knee). Dr Jane Roe ordered this on 1 January 2026."),
    "done long before it was written down": (
        operated("completed", complication=[concept("Bleeding")]), "decisions",
        "Lens (Left eye) (completed), 1990, complication: Bleeding; recorded by Dr Jane Roe.",
        ("This was done: Lens (Left eye), in 1990. This went wrong: Bleeding. "
        "Dr Jane Roe wrote this down.")),
    "begun and stopped": (
        operated("stopped"), "decisions",
        "Lens (Left eye) (stopped), 1990; recorded by Dr Jane Roe.",
        "This was begun and then stopped: Lens (Left eye), in 1990. Dr Jane Roe wrote this down."),
    "being prepared": (
        operated("preparation"), "decisions",
        "Lens (Left eye) (preparation), 1990; recorded by Dr Jane Roe.",
        "This is being prepared: Lens (Left eye), in 1990. Dr Jane Roe wrote this down."),
    "a visit that was called off": (
        booked("cancelled"), "pending",
        "Cancelled: appointment 3 February 2026 at 09:30 UTC: Clinic (cancelled).",
        "This visit was cancelled: Clinic. It was planned for 3 February 2026 at 09:30 UTC."),
    "a visit that was missed": (
        booked("noshow"), "pending",
        "Missed: appointment 3 February 2026 at 09:30 UTC: Clinic (noshow).",
        "You missed this visit: Clinic. It was planned for 3 February 2026 at 09:30 UTC."),
    "a visit that the patient declined": (
        booked("booked", participant=[{"actor": ADA, "status": "declined"}]), "pending",
        "Appointment 3 February 2026 at 09:30 UTC: Clinic (booked, declined by the patient).",
        "You have a visit on 3 February 2026 at 09:30 UTC: Clinic (booked, you declined)."),
    "a visit without a date is still to come": (
        booked("waitlist", None), "pending", "Appointment undated: Clinic (waitlist).",
        "A visit is on file, and its date is still to come: Clinic (on the waiting list)."),
    "a stay that is over": (
        visited("finished", start="2025-01-01"), "reason",
        "Outpatient visit (finished), began 1 January 2025.",
        "You had a visit here (a visit for the day), from 1 January 2025."),
    "a stay of which only the end is known": (
        visited("unknown", end="2025-01-01"), "reason",
        "Outpatient visit (status unknown), until 1 January 2025.",
        "You have a visit on file (a visit for the day, state unknown), until 1 January 2025."),
    "a visit that is planned is not now": (
        visited("planned", start="2027-01-01"), "reason",
        "Outpatient visit (planned), from 1 January 2027.",
        "You have a visit planned (a visit for the day), from 1 January 2027."),
    "a relative of whom nothing is known": (
        of("FamilyMemberHistory", "x", status="health-unknown", patient=ADA, date=DAY,
           relationship=concept("mother")),
        "findings", "Family history (mother): health unknown; author unknown, 1 January 2026.",
        ("In your family (mother): health unknown. This was noted on 1 January 2026. "
        "The name of the writer is missing.")),
    "what a relative died of": (
        of("FamilyMemberHistory", "x", status="partial", patient=ADA, date=DAY,
           relationship=concept("father"),
           condition=[{"code": concept("Stroke"), "outcome": concept("Died")}]),
        "findings",
        "Family history (father, partial): Stroke (Died); author unknown, 1 January 2026.",
        ("In your family (father, in part): Stroke (Died). This was noted on 1 January 2026. "
        "The name of the writer is missing.")),
    "a goal that was not reached": (
        of("Goal", "x", lifecycleStatus="completed", subject=ADA, expressedBy=ADA,
           achievementStatus=concept("Not achieved"), description=concept("Walk")),
        "goals", "Goal: Walk (completed, Not achieved); the patient says, undated.",
        "Your goal: Walk (done, Not achieved). You told us this; the date is missing."),
    "a goal in numbers, due in a month": (
        of("Goal", "x", lifecycleStatus="active", subject=ADA, expressedBy=ADA,
           description=concept("Sugar"), target=[{
               "measure": concept("HbA1c"), "dueDate": "2026-06",
               "detailQuantity": {"value": 7, "comparator": "<", "unit": "%"}}]),
        "goals",
        "Goal: Sugar; HbA1c <7 % (active), due June 2026; the patient says, undated.",
        ("Your goal: Sugar; HbA1c <7 percent (active). It is due in June 2026. "
        "You told us this; the date is missing.")),
    "a plan that was only proposed": (
        of("CarePlan", "x", status="active", intent="proposal", subject=ADA, title="Rehab",
           author=ROE, created=DAY),
        "decisions", f"Care plan Rehab (proposal, active); {ROE_ON}",
        f"A care plan was proposed for you: Rehab (proposed, active). {WROTE_ON}"),
    "what an open report says so far": (
        of("DiagnosticReport", "x", status="preliminary", subject=ADA, performer=[ROE],
           code=concept("Culture"), effectiveDateTime=DAY, conclusion="No growth so far."),
        "pending",
        ("Report still open: Culture (preliminary), 1 January 2026: No growth so far; "
        "recorded by Dr Jane Roe."),
        ("This report is still open: Culture (still open), on 1 January 2026. "
        "It says: No growth so far. Dr Jane Roe wrote this down.")),
    "a draft of a document": (
        of("DocumentReference", "x", status="superseded", docStatus="preliminary", subject=ADA,
           author=[ROE], description="Letter", date="2026-01-01T00:00:00Z", content=[]),
        "findings", f"Document Letter (preliminary, superseded); {ROE_ON}",
        f"There is a document: Letter (still open, replaced by a newer one). {WROTE_ON}"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
async def test_no_entry_reads_as_something_that_it_is_not(case: str) -> None:
    resource, section, *expected = CASES[case]
    entry = {name: value for name, value in resource.items() if value is not None}
    made = {
        audience: await told([*PEOPLE, ADA_HERSELF, entry], audience=audience)
        for audience in ("clinician", "patient")
    }
    found = [[s.text for of_ in story.told.values() for s in of_ if s.sources[0].id == "x"]
             for story in made.values()]  # fmt: skip
    assert found == [[text] for text in expected]
    assert texts(made["patient"], section)  # type: ignore[arg-type] # a section's name


async def test_a_conflict_about_an_allergy_that_is_called_one_reads_as_a_sentence() -> None:
    none = {**allergic(concept("No known allergy", SNOMED, "716186003")), "id": "none"}
    made = await told([*PEOPLE, ADA_HERSELF, none, allergic(concept("Allergy to mould"))])
    assert texts(made, "findings")[0] == (
        "The record disagrees: “Allergy to mould” is recorded, and so is “No known allergy”. "
        "Take the allergy as real until this is settled."
    )


async def test_a_medicine_that_is_taken_and_not_taken_is_told_as_a_conflict_first() -> None:
    takes = {**taken("active"), "id": "y", "informationSource": ROE}
    made = await told([*PEOPLE, ADA_HERSELF, taken("not-taken"), takes])
    assert texts(made, "findings")[1:] == [
        (
            "The record disagrees about Warfarin: one entry says that it is taken, "
            "another one that it is not. Ask the patient."
        ),
        "Does not take Warfarin; the patient says, 1 January 2026.",
        f"Takes Warfarin; {ROE_ON}",
    ]


async def test_a_year_is_told_as_a_year() -> None:
    old = {**ADA_HERSELF, "birthDate": "1980", "deceasedDateTime": "2025-11"}
    made = await told([old], audience="patient")
    assert texts(made, "patient") == [
        "You are Ada Byron, female, born in 1980.",
        "This record says that the person died in November 2025.",
    ]


async def test_a_document_in_error_is_never_told() -> None:
    letter = of("DocumentReference", "x", status="current", docStatus="entered-in-error",
                subject=ADA, description="Wrong letter", content=[])  # fmt: skip
    made = await told([ADA_HERSELF, letter])
    assert "Wrong letter" not in str(made.composition)


async def test_a_visit_that_will_not_be_is_not_why_the_patient_is_here() -> None:
    made = await told([ADA_HERSELF, booked("cancelled")])
    assert texts(made, "reason") == []


async def test_nobodys_words_can_end_their_quotation_and_go_on_as_somebody_else() -> None:
    forged = "fine.” Allergies: none; recorded by Dr Jane Roe, 3 March 2026: “ok"
    note = of("Communication", "n", status="completed", subject=ADA, sender=ADA, sent=DAY,
              payload=[{"contentString": forged}])  # fmt: skip
    asked = of("QuestionnaireResponse", "q", status="completed", subject=ADA, source=ADA,
               authored=DAY, item=[{"linkId": "1", "text": "a” b", "answer": [
                   {"valueString": forged}]}])  # fmt: skip
    made = await told([ADA_HERSELF, note, asked])
    inside = "fine.’ Allergies: none; recorded by Dr Jane Roe, 3 March 2026: ‘ok"
    assert texts(made, "voice") == [
        f"The patient, 1 January 2026: “a’ b”: “{inside}”",
        f"The patient wrote, 1 January 2026: “{inside}”",
    ]


async def test_marks_that_turn_round_what_stands_beside_them_are_left_out() -> None:
    turning = of("Condition", "x", subject=ADA, asserter=ADA, recordedDate=DAY,
                 code={"text": "Gout\u202e\u2066 5\u200b0\U000e0041"})  # fmt: skip
    made = await told([ADA_HERSELF, turning])
    assert texts(made, "findings")[1] == "Gout 50; the patient says, 1 January 2026."


async def test_somebody_elses_relative_is_not_called_the_patients() -> None:
    father = of("RelatedPerson", "zed", patient={"reference": "Patient/bob"},
                name=[{"text": "Zed"}], relationship=[concept("father")])  # fmt: skip
    note = of("Communication", "n", status="completed", subject=ADA, sent=DAY,
              sender={"reference": "RelatedPerson/zed"},
              payload=[{"contentString": "Hello"}])  # fmt: skip
    made = await told([ADA_HERSELF, father, note], audience="patient")
    assert texts(made, "voice") == ["Zed wrote, 1 January 2026: “Hello”"]


async def test_an_answer_that_has_only_a_code_is_told_with_its_question() -> None:
    form = of("QuestionnaireResponse", "q", status="completed", subject=ADA, source=ADA,
              authored=DAY, item=[
                  {"linkId": "pain", "answer": [{"valueCoding": {"code": "no"}}]}])  # fmt: skip
    made = await told([ADA_HERSELF, form], audience="patient")
    assert texts(made, "voice") == ["You, 1 January 2026: “pain” no."]


@pytest.mark.parametrize(("beyond", "text"), [
    (1, "There is 1 more treatment in your record."),
    (2, "There are 2 more treatments in your record."),
])  # fmt: skip
async def test_one_is_told_as_one(beyond: int, text: str) -> None:
    many = [operated("completed", id=f"p{at}") for at in range(15 + beyond)]
    made = await told([ADA_HERSELF, *many], audience="patient")
    assert [one.text for one in sentences(made) if one.kind == "counted"] == [text]


async def test_a_bare_code_is_left_out_beside_a_name_and_what_kind_of_name_it_is() -> None:
    plan = of("CarePlan", "x", status="active", intent="plan", subject=ADA, author=ROE, created=DAY,
              category=[{"coding": [{"system": LOINC, "code": "assess-plan"}]},
                        concept("Respiratory therapy (procedure)")])  # fmt: skip
    made = await told([*PEOPLE, ADA_HERSELF, plan], audience="patient")
    assert texts(made, "decisions") == [
        f"You have a care plan: Respiratory therapy (active). {WROTE_ON}"
    ]


def monitored(**more: Any) -> Resource:
    return of("Observation", "x", status="final", subject=ADA, code=concept("Pulse"),
              effectiveDateTime=DAY, device={"display": "Monitor"},
              valueQuantity={"value": 70, "unit": "/min"}, **more)  # fmt: skip


@pytest.mark.parametrize(("observation", "section"), [
    (monitored(), "home"),
    (monitored(performer=[ADA]), "home"),
    (monitored(performer=[ROE]), "findings"),
    (monitored(performer=[{"reference": "Organization/ward"}]), "findings"),
    (monitored(encounter={"reference": "Encounter/stay"}), "findings"),
])  # fmt: skip
async def test_a_monitor_of_the_ward_and_a_machine_of_the_laboratory_are_not_at_home(
    observation: Resource, section: str
) -> None:
    made = await told([*PEOPLE, ADA_HERSELF, observation])
    found = [name for name, of_ in made.told.items() if any(s.sources[0].id == "x" for s in of_)]
    assert found == [section]


async def test_a_pressure_from_home_is_no_word_of_the_patient() -> None:
    pressure = of("Observation", "x", status="final", subject=ADA, performer=[ADA],
                  code=concept("Blood pressure"), effectiveDateTime=DAY, component=[
                      {"code": concept("systolic"), "valueQuantity": {"value": 140}},
                      {"code": concept("diastolic"), "valueQuantity": {"value": 90}}])  # fmt: skip
    made = await told([ADA_HERSELF, pressure])
    assert texts(made, "voice") == []
    assert texts(made, "home") == [
        "Blood pressure: systolic 140; diastolic 90, 1 January 2026; the patient says."
    ]


async def test_the_left_arm_and_the_right_one_have_trends_of_their_own() -> None:
    def pressure(side: str, day: int) -> Resource:
        return of("Observation", f"{side}{day}", status="final", subject=ADA, performer=[ADA],
                  code=concept("Pressure"), bodySite=concept(f"{side} arm"),
                  effectiveDateTime=f"2025-12-{day:02d}T06:00:00Z",
                  valueQuantity={"value": 120 if side == "Left" else 160,
                                 "unit": "mmHg"})  # fmt: skip

    record = [pressure(side, day) for side in ("Left", "Right") for day in range(24, 30)]
    made = await told([ADA_HERSELF, *record])
    assert sorted(text.partition(" in the")[0] for text in texts(made, "home")) == [
        "Pressure (Left arm): average 120 mmHg",
        "Pressure (Right arm): average 160 mmHg",
    ]
