"""What an old form did not ask is nobody's answer.  R4 questionnaire.html, ``enableWhen``."""

from typing import Any

import pytest

from tests.continuity.known.hostile import VISIT, Resource, patient
from tests.continuity.known.house import Record
from tests.continuity.known.record import FORM, LOINC, PATIENT, RECENT, SNOMED, item

SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-"
OLD = "https://hospital.test/Questionnaire/old"
CANCER = (SNOMED, "254837009")
SMOKES = (LOINC, "72166-2")
NOW = item("x", "boolean", CANCER)


def when(question: str, operator: str = "=", **answer: Any) -> dict[str, Any]:
    return {"enableWhen": [{"question": question, "operator": operator, **answer}]}


def asked(url: str, *items: Resource, **more: Any) -> Resource:
    return {"resourceType": "Questionnaire", "id": "old", "url": url, "status": "active",
            "item": list(items), **more}  # fmt: skip


def said(link: str, *items: Resource, **value: Any) -> Resource:
    answer = [{**value, **({"item": list(items)} if items else {})}]
    return {"linkId": link, "answer": answer} if value else {"linkId": link, "item": list(items)}


def given(*items: Resource, url: str = OLD, **more: Any) -> Resource:
    return {"resourceType": "QuestionnaireResponse", "id": "r", "status": "completed",
            "questionnaire": url, "subject": PATIENT, "authored": RECENT, "author": PATIENT,
            "source": PATIENT, "item": list(items), **more}  # fmt: skip


async def state(record: Record, *resources: Resource) -> tuple[str, ...]:
    await record.put(VISIT, *patient(), *resources)
    return (await record.table(asked(FORM, NOW), encounter="e"))["x"]


GATE = item("gate", "boolean")
YES, NO = said("gate", valueBoolean=True), said("gate", valueBoolean=False)
LEFT_OVER = said("c", valueBoolean=True)


def conditional(**conditions: Any) -> Resource:
    return item("c", "boolean", CANCER, **conditions)


def by_expression(text: str, language: str = "text/fhirpath") -> Resource:
    expression = {"language": language, "expression": text}
    return conditional(
        extension=[{"url": f"{SDC}enableWhenExpression", "valueExpression": expression}]
    )


WHEN_YES = when("gate", answerBoolean=True)


async def test_what_was_asked_is_known(memory: Record) -> None:
    form = asked(OLD, GATE, conditional(**WHEN_YES))
    assert await state(memory, form, given(YES, LEFT_OVER)) == ("known", "C1 holds", "True")


async def test_what_was_not_asked_is_not_there(memory: Record) -> None:
    form = asked(OLD, GATE, conditional(**WHEN_YES))
    assert await state(memory, form, given(NO, LEFT_OVER)) == ("ask", "no source")


async def test_nor_is_it_in_the_form_that_is_asked_again(memory: Record) -> None:
    form = asked(FORM, GATE, conditional(**WHEN_YES))
    await memory.put(*patient(), form, given(NO, LEFT_OVER, url=FORM))
    assert (await memory.table(form))["c"] == ("ask", "no source")


async def test_a_form_that_is_sent_along_cannot_enable_what_the_stored_one_disables(
    memory: Record,
) -> None:
    await memory.put(*patient(), asked(FORM, GATE, conditional(**WHEN_YES)),
                     given(NO, LEFT_OVER, url=FORM))  # fmt: skip
    assert (await memory.table(asked(FORM, GATE, conditional())))["c"] == ("ask", "no source")


async def test_what_is_below_a_group_that_was_not_asked_is_not_there(memory: Record) -> None:
    group = item("g", "group", item=[item("c", "boolean", CANCER)], **WHEN_YES)
    answers = given(NO, said("g", LEFT_OVER))
    assert await state(memory, asked(OLD, GATE, group), answers) == ("ask", "no source")


async def test_what_left_over_answers_enable_is_not_there(memory: Record) -> None:
    form = asked(OLD, GATE, item("b", "boolean", **WHEN_YES),
                 conditional(**when("b", answerBoolean=True)))  # fmt: skip
    answers = given(NO, said("b", valueBoolean=True), LEFT_OVER)
    assert await state(memory, form, answers) == ("ask", "no source")


async def test_what_hangs_on_an_expression_is_judged_by_it(memory: Record) -> None:
    text = "%resource.item.where(linkId = 'gate').answer.value"
    form = asked(OLD, GATE, by_expression(text))
    assert await state(memory, form, given(NO, LEFT_OVER)) == ("ask", "no source")


