"""What a story says of records that lack things, negate, contradict, or are too long."""

from typing import Any

import pytest

from server.fhir import xhtml
from server.validation import validate
from tests.continuity.story_house import sentences, texts, told
from tests.continuity.story_record import (
    ADA,
    ADA_HERSELF,
    LOINC,
    MOTHER,
    PEOPLE,
    RECORD,
    ROE,
    SNOMED,
    Resource,
    concept,
    of,
    pulse,
    status,
)


async def test_an_empty_record_says_that_no_allergies_are_recorded_and_not_that_there_are_none(
) -> None:  # fmt: skip
    made = await told([ADA_HERSELF])
    assert [one.text for one in sentences(made)] == [
        "Ada Byron, female, born 10 December 1980.",
        "Allergies: nothing is recorded in what is shown here. Ask the patient.",
    ]
    assert made.told["findings"][0].sources[0].reference == "Patient/ada/_history/1"


async def test_a_patient_of_whom_nothing_is_known_has_a_story() -> None:
    made = await told([of("Patient", "ada")])
    assert made.composition["title"] == "Story of Patient/ada"
    assert validate(made.composition) == []


async def test_a_merged_record_says_so_and_the_other_one_is_not_read() -> None:
    merged = {
        **ADA_HERSELF,
        "active": False,
        "link": [{"other": {"reference": "Patient/new"}, "type": "replaced-by"}],
    }
    new = of("Patient", "new", name=[{"text": "Ada Lovelace"}])
    theirs = of("Condition", "c", subject={"reference": "Patient/new"}, code=concept("Gout"))
    made = await told([merged, new, theirs])
    assert texts(made, "patient")[1] == (
        "This record was merged; Patient/new replaces it. "
        "What is written there is to be read there."
    )
    assert "Gout" not in str(made.composition)
    assert "Lovelace" not in str(made.composition)


async def test_a_language_that_is_not_there_yet_falls_back_to_english_and_says_so() -> None:
    german = {**ADA_HERSELF, "communication": [{"language": concept("German", "x", "de-DE")}]}
    made = await told([german], audience="patient")
    assert made.composition["language"] == "en"
    assert texts(made, "patient")[1] == (
        "Your language is German. This page is in English for now. You can ask for help with it."
    )


