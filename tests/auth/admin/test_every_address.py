"""Every address beside the FHIR API asks who calls, or stands on a short list."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from server.app.entrance import Entrance, brands_of
from server.app.opening import services_of
from server.auth import new_token
from server.settings import Settings
from server.store.port import Store
from tests.rest.test_routes import walk

BASE = "http://127.0.0.1:8080/fhir"

# What answers without knowing who asks, and why.
PUBLIC = {
    ("GET", "/brands"): "which hospital this is",
    ("HEAD", "/brands"): "the same",
    ("GET", "/.well-known/openid-configuration"): "where the endpoints are",
    ("GET", "/fhir/.well-known/openid-configuration"): "the same",
    ("GET", "/auth/jwks"): "public keys",
    ("GET", "/"): "leads to the start page, which asks",
    ("HEAD", "/"): "the same",
    ("GET", "/auth"): "the same",
    ("HEAD", "/auth"): "the same",
    ("GET", "/auth/login"): "the form",
    ("HEAD", "/auth/login"): "the same",
    ("GET", "/auth/static/{name}"): "style and pictures",
    ("POST", "/auth/revoke"): "says 200 to whatever it does not know (RFC 7009, 2.2)",
}


@pytest.fixture
async def app(store: Store) -> AsyncIterator[FastAPI]:
    settings = Settings(open=False)
    services = await services_of(settings, store, BASE)
    brands = await brands_of(settings, services)
    async with Entrance(settings, services, brands) as entrance:
        made = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
        for router in entrance.routers():
            made.include_router(router)
        yield made


async def test_every_address_asks_who_calls_or_is_listed(app: FastAPI) -> None:
    let_in, asked = set(), 0
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=BASE.removesuffix("/fhir")) as http:
        for route in walk(list(app.routes)):
            path = str(getattr(route, "path", "?"))
            for method in sorted(getattr(route, "methods", ()) - {"OPTIONS"}):
                asked += 1
                address = re.sub(r"\{\w+\}", "x", path)
                answer = await http.request(method, address, headers={"Origin": BASE[:-5]})
                to_login = answer.status_code == 303 and "/auth/login" in answer.headers["location"]
                if answer.status_code < 400 and not to_login:
                    let_in.add((method, path))
                if path.startswith("/admin"):
                    assert answer.status_code == 401

    assert asked > 30
    assert let_in - set(PUBLIC) == set()


@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
async def test_nothing_of_a_body_is_read_before_it_is_known_who_sends_it(
    app: FastAPI, store: Store, kind: str
) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield b"[" * 65_536

    token = await new_token(store, "test")
    transport = httpx.ASGITransport(app)
    headers = {"Content-Type": kind}
    async with httpx.AsyncClient(transport=transport, base_url=BASE.removesuffix("/fhir")) as http:
        for path in ("/admin/users", "/admin/clients", "/admin/proxies"):
            read = 0
            answer = await http.post(path, content=endless(), headers=headers)
            assert (answer.status_code, read) == (401, 0)
            allowed = {**headers, "Authorization": f"Bearer {token}"}
            answer = await http.post(path, content=endless(), headers=allowed)
            assert (answer.status_code, answer.json()["code"]) == (413, "too-long")
            assert read == 5


async def test_no_answer_beside_the_api_may_be_framed_or_kept_by_others(app: FastAPI) -> None:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=BASE.removesuffix("/fhir")) as http:
        page = await http.get("/auth/login")
        admin = await http.get("/admin/users")

    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert "script-src" not in page.headers["content-security-policy"].replace(
        "script-src 'none'", ""
    )
    assert [one.headers["cache-control"] for one in (page, admin)] == ["no-store", "no-store"]
