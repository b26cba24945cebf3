"""What a connection may cost before a handler sees a request: real sockets, the real protocol."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from server import connection
from server.http import HttpServer
from server.settings import Settings

SEEN: list[dict[str, Any]] = []


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Read the whole body, answer its length."""
    SEEN.append(scope)
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    body = b"%d" % size
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
async def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(connection, "HEAD_S", 0.3)
    monkeypatch.setattr(connection, "STALL_S", 0.3)
    SEEN.clear()
    settings = Settings(_env_file=None, data=tmp_path, shutdown_s=1)
    with socket.create_server(("127.0.0.1", 0)) as bound:
        server = HttpServer(application, settings, bound)
        await server.start()
        yield bound.getsockname()[1]
        await server.finish()


async def said(port: int, *parts: bytes, pause_s: float = 0.0) -> bytes:
    """Send the parts; return the answer, or all that comes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    with contextlib.suppress(ConnectionError):
        for part in parts:
            writer.write(part)
            await writer.drain()
            await anyio.sleep(pause_s)
        while piece := await asyncio.wait_for(reader.read(65536), 30):
            answer += piece
            if b"\r\n\r\n" in answer and b"connection: close" not in answer.lower():
                break
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return answer


async def test_a_usual_request_is_answered(port: int) -> None:
    answer = await said(port, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\n3")


@pytest.mark.parametrize(
    "parts",
    [
        [b"GET /" + b"a" * 1_000_000],
        [b"GET / HTTP/1.1\r\nX: " + b"a" * 1_000_000],
        [b"GET / HTTP/1.1\r\n"] + [b"X: y\r\n" * 1000] * 100,
        [b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /" + b"a" * 1_000_000],
    ],
)
async def test_a_head_without_an_end_is_refused(port: int, parts: list[bytes]) -> None:
    answer = await said(port, *parts)

    # A client that goes on writing may lose the answer to the reset that follows it.
    assert answer == b"" or b"HTTP/1.1 431 " in answer or answer.startswith(b"HTTP/1.1 200 ")
    assert len(SEEN) <= 1


async def test_a_long_head_says_what_to_do(port: int) -> None:
    # No byte more than it takes: what is sent after the answer may reset the connection.
    answer = await said(port, b"GET /?", *[b"a" * 16384] * 4, pause_s=0.02)

    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b"application/fhir+json" in answer
    assert b'"code":"too-long"' in answer
    assert SEEN == []


async def test_a_head_that_does_not_come_is_not_waited_for(port: int) -> None:
    with anyio.fail_after(30):
        assert await said(port) == b""
        assert await said(port, b"GET / HTTP/1.1\r\nHo") == b""
        slow = [b"GET / HTTP/1.1\r\n", *[b"X: y\r\n"] * 30]
        assert await said(port, *slow, pause_s=0.1) == b""
    assert SEEN == []


async def test_a_body_that_stalls_ends_the_connection(port: int) -> None:
    with anyio.fail_after(30):
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"
        assert await said(port, head, b"abc") == b""


async def test_a_body_that_goes_on_slowly_is_waited_for(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "STALL_S", 1.0)
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\n"
    answer = await said(port, head, *[b"a"] * 12, pause_s=0.1)
    assert answer.endswith(b"\r\n\r\n12")


async def test_an_idle_connection_between_requests_is_kept(port: int) -> None:
    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(2):
        writer.write(request)
        assert (await reader.read(65536)).startswith(b"HTTP/1.1 200 ")
        await anyio.sleep(0.8)
    writer.write(request)
    assert (await reader.read(65536)).startswith(b"HTTP/1.1 200 ")
    writer.close()


@pytest.mark.parametrize(
    "head",
    [
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: a\r\n b\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nX\0: a\r\n\r\n",
        b"GET  HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
    ],
)
async def test_a_request_of_two_meanings_is_refused(port: int, head: bytes) -> None:
    answer = await said(port, head)
    assert answer.startswith(b"HTTP/1.1 400 ")
