"""Conditional requests, preferences, formats, CORS and request ids."""

from typing import Any

import httpx
import pytest

from tests.rest.house import House, patient, told


@pytest.fixture
async def stored(client: httpx.AsyncClient) -> httpx.AsyncClient:
    await client.put("/Patient/a", json=patient("a"))
    await client.put("/Patient/a", json=patient("a", active=True))
    return client


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-None-Match": 'W/"2"'}, 304),
        ({"If-None-Match": '"2"'}, 304),
        ({"If-None-Match": 'W/"1", W/"2"'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": 'W/"1"'}, 200),
        ({"If-Modified-Since": "Fri, 02 Jan 2026 03:04:05 GMT"}, 304),
        ({"If-Modified-Since": "Fri, 02 Jan 2026 03:04:04 GMT"}, 200),
        ({"If-Modified-Since": "yesterday"}, 200),
        ({"If-None-Match": 'W/"1"', "If-Modified-Since": "Fri, 02 Jan 2026 03:04:05 GMT"}, 200),
    ],
)
async def test_a_conditional_read(
    stored: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    answer = await stored.get("/Patient/a", headers=headers)

    assert answer.status_code == status
    assert answer.headers["etag"] == 'W/"2"'
    assert (answer.content == b"") is (status == 304)


@pytest.mark.parametrize(
    ("if_match", "expected"),
    [
        ('W/"2"', 200),
        ('"2"', 200),
        ('W/"1"', (412, "conflict", None)),
        ('W/"3"', (412, "conflict", None)),
        ("2", (400, "invalid", ["If-Match"])),
        ('W/"x"', (400, "invalid", ["If-Match"])),
    ],
)
async def test_if_match(stored: httpx.AsyncClient, if_match: str, expected: Any) -> None:
    answer = await stored.put(
        "/Patient/a", json=patient("a", gender="other"), headers={"If-Match": if_match}
    )

    now = (await stored.get("/Patient/a")).json()
    if expected == 200:
        assert answer.status_code == 200
        assert now["gender"] == "other"
    else:
        assert told(answer) == expected
        assert now["meta"]["versionId"] == "2"


async def test_if_match_on_what_is_not_there(client: httpx.AsyncClient) -> None:
    answer = await client.put("/Patient/a", json=patient("a"), headers={"If-Match": 'W/"1"'})
    assert told(answer) == (412, "conflict", None)


async def test_if_none_match_star_creates_and_never_replaces(client: httpx.AsyncClient) -> None:
    headers = {"If-None-Match": "*"}

    first = await client.put("/Patient/a", json=patient("a"), headers=headers)
    second = await client.put("/Patient/a", json=patient("a"), headers=headers)

    assert first.status_code == 201
    assert told(second) == (412, "conflict", None)


async def test_prefer_return(client: httpx.AsyncClient) -> None:
    async def create(returns: str) -> httpx.Response:
        return await client.post(
            "/Patient", json=patient(), headers={"Prefer": f"return={returns}"}
        )

    minimal, whole, outcome = [
        await create(returns) for returns in ("minimal", "representation", "OperationOutcome")
    ]

    assert (minimal.status_code, minimal.content) == (201, b"")
    assert minimal.headers["location"].endswith("/_history/1")
    assert whole.json()["resourceType"] == "Patient"
    assert outcome.json()["issue"][0]["severity"] == "information"
    assert outcome.headers["etag"] == 'W/"1"'


async def test_unknown_parameters_are_reported_or_refused(stored: httpx.AsyncClient) -> None:
    lenient = await stored.get("/Patient?shoesize=44")
    strict = await stored.get("/Patient?shoesize=44", headers={"Prefer": "handling=strict"})

    *matches, last = lenient.json()["entry"]
    assert len(matches) == 1
    assert last["search"] == {"mode": "outcome"}
    assert last["resource"]["issue"][0]["expression"] == ["shoesize"]
    assert "shoesize" not in lenient.json()["link"][0]["url"]
    assert told(strict) == (400, "invalid", ["shoesize"])


@pytest.mark.parametrize(
    "accept",
    [
        "*/*",
        "application/fhir+json",
        "application/json;q=0.5, application/fhir+xml;q=0.1",
        "application/fhir+json; fhirVersion=4.0",
        "application/fhir+xml, */*;q=0.1",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    ],
)
async def test_json_goes_out_wherever_it_may(stored: httpx.AsyncClient, accept: str) -> None:
    answer = await stored.get("/Patient/a", headers={"Accept": accept})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/fhir+json; charset=utf-8"


@pytest.mark.parametrize(
    ("address", "accept", "where"),
    [
        ("/Patient/a", "application/fhir+xml", "Accept"),
        ("/Patient/a", "text/turtle", "Accept"),
        ("/Patient/a", "application/fhir+json; fhirVersion=3.0", "Accept"),
        ("/Patient/a", "application/json;q=0", "Accept"),
        ("/Patient/a?_format=xml", "*/*", "_format"),
        ("/Patient/a?_format=ttl", "application/fhir+json", "_format"),
    ],
)
async def test_other_formats_are_not_there_and_the_answer_says_which_is(
    stored: httpx.AsyncClient, address: str, accept: str, where: str
) -> None:
    answer = await stored.get(address, headers={"Accept": accept})

    assert told(answer) == (406, "not-supported", [where])
    assert "application/fhir+json" in answer.json()["issue"][0]["diagnostics"]


@pytest.mark.parametrize("format_", ["json", "application/json", "application/fhir+json"])
async def test_format_beats_accept(stored: httpx.AsyncClient, format_: str) -> None:
    answer = await stored.get(
        f"/Patient/a?_format={format_}", headers={"Accept": "application/fhir+xml"}
    )
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "content_type",
    ["application/fhir+xml", "text/plain", "application/fhir+json; charset=latin-1",
     "application/fhir+json; fhirVersion=5.0"],
)  # fmt: skip
async def test_other_formats_are_not_read(client: httpx.AsyncClient, content_type: str) -> None:
    answer = await client.post("/Patient", content=b"{}", headers={"Content-Type": content_type})
    assert told(answer) == (415, "not-supported", ["Content-Type"])


