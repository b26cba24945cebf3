"""Observations, answers and forms that were once taken for what they are not."""

from typing import Any

import pytest

from tests.continuity.known.hostile import HERE, Resource, known, patient
from tests.continuity.known.house import Record
from tests.continuity.known.record import (
    FORM,
    LOINC,
    PATIENT,
    R4,
    RECENT,
    SNOMED,
    UCUM,
    allergy,
    answers,
    concept,
    condition,
    item,
    observation,
    quantity,
)

OTHER = "https://hospital.test/Questionnaire/other"
UNIT = f"{R4}questionnaire-unit"
WEIGHT = item("x", "quantity", (LOINC, "29463-7"))
CALCIUM = item("x", "quantity", (LOINC, "17861-6"))
SMOKES = item("x", "boolean", (LOINC, "72166-2"))
SMOKING = item("x", "choice", (LOINC, "72166-2"))
CANCER = item("x", "boolean", (SNOMED, "254837009"))
FAMILY = (LOINC, "10157-6")


def unit(asked: Resource, code: str, **more: Any) -> Resource:
    coding = {"system": UCUM, "code": code, **more}
    return {**asked, "extension": [{"url": UNIT, "valueCoding": coding}]}


def weighs(value: Any, **more: Any) -> Resource:
    return observation("o", "29463-7", RECENT, valueQuantity=value, **more)


def form(url: str, *items: Resource, **more: Any) -> Resource:
    return {"resourceType": "Questionnaire", "id": "other", "url": url, "status": "active",
            "item": list(items), **more}  # fmt: skip


def answered(url: str | None, said: str = RECENT, *, within: str = "", **given: Any) -> Resource:
    made = answers("q", said, PATIENT, **given)
    if within:
        made["item"] = [{"linkId": within, "item": made["item"]}]
    return {k: v for k, v in {**made, "questionnaire": url}.items() if v is not None}


def smokes(**more: Any) -> Resource:
    value = {"valueCodeableConcept": concept(SNOMED, "77176002")}
    return {**observation("o", "72166-2", RECENT, **value), **more}


KG, LB = unit(item("x", "decimal", (LOINC, "29463-7")), "kg"), "[lb_av]"

