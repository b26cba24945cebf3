"""The server's own public API, as the demo calls it."""

import asyncio
import http.client
import json
from typing import Any
from urllib.parse import urlsplit

_FHIR = "application/fhir+json"
_TIMEOUT_S = 30


class Api:
    """The FHIR API of the running server, with a token."""

    def __init__(self, base_url: str, token: str | None) -> None:
        parts = urlsplit(base_url)
        self.base_url = base_url
        self._address = (parts.hostname or "", parts.port)
        self._path = parts.path
        self._headers = {"Accept": _FHIR, "Content-Type": _FHIR}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    async def get(self, path: str) -> dict[str, Any]:
        """Return the JSON at ``path`` below the base; raises ``OSError`` when there is none."""
        return await self.send("GET", path, None)

    async def send(self, method: str, path: str, resource: dict[str, Any] | None) -> dict[str, Any]:
        """Send a resource, or nothing; return the JSON that comes back; raises ``OSError``."""
        body = None if resource is None else json.dumps(resource).encode()
        return await asyncio.to_thread(self._send, method, path, body)

    def _send(self, method: str, path: str, body: bytes | None) -> dict[str, Any]:
        connection = http.client.HTTPConnection(*self._address, timeout=_TIMEOUT_S)
        try:
            connection.request(method, f"{self._path}/{path}", body, self._headers)
            answer = connection.getresponse()
            found = answer.read()
        except http.client.HTTPException as error:
            raise OSError(f"{method} {path}: {error}") from error
        finally:
            connection.close()
        if answer.status not in (200, 201):
            raise OSError(f"{method} {path}: {answer.status}")
        return dict(json.loads(found))
