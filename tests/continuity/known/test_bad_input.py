"""Records and forms as they should not be: each has its answer."""

from typing import Any

import pytest

from tests.continuity.known.house import Record
from tests.continuity.known.record import (
    DOCTOR,
    FORM,
    LOINC,
    PATIENT,
    RECENT,
    SNOMED,
    answers,
    concept,
    item,
    observation,
    provenance,
    quantity,
)

EVA = {"resourceType": "Patient", "id": "p"}
LOCAL = "https://our.test"


def form(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    made = {"resourceType": "Questionnaire", "id": "f", "url": FORM, "status": "active", **more}
    return {**made, "item": list(items)} if items else made


def smoking(code: str = "266919005", **more: Any) -> dict[str, Any]:
    return observation("s", "72166-2", valueCodeableConcept=concept(SNOMED, code), **more)


SMOKING = item("s", "choice", (LOINC, "72166-2"))


async def row(record: Record, asked: dict[str, Any], *resources: dict[str, Any]) -> tuple[str, ...]:
    await record.put(EVA, *resources)
    ((_, found),) = (await record.table(asked)).items()
    return found


async def test_a_form_without_items_has_no_answers(memory: Record) -> None:
    await memory.put(EVA)
    assert await memory.ask(form()) == []


async def test_a_record_without_anything_is_asked_everything(memory: Record) -> None:
    assert await row(memory, form(SMOKING)) == ("ask", "no source")


@pytest.mark.parametrize(
    "more",
    [
        {"definition": "http://hl7.org/fhir/StructureDefinition/Patient#Patient.identifier:mrn"},
        {"definition": "http://hl7.org/fhir/StructureDefinition/Patient#Patient.nothing.here"},
        {"definition": "nonsense"},
        {"definition": "http://hl7.org/fhir/StructureDefinition/Patient"},
        {"code": [{"system": "https://nowhere.test", "code": "x"}]},
        {"code": [{"display": "no code at all"}]},
    ],
)
async def test_what_a_form_means_and_nobody_knows_is_asked(
    memory: Record, more: dict[str, Any]
) -> None:
    assert await row(memory, form(item("x", "string", **more))) == ("ask", "no source")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (None, ("confirm", "C2 undated", "266919005")),
        ("2030-01-01", ("confirm", "C2 future", "266919005")),
        ("2020", ("confirm", "C1 expired", "266919005")),
        (RECENT, ("known", "C1 holds", "266919005")),
    ],
)
async def test_a_clock_that_is_missing_or_wrong_makes_it_to_be_confirmed(
    memory: Record, said: str | None, expected: tuple[str, ...]
) -> None:
    assert await row(memory, form(SMOKING), smoking(said=said)) == expected


async def test_without_an_author_it_is_confirmed(memory: Record) -> None:
    nobody = {k: v for k, v in smoking().items() if k != "performer"}
    assert await row(memory, form(SMOKING), nobody) == ("confirm", "C6 nobody named", "266919005")


async def test_a_value_that_could_not_be_got_answers_nothing(memory: Record) -> None:
    absent = {k: v for k, v in smoking().items() if k != "valueCodeableConcept"}
    absent["dataAbsentReason"] = {"text": "asked, declined"}
    assert (await row(memory, form(SMOKING), absent))[0] == "ask"


@pytest.mark.parametrize(
    "turned",
    [
        {"modifierExtension": [{"url": f"{LOCAL}/negated", "valueBoolean": True}]},
        {"implicitRules": f"{LOCAL}/rules"},
    ],
)
async def test_what_may_mean_the_opposite_answers_nothing(
    memory: Record, turned: dict[str, Any]
) -> None:
    assert await row(memory, form(SMOKING), smoking(**turned)) == ("ask", "C3 withdrawn")


async def test_what_was_ordered_is_not_what_is_taken(memory: Record) -> None:
    order = {"resourceType": "MedicationRequest", "id": "m", "status": "active", "intent": "order",
             "subject": PATIENT, "authoredOn": RECENT, "requester": DOCTOR,
             "encounter": {"reference": "Encounter/e"},
             "medicationCodeableConcept": concept(SNOMED, "1")}  # fmt: skip
    visit = {"resourceType": "Encounter", "id": "e", "status": "in-progress", "subject": PATIENT,
             "class": {"code": "AMB"}, "period": {"start": RECENT}}  # fmt: skip
    await memory.put(EVA, order, visit)
    asked = form(item("m", "open-choice", (LOINC, "10160-0"), repeats=True))

    assert await memory.table(asked, encounter="e") == {"m": ("confirm", "limit", "1")}