@pytest.mark.parametrize(
    ("resource", "sentence"),
    [
        (of("Condition", "x", subject=ADA), "Unnamed entry; author unknown, undated."),
        (of("Condition", "x", subject=ADA, code={"coding": [{"system": SNOMED, "code": "1"}]}),
         "Unnamed entry (code 1); author unknown, undated."),
        (of("Condition", "x", subject=ADA, code=concept("Gout"), recorder={"display": "A. Nurse"}),
         "Gout; recorded by A. Nurse, undated."),
        (of("Condition", "x", subject=ADA, code=concept("Gout"), asserter=ADA, recorder=ROE,
            recordedDate="2026-01"),
         "Gout; the patient says, January 2026. Written down by Dr Jane Roe."),
        (of("Condition", "x", subject=ADA, code=concept("Gout"), asserter=MOTHER),
         "Gout; a person close to the patient says, undated."),
        (of("Condition", "x", subject=ADA, code=concept("Gout"),
            verificationStatus=status("refuted", "v")),
         "Refuted: Gout; author unknown, undated."),
        (of("Condition", "x", subject=ADA, code=concept("Gout"),
            verificationStatus=status("provisional", "v")),
         "Gout (provisional); author unknown, undated."),
        (of("Observation", "x", subject=ADA, code=concept("Weight"), valueQuantity={"value": 70}),
         "Weight: 70; author unknown, undated."),
        (of("Observation", "x", subject=ADA, code=concept("CRP"),
            valueQuantity={"value": 5, "comparator": "<", "unit": "mg/L"}),
         "CRP: <5 mg/L; author unknown, undated."),
        (of("Observation", "x", subject=ADA, code=concept("Weight"),
            dataAbsentReason=concept("asked but unknown")),
         "Weight: result missing (asked but unknown); author unknown, undated."),
        (of("Observation", "x", subject=ADA, code=concept("Pressure"), component=[
            {"code": concept("systolic"), "valueQuantity": {"value": 120, "unit": "mmHg"}},
            {"code": concept("diastolic"), "valueQuantity": {"value": 80, "unit": "mmHg"}}]),
         "Pressure: systolic 120 mmHg; diastolic 80 mmHg; author unknown, undated."),
        (of("Observation", "x", subject=ADA, code=concept("Blood group"), valueString="A+",
            focus=[{"display": "the newborn"}]),
         ("About the newborn (somebody or something else than the patient): Blood group: A+; "
         "author unknown, undated.")),
        (of("MedicationStatement", "x", subject=ADA, status="not-taken", informationSource=ADA,
            medicationCodeableConcept=concept("Aspirin")),
         "Does not take Aspirin; the patient says, undated."),
        (of("AllergyIntolerance", "x", patient=ADA, code=concept("Nuts"),
            verificationStatus=status("refuted", "v"), recorder=ROE, recordedDate="2025"),
         "Refuted: allergy or intolerance to Nuts; recorded by Dr Jane Roe, 2025."),
        (of("AllergyIntolerance", "x", patient=ADA, recorder=ROE,
            code=concept("No known allergy", SNOMED, "716186003")),
         "“No known allergy” is recorded, but its date is missing: ask again."),
        (of("AllergyIntolerance", "x", patient=ADA, recordedDate="2025",
            code=concept("No known allergy", SNOMED, "716186003")),
         "“No known allergy” is recorded, but its author is missing: ask again."),
        (of("AllergyIntolerance", "x", patient=ADA, recordedDate="2025", asserter=ADA,
            code=concept("No known allergy", SNOMED, "716186003")),
         "No known allergy; the patient says, 2025."),
    ],
)  # fmt: skip
async def test_what_is_missing_or_negated_is_told_as_such(resource: Resource, sentence: str
                                                          ) -> None:  # fmt: skip
    made = await told([*PEOPLE, ADA_HERSELF, resource])
    assert sentence in texts(made, "findings")


async def test_no_known_drug_allergy_does_not_contradict_a_food_allergy() -> None:
    none = of(
        "AllergyIntolerance", "none", patient=ADA, asserter=ADA, recordedDate="2025",
        code=concept("No known drug allergy", SNOMED, "409137002"),
    )  # fmt: skip
    nuts = of("AllergyIntolerance", "nuts", patient=ADA, code=concept("Nuts"), category=["food"])
    made = await told([ADA_HERSELF, none, nuts])
    assert texts(made, "findings") == [
        "Allergy or intolerance: Nuts; author unknown, undated.",
        "No known drug allergy; the patient says, 2025.",
    ]


async def test_what_one_entry_says_and_another_refutes_is_told_as_a_conflict_first() -> None:
    gout = concept("Gout", SNOMED, "90560007")
    yes = of("Condition", "y", subject=ADA, code=gout, recorder=ROE)
    no = of("Condition", "n", subject=ADA, code=gout, verificationStatus=status("refuted", "v"))
    made = await told([*PEOPLE, ADA_HERSELF, yes, no])
    assert texts(made, "findings")[1:] == [
        (
            "The record disagrees about Gout: one entry says so, another one refutes it. "
            "Settle this first."
        ),
        "Gout; recorded by Dr Jane Roe, undated.",
        "Refuted: Gout; author unknown, undated.",
    ]


async def test_what_is_about_somebody_else_is_not_told_although_it_is_in_the_compartment() -> None:
    child = of("Patient", "child")
    hers = of(
        "Observation", "o", subject={"reference": "Patient/child"}, performer=[ADA],
        code=concept("Fever"), valueQuantity={"value": 39}, effectiveDateTime="2026-01-01",
    )  # fmt: skip
    made = await told([ADA_HERSELF, child, hers])
    assert "Fever" not in str(made.composition)


