"""Forms that nobody would write on purpose: none ends the server, each gets a valid response."""

import random
from typing import Any

import httpx
import pytest

from tests.continuity.populating import (
    SDC,
    UCUM,
    WEIGHT,
    client,
    expression,
    form,
    house,
    issues,
    item,
    kilograms,
    populate,
    put,
    response,
    rows,
)

__all__ = ["client", "house"]

CORE = "http://hl7.org/fhir/StructureDefinition/"
URLS = [
    *(
        f"{SDC}{name}"
        for name in (
            "launchContext",
            "initialExpression",
            "itemPopulationContext",
            "sourceQueries",
            "calculatedExpression",
            "observationLinkPeriod",
        )
    ),
    f"{CORE}variable",
    f"{CORE}questionnaire-unit",
    f"{CORE}questionnaire-unitOption",
]
EVERYTHING = "%patient.children() | %qitem.descendants() | 1 | 'a' | @2020 | 5 'kg' | true | @T10"
VALUES: list[dict[str, Any]] = [
    {"valueString": "x"},
    {"valueBoolean": True},
    {"valueCoding": {"display": "d"}},
    {"valueReference": {"display": "x"}},
    {"valueReference": {"reference": "#x"}},
    {"valueDuration": {"value": 1, "code": "a", "system": UCUM}},
    {"valueDuration": {"code": "m", "system": UCUM, "value": 1}},
    {"valueDuration": {"unit": "years"}},
    {"valueExpression": {"language": "text/fhirpath"}},
    {"valueExpression": expression(EVERYTHING)},
    {"valueExpression": expression("%patient.telecom", name="v")},
    {"valueExpression": expression("%resource.descendants()", name="patient")},
    {"valueExpression": expression("%v", name="v")},
    {"valueExpression": expression("x", "text/cql")},
    {"valueExpression": expression("{{%v}}", "application/x-fhir-query")},
    {"valueExpression": expression("Observation?x=1", "application/x-fhir-query", "v")},
    {"valueExpression": expression("Observation?_id=w", "application/x-fhir-query", "v")},
]
TYPES = (
    *("group", "display", "boolean", "decimal", "integer", "date", "dateTime", "time", "string"),
    *("text", "url", "choice", "open-choice", "attachment", "reference", "quantity"),
)


def hostile(chance: random.Random) -> dict[str, Any]:
    """Return a form that is valid R4, and makes no sense."""
    number = iter(range(10_000))

    def extensions() -> list[dict[str, Any]]:
        count = chance.randint(1, 3)
        return [{"url": chance.choice(URLS), **chance.choice(VALUES)} for _ in range(count)]

    def one(depth: int) -> dict[str, Any]:
        type_ = chance.choice(TYPES)
        made = item(f"i{next(number)}", type_, *extensions())
        if type_ not in ("group", "display") and chance.random() < 0.4:
            made["code"] = [chance.choice([WEIGHT, {"display": "x"}, {"code": "x"}])]
        if type_ != "display" and chance.random() < 0.4:
            made["repeats"] = True
        if type_ in ("choice", "open-choice"):
            made["answerValueSet"] = chance.choice(["#none", "http://none", "#x"])
        if type_ != "display" and depth < 3 and chance.random() < 0.5:
            made["item"] = [one(depth + 1) for _ in range(chance.randint(1, 3))]
        return made

    return form(*(one(0) for _ in range(chance.randint(1, 4))), extension=extensions())


@pytest.mark.parametrize("seed", range(20))
async def test_every_response_is_valid(client: httpx.AsyncClient, seed: int) -> None:
    await put(client, kilograms(70))
    made = await populate(client, hostile(random.Random(seed)))
    checked = await client.post("/QuestionnaireResponse/$validate", json=response(made))
    assert [i for i in checked.json()["issue"] if i["severity"] == "error"] == []


async def test_a_form_of_costly_expressions_is_given_up_in_time(client: httpx.AsyncClient) -> None:
    url = f"{SDC}initialExpression"
    text = "('a' | 'b' | 'c').repeat($this & 'x')"
    costly = [
        item(f"c{n}", "string", {"url": url, "valueExpression": expression(text)})
        for n in range(200)
    ]
    made = await populate(client, form(*costly, item("last", "string")))
    assert {row[0] for _, row in rows(made)} == {"ask"}
    assert "more than 20,000 steps" in issues(made)[0][0] or "long" in issues(made)[0][0]


async def test_a_context_with_too_many_repetitions_shows_none(client: httpx.AsyncClient) -> None:
    url = f"{SDC}itemPopulationContext"
    text = "(1 | 2 | 3).repeat(iif($this < 200, $this + 3))"
    group = item("g", "group", {"url": url, "valueExpression": expression(text, name="n")})
    made = await populate(client, form({**group, "repeats": True, "item": [item("x", "string")]}))
    assert [i["linkId"] for i in response(made)["item"]] == ["g"]
    assert issues(made) == [
        (
            "item g: more than 100 repetitions; none is shown",
            ["item.where(linkId='g')"],
        )
    ]