async def test_pretty(stored: httpx.AsyncClient) -> None:
    answer = await stored.get("/Patient/a?_pretty=true&_elements=active")

    assert answer.text.startswith('{\n  "resourceType": "Patient",\n  "id": "a",\n  "meta": {\n')
    assert told(await stored.get("/Patient?_pretty=yes")) == (400, "invalid", ["_pretty"])


async def test_cors_is_for_the_origins_on_the_list(stored: httpx.AsyncClient) -> None:
    app = await stored.get("/Patient/a", headers={"Origin": "https://app.example"})
    stranger = await stored.get("/Patient/a", headers={"Origin": "https://evil.example"})
    preflight = await stored.options(
        "/Patient/a",
        headers={"Origin": "https://app.example", "Access-Control-Request-Method": "PUT"},
    )

    assert app.headers["access-control-allow-origin"] == "https://app.example"
    assert "access-control-allow-origin" not in stranger.headers
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "https://app.example"  # once
    assert "PUT" in preflight.headers["access-control-allow-methods"]
    assert "access-control-allow-credentials" not in preflight.headers


async def test_a_request_id_goes_through_or_is_made(stored: httpx.AsyncClient) -> None:
    sent = await stored.get("/Patient/a", headers={"X-Request-Id": "order-7.b"})
    bad = await stored.get("/Patient/a", headers={"X-Request-Id": "Jane Doe"})

    assert sent.headers["x-request-id"] == "order-7.b"
    assert bad.headers["x-request-id"].startswith("new-")


async def test_every_answer_forbids_guessing_and_keeping(stored: httpx.AsyncClient) -> None:
    answer = await stored.get("/Patient/a")

    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "private, no-store"


async def test_links_never_follow_the_host_header(house: House) -> None:
    async with house.client() as client:
        await client.put("/Patient/a", json=patient("a"))
        answer = await client.get("/Patient", headers={"Host": "evil.example"})
    assert "evil" not in answer.text