async def test_what_an_expression_enables_is_known(memory: Record) -> None:
    text = "%resource.item.where(linkId = 'gate').answer.value"
    form = asked(OLD, GATE, by_expression(text))
    assert (await state(memory, form, given(YES, LEFT_OVER)))[0] == "known"


QUANTITY = item("gate", "quantity")
HEAVY = said("gate", valueQuantity={"value": 70000, "code": "g"})

UNJUDGED: dict[str, tuple[Resource, Resource]] = {
    "a language that is not understood": (asked(OLD, GATE, by_expression("x", "text/cql")),
                                          given(YES, LEFT_OVER)),
    "an expression about the patient": (asked(OLD, GATE, by_expression("%patient.active")),
                                        given(YES, LEFT_OVER)),
    "an expression that is none": (asked(OLD, GATE, by_expression("((")), given(YES, LEFT_OVER)),
    "an expression that is no truth": (asked(OLD, GATE, by_expression("'yes'")),
                                       given(YES, LEFT_OVER)),
    "a question that the form does not have": (
        asked(OLD, GATE, conditional(**when("gone", "exists", answerBoolean=False))),
        given(YES, LEFT_OVER)),
    "an operator that is none": (asked(OLD, GATE, conditional(**when("gate", "~",
                                 answerBoolean=True))), given(YES, LEFT_OVER)),
    "a condition without an answer": (asked(OLD, GATE, conditional(**when("gate", "!="))),
                                      given(YES, LEFT_OVER)),
    "another unit": (asked(OLD, QUANTITY, conditional(**when("gate", "!=", answerQuantity={
        "value": 70, "code": "kg"}))), given(HEAVY, LEFT_OVER)),
    "another type": (asked(OLD, item("gate", "open-choice"), conditional(**when(
        "gate", "!=", answerCoding={"system": "s:x", "code": "no"}))),
        given(said("gate", valueString="No"), LEFT_OVER)),
    "a code without a system": (asked(OLD, item("gate", "choice"), conditional(**when(
        "gate", "!=", answerCoding={"system": "s:x", "code": "no"}))),
        given(said("gate", valueCoding={"code": "no"}), LEFT_OVER)),
    "an answer that is not where the form has it": (
        asked(OLD, GATE, item("g", "group", item=[item("c", "boolean", CANCER)], **WHEN_YES)),
        given(NO, LEFT_OVER)),
    "questions that hang on each other": (asked(OLD, item(
        "b", "boolean", **when("c", answerBoolean=True)), conditional(
        **when("b", answerBoolean=True))), given(said("b", valueBoolean=True), LEFT_OVER)),
}  # fmt: skip


@pytest.mark.parametrize("case", UNJUDGED)
async def test_what_cannot_be_judged_is_read_out(memory: Record, case: str) -> None:
    form, answers = UNJUDGED[case]
    assert (await state(memory, form, answers))[0] == "confirm"


async def test_an_answer_of_a_form_that_is_not_there_is_asked_again(memory: Record) -> None:
    assert await state(memory, given(YES, LEFT_OVER)) == ("ask", "no source")


WORDS = "Have you had breast cancer?"
BEFORE, AFTER = 1_760_000_000_000_000, 1_767_300_000_000_000  # the answers are between them


async def edited(record: Record, at: int, then: Resource, now: Resource) -> tuple[str, ...]:
    """Return what is known after a form was edited under the same version."""
    record.clock.at = at
    await record.put(then)
    record.clock.at = AFTER
    await record.put(now)
    record.clock.at = 1_767_323_045_678_000
    return await state(record, given(NO, {**LEFT_OVER, "text": WORDS}))


@pytest.mark.parametrize(
    ("at", "before", "after", "expected"),
    [
        (BEFORE, WHEN_YES, {}, "ask"),  # it was not asked
        (BEFORE, {}, WHEN_YES, "known"),  # it was asked
        (BEFORE, {"code": [{"system": SNOMED, "code": "1"}]}, {}, "confirm"),
        (AFTER - 1, {}, {}, "confirm"),  # nobody knows what was asked then
    ],
    ids=["was conditional", "became conditional", "had another code", "as it was is not there"],
)
async def test_a_form_counts_as_it_was_when_it_was_answered(
    memory: Record, at: int, before: Resource, after: Resource, expected: str
) -> None:
    then = asked(OLD, GATE, conditional(**before, text=WORDS))
    now = asked(OLD, GATE, conditional(**after, text=WORDS))
    assert (await edited(memory, at, then, now))[0] == expected
