"""What a form does not ask is nobody's answer.  R4 questionnaire.html, ``enableWhen``."""

from typing import Any

import httpx
import pytest

from tests.continuity.extracting import (
    SDC,
    client,
    extracted,
    facts,
    form,
    given,
    house,
    put,
    response,
    stored,
)

__all__ = ["client", "house"]

ASK = {"url": f"{SDC}observationExtract", "valueBoolean": True}
WHEN = f"{SDC}enableWhenExpression"


def asked(link: str, type_: str = "decimal", **more: Any) -> dict[str, Any]:
    """Return an item that becomes an Observation with its linkId as code."""
    extension = [ASK, *more.pop("extension", ())]
    code = [{"system": "http://loinc.org", "code": link}]
    return {"linkId": link, "type": type_, "code": code, "extension": extension, **more}


def when(question: str, operator: str, **answer: Any) -> dict[str, Any]:
    return {"question": question, "operator": operator, **answer}


def answer(link: str, *, item: list[Any] | None = None, **value: Any) -> dict[str, Any]:
    below = {"item": item} if item is not None else {}
    return {"linkId": link, "answer": [{**value, **below}]} if value else {"linkId": link, **below}


async def made(client: httpx.AsyncClient, items: list[Any], answers: list[Any]) -> list[str]:
    """Return the codes of the Observations that are made."""
    await given(client, form(items), response(answers))
    found = facts((await extracted(client))["return"])
    return [one["code"]["coding"][0]["code"] for one in found]


async def test_an_answer_that_is_not_asked_for_makes_nothing_and_is_told(
    client: httpx.AsyncClient,
) -> None:
    items = [
        {"linkId": "pregnant", "type": "boolean"},
        asked("week", enableWhen=[when("pregnant", "=", answerBoolean=True)]),
    ]
    answers = [answer("pregnant", valueBoolean=False), answer("week", valueDecimal=12)]
    await given(client, form(items), response(answers))

    made = await extracted(client)

    assert facts(made["return"]) == []
    assert made["issues"]["issue"] == [
        {
            "severity": "warning",
            "code": "business-rule",
            "diagnostics": "item 'week' is not asked after the other answers; "
            "nothing is made of it",
            "expression": ["QuestionnaireResponse.item[1]"],
        }
    ]


@pytest.mark.parametrize(
    ("condition", "given_answer", "is_asked"),
    [
        (when("q", "exists", answerBoolean=True), {"valueInteger": 1}, True),
        (when("q", "exists", answerBoolean=False), {"valueInteger": 1}, False),
        (when("q", "exists", answerBoolean=False), {}, True),
        (when("q", "=", answerInteger=1), {"valueInteger": 1}, True),
        (when("q", "=", answerInteger=1), {}, False),
        (when("q", "!=", answerInteger=1), {"valueInteger": 2}, True),
        (when("q", "!=", answerInteger=1), {"valueInteger": 1}, False),
        (when("q", "!=", answerInteger=1), {}, True),
        (when("q", ">", answerInteger=1), {"valueInteger": 2}, True),
        (when("q", ">", answerInteger=1), {"valueInteger": 1}, False),
        (when("q", ">=", answerInteger=1), {"valueInteger": 1}, True),
        (when("q", "<", answerDecimal=1.5), {"valueDecimal": 1.4}, True),
        (when("q", "<=", answerDate="2020-01-01"), {"valueDate": "2019-12-31"}, True),
        (when("q", "<=", answerDate="2020-01-01"), {"valueDate": "2020-01-02"}, False),
        (
            when("q", "=", answerCoding={"system": "s:x", "code": "y"}),
            {"valueCoding": {"system": "s:x", "code": "y", "display": "Yes"}},
            True,
        ),
        (
            when("q", ">", answerQuantity={"value": 5, "code": "kg"}),
            {"valueQuantity": {"value": 6, "code": "g"}},
            False,
        ),
    ],
)
async def test_each_operator_is_that_of_r4(
    client: httpx.AsyncClient,
    condition: dict[str, Any],
    given_answer: dict[str, Any],
    is_asked: bool,
) -> None:
    type_ = next((name for name in given_answer), "valueInteger").removeprefix("value").lower()
    type_ = {"coding": "choice"}.get(type_, type_)
    items = [{"linkId": "q", "type": type_}, asked("x", enableWhen=[condition])]

    found = await made(client, items, [answer("q", **given_answer), answer("x", valueDecimal=1)])

    assert found == (["x"] if is_asked else [])


async def test_several_conditions_are_all_or_any(client: httpx.AsyncClient) -> None:
    conditions = [when("q", "=", answerInteger=1), when("q", "=", answerInteger=2)]
    items = [
        {"linkId": "q", "type": "integer"},
        asked("any", enableWhen=conditions, enableBehavior="any"),
        asked("all", enableWhen=conditions, enableBehavior="all"),
    ]
    answers = [answer("q", valueInteger=1), answer("any", valueDecimal=1)]

    assert await made(client, items, [*answers, answer("all", valueDecimal=1)]) == ["any"]


