"""A lean HTTP/1.1 client: keep-alive connections on raw asyncio, so that the server is measured.

It reads what our server and the echo send: answers with ``Content-Length``, or chunked ones.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

Check = Callable[[bytes], bool]


@dataclass(slots=True)
class Measured:
    """Latencies in seconds of the answers that were right, and how many were not."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    errors: int = 0
    first_error: str = ""

    def percentile_ms(self, share: float) -> float:
        """Return a percentile in milliseconds; 0 when nothing was measured."""
        if not self.latencies:
            return 0.0
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body of one response."""

    status: int
    body: bytes


class Connection(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._waiting: asyncio.Future[Answer] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the request under way."""
        if self._waiting and not self._waiting.done():
            self._waiting.set_exception(ConnectionError("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        """Complete the request when its whole answer is there."""
        self._buffer += data
        answer = _parse(self._buffer)
        if answer and self._waiting and not self._waiting.done():
            self._waiting.set_result(answer)

    async def send(self, request: bytes) -> Answer:
        """Send one request and return its answer."""
        assert self._transport is not None
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._waiting

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()


def _parse(buffer: bytearray) -> Answer | None:
    """Take one whole answer from the front of ``buffer``; ``None`` when it is not complete."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(buffer[:end]).lower()
    status = int(head[9:12])
    at = end + 4
    if b"transfer-encoding: chunked" in head:
        return _chunked(buffer, status, at)
    start = head.find(b"\r\ncontent-length:")
    size = int(head[start + 17 :].split(b"\r\n", 1)[0]) if start >= 0 and status != 304 else 0
    if len(buffer) < at + size:
        return None
    body = bytes(buffer[at : at + size])
    del buffer[: at + size]
    return Answer(status, body)


def _chunked(buffer: bytearray, status: int, at: int) -> Answer | None:
    parts = []
    while True:
        end = buffer.find(b"\r\n", at)
        if end < 0:
            return None
        size = int(bytes(buffer[at:end]).split(b";")[0], 16)
        if len(buffer) < end + 2 + size + 2:
            return None
        if size == 0:
            del buffer[: end + 4]
            return Answer(status, b"".join(parts))
        parts.append(bytes(buffer[end + 2 : end + 2 + size]))
        at = end + 2 + size + 2


class Client:
    """Requests to one base URL on loopback."""

    def __init__(self, port: int, path: str, token: str | None = None) -> None:
        self.port = port
        self.path = path
        bearer = f"Authorization: Bearer {token}\r\n" if token else ""
        self._head = f"Host: 127.0.0.1:{port}\r\nAccept: application/fhir+json\r\n{bearer}"

    def request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Return the bytes of a request; ``path`` is relative to the base."""
        start = f"{method} {self.path}{path} HTTP/1.1\r\n{self._head}"
        if body is None:
            return (start + "\r\n").encode()
        head = f"Content-Type: application/fhir+json\r\nContent-Length: {len(body)}\r\n\r\n"
        return (start + head).encode() + body

    async def connect(self) -> Connection:
        """Open a connection."""
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(Connection, "127.0.0.1", self.port)
        return made

    async def once(self, method: str, path: str, body: bytes | None = None) -> Answer:
        """Send one request on a connection of its own."""
        connection = await self.connect()
        try:
            return await asyncio.wait_for(connection.send(self.request(method, path, body)), 60)
        finally:
            connection.close()


async def drive(
    client: Client,
    make: Callable[[], bytes],
    *,
    connections: int,
    seconds: float,
    most: int | None = None,
    right: Check | None = None,
) -> Measured:
    """Send what ``make`` returns, each connection one after the other, for so many seconds.

    ``most``: stop after so many requests; ``right``: what a body must satisfy beside status < 400.
    """
    made = Measured()
    left = most if most is not None else 1 << 60
    started = time.perf_counter()
    until = started + seconds

    async def worker() -> None:
        nonlocal left
        connection = await client.connect()
        while left > 0 and time.perf_counter() < until:
            left -= 1
            request = make()
            began = time.perf_counter()
            answer = await asyncio.wait_for(connection.send(request), 60)
            if answer.status < 400 and (right is None or right(answer.body)):
                made.latencies.append(time.perf_counter() - began)
            else:
                made.errors += 1
                made.first_error = made.first_error or f"{answer.status} {answer.body[:200]!r}"
        connection.close()

    await asyncio.gather(*(worker() for _ in range(connections)))
    made.seconds = time.perf_counter() - started
    return made