async def test_a_coding_outside_of_the_choices_is_no_answer(memory: Record) -> None:
    asked = {**SMOKING, "answerOption": [{"valueCoding": {"system": SNOMED, "code": "77176002"}}]}
    assert await row(memory, form(asked), smoking()) == ("ask", "no source")


VALUE_SET = {
    "resourceType": "ValueSet", "id": "vs", "url": f"{LOCAL}/vs", "status": "active",
    "compose": {"include": [{"system": SNOMED, "concept": [{"code": "266919005"}]}]},
}  # fmt: skip


@pytest.mark.parametrize(
    ("code", "expected"),
    [("266919005", ("known", "C1 holds", "266919005")), ("77176002", ("ask", "no source"))],
)
async def test_a_value_set_says_what_may_be_chosen(
    record: Record, code: str, expected: tuple[str, ...]
) -> None:
    asked = form({**SMOKING, "answerValueSet": f"{LOCAL}/vs"})
    inside = form({**SMOKING, "answerValueSet": "#vs"}, contained=[VALUE_SET])

    assert await row(record, asked, smoking(code), VALUE_SET) == expected
    assert await row(record, inside, smoking(code)) == expected


async def test_choices_that_cannot_be_listed_are_confirmed(memory: Record) -> None:
    asked = form({**SMOKING, "answerValueSet": f"{LOCAL}/none"})
    assert await row(memory, asked, smoking()) == ("confirm", "limit", "266919005")


@pytest.mark.parametrize(
    ("kind", "unit", "expected"),
    [
        ("quantity", None, ("known", "C1 holds", "80 kg")),
        ("quantity", "g", ("known", "C1 holds", "80000 g")),
        ("quantity", "cm", ("ask", "no source")),
        ("decimal", "kg", ("known", "C1 holds", "80")),
        ("decimal", None, ("ask", "no source")),
        ("integer", "[lb_av]", ("ask", "no source")),
        ("boolean", None, ("ask", "no source")),
        ("date", None, ("ask", "no source")),
    ],
)
async def test_a_number_answers_only_in_a_unit_that_is_named(
    memory: Record, kind: str, unit: str | None, expected: tuple[str, ...]
) -> None:
    url = "http://hl7.org/fhir/StructureDefinition/questionnaire-unit"
    named = [{"url": url, "valueCoding": {"code": unit}}] if unit else None
    asked = item("w", kind, (LOINC, "29463-7"), **({"extension": named} if named else {}))
    weight = observation("w", "29463-7", valueQuantity=quantity(80, "kg"))
    assert await row(memory, form(asked), weight) == expected


async def test_a_map_in_a_circle_translates_and_ends(memory: Record) -> None:
    group = {"source": LOCAL, "target": LOINC, "element": [
        {"code": "tobacco", "target": [{"code": "72166-2", "equivalence": "equal"}]}]}  # fmt: skip
    back = {"source": LOINC, "target": LOCAL, "element": [
        {"code": "72166-2", "target": [{"code": "tobacco", "equivalence": "equal"}]}]}  # fmt: skip
    other: dict[str, Any] = {"url": f"{LOCAL}/b"}
    one: dict[str, Any] = {
        "resourceType": "ConceptMap", "id": "a", "url": f"{LOCAL}/a", "status": "active",
        "group": [{**group, "unmapped": {"mode": "other-map", **other}}],
    }  # fmt: skip
    two = {**one, **other, "id": "b",
           "group": [{**back, "unmapped": {"mode": "other-map", "url": f"{LOCAL}/a"}}]}  # fmt: skip
    asked = form(item("s", "choice", (LOCAL, "tobacco")))
    assert await row(memory, asked, smoking(), one, two) == ("known", "C1 holds", "266919005")


async def test_a_wider_code_is_no_translation(memory: Record) -> None:
    target = {"code": "72166-2", "equivalence": "wider"}
    group = {"source": LOCAL, "target": LOINC,
             "element": [{"code": "tobacco", "target": [target]}]}  # fmt: skip
    map_ = {"resourceType": "ConceptMap", "id": "a", "status": "active", "group": [group]}
    asked = form(item("s", "choice", (LOCAL, "tobacco")))
    assert await row(memory, asked, smoking(), map_) == ("ask", "no source")


@pytest.mark.parametrize(
    ("old", "expected"),
    [
        ({"text": "Pets?"}, ("confirm", "C1 not listed", "a cat")),
        ({"text": "Fears?"}, ("ask", "no source")),
        ({"text": "Pets?", "type": "text"}, ("ask", "no source")),
    ],
)
async def test_an_answer_to_another_version_counts_for_the_same_question_only(
    memory: Record, old: dict[str, Any], expected: tuple[str, ...]
) -> None:
    before = form({"linkId": "x", "type": "string", **old}, id="old", version="1")
    now = form({"linkId": "x", "type": "string", "text": "Pets?"}, id="new", version="2")
    said = {**answers("q", RECENT, PATIENT, x={"valueString": "a cat"}),
            "questionnaire": f"{FORM}|1"}  # fmt: skip
    assert await row(memory, now, before, now, said) == expected


