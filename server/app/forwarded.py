"""Whose request a proxy hands on: limits and audit want the client's address, not the proxy's."""

import re
from ipaddress import ip_address

from starlette.types import ASGIApp, Receive, Scope, Send

# As some proxies write it; RFC 7239, 6 has the same form.
_WITH_PORT = re.compile(r"([0-9.]+):[0-9]+|\[([0-9A-Fa-f:.]+)\](?::[0-9]+)?")


class Forwarded:
    """Believes the last entry of ``X-Forwarded-For``, which is the proxy's own word.

    Only for servers that nobody reaches but through a proxy; entries before the last are whatever
    the client sent.
    """

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI 3)."""
        if scope["type"] == "http":
            said = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
            address = _last(said[-1]) if said else None
            if address is not None:
                scope["client"] = (address, 0)
        await self._application(scope, receive, send)


def _last(value: bytes) -> str | None:
    text = value.decode("latin-1").rpartition(",")[2].strip()
    with_port = _WITH_PORT.fullmatch(text)
    try:
        return str(ip_address(with_port[1] or with_port[2] if with_port else text))
    except ValueError:
        return None