async def test_a_new_statement_of_no_allergy_is_not_told_without_the_allergy() -> None:
    made = await told(RECORD, since=1)
    assert not [text for text in texts(made, "changes") if text.startswith("No known allergy")]
    assert [text for text in texts(made, "changes") if text.startswith("The record disagrees")]


async def test_a_section_that_is_cut_off_says_how_many_more_there_are_and_where() -> None:
    many = [of("Procedure", f"p{at}", subject=ADA, status="completed", code=concept(f"P {at}"),
               performedDateTime=f"2025-01-{at + 1:02d}") for at in range(20)]  # fmt: skip
    made = await told([ADA_HERSELF, *many])
    assert texts(made, "decisions")[0].startswith("P 19 (completed)")
    assert texts(made, "decisions")[15:] == ["5 more: procedures (Procedure?patient=Patient/ada)."]
    assert made.told["decisions"][15].sources[0].reference == "Procedure/p4/_history/1"


async def test_a_form_with_many_answers_says_how_many_more_it_has() -> None:
    items = [{"linkId": str(at), "text": "?", "answer": [{"valueString": "x"}]} for at in range(25)]
    form = of("QuestionnaireResponse", "f", status="completed", subject=ADA, author=ADA, item=items)
    made = await told([ADA_HERSELF, form])
    assert texts(made, "voice")[20:] == ["5 more answers in this form (QuestionnaireResponse/f)."]


@pytest.mark.parametrize(
    ("readings", "sentence"),
    [
        ([pulse(f"2025-12-{day}", 60) for day in range(28, 31)],
         "Resting heart rate: 60 /min; measured by Watch, 30 December 2025."),
        ([pulse(f"2025-12-{day}", 60) for day in range(24, 31)],
         ("Resting heart rate: average 60 /min in the last 14 days (7 readings); the four weeks "
         "before have too few readings to compare.")),
        ([pulse(f"2025-12-{day:02d}", 60) for day in range(5, 31)],
         ("Resting heart rate: average 60 /min in the last 14 days (12 readings), level with the "
         "four weeks before (60 /min, 14 readings); 0 of 12 days above that average.")),
        ([*(pulse(f"2025-12-{day:02d}", 80) for day in range(5, 15)),
          *(pulse(f"2025-12-{day:02d}", 60) for day in range(25, 31))],
         ("Resting heart rate: average 60 /min in the last 14 days (6 readings), 25 % below the "
         "four weeks before (80 /min, 10 readings); 6 of 6 days below that average.")),
    ],
)  # fmt: skip
async def test_home_measurements_are_told_with_their_windows(
    readings: list[Resource], sentence: str
) -> None:
    made = await told([ADA_HERSELF, *readings])
    assert texts(made, "home") == [sentence]
    count = len(readings) if len(readings) > 3 else 1
    assert len(made.told["home"][0].sources) == count


async def test_readings_in_another_unit_are_not_mixed() -> None:
    def weight(day: int, value: int, unit: str) -> Resource:
        return of(
            "Observation", f"w{day}", status="final", subject=ADA, performer=[ADA],
            code=concept("Weight", LOINC, "29463-7"), effectiveDateTime=f"2025-12-{day}",
            valueQuantity={"value": value, "unit": unit},
        )  # fmt: skip

    pounds = [weight(day, 154, "lb") for day in range(20, 25)]
    made = await told([ADA_HERSELF, *pounds, *(weight(day, 70, "kg") for day in range(25, 30))])
    assert [text.partition(" in the")[0] for text in texts(made, "home")] == [
        "Weight: average 70 kg",
        "Weight: average 154 lb",
    ]


