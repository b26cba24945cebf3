"""``$known-answers`` over HTTP."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.interactions.services import Policy
from server.rest import Limits
from tests.rest.house import STORES, Clock, House, patient, told

FORM = {
    "resourceType": "Questionnaire", "id": "f", "url": "http://forms/f", "version": "1",
    "status": "active",
    "item": [
        {"linkId": "g", "type": "group", "item": [
            {"linkId": "weight", "type": "quantity", "text": "Weight",
             "code": [{"system": "http://loinc.org", "code": "29463-7"}]},
            {"linkId": "note", "type": "string"},
        ]},
    ],
}  # fmt: skip
WEIGHT = {
    "resourceType": "Observation", "id": "w", "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
    "subject": {"reference": "Patient/a"}, "effectiveDateTime": "2025-12-30T08:00:00Z",
    "performer": [{"reference": "Practitioner/p", "display": "Dr. Weiss"}],
    "valueQuantity": {"value": 72.5, "unit": "kg", "system": "http://unitsofmeasure.org",
                      "code": "kg"},
}  # fmt: skip
KNOWN_WEIGHT = [
    {"name": "linkId", "valueString": "weight"},
    {"name": "text", "valueString": "Weight"},
    {"name": "state", "valueCode": "known"},
    {"name": "rule", "valueString": "C1 holds"},
    {"name": "reason",
     "valueString": "Doses are computed from it, and illness changes it within weeks."},
    {"name": "answer", "part": [
        {"name": "value", "valueQuantity": WEIGHT["valueQuantity"]},
        {"name": "source", "valueReference": {"reference": "Observation/w/_history/1"}},
        {"name": "saidAt", "valueDateTime": "2025-12-30T08:00:00.000Z"},
        {"name": "age", "valueString": "2 days ago"},
        {"name": "author",
         "valueReference": {"reference": "Practitioner/p", "display": "Dr. Weiss"}},
        {"name": "authorKind", "valueCode": "clinician"},
    ]},
]  # fmt: skip
ASKED = [
    {"name": "linkId", "valueString": "note"},
    {"name": "state", "valueCode": "ask"},
    {"name": "rule", "valueString": "no source"},
    {"name": "reason", "valueString": "The record has no answer that you can see."},
]


@pytest.fixture(params=STORES)
async def client(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[httpx.AsyncClient]:
    clock = Clock()
    store = STORES[request.param](tmp_path, clock)
    house = House(store, clock, Policy(), Limits())
    async with house.client() as made:
        for one in (patient("a"), FORM, WEIGHT, {"resourceType": "Practitioner", "id": "p"}):
            answer = await made.put(f"/{one['resourceType']}/{one['id']}", json=one)
            assert answer.status_code == 201, answer.text
        yield made
    await house.app.stop(grace_s=5)
    await store.close()


def items(answer: httpx.Response) -> list[Any]:
    assert answer.status_code == 200, answer.text
    return [one["part"] for one in answer.json()["parameter"]]


@pytest.mark.parametrize("name", ["http://forms/f", "http://forms/f|1", "Questionnaire/f", "f"])
async def test_a_stored_form_is_answered_by_its_names(client: httpx.AsyncClient, name: str) -> None:
    answer = await client.get("/Patient/a/$known-answers", params={"questionnaire": name})
    assert items(answer) == [KNOWN_WEIGHT, ASKED]


async def test_a_form_may_come_with_the_question(client: httpx.AsyncClient) -> None:
    sent = {"resourceType": "Parameters",
            "parameter": [{"name": "questionnaire", "resource": FORM}]}  # fmt: skip

    answer = await client.post("/Patient/a/$known-answers", json=sent)

    assert items(answer) == [KNOWN_WEIGHT, ASKED]


async def test_a_draft_is_asked_for_by_its_version_only(client: httpx.AsyncClient) -> None:
    draft = {k: v for k, v in FORM.items() if k != "item"}
    draft |= {"id": "g", "version": "2", "status": "draft"}
    await client.put("/Questionnaire/g", json=draft)

    current = await client.get("/Patient/a/$known-answers?questionnaire=http://forms/f")
    named = await client.get("/Patient/a/$known-answers?questionnaire=http://forms/f|2")

    assert items(current) == [KNOWN_WEIGHT, ASKED]
    assert named.json() == {"resourceType": "Parameters"}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", (400, "invalid", ["questionnaire"])),
        ("?questionnaire=", (400, "invalid", ["questionnaire"])),
        ("?questionnaire=http://forms/none", (404, "not-found", ["questionnaire"])),
        ("?questionnaire=http://forms/f|9", (404, "not-found", ["questionnaire"])),
        ("?questionnaire=Patient/a", (400, "invalid", ["questionnaire"])),
        ("?questionnaire=f&encounter=Patient/a", (400, "invalid", ["encounter"])),
        ("?questionnaire=f&encounter=none", (404, "not-found", ["encounter"])),
        ("?questionnaire=f&encounter=others", (400, "invalid", ["encounter"])),
        ("?questionnaire=f&colour=red", (400, "invalid", ["colour"])),
    ],
)
async def test_what_cannot_be_asked_is_told(
    client: httpx.AsyncClient, query: str, expected: tuple[int, str, list[str] | None]
) -> None:
    await client.put("/Patient/b", json=patient("b"))
    visit = {"resourceType": "Encounter", "id": "others", "status": "planned",
             "class": {"code": "AMB"}, "subject": {"reference": "Patient/b"}}  # fmt: skip
    await client.put("/Encounter/others", json=visit)

    assert told(await client.get(f"/Patient/a/$known-answers{query}")) == expected


async def test_a_patient_who_was_merged_away_is_not_answered_for(client: httpx.AsyncClient) -> None:
    link = [{"type": "replaced-by", "other": {"reference": "Patient/a"}}]
    await client.put("/Patient/b", json=patient("b", active=False, link=link))

    answer = await client.get("/Patient/b/$known-answers?questionnaire=f")

    assert told(answer) == (422, "business-rule", ["Patient.link"])
    assert "merged into Patient/a" in answer.text


async def test_a_form_with_two_equal_link_ids_is_refused_with_their_places(
    client: httpx.AsyncClient,
) -> None:
    item = {"linkId": "x", "type": "string"}
    form = {"resourceType": "Questionnaire", "status": "active", "item": [item, item]}

    sent = {"resourceType": "Parameters",
            "parameter": [{"name": "questionnaire", "resource": form}]}  # fmt: skip

    answer = await client.post("/Patient/a/$known-answers", json=sent)

    assert told(answer)[2] == ["Questionnaire.item[1]"]