WRONG: dict[str, tuple[Resource, list[Resource]]] = {
    # units
    "pounds without a code": (unit(WEIGHT, "kg"), [weighs({"value": 154, "unit": "lb"})]),
    "a sender's kg": (unit(WEIGHT, "kg"), [
        weighs({"value": 154, "unit": "x", "code": "kg", "system": "urn:sender"})]),
    "a unit in words only": ({**WEIGHT, "extension": [{"url": UNIT, "valueCoding": {
        "display": "kg"}}]}, [weighs({"value": 154, "unit": "lb"})]),
    "equivalents are no moles": (unit(CALCIUM, "mmol/L"), [
        observation("o", "17861-6", RECENT, valueQuantity=quantity(5, "meq/L"))]),
    "grams are no moles": (unit(CALCIUM, "mmol/L"), [
        observation("o", "17861-6", RECENT, valueQuantity=quantity(9, "mg/dL"))]),
    "less than": (KG, [weighs({**quantity(5, "kg"), "comparator": "<"})]),
    "a bare number": (KG, [observation("o", "29463-7", RECENT, valueInteger=154)]),
    "a number of a form that is not there": (KG, [answered(FORM + "|1", x={"valueDecimal": 154})]),
    "a number of another form without a unit": (
        item("x", "decimal", (LOINC, "29463-7")),
        [form(OTHER, item("w", "decimal", (LOINC, "29463-7"), text="Weight in pounds")),
         answered(OTHER, w={"valueDecimal": 154})]),
    "a range": (WEIGHT, [observation("o", "29463-7", RECENT, valueRange={
        "low": quantity(50, "kg"), "high": quantity(60, "kg")})]),
    # observations
    "one side": (WEIGHT, [weighs(quantity(70, "kg"), bodySite=concept(SNOMED, "8966001"))]),
    "equivalents beside moles": (item("x", "quantity", (LOINC, "29463-7")), [
        weighs(quantity(5, "meq/L")),
        observation("p", "29463-7", RECENT, valueQuantity=quantity(5, "mmol/L"))]),
    "estimated": (WEIGHT, [weighs(quantity(70, "kg"), method=concept(SNOMED, "414135002"))]),
    "when it was made available": (SMOKING, [
        {**{k: v for k, v in smokes().items() if k != "effectiveDateTime"}, "issued": RECENT}]),
    "of a specimen only": (SMOKING, [smokes(subject={"reference": "Group/g"})]),
    "of the same id elsewhere": (SMOKING, [
        smokes(subject={"reference": "https://elsewhere.test/fhir/Patient/p"})]),
    "of a urn": (SMOKING, [smokes(subject={"reference": "urn:uuid:p"})]),
    "of a number": (SMOKING, [smokes(subject={"identifier": {"value": "p"}})]),
    "of a contained one": (SMOKING, [smokes(subject={"reference": "#p"}, contained=[
        {"resourceType": "Patient", "id": "p"}])]),
    "a note is no value": ({**SMOKING, "type": "string", "definition":
        f"{R4}Observation#Observation.note.text"}, [smokes()]),
    "registered": (SMOKING, [smokes(status="registered")]),
    "of tomorrow": (SMOKING, [smokes(effectiveDateTime="2026-01-03")]),
    # of whom
    "the mother's cancer": (CANCER, [
        form(OTHER, {**item("g", "group", FAMILY), "item": [{**CANCER, "linkId": "y"}]}),
        answered(OTHER, within="g", y={"valueBoolean": True})]),
    "whether the mother had one": (
        {**item("g", "group", FAMILY), "item": [CANCER]}, [condition("c", "254837009")]),
    # forms
    "another form's question one": (CANCER, [answered(OTHER, x={"valueBoolean": True})]),
    "stopped": (SMOKES, [{**answered(FORM, x={"valueBoolean": True}), "status": "stopped"}]),
    "of another patient": (SMOKES, [{**answered(FORM, x={"valueBoolean": True}),
                                     "subject": {"reference": "Patient/q"}}]),
    "who is not said": (SMOKES, [
        {k: v for k, v in answered(FORM, x={"valueBoolean": True}).items() if k != "subject"}]),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
async def test_what_may_be_otherwise_is_not_known(memory: Record, name: str) -> None:
    asked, given = WRONG[name]
    found = await known(memory, asked, {"resourceType": "Patient", "id": "q"}, *patient(), *given)
    assert found[0] != "known", found


@pytest.mark.parametrize(
    ("asked", "given", "answer"),
    [
        (KG, weighs(quantity(154, LB)), "69.853"),
        (unit(WEIGHT, "kg"), weighs({"value": 70, "unit": "kg"}), "70 "),
        (KG, answered(FORM, x={"valueDecimal": 70}), "70"),
        (SMOKING, smokes(subject={"reference": "Patient/p/_history/1"}), "77176002"),
        (SMOKING, smokes(subject={"reference": "http://fhir.test/fhir/Patient/p"}), "77176002"),
    ],
)
async def test_what_is_meant_is_known(
    memory: Record, asked: Resource, given: Resource, answer: str
) -> None:
    assert await known(memory, asked, given) == ("known", "C1 holds", answer)


async def test_grams_of_another_form_are_converted(memory: Record) -> None:
    other = form(OTHER, unit({**KG, "linkId": "w"}, "g"))
    given = answered(OTHER, w={"valueDecimal": 70_000})
    assert await known(memory, KG, other, given) == ("known", "C1 holds", "70")


@pytest.mark.parametrize("unit_", ["meq/L", "mg/dL"])
async def test_what_cannot_be_converted_is_not_offered(memory: Record, unit_: str) -> None:
    given = observation("o", "17861-6", RECENT, valueQuantity=quantity(5, unit_))
    assert (await known(memory, unit(CALCIUM, "mmol/L"), given))[0] == "ask"


@pytest.mark.parametrize(
    ("words", "expected"), [("Do you smoke?", "ask"), (CANCER["linkId"], "ask"), (None, "confirm")]
)
async def test_a_form_that_was_changed_asks_something_else(
    memory: Record, words: str | None, expected: str
) -> None:
    """Without a version nobody can tell which of its questions was answered."""
    after = form(FORM, {**CANCER, "text": "Have you had breast cancer?"})
    after["meta"] = {"versionId": "2", "lastUpdated": "2025-12-31T00:00:00Z"}
    said = {
        "linkId": "x",
        "answer": [{"valueBoolean": False}],
        **({"text": words} if words else {}),
    }
    await memory.put(*patient(), {**answered(FORM), "item": [said]})
    ((found),) = await memory.ask(after)
    assert found.state == expected


async def test_a_form_without_a_name_is_no_other_form_without_a_name(memory: Record) -> None:
    asked = {k: v for k, v in form(FORM, CANCER).items() if k not in ("url", "id")}
    await memory.put(*patient(), answered(None, x={"valueBoolean": True}))
    ((found),) = await memory.ask(asked)
    assert found.state == "ask"


@pytest.mark.parametrize(
    "visit",
    [
        {"status": "finished"},
        {"status": "cancelled"},
        {"period": {"start": "2026-01-02T01:00:00Z", "end": "2026-01-02T02:30:00Z"}},
        {"period": {"start": "2025-01-02T01:00:00Z"}},
    ],
)
async def test_what_was_said_in_a_visit_that_is_over_is_read_out(
    memory: Record, visit: dict[str, Any]
) -> None:
    here = {"encounter": {"reference": "Encounter/v"}}
    said = HERE if "period" not in visit or "end" in visit["period"] else "2025-01-02T02:00:00Z"
    await memory.put(
        {"resourceType": "Encounter", "id": "v", "status": "in-progress", "subject": PATIENT,
         "class": {"code": "AMB"}, "period": {"start": "2026-01-02T01:00:00Z"}, **visit},
        *patient(), allergy("a", "91936005", recordedDate=said, **here),
    )  # fmt: skip
    asked = form(FORM, item("x", "boolean", (SNOMED, "91936005")))
    assert (await memory.table(asked, encounter="v"))["x"][0] == "confirm"


@pytest.mark.parametrize(
    ("one", "other"),
    [("+49 228 / 12 34 56", "+49228123456"), ("+49-228-123456", "(+49) 228 123456")],
)
async def test_a_number_is_the_same_however_it_is_written(
    memory: Record, one: str, other: str
) -> None:
    asked = item("x", "string", (LOINC, "42077-8"))
    given = patient(telecom=[{"system": "phone", "value": one}])
    assert (await known(memory, asked, *given, answered(FORM, x={"valueString": other})))[0] == (
        "known"
    )


async def test_a_thousand_concept_maps_are_not_the_end_of_a_form(memory: Record) -> None:
    maps = [
        {"resourceType": "ConceptMap", "id": f"m{n}", "url": f"urn:m{n}", "status": "active"}
        for n in range(501)
    ]
    await memory.put(*maps)
    worry = item("y", "string", text="What worries you?")
    assert await known(memory, [SMOKING, worry], smokes()) == ("confirm", "limit", "77176002")


async def test_of_a_long_series_the_latest_is_shown_whenever_it_was_stored(memory: Record) -> None:
    """History is loaded after the present; of so many it is confirmed."""
    today = observation("now", "29463-7", HERE, valueQuantity=quantity(72, "kg"))
    series = [
        observation(f"o{n}", "29463-7", f"20{10 + n % 9}-05-05", valueQuantity=quantity(60, "kg"))
        for n in range(320)
    ]
    await memory.put(*patient(), today)
    await memory.put(*series)
    assert (await memory.table(form(FORM, WEIGHT)))["x"] == ("confirm", "limit", "72 kg")


async def test_a_series_does_not_crowd_out_another_code(memory: Record) -> None:
    series = [
        observation(f"o{n}", "8302-2", f"20{10 + n % 9}-05-05", valueQuantity=quantity(170, "cm"))
        for n in range(320)
    ]
    height = item("y", "quantity", (LOINC, "8302-2"))
    await memory.put(*patient(), *series)
    await memory.put(observation("w", "29463-7", HERE, valueQuantity=quantity(72, "kg")))
    assert (await memory.table(form(FORM, WEIGHT, height)))["x"] == ("known", "C1 holds", "72 kg")
