"""The one HTTP client for addresses that others name: key sets of clients, identity providers.

An address is looked up once, checked, and connected to as checked: a name that resolves anew to
something else (DNS rebinding) changes nothing.  https only, no redirects, no proxies of the
environment, a cap on bytes and on time.  Design: reliability-security, "Inputs".
"""

import asyncio
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

import anyio.to_thread
import certifi
import httpx

MAX_BYTES = 1024 * 1024
TIMEOUT_S = 10.0
_MOST_AT_ONCE = 20
_PORTS = {"https": 443, "http": 80}


class Unfetched(Exception):
    """Nothing was fetched; the text says why, and holds nothing that was received."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer, whatever its status.  Names of ``headers`` are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class SafeClient:
    """Fetches from public https addresses, and from the origins that the operator allows.

    ``allowed``: origins (``http://127.0.0.1:9000``, ``https://login.hospital.lan``) that may be
    plain http and may resolve to any address.
    """

    def __init__(self, allowed: Sequence[str] = ()) -> None:
        self._allowed = frozenset(origin(one) for one in allowed)
        self._client: httpx.AsyncClient | None = None

    async def fetch(
        self,
        url: str,
        *,
        max_bytes: int = MAX_BYTES,
        timeout_s: float = TIMEOUT_S,
        method: str = "GET",
        data: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Fetched:
        """Return what is at ``url``; redirects come back as they are.

        ``data`` goes out as a form.  ``timeout_s`` is for all of it, the look-up included.

        Raises:
            Unfetched: the address is refused, does not answer in time, or answers too much.
        """
        parts = _split(url)
        try:
            async with asyncio.timeout(timeout_s):
                address = await self._checked(parts)
                sent = {**(headers or {}), "Host": parts.netloc, "Accept-Encoding": "identity"}
                return await self._fetch(parts, address, max_bytes, method, data, sent)
        except TimeoutError as error:
            raise Unfetched(f"{parts.hostname} did not answer within {timeout_s:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise Unfetched(f"{parts.hostname}: {type(error).__name__}") from error

    async def close(self) -> None:
        """End what is open."""
        if self._client is not None:
            await self._client.aclose()

    async def _checked(self, parts: SplitResult) -> str:
        """Return the one network address to connect to."""
        allowed = _origin(parts) in self._allowed
        if parts.scheme != "https" and not allowed:
            raise Unfetched(f"{parts.hostname}: only https is fetched")
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise Unfetched(f"{host} cannot be looked up") from error
        addresses = [str(one[4][0]) for one in found]
        if not addresses or not (allowed or all(map(is_public, addresses))):
            raise Unfetched(f"{host} is no public address")
        return addresses[0]

    async def _fetch(
        self,
        parts: SplitResult,
        address: str,
        max_bytes: int,
        method: str,
        data: Mapping[str, str] | None,
        headers: Mapping[str, str],
    ) -> Fetched:
        client = await self._made()
        # The certificate is checked against the name, the connection goes to the address.
        request = client.build_request(
            method,
            _at(parts, address),
            data=data,
            headers=headers,
            extensions={**_timeouts(), "sni_hostname": parts.hostname},
        )
        answer = await client.send(request, stream=True)
        try:
            if answer.headers.get("content-encoding", "identity") != "identity":
                raise Unfetched(f"{parts.hostname} sent what was not asked for: an encoding")
            body = await _read(answer, max_bytes, parts.hostname or "")
        finally:
            await answer.aclose()
        return Fetched(answer.status_code, dict(answer.headers), body)

    async def _made(self) -> httpx.AsyncClient:
        """Return the client, made at first use: reading the authorities' certificates takes time.

        Connections are not kept: one that was made for a name must not serve another.
        """
        if self._client is None:
            context = await anyio.to_thread.run_sync(_tls)
            self._client = httpx.AsyncClient(
                verify=context,
                trust_env=False,
                follow_redirects=False,
                limits=httpx.Limits(max_connections=_MOST_AT_ONCE, max_keepalive_connections=0),
            )
        return self._client


def origin(text: str) -> str:
    """Return the origin of an address in one form; raise ValueError when it has none.

    >>> origin("https://Login.Hospital.lan/realm")
    'https://login.hospital.lan:443'
    """
    try:
        return _origin(_split(text))
    except Unfetched as error:
        raise ValueError(str(error)) from error


def is_public(text: str) -> bool:
    """Tell whether a network address is one of the public internet, beyond any doubt.

    Not those that lead to another one inside (NAT64, 6to4, Teredo, ISATAP, mapped IPv4), some of
    which Python's ``is_global`` passes.

    >>> is_public("93.184.216.34"), is_public("2606:2800:220:1:248:1893:25c8:1946")
    (True, True)
    >>> is_public("64:ff9b::7f00:1"), is_public("2002:7f00:1::"), is_public("::ffff:8.8.8.8")
    (False, False, False)
    """
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _INNER_4)
    if address.scope_id is not None or address not in _UNICAST_6 or _is_isatap(address):
        return False
    return not any(address in network for network in _INNER_6)


def _is_isatap(address: IPv6Address) -> bool:
    return (int(address) >> 32) & 0xFDFF_FFFF == 0x0000_5EFE  # RFC 5214, 6.1


# IANA's registries of special-purpose addresses, and 192.88.99.0/24 (relays of 6to4).
_INNER_4 = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ),
    )
)
_UNICAST_6 = ip_network("2000::/3")  # everything that is assigned to anybody: NAT64 is outside
_INNER_6 = tuple(map(ip_network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise Unfetched("the address cannot be read") from error
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise Unfetched("the address has characters that an address does not have")
    if parts.scheme not in _PORTS or not host or parts.username or parts.password:
        raise Unfetched("only http addresses without a user are fetched")
    return parts


def _origin(parts: SplitResult) -> str:
    return f"{parts.scheme}://{parts.hostname}:{parts.port or _PORTS[parts.scheme]}"


def _at(parts: SplitResult, address: str) -> str:
    host = f"[{address}]" if ":" in address else address
    port = parts.port or _PORTS[parts.scheme]
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{host}:{port}{parts.path or '/'}{query}"


async def _read(answer: httpx.Response, max_bytes: int, host: str) -> bytes:
    body = bytearray()
    async for piece in answer.aiter_raw():
        body += piece
        if len(body) > max_bytes:
            raise Unfetched(f"{host} sent more than {max_bytes} bytes")
    return bytes(body)


def _timeouts() -> dict[str, dict[str, float]]:
    return {"timeout": {"connect": 60.0, "read": 60.0, "write": 60.0, "pool": 60.0}}


def _tls() -> ssl.SSLContext:
    """Return what is trusted: the machine's authorities (a hospital's own), and the public ones."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
