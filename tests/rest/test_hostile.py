"""Requests that try to get something else than FHIR out of the server."""

from typing import Any

import httpx
import pytest

from tests.rest.house import House, patient, told

NASTY = "<script>alert(1)</script>"
ORIGINS = [
    "null",
    "https://app.example.evil.example",
    "https://evil-app.example",
    "http://app.example",
    "https://app.example:8443",
    "https://APP.example",
    "https://app.example\r\nX-Injected: 1",
    "*",
    "",
]


async def asked(
    house: House, method: str, path: str, query: bytes = b"", **headers: bytes
) -> tuple[int, dict[bytes, bytes], bytes]:
    """Send what no client library would; ``path`` is decoded, as servers hand it over."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    own = {"authorization": b"Bearer admin"} | {k.replace("_", "-"): v for k, v in headers.items()}
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query,
        "headers": [(name.encode(), value) for name, value in own.items()],
    }
    await house.app(scope, receive, send)
    start, *rest = sent
    body = b"".join(part.get("body", b"") for part in rest)
    return start["status"], dict(start["headers"]), body


@pytest.mark.parametrize(
    "path",
    [
        "/fhir/../../etc/passwd",
        "/fhir/Patient/../../../etc/passwd",
        "/fhir/Patient/..",
        "/fhir/Patient/a/_history/../../../x",
        "/fhir/Binary/..\\..\\x",
        "/fhir//etc/passwd",
        "/fhir/Patient/\x00",
        "/fhir/Patient/\r\nX-Injected: 1",
        "/fhir/Patient/" + "a" * 100_000,
        "/fhir/" + "a/" * 50_000,
        "/fhir/Patient/\ufffd",
        "/fhir/Patient/a;jsessionid=1",
    ],
)
@pytest.mark.parametrize("method", ["GET", "DELETE", "OPTIONS", "HEAD"])
async def test_an_address_is_a_key_and_never_a_path(house: House, method: str, path: str) -> None:
    status, headers, body = await asked(house, method, path)

    nothing_to_do = (204,) if method in ("OPTIONS", "DELETE") else ()
    assert status in (400, 404, 405, 422, *nothing_to_do)
    assert b"root:" not in body
    assert all(b"\n" not in value and b"\r" not in value for value in headers.values())


@pytest.mark.parametrize(
    "address",
    [
        f"/Patient?_format={NASTY}",
        f"/Patient?_pretty={NASTY}",
        f"/Patient?_sort={NASTY}",
        f"/Patient?_count={NASTY}",
        f"/Patient?{NASTY}=1",
        f"/Patient?_format=html&_pretty={NASTY}",
        f"/{NASTY}",
        f"/Patient/${NASTY}",
        f"/Patient/a/{NASTY}",
        f"/metadata?mode={NASTY}",
    ],
)
async def test_what_is_quoted_from_a_request_cannot_be_taken_for_a_page(
    client: httpx.AsyncClient, address: str
) -> None:
    answer = await client.get(address, headers={"Accept": "text/html, */*;q=0.1"})

    assert answer.headers["content-type"] == "application/fhir+json; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    answer.json()


@pytest.mark.parametrize("format_", ["text/html", "html", "json\r\nX: 1", "../json", "a" * 10_000])
async def test_a_format_is_not_repeated(client: httpx.AsyncClient, format_: str) -> None:
    answer = await client.get("/Patient", params={"_format": format_})

    assert told(answer) == (406, "not-supported", ["_format"])
    assert format_ not in answer.text.replace("application/fhir+json (json)", "")


@pytest.mark.parametrize("origin", ORIGINS)
async def test_an_origin_that_is_not_on_the_list_is_not_reflected(
    house: House, origin: str
) -> None:
    for method in ("GET", "OPTIONS"):
        _, headers, _ = await asked(
            house,
            method,
            "/fhir/Patient",
            origin=origin.encode(),
            access_control_request_method=b"DELETE",
        )
        assert not [name for name in headers if name.startswith(b"access-control")]


async def test_an_app_can_read_what_async_answers_say(client: httpx.AsyncClient) -> None:
    answer = await client.get("/Patient", headers={"Origin": "https://app.example"})

    exposed = {name.strip() for name in answer.headers["access-control-expose-headers"].split(",")}
    assert {"Content-Location", "ETag", "Location", "Retry-After", "X-Progress"} <= exposed
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert "Origin" in answer.headers["vary"]


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/Patient", "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"),
        ("/Patient/a", "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"),
        ("/Patient/a/_history/1", "GET, HEAD, OPTIONS"),
        ("/Patient/_search", "OPTIONS, POST"),
        ("/_async/x", "DELETE, GET, HEAD, OPTIONS"),
        ("/metadata", "GET, HEAD, OPTIONS"),
    ],
)
async def test_options_tell_the_methods_and_nothing_else(
    house: House, path: str, methods: str
) -> None:
    async with house.client(None) as stranger:
        answer = await stranger.options(path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["allow"] == methods


@pytest.mark.parametrize(
    "path", ["/Patient/a", "/Patient", "/Patient/none", "/Paciento", "/Patient/a/$everything",
             "/metadata", "/Binary/b", "/_history", "/Patient?_count=x"],
)  # fmt: skip
async def test_head_is_get_without_its_body(client: httpx.AsyncClient, path: str) -> None:
    await client.put("/Patient/a", json=patient("a"))
    await client.put("/Binary/b", content=b"x", headers={"Content-Type": "text/plain"})

    got, head = await client.get(path), await client.head(path)

    assert head.content == b""
    assert head.status_code == got.status_code
    unlike = {"x-request-id", "transfer-encoding"}
    assert {n: v for n, v in head.headers.items() if n not in unlike} == {
        n: v for n, v in got.headers.items() if n not in unlike
    }


async def test_a_method_that_nobody_knows(client: httpx.AsyncClient) -> None:
    for method in ("TRACE", "CONNECT", "PROPFIND", "get"):
        answer = await client.request(method.lower() if method == "get" else method, "/Patient/a")
        assert answer.status_code in (404, 405)


async def test_every_failure_of_a_stranger_says_the_same(house: House) -> None:
    async with house.client() as client:
        await client.put("/Patient/a", json=patient("a"))
    async with house.client(None) as stranger:
        answers = [await stranger.get(path) for path in ("/Patient/a", "/Patient/b", "/x/../y")]
    assert len({(a.status_code, a.content) for a in answers}) == 1
    assert answers[0].headers["www-authenticate"] == 'Bearer realm="fhir"'
