"""Whose request a proxy hands on: limits and audit want the client's address, not the proxy's."""

from ipaddress import ip_address

from starlette.types import ASGIApp, Receive, Scope, Send


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
    try:
        return str(ip_address(text))
    except ValueError:
        return None
