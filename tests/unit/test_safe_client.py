"""The client for addresses that others name, against real sockets."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from server.safe_client import SafeClient, Unfetched, is_public, origin

Handler = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler, host: str = "127.0.0.1") -> AsyncIterator[int]:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        try:
            await handler(head, writer)
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connected, host, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def ok(head: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-seen: yes\r\n\r\nok")


@asynccontextmanager
async def client(*allowed: str) -> AsyncIterator[SafeClient]:
    made = SafeClient(allowed)
    try:
        yield made
    finally:
        await made.close()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "0.1.2.3",
        "10.1.2.3",
        "100.64.0.1",
        "169.254.169.254",
        "172.31.255.255",
        "192.0.0.170",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.19.0.1",
        "198.51.100.7",
        "203.0.113.7",
        "224.0.0.1",
        "239.255.255.250",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::127.0.0.1",
        "64:ff9b::a00:1",
        "64:ff9b:1::a00:1",
        "100::1",
        "2001::1",
        "2001:0:7f00:1::",
        "2001:db8::1",
        "2002:7f00:1::1",
        "2002:a00:1::",
        "3fff::1",
        "2a00:1450:4001:82a:0:5efe:10.0.0.1",
        "2a00:1450:4001:82a:200:5efe:10.0.0.1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "5f00::1",
        "not an address",
    ],
)
def test_an_address_that_leads_inside_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.216.34", "172.32.0.1", "2606:4700:4700::1111", "2a00:1450::1"]
)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:{port}/",
        "https://localhost:{port}/",
        "https://[::1]:{port}/",
        "https://[::ffff:127.0.0.1]:{port}/",
        "https://2130706433:{port}/",
        "https://0x7f.1:{port}/",
        "https://0:{port}/",
    ],
)
async def test_nothing_on_this_machine_is_fetched(url: str) -> None:
    async def never(head: bytes, writer: asyncio.StreamWriter) -> None:
        pytest.fail("it was connected to")

    async with serving(never) as port, client() as fetching:
        with pytest.raises(Unfetched, match=r"no public address|cannot be looked up"):
            await fetching.fetch(url.format(port=port))


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/",
        "ftp://example.org/",
        "file:///etc/passwd",
        "https:///nothing",
        "https://user:password@example.org/",
        "https://exa mple.org/",
        "https://example.org\\@10.0.0.1/",
        "https://example.org:99999/",
        "//example.org/",
        "",
    ],
)
async def test_what_is_not_a_plain_https_address_is_refused(url: str) -> None:
    async with client() as fetching:
        with pytest.raises(Unfetched):
            await fetching.fetch(url)


async def test_an_allowed_origin_may_be_this_machine_in_plain_http() -> None:
    async with serving(ok) as port, client(f"http://127.0.0.1:{port}") as fetching:
        found = await fetching.fetch(f"http://127.0.0.1:{port}/keys?a=b")

    assert (found.status, found.body, found.headers["x-seen"]) == (200, b"ok", "yes")


async def test_an_allowed_origin_allows_no_other_port() -> None:
    async with (
        serving(ok) as port,
        serving(ok) as other,
        client(f"http://127.0.0.1:{port}") as fetching,
    ):
        with pytest.raises(Unfetched, match="only https"):
            await fetching.fetch(f"http://127.0.0.1:{other}/")


async def test_the_host_is_the_one_that_was_named_not_the_address() -> None:
    heads = []

    async def keep(head: bytes, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        await ok(head, writer)

    async with serving(keep) as port, client(f"http://localhost:{port}") as fetching:
        await fetching.fetch(f"http://localhost:{port}/a", method="POST", data={"a": "b c"})

    (head,) = heads
    assert head.startswith(b"POST /a HTTP/1.1\r\n")
    assert f"host: localhost:{port}\r\n".encode() in head.lower()


async def test_a_redirect_is_not_followed() -> None:
    async def away(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"
        )

    async with serving(away) as port, client(f"http://127.0.0.1:{port}") as fetching:
        assert (await fetching.fetch(f"http://127.0.0.1:{port}/")).status == 302


async def test_more_bytes_than_asked_for_are_refused() -> None:
    async def long(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000)

    async with serving(long) as port, client(f"http://127.0.0.1:{port}") as fetching:
        with pytest.raises(Unfetched, match="more than 1000 bytes"):
            await fetching.fetch(f"http://127.0.0.1:{port}/", max_bytes=1000)


async def test_a_compressed_answer_is_refused_unread() -> None:
    async def bomb(head: bytes, writer: asyncio.StreamWriter) -> None:
        assert b"accept-encoding: identity" in head.lower()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nxx")

    async with serving(bomb) as port, client(f"http://127.0.0.1:{port}") as fetching:
        with pytest.raises(Unfetched, match="encoding"):
            await fetching.fetch(f"http://127.0.0.1:{port}/")


async def test_an_answer_that_dribbles_ends_at_the_deadline() -> None:
    async def dribble(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(100):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with serving(dribble) as port, client(f"http://127.0.0.1:{port}") as fetching:
        with pytest.raises(Unfetched, match=r"did not answer within 0\.2 s"):
            await fetching.fetch(f"http://127.0.0.1:{port}/", timeout_s=0.2)


async def test_a_closed_port_is_told_of_without_a_crash() -> None:
    async with serving(ok) as port:
        pass
    async with client(f"http://127.0.0.1:{port}") as fetching:
        with pytest.raises(Unfetched, match="ConnectError"):
            await fetching.fetch(f"http://127.0.0.1:{port}/")


async def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with serving(ok) as port, client(f"http://127.0.0.1:{port}") as fetching:
        assert (await fetching.fetch(f"http://127.0.0.1:{port}/")).body == b"ok"


def test_an_origin_without_a_host_is_none() -> None:
    with pytest.raises(ValueError, match="only http addresses"):
        origin("keycloak")
