"""History of an instance, a type and the whole system."""

import httpx
import pytest

from server.interactions.services import Policy
from tests.rest.house import House, link, patient, told

SECOND = 1_000_000


@pytest.fixture
async def stored(house: House, client: httpx.AsyncClient) -> httpx.AsyncClient:
    """Patient a at :05 (v1), :15 (v2), deleted at :25 (v3); Organization o at :35."""
    await client.put("/Patient/a", json=patient("a"))
    house.clock.at += 10 * SECOND
    await client.put("/Patient/a", json=patient("a", active=True))
    house.clock.at += 10 * SECOND
    await client.delete("/Patient/a")
    house.clock.at += 10 * SECOND
    await client.post("/Organization", json={"resourceType": "Organization", "name": "x"})
    return client


ALLOW = pytest.mark.parametrize("policy", [Policy(delete="allow")])


async def versions(client: httpx.AsyncClient, address: str) -> list[str]:
    found = (await client.get(address)).json()
    return [
        f"{e['request']['method']} {e['request']['url']} {e['response']['etag']}"
        for e in found.get("entry", [])
    ]


PATIENT = ['DELETE Patient/a W/"3"', 'PUT Patient/a W/"2"', 'PUT Patient/a W/"1"']
ORGANIZATION = ['POST Organization W/"1"']


@ALLOW
async def test_three_levels(stored: httpx.AsyncClient) -> None:
    assert await versions(stored, "/Patient/a/_history") == PATIENT
    assert await versions(stored, "/Patient/_history") == PATIENT
    assert await versions(stored, "/_history") == ORGANIZATION + PATIENT
    assert await versions(stored, "/Encounter/_history") == []
    assert told(await stored.get("/Patient/none/_history")) == (404, "not-found", None)


@ALLOW
async def test_an_entry_says_what_was_done(stored: httpx.AsyncClient) -> None:
    found = (await stored.get("/Patient/a/_history")).json()

    assert found["type"] == "history"
    assert found["total"] == 3
    deletion, update, creation = found["entry"]
    assert deletion == {
        "fullUrl": "http://fhir.test/fhir/Patient/a",
        "request": {"method": "DELETE", "url": "Patient/a"},
        "response": {
            "status": "204 No Content",
            "etag": 'W/"3"',
            "lastModified": "2026-01-02T03:04:25.678Z",
        },
    }
    assert update["response"]["status"] == "200 OK"
    assert update["resource"]["active"] is True
    assert creation["response"]["status"] == "201 Created"


@ALLOW
@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ("_since=2026-01-02T03:04:15Z", PATIENT[:2]),
        ("_since=2026-01-02T03:04:26Z", []),
        ("_before=2026-01-02T03:04:15Z", PATIENT[2:]),
        ("_since=2026-01-02T03:04:10Z&_before=2026-01-02T03:04:20Z", PATIENT[1:2]),
        ("_at=2026-01-02T03:04:10Z", PATIENT[2:]),
        ("_at=2026-01-02T03:04:20Z", PATIENT[1:2]),
        ("_at=2026-01-02T03:04", PATIENT),
        ("_at=2026-01-02T03:04:30Z", []),
        ("_at=2026-01-01", []),
    ],
)
async def test_times(stored: httpx.AsyncClient, parameters: str, expected: list[str]) -> None:
    assert await versions(stored, f"/Patient/a/_history?{parameters}") == expected


@ALLOW
async def test_a_walk_is_complete_while_others_write(stored: httpx.AsyncClient) -> None:
    seen: list[str] = []
    following: str | None = "/_history?_count=1"

    while following is not None:
        seen += await versions(stored, following)
        following = link((await stored.get(following)).json())
        await stored.post("/Organization", json={"resourceType": "Organization", "name": "y"})

    assert seen == ORGANIZATION + PATIENT


async def test_unknown_parameters(client: httpx.AsyncClient) -> None:
    lenient = await client.get("/_history?colour=red&_count=5")
    strict = await client.get("/_history?colour=red", headers={"Prefer": "handling=strict"})

    assert lenient.json()["link"][0]["url"] == "http://fhir.test/fhir/_history?_count=5"
    assert told(strict) == (400, "invalid", ["colour"])
    assert told(await client.get("/_history?_at=2026&_at=2027")) == (400, "invalid", ["_at"])