async def test_a_story_of_one_visit_has_what_belongs_to_it_and_to_every_visit() -> None:
    visit = {"reference": "Encounter/stay"}
    mine = of("Condition", "mine", subject=ADA, encounter=visit, code=concept("Gout"))
    made = await told([*RECORD, mine], encounter="Encounter/stay")
    assert made.composition["encounter"] == visit
    found = " ".join(texts(made, "findings"))
    assert "Gout" in found
    assert "Penicillin" in found
    assert "Asthma" not in found


async def test_a_text_of_any_characters_makes_a_valid_narrative() -> None:
    odd = "a\x00b\x0b<script>&\"'\ufffe\u202e \U0001f600 {name} %s"
    gout = of("Condition", "x", subject=ADA, code={"text": odd})
    note = of("Communication", "c", subject=ADA, sender=ADA, payload=[{"contentString": odd}])
    made = await told([ADA_HERSELF, gout, note])
    assert xhtml.faults(made.composition["text"]["div"]) == []
    # What is not seen and turns round what stands behind it is left out, too.
    assert "Ab<script>&\"' \U0001f600 {name} %s" in texts(made, "findings")[1]


async def test_a_complaint_and_the_next_visit_are_why_the_patient_is_here() -> None:
    complaint = of(
        "Observation", "x", subject=ADA, performer=[ADA], valueString="My chest hurts",
        code=concept("Chief complaint", LOINC, "8661-1"), effectiveDateTime="2026-01-01",
    )  # fmt: skip
    visit = next(one for one in RECORD if one["resourceType"] == "Appointment")
    made = await told([ADA_HERSELF, complaint, visit])
    assert texts(made, "reason") == [
        "Appointment 3 February 2026 at 09:30 (UTC+01:00): Lung clinic (booked).",
        "The patient wrote, 1 January 2026: “My chest hurts”",
    ]
    assert texts(made, "voice") == []


async def test_a_health_concern_is_told_as_a_worry() -> None:
    worry = of("Condition", "w", subject=ADA, asserter=ADA, code=concept("Fear of surgery"),
               category=[status("health-concern", "condition-category")])  # fmt: skip
    made = await told([ADA_HERSELF, worry])
    assert texts(made, "goals") == ["Fear of surgery; the patient says, undated."]
    assert "Fear" not in " ".join(texts(made, "findings"))


def provenance(target: str, **agent: Any) -> Resource:
    return of(
        "Provenance", "p", target=[{"reference": target}], recorded="2026-01-01T00:00:00Z",
        agent=[agent],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("made_by", "sentence"),
    [
        (
            provenance(
                "Condition/x/_history/1",
                who={"identifier": {"system": "urn:tellonce:feed", "value": "adt"}},
                onBehalfOf={"display": "Old Registration"},
            ),
            "Gout; sent by Old Registration, undated.",
        ),
        (
            provenance("Condition/x/_history/1", who={"reference": "Practitioner/roe"}),
            "Gout; recorded by Dr Jane Roe, undated.",
        ),
        (
            provenance("Condition/x/_history/2", who={"reference": "Practitioner/roe"}),
            "Gout; author unknown, undated.",
        ),
        (
            provenance("Condition/x/_history/1", who={"identifier": {"value": "loader"}}),
            "Gout; author unknown, undated.",
        ),
    ],
)
async def test_who_wrote_a_version_is_known_from_its_provenance(
    made_by: Resource, sentence: str
) -> None:
    gout = of("Condition", "x", subject=ADA, code=concept("Gout"))
    made = await told([*PEOPLE, ADA_HERSELF, gout, made_by])
    assert texts(made, "findings")[1] == sentence
    proven = "Provenance/p/_history/1" in {s.reference for s in made.told["findings"][1].sources}
    assert proven is ("unknown" not in sentence)


