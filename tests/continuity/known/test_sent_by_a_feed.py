"""What came by a message and nobody signed: whose it is, and what it is good for (C6)."""

from typing import Any

import pytest

from server.continuity.known import Known
from tests.continuity.known.house import Record
from tests.continuity.known.record import (
    DOCTOR,
    FORM,
    LOINC,
    PATIENT,
    R4,
    RECENT,
    SNOMED,
    allergy,
    answers,
    concept,
    item,
    observation,
)

Resource = dict[str, Any]
WEIGHT = {"system": "http://unitsofmeasure.org", "code": "kg", "unit": "kg", "value": 70}


def sent(id_: str, *targets: str) -> Resource:
    who = {"identifier": {"system": "urn:tellonce:feed", "value": "adt"}, "display": "feed adt"}
    return {
        "resourceType": "Provenance", "id": id_, "recorded": RECENT,
        "target": [{"reference": f"{one}/_history/1"} for one in targets],
        "agent": [{"who": who, "onBehalfOf": {"display": "ADT1^1.2.3^ISO Ward"}}],
    }  # fmt: skip


async def known(record: Record, asked: Resource, *given: Resource) -> Known:
    form = {"resourceType": "Questionnaire", "id": "f", "url": FORM, "status": "active"}
    await record.put(*given)
    (found,) = await record.ask({**form, "item": [asked]})
    return found


def unsigned(resource: Resource) -> Resource:
    return {k: v for k, v in resource.items() if k not in ("performer", "asserter")}


WEIGHED = unsigned(observation("w", "29463-7", RECENT, valueQuantity=WEIGHT))
HEAVY = item("x", "quantity", (LOINC, "29463-7"))
P: Resource = {"resourceType": "Patient", "id": "p"}


async def test_what_a_message_brought_and_nobody_signed_is_its_senders(record: Record) -> None:
    found = await known(record, HEAVY, P, WEIGHED, sent("s", "Observation/w"))
    (one,) = found.candidates
    assert (found.state, found.rule) == ("confirm", "C6 nobody named")
    assert found.reason == "A message brought this, and names nobody who said it."
    assert (one.author.kind, one.author.display) == ("feed", "ADT1 Ward")


async def test_whoever_is_named_in_it_stays_its_author(record: Record) -> None:
    signed = {**WEIGHED, "performer": [DOCTOR]}
    found = await known(record, HEAVY, P, signed, sent("s", "Observation/w"))
    assert (found.state, found.candidates[0].author.kind) == ("known", "clinician")


async def test_an_element_that_a_message_brought_is_its_senders(record: Record) -> None:
    asked = item("x", "date", definition=f"{R4}Patient#Patient.birthDate")
    born = {**P, "birthDate": "1980-02-03"}
    found = await known(record, asked, born, sent("s", "Patient/p"))
    (one,) = found.candidates
    assert (found.state, found.rule) == ("confirm", "C2 undated")
    assert (one.author.kind, one.author.display, one.said_at) == ("feed", "ADT1 Ward", None)


async def test_no_known_allergy_of_a_message_is_nobodys_none(record: Record) -> None:
    none = unsigned(allergy("none", "716186003"))
    asked = item("x", "open-choice", (LOINC, "48765-2"), repeats=True)
    found = await known(record, asked, P, none, sent("s", "AllergyIntolerance/none"))
    assert (found.state, found.rule) == ("ask", "C3 none without author or date")


@pytest.mark.parametrize("smokes", ["77176002"])
async def test_a_person_stands_before_a_feed(memory: Record, smokes: str) -> None:
    value = {"valueCodeableConcept": concept(SNOMED, "266919005")}
    fed = unsigned(observation("o", "72166-2", RECENT, **value))
    codes = (smokes, "266919005")
    asked = item("x", "choice", (LOINC, "72166-2"), answerOption=[
        {"valueCoding": {"system": SNOMED, "code": one}} for one in codes])  # fmt: skip
    said = answers("q", RECENT, PATIENT, x={"valueCoding": {"system": SNOMED, "code": smokes}})
    found = await known(memory, asked, P, fed, said, sent("s", "Observation/o"))
    assert found.state == "conflict"
    assert [one.author.kind for one in found.candidates] == ["patient", "feed"]
