"""Every address of the server asks who is there, or is on a short list of those that need not.

The server is the one that ``tellonce serve`` starts; a new route fails here until somebody decided
what it is.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.app import serving
from server.http import HttpServer
from server.rest.routes import PUBLIC as PUBLIC_FHIR
from server.rest.routes import ROUTES
from server.settings import Settings
from tests.rest.test_routes import EXAMPLES, walk

# Nobody is asked: health, discovery, what browsers load before a login, the login itself.
PUBLIC = {
    "GET /", "GET /auth", "GET /livez", "GET /readyz", "GET /metrics", "GET /openapi.json",
    "GET /brands", "OPTIONS /brands", "GET /.well-known/openid-configuration", "GET /auth/jwks",
    "GET /auth/login", "POST /auth/login", "GET /auth/static/{name}", "GET /auth/upstream/login",
    "GET /auth/upstream/callback", "OPTIONS /auth/token", "OPTIONS /auth/introspect",
    "OPTIONS /auth/revoke",
}  # fmt: skip
# They know the client by its own authentication or registration: RFC 6749, 7009, 7662.
OF_CLIENTS = {
    "GET /auth/authorize", "POST /auth/authorize", "GET /auth/authorize/{id}", "POST /auth/token",
    "POST /auth/introspect", "POST /auth/revoke",
}  # fmt: skip

FORM = "application/x-www-form-urlencoded"
KINDS = {"/hl7v2/": "application/hl7-v2", "/auth/": FORM}


class Seen(HttpServer):
    """Keeps what is served."""

    application: Any = None

    def __init__(self, application: Any, *more: Any) -> None:
        type(self).application = application
        super().__init__(application, *more)


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[tuple[Any, httpx.AsyncClient]]:
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    settings = Settings.model_validate({"data": folder, "port": 0, "mllp_port": None})
    running = asyncio.create_task(
        serving.serve(settings, on_ready=lambda it: ready.set_result(it), stop=stop)
    )
    await asyncio.wait([running, ready], return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        running.result()
    root = ready.result().base_url.removesuffix("/fhir")
    try:
        async with httpx.AsyncClient(base_url=root, timeout=30) as client:
            yield Seen.application.application, client
    finally:
        stop.set()
        await running


async def test_every_address_of_the_server_asks_who_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "HttpServer", Seen)
    async with served(tmp_path / "data") as (application, stranger):
        calls = sorted(_pages(application) | _fhir())
        wrong = [
            (call, answer.status_code)
            for call in calls
            if not _asks(call, answer := await _sent(stranger, call))
        ]
    assert len(calls) > 80
    assert wrong == []


async def test_no_answer_leads_to_whatever_host_was_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "HttpServer", Seen)
    async with served(tmp_path / "data") as (application, stranger):
        stranger.headers["Host"] = "evil.example"
        calls = [call for call in sorted(_pages(application) | _fhir()) if call.startswith("GET ")]
        answers = [await _sent(stranger, f"{call}{end}") for call in calls for end in ("", "/")]
    assert [one.headers for one in answers if "evil" in str(one.headers)] == []


async def test_the_lists_name_nothing_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "HttpServer", Seen)
    async with served(tmp_path / "data") as (application, _):
        assert (PUBLIC | OF_CLIENTS) - _pages(application) == set()


def _pages(application: Any) -> set[str]:
    return {
        f"{method} {getattr(route, 'path', '?')}"
        for route in walk(list(application.pages.routes))
        for method in getattr(route, "methods", None) or ()
        if method != "HEAD"
    }


def _fhir() -> set[str]:
    return {
        f"{method} /fhir{'' if route == '/' else route}"
        for route, methods in ROUTES.items()
        for method in methods
        if route not in PUBLIC_FHIR
    }


async def _sent(client: httpx.AsyncClient, call: str) -> httpx.Response:
    method, route = call.split(" ")
    address = re.sub(r"\{\w+\}", lambda found: EXAMPLES.get(found[0], "x"), route)
    kind = next((kind for start, kind in KINDS.items() if address.startswith(start)), None)
    headers = {"Content-Type": kind} if kind else {}
    content = b"" if method in ("GET", "DELETE", "OPTIONS") else b"x=1"
    return await client.request(method, address, headers=headers, content=content)


def _asks(call: str, answer: httpx.Response) -> bool:
    """Tell whether a stranger was stopped as the kind of route demands."""
    if call in PUBLIC:
        return True
    if call in OF_CLIENTS:
        return answer.status_code in (400, 401)
    if call.partition(" ")[2].startswith("/auth/"):
        login = answer.headers.get("location", "")
        return answer.status_code == 403 or (answer.status_code == 303 and "/auth/login" in login)
    challenge = answer.headers.get("www-authenticate", "")
    return answer.status_code == 401 and challenge.startswith(("Bearer", "Basic"))
