"""What the endpoints share of HTTP: forms within limits, answers nobody caches, CORS."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from fastapi import Request, Response

from server.auth.client_checks import origins_of
from server.auth.ending import walk
from server.auth.oauth.protocol import OAuthError
from server.auth.oauth.terms import SECOND
from server.auth.records import Client
from server.fhir import json as fhir_json
from server.fhir.errors import FhirError
from server.store.port import RecordStore

MAX_BYTES = 64 * 1024
MAX_FIELDS = 100
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}  # RFC 6749 5.1
ORIGINS_KEPT = 5 * SECOND


async def read_form(request: Request) -> dict[str, str]:
    """Return the parameters in the body of a POST, each at most once (RFC 6749 3.2).

    Raises:
        OAuthError: it is no form, too large, or repeats a parameter.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise OAuthError("invalid_request", "send application/x-www-form-urlencoded")
    body = await read_body(request)
    try:
        pairs = parse_qsl(body.decode("ascii"), errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise OAuthError("invalid_request", "the form cannot be read") from error
    form = dict(pairs)
    if len(form) != len(pairs):
        raise OAuthError("invalid_request", "a parameter was sent more than once")
    return form


async def read_body(request: Request) -> bytes:
    """Return the body of a request; raise OAuthError when it is too large."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            raise OAuthError("invalid_request", f"at most {MAX_BYTES} bytes can be sent", 413)
    return bytes(body)


def json_answer(status: int, body: Any, headers: dict[str, str] | None = None) -> Response:
    """Return JSON that nobody may keep."""
    made = Response(fhir_json.dumps(body), status, media_type="application/json")
    made.headers.update({**NO_STORE, **(headers or {})})
    return made


def error_answer(error: OAuthError, challenge: str = "Basic") -> Response:
    """Return an error as RFC 6749 5.2 writes it."""
    body = {"error": error.error}
    if error.description:
        body["error_description"] = error.description
    headers = {"WWW-Authenticate": f'{challenge} realm="tellonce"'} if error.status == 401 else {}
    return json_answer(error.status, body, headers)


def failure_answer(error: FhirError) -> Response:
    """Return what an error of the layers below is here: too many requests, no store."""
    after = error.retry_after_s or 1
    name = "temporarily_unavailable" if error.status in (429, 503) else "server_error"
    body = {"error": name, "error_description": error.diagnostics}
    return json_answer(error.status, body, {"Retry-After": str(after)})


def public_answer(body: bytes, max_age_s: int) -> Response:
    """Return a document that pages of any origin may read."""
    headers = {
        "Cache-Control": f"public, max-age={max_age_s}",
        "Access-Control-Allow-Origin": "*",
    }
    return Response(body, media_type="application/json", headers=headers)


class Origins:
    """The origins of registered browser apps.

    SMART #considerations-for-cross-origin-resource-sharing-cors-support.
    """

    def __init__(self, store: RecordStore, now: Callable[[], int]) -> None:
        self._store, self._now = store, now
        self._known: tuple[int, frozenset[str]] = (-ORIGINS_KEPT, frozenset())

    async def allows(self, origin: str) -> bool:
        """Tell whether pages of an origin may call; changes are seen within five seconds."""
        now = self._now()
        if not 0 <= now - self._known[0] < ORIGINS_KEPT:
            found: set[str] = set()
            async for record in walk(self._store, Client.KIND):
                client = Client.unpack(record.value)
                if client.active:
                    found |= origins_of(client)
            self._known = (now, frozenset(found))
        return origin in self._known[1]

    async def headers(self, request: Request) -> dict[str, str]:
        """Return what to add to an answer; nothing for other origins."""
        origin = request.headers.get("origin")
        if origin is None or not await self.allows(origin):
            return {}
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Expose-Headers": "Retry-After, WWW-Authenticate",
            "Vary": "Origin",
        }

    async def preflight(self, request: Request) -> Response:
        """Return the answer to ``OPTIONS``."""
        allowed = await self.headers(request)
        if not allowed:
            return Response(status_code=403, headers={"Vary": "Origin"})
        more = {
            "Access-Control-Allow-Methods": "POST",
            "Access-Control-Allow-Headers": "Authorization, Content-Type",
            "Access-Control-Max-Age": "600",
        }
        return Response(status_code=204, headers={**allowed, **more})
