"""From a form to the record and back, on each store; and by two servers on one MongoDB."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.access.context import AccessContext, Permit
from server.continuity.corrections.watch import Corrections
from server.interactions.services import Policy
from server.rest import Limits
from server.store.mongo import MongoStore
from tests import mongod
from tests.continuity.extracting import form, put, response, stored
from tests.continuity.stores import EVERY, house_on
from tests.continuity.test_extract_enabled import asked
from tests.rest.house import CALLERS, NAME, Clock, House, index

KG = {"system": "http://unitsofmeasure.org", "code": "kg", "display": "kg"}
UNIT = {"url": "http://hl7.org/fhir/StructureDefinition/questionnaire-unit", "valueCoding": KG}
WEIGHT = asked("29463-7", extension=[UNIT])
ANSWER = {"linkId": "29463-7", "answer": [{"valueDecimal": 70}]}
DOCTOR = AccessContext("user/doc", "app", (Permit("*"),), person="Practitioner/doc")
CALLERS["doctor-on-every-store"] = DOCTOR
COMMIT = {
    "resourceType": "Parameters",
    "parameter": [{"name": "commit", "valueBoolean": True}],
}


@pytest.fixture(params=EVERY)
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    async with house_on(request.param, tmp_path) as made:
        yield made


async def given(client: httpx.AsyncClient) -> None:
    await put(client, {"resourceType": "Patient", "id": "a"})
    await put(client, form([WEIGHT]))
    await put(client, response([ANSWER]))


async def extract(client: httpx.AsyncClient) -> httpx.Response:
    return await client.post("/QuestionnaireResponse/r/$extract", json=COMMIT)


async def populated(client: httpx.AsyncClient) -> dict[str, Any]:
    """Return the item of a form that is filled in beforehand."""
    asked_for = {"subject": "Patient/a", "canonical": "https://forms.test/q"}
    answer = await client.get("/Questionnaire/$populate", params=asked_for)
    assert answer.status_code == 200, answer.text
    made = answer.json()
    if made["resourceType"] == "Parameters":
        made = next(one["resource"] for one in made["parameter"] if one["name"] == "response")
    item: dict[str, Any] = made["item"][0]
    return item


async def test_what_was_said_is_there_in_the_next_form_and_its_correction_is_told(
    house: House,
) -> None:
    async def readers(_principal: str) -> AccessContext | None:
        return DOCTOR

    watcher = Corrections(house.services, readers, owner="one")
    async with house.client() as client, house.client("doctor-on-every-store") as doctor:
        await given(client)
        assert (await extract(client)).status_code == 200
        while await watcher.step():
            pass
        item = await populated(doctor)
        (fact,) = await stored(client, "Observation")
        house.clock.at += 1_000_000
        await put(client, {**fact, "status": "entered-in-error"})
        while await watcher.step():
            pass
        told = await stored(client, "Communication")

    assert item["answer"][0]["valueDecimal"] == 70
    assert [one["about"] for one in told] == [
        [{"reference": f"Observation/{fact['id']}/_history/2"}]
    ]


async def test_an_amended_response_amends_and_one_in_error_takes_back(house: House) -> None:
    async with house.client() as client:
        await given(client)
        found = []
        for sent in (
            response([ANSWER]),
            response([{**ANSWER, "answer": [{"valueDecimal": 71}]}], status="amended"),
            response([ANSWER], status="entered-in-error"),
        ):
            await put(client, sent)
            assert (await extract(client)).status_code == 200
            (fact,) = await stored(client, "Observation")
            found.append((fact["status"], fact["valueQuantity"]["value"]))

    assert found == [("final", 70), ("amended", 71), ("entered-in-error", 71)]


async def test_extracting_many_times_at_once_makes_one_fact(house: House) -> None:
    async with house.client() as client:
        await given(client)

        answers = await asyncio.gather(*(extract(client) for _ in range(6)))

        assert {one.status_code for one in answers} <= {200, 409, 412}
        assert len(await stored(client, "Observation")) == 1


async def test_two_servers_on_one_database_make_one_fact() -> None:
    name = mongod.take()
    clock = Clock()
    houses = [
        House(
            MongoStore(mongod.url(), name, now=clock, index=index, fingerprint=NAME),
            clock,
            Policy(),
            Limits(),
        )
        for _ in range(2)
    ]
    for number, house in enumerate(houses):
        house.ids = iter(range(1000 * (number + 1), 1000 * (number + 2)))
    try:
        async with houses[0].client() as one, houses[1].client() as other:
            await given(one)
            await asyncio.gather(*(extract(client) for client in (one, other, one, other)))
            await extract(other)
            found = await stored(one, "Observation")
    finally:
        for house in houses:
            await house.app.stop(grace_s=1)
            await house.store.close()
        mongod.give_back(name)

    assert len(found) == 1
