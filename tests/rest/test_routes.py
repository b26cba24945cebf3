"""Every route demands a caller, or is on a short public list."""

import re

import httpx
import pytest

from server import rest
from server.rest.application import PUBLIC as PUBLIC_PAGES
from server.rest.routes import PUBLIC, ROUTES
from tests.rest.house import BASE, House, authenticate, told

EXAMPLES = {
    "{type}": "Patient", "{id}": "a", "{vid}": "1", "{member}": "Observation",
    "{operation}": "$validate", "{job}": "x",
}  # fmt: skip
CALLS = [(route, method) for route, methods in ROUTES.items() for method in methods]


def test_the_public_list_is_short() -> None:
    assert {
        "/metadata",
        "/.well-known/smart-configuration",
        "/.well-known/openid-configuration",
    } == PUBLIC
    assert {"/livez", "/readyz", "/metrics", "/openapi.json"} == PUBLIC_PAGES


@pytest.mark.parametrize(("route", "method"), CALLS)
async def test_every_fhir_route_demands_a_caller(house: House, route: str, method: str) -> None:
    address = re.sub(r"\{\w+\}", lambda found: EXAMPLES[found[0]], route)
    async with house.client(None) as stranger:
        answer = await stranger.request(method, address)
    if route == "/metadata":
        assert answer.status_code == 200
    elif route in PUBLIC:
        assert told(answer) == (404, "not-found", None)  # this house has no such documents
    else:
        assert told(answer) == (401, "login", None)


@pytest.mark.smart(372, 374, 377)
async def test_discovery_is_plain_json_for_everybody(house: House) -> None:
    documents = {"smart-configuration": lambda: {"issuer": "http://fhir.test"}}
    app = rest.build(house.services, authenticate=authenticate, well_known=documents)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as stranger:
        answer = await stranger.get(
            "/.well-known/smart-configuration", headers={"Accept": "text/html"}
        )
        other = await stranger.get("/.well-known/other")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"issuer": "http://fhir.test"}
    assert told(other) == (401, "login", None)


async def test_no_page_beside_fhir_is_open_by_accident(house: House) -> None:
    routes = {getattr(route, "path", "?") for route in walk(house.app.pages.routes)}
    assert routes == PUBLIC_PAGES


def walk(routes: list[object]) -> list[object]:
    """Return the routes, those of included routers too."""
    found: list[object] = []
    for route in routes:
        inner = getattr(route, "routes", None)
        if inner is None:
            original = getattr(route, "original_router", None)
            inner = getattr(original, "routes", None)
        found += walk(list(inner)) if inner is not None else [route]
    return found


async def test_a_stranger_learns_nothing_from_what_is_wrong(house: House) -> None:
    async with house.client(None) as stranger:
        for address in ("/Paciento/a", "/a/b/c/d/e/f", "/Patient?_count=x", "/$jump"):
            assert told(await stranger.get(address)) == (401, "login", None)


async def test_paths_outside_fhir(house: House) -> None:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(house.app), base_url="http://fhir.test"
    ) as client:
        assert (await client.get("/livez")).json() == {"status": "alive"}
        assert (await client.get("/readyz")).json() == {"store": "ok"}
        for address in ("/nothing", "/fhirx/Patient", "/"):
            answer = await client.get(address)
            assert answer.status_code == 404
            assert answer.json()["resourceType"] == "OperationOutcome"


async def test_alive_but_not_ready_when_the_store_is_closed(house: House) -> None:
    await house.store.close()
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(house.app), base_url="http://fhir.test"
    ) as client:
        assert (await client.get("/livez")).status_code == 200
        ready = await client.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["store"] != "ok"


async def test_the_openapi_document_holds_the_fhir_routes(house: House) -> None:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(house.app), base_url="http://fhir.test"
    ) as client:
        document = (await client.get("/openapi.json")).json()
    paths = document["paths"]
    assert set(paths["/fhir/{type}/{id}"]) == {"get", "put", "patch", "delete"}
    assert set(paths["/fhir/Patient/{id}/$everything"]) == {"get", "post"}
    assert set(paths["/fhir/{type}/{id}/$meta-add"]) == {"post"}
    assert "/livez" in paths
    assert paths["/fhir/{type}/{id}"]["get"]["security"] == [{"bearer": []}]
    assert paths["/fhir/metadata"]["get"]["security"] == []
    assert set(document["components"]["securitySchemes"]) == {"bearer"}
    plain = [route for route in ROUTES if "{operation}" not in route]
    assert {"/fhir" + ("" if route == "/" else route) for route in plain} <= set(paths)


async def test_the_openapi_document_names_each_way_to_a_token(house: House) -> None:
    oauth = {"authorize": "http://fhir.test/a", "token": "http://fhir.test/t"}
    app = rest.build(house.services, authenticate=authenticate, oauth=oauth)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://fhir.test"
    ) as client:
        document = (await client.get("/openapi.json")).json()
    assert set(document["components"]["securitySchemes"]) == {"bearer", "smart"}
    assert document["paths"]["/fhir/{type}"]["get"]["security"] == [{"bearer": []}, {"smart": []}]
    assert document["paths"]["/fhir/metadata"]["get"]["security"] == []
