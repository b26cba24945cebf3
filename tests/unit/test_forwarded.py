"""Behind a proxy the address of the client is the proxy's word, and never the client's own."""

import pytest
from starlette.types import Message, Receive, Scope, Send

from server.app.forwarded import Forwarded


async def seen(*headers: bytes) -> str:
    """Return the address that the application sees, of a proxy at 10.0.0.1."""
    found = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        found.append(scope["client"][0])

    async def nothing() -> Message:
        raise AssertionError

    async def ignored(message: Message) -> None:
        raise AssertionError

    scope = {
        "type": "http",
        "client": ("10.0.0.1", 4711),
        "headers": [(b"x-forwarded-for", value) for value in headers],
    }
    await Forwarded(application)(scope, nothing, ignored)
    return str(found[0])


@pytest.mark.parametrize(
    ("headers", "address"),
    [
        ((), "10.0.0.1"),
        ((b"192.0.2.7",), "192.0.2.7"),
        ((b"127.0.0.1, 192.0.2.7",), "192.0.2.7"),
        ((b"127.0.0.1", b"192.0.2.7"), "192.0.2.7"),
        ((b"2001:db8::7",), "2001:db8::7"),
        ((b"192.0.2.7:50123",), "192.0.2.7"),
        ((b"[2001:db8::7]:50123",), "2001:db8::7"),
        ((b"[2001:db8::7]",), "2001:db8::7"),
        ((b"192.0.2.7:x",), "10.0.0.1"),
        ((b"unknown",), "10.0.0.1"),
        ((b"192.0.2.7, ",), "10.0.0.1"),
    ],
)
async def test_the_last_entry_counts(headers: tuple[bytes, ...], address: str) -> None:
    assert await seen(*headers) == address