@pytest.mark.parametrize(
    ("resource", "section", "sentence"),
    [
        (of("Communication", "x", subject=ADA, sender=ADA, status="not-done", sent="2026-01-01",
            payload=[{"contentString": "Help me"}]),
         "voice", "The patient wrote, 1 January 2026 (not done): “Help me”"),
        (of("QuestionnaireResponse", "x", subject=ADA, source=ADA, status="in-progress",
            item=[{"linkId": "1", "answer": [{"valueInteger": 3}]}]),
         "voice", "The patient, undated (in progress): “1”: 3."),
        (of("DocumentReference", "x", subject=ADA, status="superseded", description="Letter"),
         "findings", "Document Letter (superseded); author unknown, undated."),
        (of("Encounter", "x", subject=ADA, status="finished", **{"class": {"code": "AMB"}}),
         "reason", "Outpatient visit (finished), undated."),
        (of("Immunization", "x", patient=ADA, status="not-done", vaccineCode=concept("Tetanus"),
            statusReason=concept("Fever")),
         "findings", "Immunization not done: Tetanus (Fever); author unknown, undated."),
        (of("Task", "x", status="requested", intent="order", description="Call her",
            **{"for": ADA}, owner={"display": "Desk"}),
         "pending", "Task Call her (requested), with Desk; author unknown, undated."),
        (of("DiagnosticReport", "x", status="preliminary", subject=ADA, code=concept("CT")),
         "pending", "Report still open: CT (preliminary); author unknown, undated."),
        (of("CarePlan", "x", status="active", intent="plan", subject=ADA, title="Rehab"),
         "decisions", "Care plan Rehab (active); author unknown, undated."),
    ],
)  # fmt: skip
async def test_every_kind_of_entry_is_told_with_its_state(
    resource: Resource, section: Any, sentence: str
) -> None:
    made = await told([ADA_HERSELF, resource])
    assert sentence in texts(made, section)


async def test_no_problems_beside_a_problem_is_a_conflict() -> None:
    none = of("Condition", "n", subject=ADA, code=concept("No current problems", SNOMED,
              "160245001"))  # fmt: skip
    gout = of("Condition", "g", subject=ADA, code=concept("Gout"))
    made = await told([ADA_HERSELF, none, gout])
    assert texts(made, "findings")[1] == (
        "The record disagrees: Gout is recorded, and so is “No current problems”. "
        "Settle this first."
    )
    alone = await told([ADA_HERSELF, none])
    assert texts(alone, "findings")[1:] == ["No current problems; author unknown, undated."]


async def test_no_information_about_allergies_is_not_told_as_none() -> None:
    ips = "http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips"
    code = concept("No information about allergies", ips, "no-allergy-info")
    unknown = of("AllergyIntolerance", "u", patient=ADA, asserter=ADA, code=code)
    made = await told([ADA_HERSELF, unknown], since=1)
    assert "Allergy or intolerance" not in str(made.composition)
    assert texts(made, "findings") == [
        "Allergies: nothing is recorded in what is shown here. Ask the patient."
    ]


async def test_a_refuted_no_known_allergy_is_not_told_as_none() -> None:
    none = of(
        "AllergyIntolerance", "n", patient=ADA, asserter=ADA, recordedDate="2026",
        code=concept("No known allergy", SNOMED, "716186003"),
        verificationStatus=status("refuted", "v"),
    )  # fmt: skip
    made = await told([ADA_HERSELF, none])
    assert texts(made, "findings") == ["Refuted: No known allergy; the patient says, 2026."]


async def test_a_code_that_senders_seldom_name_is_told_by_its_name() -> None:
    judged = {
        "coding": [
            {
                "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation",
                "code": "HH",
            }
        ]
    }
    spoken = {"coding": [{"system": "urn:ietf:bcp:47", "code": "de"}]}
    high = of("Observation", "k", subject=ADA, status="final", code=concept("Potassium"),
              valueQuantity={"value": 7}, interpretation=[judged])  # fmt: skip
    made = await told([{**ADA_HERSELF, "communication": [{"language": spoken}]}, high])
    assert any(
        text.startswith("Potassium: 7 (critically high)") for text in texts(made, "findings")
    )
    assert "The patient's language is German; this story is in English." in texts(made, "patient")
