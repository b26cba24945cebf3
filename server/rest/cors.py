"""CORS for browser apps: origins of an allow-list, none by default.  Fetch standard; SMART."""

from collections.abc import Sequence

from server.rest.answer import Answer, Header

_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_HEADERS = (
    b"Accept, Authorization, Content-Type, If-Match, If-Modified-Since, If-None-Exist, "
    b"If-None-Match, Prefer, X-Request-Id"
)
_EXPOSED = (
    b"Content-Location, ETag, Expires, Last-Modified, Location, Preference-Applied, Retry-After, "
    b"X-Progress, X-Request-Id"
)


class Cors:
    """``origins`` are exact (``https://app.example``), or ``*`` alone.  Credentials are never
    allowed: a token travels in ``Authorization``, cookies do not open this API."""

    def __init__(self, origins: Sequence[str] = ()) -> None:
        self._any = "*" in origins
        self._origins = frozenset(origin.encode() for origin in origins)

    def headers(self, origin: bytes | None) -> list[Header]:
        """Return what to add to an answer; nothing for origins that are not on the list."""
        if origin is None or not (self._any or origin in self._origins):
            return []
        return [
            (b"access-control-allow-origin", b"*" if self._any else origin),
            (b"access-control-expose-headers", _EXPOSED),
            (b"vary", b"Origin"),
        ]

    def preflight(self, headers: dict[bytes, bytes]) -> Answer | None:
        """Return the answer to a preflight; ``None``: it is none, or from an unknown origin."""
        if b"access-control-request-method" not in headers:
            return None
        allowed = self.headers(headers.get(b"origin"))
        if not allowed:
            return None
        more = [
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", _HEADERS),
            (b"access-control-max-age", b"600"),
        ]
        return Answer(204, b"", allowed + more)
