"""What HL7v2 messages leave out or say in codes alone, and how a nurse would write it."""

import pytest

from server.continuity.story.sentence import Section
from server.continuity.story.words import Register
from tests.continuity.story_house import SYSTEM, sentences, texts, told
from tests.continuity.story_record import ADA, ADA_HERSELF, Resource, concept, of

CLASS = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
V2 = "http://terminology.hl7.org/CodeSystem/v2-"
SENT = of(
    "Provenance", "sent", target=[{"reference": "Condition/x/_history/1"}],
    recorded="2026-01-01T10:00:00Z",
    agent=[{"who": {"identifier": {"system": "urn:tellonce:feed", "value": "main"},
                    "display": "HL7v2 feed main"},
            "onBehalfOf": {"display": "Epic^1.2.840.114350^ISO Centracare^centracare.com^DNS"}}],
)  # fmt: skip
SMILES = {"display": "Minnie Smiles"}
TIMES = {"timing": {"repeat": {"boundsPeriod": {"start": "2021-04-01"}},
                    "code": {"text": "3 TIMES DAILY"}}}  # fmt: skip


def order(**more: object) -> Resource:
    made = {"status": "active", "intent": "order", "requester": SMILES, **more}
    return of("ServiceRequest", "x", subject=ADA, code=concept("Lipid panel"),
              authoredOn="2025-02-23", **made)  # fmt: skip


def medicine(**more: object) -> Resource:
    made = {"status": "active", "intent": "order", **more}
    return of("MedicationRequest", "x", subject=ADA,
              medicationCodeableConcept=concept("Hydralazine"), **made)  # fmt: skip


def visit(class_: Resource, **more: object) -> Resource:
    return of("Encounter", "x", subject=ADA, **{"class": class_, "status": "in-progress", **more})


def result(**more: object) -> Resource:
    made = {"status": "final", "effectiveDateTime": "2025-12-31", **more}
    return of("Observation", "x", subject=ADA, code=concept("Pregnancy"), **made)


