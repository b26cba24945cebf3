"""CORS for browser apps: origins of an allow-list, none by default.  Fetch standard; SMART."""

from collections.abc import Callable, Sequence

from server.rest.answer import Answer, Header

_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_HEADERS = (
    b"Accept, Authorization, Content-Type, If-Match, If-Modified-Since, If-None-Exist, "
    b"If-None-Match, Prefer, X-Provenance, X-Request-Id"
)
_EXPOSED = (
    b"Content-Location, ETag, Expires, Last-Modified, Location, Preference-Applied, Retry-After, "
    b"X-Progress, X-Request-Id"
)


class Cors:
    """``origins`` are exact (``https://app.example``), or ``*`` alone; ``registered`` tells of
    others that are those of registered apps.  Credentials are never allowed: a token travels in
    ``Authorization``, cookies do not open this API."""

    def __init__(
        self, origins: Sequence[str] = (), registered: Callable[[str], bool] | None = None
    ) -> None:
        self._any = "*" in origins
        self._origins = frozenset(origin.encode() for origin in origins)
        self._registered = registered

    def headers(self, origin: bytes | None, *, public: bool = False) -> list[Header]:
        """Return what to add to an answer; nothing for origins that are not on the list.

        ``public``: it says the same to everybody, and is for every origin.
        """
        if origin is None or not (public or self._any or self._knows(origin)):
            return []
        return [
            (b"access-control-allow-origin", b"*" if public or self._any else origin),
            (b"access-control-expose-headers", _EXPOSED),
            (b"vary", b"Origin"),
        ]

    def _knows(self, origin: bytes) -> bool:
        if origin in self._origins:
            return True
        return self._registered is not None and self._registered(origin.decode("latin-1"))

    def preflight(self, headers: dict[bytes, bytes], *, public: bool = False) -> Answer | None:
        """Return the answer to a preflight; ``None``: it is none, or from an unknown origin.

        :meth:`headers` come on top, as with every answer: browsers refuse them twice.
        """
        if b"access-control-request-method" not in headers:
            return None
        if not self.headers(headers.get(b"origin"), public=public):
            return None
        more = [
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", _HEADERS),
            (b"access-control-max-age", b"600"),
        ]
        return Answer(204, b"", more)
