"""Where what was written comes from: told by the server, or by the client that knows more."""

import json
from typing import Any

import anyio
import pytest

from tests.audit.house import AuditedHouse
from tests.rest.house import bundle, entry, observation, patient, told

OPERATION = "http://terminology.hl7.org/CodeSystem/v3-DataOperation"
SENT: dict[str, Any] = {
    "resourceType": "Provenance",
    "recorded": "2026-01-02T03:00:00Z",
    "agent": [{"who": {"reference": "Organization/lab"}}],
}


def header(**more: Any) -> dict[str, str]:
    return {"X-Provenance": json.dumps({**SENT, **more})}


async def test_a_write_has_a_provenance_of_its_author_and_his_program(
    house: AuditedHouse,
) -> None:
    async with house.client("anna") as client:
        await client.put("/Observation/o", json=observation("Patient/a", "o"))
        await client.put("/Observation/o", json=observation("Patient/a", "o", code="1"))

    first, second = await house.kept("Provenance")
    user = {
        "reference": "Practitioner/anna",
        "identifier": {"system": "urn:tellonce:principal", "value": "user/anna"},
    }
    assert first["target"] == [{"reference": "Observation/o/_history/1"}]
    assert second["target"] == [{"reference": "Observation/o/_history/2"}]
    assert second["recorded"] == "2026-01-02T03:04:05.678Z"
    assert second["activity"] == {"coding": [{"system": OPERATION, "code": "UPDATE"}]}
    assert [agent["who"] for agent in second["agent"]] == [user, {"identifier": {"value": "app"}}]
    assert second["agent"][1]["onBehalfOf"] == user


async def test_a_transaction_has_one_for_each_patient(house: AuditedHouse) -> None:
    sent = bundle(
        "transaction",
        entry("PUT", "Observation/1", observation("Patient/a", "1")),
        entry("PUT", "Observation/2", observation("Patient/a", "2")),
        entry("PUT", "Observation/3", observation("Patient/b", "3")),
    )
    async with house.client("anna") as client:
        assert (await client.post("", json=sent)).status_code == 200

    found = await house.kept("Provenance")
    assert [[one["reference"] for one in made["target"]] for made in found] == [
        ["Observation/1/_history/1", "Observation/2/_history/1"],
        ["Observation/3/_history/1"],
    ]
    assert await house.seen_by_patient("b", "Provenance") == [found[1]["id"]]


async def test_what_the_client_says_is_kept_instead(house: AuditedHouse) -> None:
    async with house.client("anna") as client:
        answer = await client.post("/Patient", json=patient(), headers=header(id="mine"))

    (made,) = await house.kept("Provenance")
    id_ = answer.json()["id"]
    assert made.pop("id") != "mine"
    made.pop("meta")
    assert made == {**SENT, "target": [{"reference": f"Patient/{id_}/_history/1"}]}


@pytest.mark.parametrize(
    "sent",
    [
        "no json",
        "[]",
        '{"resourceType":"Patient"}',
        json.dumps({**SENT, "target": [{"reference": "Patient/x"}]}),
        json.dumps({**SENT, "recorded": "yesterday"}),
        json.dumps({**SENT, "agent": []}),
    ],
)
async def test_what_is_no_provenance_is_refused_and_nothing_is_written(
    house: AuditedHouse, sent: str
) -> None:
    async with house.client("anna") as client:
        answer = await client.post("/Patient", json=patient(), headers={"X-Provenance": sent})

    assert told(answer) == (400, "invalid", ["X-Provenance"])
    assert "X-Provenance" in answer.json()["issue"][0]["diagnostics"]
    assert await house.kept("Patient") == await house.kept("Provenance") == []


async def test_no_header_says_that_a_feed_wrote_it(house: AuditedHouse) -> None:
    feed = {"who": {"identifier": {"system": "urn:tellonce:feed", "value": "main"}}}
    async with house.client("clerk") as client:
        refused = await client.post("/Patient", json=patient(), headers=header(agent=[feed]))
        assert (await client.post("/Patient", json=patient(), headers=header())).status_code == 201

    assert told(refused) == (403, "forbidden", ["Provenance.agent.who"])
    assert len(await house.kept("Patient")) == len(await house.kept("Provenance")) == 1


async def test_it_takes_the_right_to_create_one(house: AuditedHouse) -> None:
    async with house.client("writer") as client:
        answer = await client.post("/Patient", json=patient(), headers=header())
        assert (await client.post("/Patient", json=patient())).status_code == 201

    assert told(answer)[0] == 403


async def test_nothing_is_told_of_what_changed_nothing(house: AuditedHouse) -> None:
    async with house.client("anna") as client:
        for _ in range(2):
            made = patient(identifier=[{"system": "s", "value": "1"}])
            await client.post("/Patient", json=made, headers={"If-None-Exist": "identifier=s|1"})
        await client.delete("/Patient/none")

    assert len(await house.kept("Provenance")) == 1


async def test_a_provenance_that_a_client_writes_has_none_itself(house: AuditedHouse) -> None:
    async with house.client("anna") as client:
        made = {**SENT, "target": [{"reference": "Patient/a"}]}
        assert (await client.post("/Provenance", json=made)).status_code == 201

    assert len(await house.kept("Provenance")) == 1
    assert len(await house.events()) == 1


async def test_of_racing_updates_each_is_told_with_its_own_version(house: AuditedHouse) -> None:
    async with house.client("anna") as client:

        async def update(n: int) -> None:
            made = observation("Patient/a", "o", code=str(n))
            assert (await client.put("/Observation/o", json=made)).is_success

        async with anyio.create_task_group() as group:
            for n in range(12):
                group.start_soon(update, n)

    targets = [made["target"][0]["reference"] for made in await house.kept("Provenance")]
    assert targets == [f"Observation/o/_history/{n}" for n in range(1, 13)]
