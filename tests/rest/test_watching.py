"""What logs and figures say of requests, and what they must not."""

import logging

import anyio
import httpx
import pytest

from server.rest import Limits
from tests.rest.house import House, logged, patient, told

CANARY = "Zanaida"


async def test_logs_hold_nothing_of_a_patient(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with house.client() as client:
        await client.put(f"/Patient/{CANARY}", json=patient(CANARY, name=[{"family": CANARY}]))
        await client.get(f"/Patient/{CANARY}", headers={"X-Request-Id": "r1"})
        await client.get(f"/Patient?name={CANARY}")
        await client.post("/Patient/_search", data={"name": CANARY})
        await client.post("/Patient", content=f'{{"{CANARY}'.encode())
        await client.get(f"/{CANARY}/{CANARY}")
        await client.request(CANARY.upper(), f"/Patient/{CANARY}")

    records = logged(caplog)
    assert CANARY.lower() not in "".join(map(caplog.handler.format, records)).lower()
    line = next(record.getMessage() for record in records if " r1 " in record.getMessage())
    assert line.startswith("GET /{type}/{id} 200 ")
    assert line.endswith("ms r1 user/admin")
    assert len(records) == 7


async def test_figures_count_by_route(house: House) -> None:
    async with house.client() as client:
        for id_ in ("a", "b"):
            await client.get(f"/Patient/{id_}")
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(house.app), base_url="http://fhir.test"
    ) as client:
        text = (await client.get("/metrics")).text

    line = 'tellonce_http_requests_total{method="GET",route="/{type}/{id}",status="404"} 2.0'
    assert line in text
    assert "tellonce_http_in_flight 0.0" in text


@pytest.mark.parametrize("limits", [Limits(in_flight=4)])
async def test_too_many_at_once_are_told_to_come_again(house: House) -> None:
    statuses: list[int] = []
    async with house.client() as client:

        async def one() -> None:
            answer = await client.post("/Patient", json=patient())
            statuses.append(answer.status_code)
            if answer.status_code != 201:
                assert told(answer) == (429, "throttled", None)
                assert answer.headers["retry-after"] == "1"

        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(one)
        after = await client.post("/Patient", json=patient())

    assert set(statuses) <= {201, 429}
    assert statuses.count(201) >= 4
    assert after.status_code == 201


async def test_a_client_that_goes_away_harms_nobody(house: House) -> None:
    async def receive() -> dict[str, object]:
        return {"type": "http.disconnect"}

    async def send(_: object) -> None:
        raise AssertionError("there is nobody to answer")

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/fhir/Patient",
        "query_string": b"",
        "headers": [(b"authorization", b"Bearer admin")],
    }
    await house.app(scope, receive, send)  # type: ignore[arg-type] # plain ASGI

    async with house.client() as client:
        assert (await client.get("/Patient")).json()["total"] == 0