CASES: dict[str, tuple[Resource, Section, str, str]] = {
    "a finding that ends with a full stop": (
        result(valueString="Fracture of the wrist, closed."), "findings",
        "Pregnancy: Fracture of the wrist, closed, 31 December 2025; author unknown.",
        ("Pregnancy: Fracture of the wrist, closed, on 31 December 2025. "
        "The name of the writer is missing.")),
    "a finding that breaks off": (
        result(valueString="see below..."), "findings",
        "Pregnancy: see below..., 31 December 2025; author unknown.",
        ("Pregnancy: see below..., on 31 December 2025. The name of the writer is missing.")),
    "a temperature in UCUM's code": (
        result(valueQuantity={"value": 37.1, "unit": "Cel", "code": "Cel"}), "findings",
        "Pregnancy: 37.1 °C, 31 December 2025; author unknown.",
        ("Pregnancy: 37.1 degrees Celsius, on 31 December 2025. "
        "The name of the writer is missing.")),
    "a pressure in UCUM's code": (
        result(valueQuantity={"value": 131, "unit": "mm[Hg]"}), "findings",
        "Pregnancy: 131 mmHg, 31 December 2025; author unknown.",
        ("Pregnancy: 131 millimetres of mercury, on 31 December 2025. "
        "The name of the writer is missing.")),
    "an order waits for its result": (
        order(), "pending",
        "Waits for a result: Lipid panel; ordered by Minnie Smiles, 23 February 2025.",
        "We wait for the result of Lipid panel. Minnie Smiles ordered this on 23 February 2025."),
    "an order whose status no message said": (
        order(status="unknown"), "decisions",
        "Order: Lipid panel (status unknown); ordered by Minnie Smiles, 23 February 2025.",
        ("On file as an order for you: Lipid panel (state unknown). "
        "Minnie Smiles ordered this on 23 February 2025.")),
    "a prescription without a date has that of its dosage": (
        medicine(status="unknown", dosageInstruction=[TIMES]), "decisions",
        ("Hydralazine (order, status unknown), 3 TIMES DAILY, from 1 April 2021; "
        "author unknown."),
        ("On file as your medicine: Hydralazine (state unknown), 3 TIMES DAILY, "
        "from 1 April 2021. The name of the writer is missing.")),
    "a dose without words": (
        medicine(requester=SMILES, authoredOn="2025-02-23", dosageInstruction=[{
            "doseAndRate": [{"doseQuantity": {"value": 25, "unit": "mg"}}],
            "route": concept("oral")}]), "decisions",
        ("Hydralazine (order, active), dose 25 mg, oral; "
        "prescribed by Minnie Smiles, 23 February 2025."),
        ("Your medicine: Hydralazine (active), dose 25 milligrams, oral. "
        "Minnie Smiles prescribed this on 23 February 2025.")),
    "a stay has its class before a code that has no name": (
        visit({"system": CLASS, "code": "IMP"}, type=[{"coding": [{"code": "S"}]}]), "reason",
        "Inpatient stay (in progress), undated.",
        "You have a visit here (a stay in hospital, going on now), date missing."),
    "a visit of a class that nobody knows": (
        visit({"system": f"{V2}0004", "code": "R"}, status="unknown"), "reason",
        "Visit (code R) (status unknown), undated.",
        "You have a visit on file (a visit, state unknown), date missing."),
    "a result that was only registered": (
        result(status="registered", valueString="NO"), "findings",
        "Pregnancy: NO (registered only), 31 December 2025; author unknown.",
        "Pregnancy: NO (still open), on 31 December 2025. The name of the writer is missing."),
    "an age": (
        result(valueQuantity={"value": 44, "unit": "year"}), "findings",
        "Pregnancy: 44 years, 31 December 2025; author unknown.",
        "Pregnancy: 44 years, on 31 December 2025. The name of the writer is missing."),
    "a judgement whose code is better known than its name": (
        result(valueString="Detected", interpretation=[{"coding": [{
            "system": f"{CLASS[:-7]}ObservationInterpretation", "code": "N",
            "display": "Normal (applies to non-numeric results)"}]}]), "findings",
        "Pregnancy: Detected (normal), 31 December 2025; author unknown.",
        "Pregnancy: Detected (normal), on 31 December 2025. The name of the writer is missing."),
    "a document that says its kind by a code alone": (
        of("DocumentReference", "x", subject=ADA, status="current", docStatus="preliminary",
           type={"coding": [{"code": "DS"}]}, description="1.2.840.317.5947431.51.2008013116",
           content=[{"attachment": {"contentType": "text/plain"}}], date="2025-12-31T08:00:00Z"),
        "findings",
        "Document discharge summary (preliminary); author unknown, 31 December 2025.",
        ("There is a document: discharge summary (still open). This was noted on 31 December 2025. "
        "The name of the writer is missing.")),
    "a document that says nothing of itself": (
        of("DocumentReference", "x", subject=ADA, status="current",
           content=[{"attachment": {"contentType": "text/plain"}}]), "findings",
        "Document; author unknown, undated.",
        ("There is a document. This was noted; the date is missing. "
        "The name of the writer is missing.")),
    "a sender without the numbers behind its name": (
        of("Condition", "x", subject=ADA, code=concept("Gout")), "findings",
        "Gout; sent by Epic Centracare, undated.",
        "You have this on file: Gout. This was sent by Epic Centracare; the date is missing."),
    "something to be looked at again": (
        of("Task", "x", status="requested", intent="proposal", authoredOn="2025-12-31T08:00:00Z",
           code={"coding": [{"system": "https://tellonce.org/fhir/CodeSystem/task-code",
                             "code": "look-again"}], "text": "Look at it again"},
           description="What you were shown in a story on 2025-12-30 was corrected.",
           owner={"display": "Dr Jane Roe"}, **{"for": ADA}), "pending",
        ("To be looked at again, because something shown earlier was corrected since, "
        "with Dr Jane Roe, 31 December 2025."),
        ("Your care team was asked on 31 December 2025 to look at something again. "
        "It was corrected since. It is with Dr Jane Roe.")),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("audience", "at"), [("clinician", 2), ("patient", 3)])
async def test_what_messages_leave_out_reads_as_a_nurse_would_write_it(
    case: str, audience: Register, at: int
) -> None:
    resource, section, *_ = CASES[case]
    made = await told([ADA_HERSELF, resource, SENT], SYSTEM, audience=audience)
    named = [one.text for one in made.told[section]
             if any(s.type == resource["resourceType"] for s in one.sources)]  # fmt: skip
    assert named == [CASES[case][at]]


async def test_older_entries_are_told_as_being_on_file_too() -> None:
    past = of("Appointment", "x", status="booked", start="2020-10-01T09:00:00Z",
              participant=[{"actor": ADA, "status": "accepted"}])  # fmt: skip
    made = await told([ADA_HERSELF, past], SYSTEM)
    assert texts(made, "pending") == [
        "Also on file: 1 appointment (Appointment?patient=Patient/ada)."
    ]
    assert sentences(made)


async def test_languages_that_are_a_code_have_a_name() -> None:
    spoken = {"coding": [{"system": "urn:ietf:bcp:47", "code": "no"}]}
    made = await told([{**ADA_HERSELF, "communication": [{"language": spoken}]}], SYSTEM)
    assert "The patient's language is Norwegian; this story is in English." in texts(
        made, "patient"
    )