async def test_an_answer_to_a_version_that_is_gone_is_asked_again(memory: Record) -> None:
    said = {**answers("q", RECENT, PATIENT, x={"valueString": "a cat"}),
            "questionnaire": f"{FORM}|1"}  # fmt: skip
    assert await row(memory, form(item("x", "string"), version="2"), said) == ("ask", "no source")


async def test_an_answer_of_which_the_fact_was_withdrawn_is_confirmed(memory: Record) -> None:
    said = answers("q", RECENT, PATIENT, s={"valueCoding": {"system": SNOMED, "code": "8517006"}})
    made = smoking("8517006", derivedFrom=[{"reference": "QuestionnaireResponse/q"}])
    asked = form(SMOKING)
    assert await row(memory, asked, asked, said, made) == ("known", "C1 holds", "8517006")

    wrong = {**made, "status": "entered-in-error"}
    assert await row(memory, asked, wrong) == ("confirm", "limit", "8517006")


async def test_a_machines_copy_is_nobodys_word(memory: Record) -> None:
    origin = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/information-origin"
    auto = {"url": origin, "extension": [{"url": "source", "valueCode": "auto"}]}
    said = answers("q", RECENT, PATIENT, x={"valueString": "a cat", "extension": [auto]})
    assert await row(memory, form(item("x", "string")), said) == ("ask", "no source")


async def test_a_machines_copy_that_somebody_confirmed_is_their_word(memory: Record) -> None:
    origin = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/information-origin"
    auto = {"url": origin, "extension": [{"url": "source", "valueCode": "auto"}]}
    known = "https://tellonce.org/fhir/StructureDefinition/known"
    for confirmed, expected in ((True, "confirm"), (False, "ask")):
        tap = {"url": known, "extension": [{"url": "confirmed", "valueBoolean": confirmed}]}
        answer = {"valueString": "a cat", "extension": [auto, tap]}
        said = answers("q", RECENT, PATIENT, x=answer)
        assert (await row(memory, form(item("x", "string")), said))[0] == expected


@pytest.mark.parametrize("status", ["in-progress", "stopped", "entered-in-error"])
async def test_an_unfinished_form_says_nothing(memory: Record, status: str) -> None:
    said = {**answers("q", RECENT, PATIENT, x={"valueString": "a cat"}), "status": status}
    assert (await row(memory, form(item("x", "string")), said))[0] == "ask"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("telecom.value", ("confirm", "limit", "1")),
        ("name.given", ("known", "C1 holds", "Eva Maria")),
        ("address.line", ("known", "C1 holds", "1 Main Street, 2nd floor")),
        ("address", ("known", "C1 holds", "1 Main Street, 2nd floor, Bonn")),
    ],
)
async def test_one_value_is_taken_of_several_and_confirmed_where_none_is_preferred(
    memory: Record, path: str, expected: tuple[str, ...]
) -> None:
    who = {
        **EVA,
        "name": [{"family": "Alt", "use": "maiden"}, {"given": ["Eva", "Maria"]}],
        "telecom": [{"system": "phone", "value": "1"}, {"system": "email", "value": "a@b.test"}],
        "address": [{"line": ["1 Main Street", "2nd floor"], "city": "Bonn"}],
    }
    url = f"http://hl7.org/fhir/StructureDefinition/Patient#Patient.{path}"
    said = provenance("v", "Patient/p/_history/1", RECENT)
    await memory.put(who, said)

    rows = await memory.table(form(item("t", "string", definition=url)))

    assert rows == {"t": expected}


async def test_a_series_that_crowds_others_out_says_so(memory: Record) -> None:
    """A device measured hundreds of times; what is older than the newest was not looked at."""
    series = [
        observation(f"w{n}", "29463-7", f"2025-12-{1 + n // 24:02}T{n % 24:02}:00:00Z",
                    valueQuantity=quantity(80, "kg"))
        for n in range(400)
    ]  # fmt: skip
    asked = form(item("w", "quantity", (LOINC, "29463-7")), SMOKING)
    await memory.put(EVA, smoking(), *series)

    rows = await memory.table(asked)

    assert rows == {
        "w": ("confirm", "limit", "80 kg"),
        "s": ("known", "C1 holds", "266919005"),
    }
