"""gzip for clients that take it, where it is worth it."""

import gzip
import json
from typing import Any

import httpx
import pytest

from server.rest import Limits
from tests.rest.house import House, observation, patient

GZIP = {"Accept-Encoding": "gzip"}
LONG = "Bad Homburg " * 500


async def raw(client: httpx.AsyncClient, address: str, **headers: str) -> tuple[Any, bytes]:
    """Return the headers and the bytes as they came."""
    async with client.stream("GET", address, headers=headers) as answer:
        return answer.headers, b"".join([part async for part in answer.aiter_raw()])


@pytest.fixture
async def stored(client: httpx.AsyncClient) -> httpx.AsyncClient:
    await client.put("/Patient/long", json=patient("long", name=[{"text": LONG}]))
    await client.put("/Patient/short", json=patient("short"))
    return client


async def test_a_long_answer_is_compressed(stored: httpx.AsyncClient) -> None:
    headers, body = await raw(stored, "/Patient/long", **GZIP)
    _, plain = await raw(stored, "/Patient/long", **{"Accept-Encoding": "identity"})

    assert headers["content-encoding"] == "gzip"
    assert headers["vary"] == "Accept-Encoding"
    assert headers["etag"] == 'W/"1"'
    assert int(headers["content-length"]) == len(body) < len(plain) / 4
    assert gzip.decompress(body) == plain


@pytest.mark.parametrize(
    "accept", ["identity", "br", "gzip;q=0", "gzip; q=0.0, br", "*;q=0", "gzip;q=0, *"]
)
async def test_a_client_that_does_not_take_it_gets_it_plain(
    stored: httpx.AsyncClient, accept: str
) -> None:
    headers, body = await raw(stored, "/Patient/long", **{"Accept-Encoding": accept})

    assert "content-encoding" not in headers
    assert headers["vary"] == "Accept-Encoding"
    assert json.loads(body)["id"] == "long"


@pytest.mark.parametrize("accept", ["gzip", "br;q=1.0, gzip;q=0.2", "GZIP", "*", "x-gzip"])
async def test_a_client_that_takes_it_gets_it(stored: httpx.AsyncClient, accept: str) -> None:
    headers, _ = await raw(stored, "/Patient/long", **{"Accept-Encoding": accept})
    assert headers["content-encoding"] == "gzip"


async def test_a_short_answer_is_not_compressed(stored: httpx.AsyncClient) -> None:
    for address in ("/Patient/short", "/Patient/none"):
        headers, _ = await raw(stored, address, **GZIP)
        assert "content-encoding" not in headers
        assert "vary" not in headers


async def test_the_line_is_4096_bytes(client: httpx.AsyncClient) -> None:
    await client.put("/Patient/a", json=patient("a", name=[{"text": "x"}]))
    size = len((await client.get("/Patient/a")).content)
    for more, encoding in ((4095 - size, None), (4096 - size, "gzip")):
        await client.put("/Patient/a", json=patient("a", name=[{"text": "x" * (1 + more)}]))
        headers, _ = await raw(client, "/Patient/a", **GZIP)
        assert headers.get("content-encoding") == encoding


async def test_content_of_a_binary_goes_out_as_it_is(client: httpx.AsyncClient) -> None:
    content = b"a" * 10_000
    headers = {"Content-Type": "text/plain"}
    await client.put("/Binary/b", content=content, headers=headers)

    found, body = await raw(client, "/Binary/b", **GZIP)

    assert body == content
    assert "content-encoding" not in found


async def test_an_answer_in_pieces_is_compressed_as_it_comes(client: httpx.AsyncClient) -> None:
    await client.put("/Patient/a", json=patient("a"))
    for n in range(30):
        await client.put(f"/Observation/o{n}", json=observation("Patient/a", f"o{n}"))

    headers, body = await raw(client, "/Patient/a/$everything", **GZIP)

    assert headers["content-encoding"] == "gzip"
    assert len(json.loads(gzip.decompress(body))["entry"]) == 31


async def test_pages_are_compressed_and_both_reasons_to_vary_are_told(
    stored: httpx.AsyncClient,
) -> None:
    headers, body = await raw(stored, "/Patient", Origin="https://app.example", **GZIP)

    assert {part.strip() for part in headers["vary"].split(",")} == {"Accept-Encoding", "Origin"}
    assert json.loads(gzip.decompress(body))["total"] == 2


async def test_head_tells_the_length_of_get(stored: httpx.AsyncClient) -> None:
    got, _ = await raw(stored, "/Patient/long", **GZIP)
    head = await stored.head("/Patient/long", headers=GZIP)

    for name in ("content-length", "content-encoding", "vary", "etag"):
        assert head.headers[name] == got[name]
    assert head.content == b""


async def test_metadata_is_compressed_once(house: House) -> None:
    async with house.client(None) as client:
        headers, body = await raw(client, "/metadata", **GZIP)
        _, again = await raw(client, "/metadata", **GZIP)
        _, plain = await raw(client, "/metadata", **{"Accept-Encoding": "identity"})
        pretty = await client.get("/metadata?_pretty=true", headers=GZIP)
        etag = headers["etag"]
        known = [
            (await client.get("/metadata", headers={"If-None-Match": text})).status_code
            for text in (etag, etag.removeprefix("W/"), f'"x", {etag}', '"x"')
        ]

    assert etag.startswith('W/"')
    assert body == again
    assert gzip.decompress(body) == plain
    assert len(body) * 20 < len(plain)
    assert pretty.json() == json.loads(plain)
    assert pretty.content.startswith(b"{\n")
    assert known == [304, 304, 304, 200]


@pytest.mark.parametrize("limits", [Limits(compress_bytes=None)])
async def test_it_can_be_turned_off(stored: httpx.AsyncClient) -> None:
    headers, _ = await raw(stored, "/Patient/long", **GZIP)
    assert "content-encoding" not in headers
    assert "vary" not in headers