async def test_what_hangs_on_a_question_that_is_not_asked_is_not_asked_either(
    client: httpx.AsyncClient,
) -> None:
    items = [
        {"linkId": "a", "type": "boolean"},
        asked("b", "boolean", enableWhen=[when("a", "=", answerBoolean=True)]),
        asked("c", enableWhen=[when("b", "=", answerBoolean=True)]),
        asked("d", enableWhen=[when("b", "exists", answerBoolean=False)]),
    ]
    answers = [
        answer("a", valueBoolean=False),
        answer("b", valueBoolean=True),
        answer("c", valueDecimal=1),
        answer("d", valueDecimal=1),
    ]

    assert await made(client, items, answers) == ["d"]


async def test_in_a_repeating_group_the_answer_beside_it_counts(client: httpx.AsyncClient) -> None:
    inner = [
        {"linkId": "q", "type": "boolean"},
        asked("x", enableWhen=[when("q", "=", answerBoolean=True)]),
    ]
    items = [{"linkId": "g", "type": "group", "repeats": True, "item": inner}]
    groups = [
        answer("g", item=[answer("q", valueBoolean=yes), answer("x", valueDecimal=number)])
        for yes, number in ((False, 1), (True, 2))
    ]
    await given(client, form(items), response(groups))

    (fact,) = facts((await extracted(client))["return"])

    assert fact["valueQuantity"] == {"value": 2}


async def test_an_expression_decides_too_and_one_that_fails_asks_nothing(
    client: httpx.AsyncClient,
) -> None:
    def said(text: str) -> dict[str, Any]:
        expression = {"language": "text/fhirpath", "expression": text}
        return {"url": WHEN, "valueExpression": expression}

    yes = "%resource.item.where(linkId = 'q').answer.value = 1"
    items = [
        {"linkId": "q", "type": "integer"},
        asked("yes", extension=[said(yes)]),
        asked("no", extension=[said("%resource.item.where(linkId = 'q').answer.value = 2")]),
        asked("fails", extension=[said("%unheard.of")]),
    ]
    links = ("yes", "no", "fails")
    answers = [answer("q", valueInteger=1), *(answer(one, valueDecimal=1) for one in links)]

    assert await made(client, items, answers) == ["yes"]


async def test_a_form_that_asks_in_a_circle_ends(client: httpx.AsyncClient) -> None:
    items = [
        asked("a", enableWhen=[when("b", "exists", answerBoolean=True)]),
        asked("b", enableWhen=[when("a", "exists", answerBoolean=True)]),
    ]

    found = await made(client, items, [answer("a", valueDecimal=1), answer("b", valueDecimal=1)])

    assert found == ["a", "b"]


async def test_a_chain_that_is_too_long_is_refused(client: httpx.AsyncClient) -> None:
    items = [
        asked(f"q{n}", enableWhen=[when(f"q{n + 1}", "exists", answerBoolean=True)])
        for n in range(200)
    ]
    answers = [answer(f"q{n}", valueDecimal=1) for n in range(200)]
    await given(client, form(items), response(answers))

    refused = await client.post(
        "/QuestionnaireResponse/r/$extract", json={"resourceType": "Parameters"}
    )

    assert refused.json()["issue"][0]["diagnostics"] == (
        "more than 50 questions depend on each other"
    )


async def test_a_template_does_not_see_what_is_not_asked(client: httpx.AsyncClient) -> None:
    template = {
        "resourceType": "Observation",
        "id": "t",
        "status": "final",
        "code": {"text": "x"},
        "_valueString": {
            "extension": [
                {
                    "url": f"{SDC}templateExtractValue",
                    "valueString": "item.where(linkId = 'x').answer.value",
                }
            ]
        },
    }
    named = {"url": "template", "valueReference": {"reference": "#t"}}
    extract = {"url": f"{SDC}templateExtract", "extension": [named]}
    inner = [
        {"linkId": "q", "type": "boolean"},
        {"linkId": "x", "type": "string", "enableWhen": [when("q", "=", answerBoolean=True)]},
    ]
    items = [{"linkId": "g", "type": "group", "extension": [extract], "item": inner}]
    group = answer("g", item=[answer("q", valueBoolean=False), answer("x", valueString="old")])
    await given(client, form(items, contained=[template]), response([group]))

    (fact,) = facts((await extracted(client))["return"])

    assert "valueString" not in fact


async def test_what_is_not_asked_any_more_was_an_error(client: httpx.AsyncClient) -> None:
    items = [
        {"linkId": "q", "type": "boolean"},
        asked("x", enableWhen=[when("q", "=", answerBoolean=True)]),
    ]
    first = [answer("q", valueBoolean=True), answer("x", valueDecimal=1)]
    await given(client, form(items), response(first))
    await extracted(client, commit=True)

    amended = [answer("q", valueBoolean=False), answer("x", valueDecimal=1)]
    await put(client, response(amended, status="amended"))
    await extracted(client, commit=True)

    assert [one["status"] for one in await stored(client, "Observation")] == ["entered-in-error"]
