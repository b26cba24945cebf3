"""What the dispatcher does beside audit: the trace of a request, CORS, and the rate of a client."""

import httpx
import pytest

from server import rest
from server.access.context import AccessContext
from server.fhir.errors import Throttled
from tests.audit.house import AuditedHouse
from tests.rest.house import BASE, authenticate

ANYWHERE = {"Origin": "https://anywhere.example"}
APP = {"Origin": "https://registered.example"}
PREFLIGHT = {"Access-Control-Request-Method": "GET"}


def limit(access: AccessContext) -> None:
    if access.principal == "user/other":
        raise Throttled("too many requests of app", retry_after_s=7)


@pytest.fixture
def client(house: AuditedHouse) -> httpx.AsyncClient:
    app = rest.build(
        house.services,
        authenticate=authenticate,
        registered_origin=lambda origin: origin == "https://registered.example",
        throttle=limit,
        well_known={"smart-configuration": lambda: {"issuer": "http://fhir.test"}},
    )
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url=BASE
    )


@pytest.mark.parametrize("address", ["/metadata", "/.well-known/smart-configuration"])
async def test_what_is_told_to_everybody_is_told_to_every_origin(
    client: httpx.AsyncClient, address: str
) -> None:
    answers = [
        await client.get(address, headers=ANYWHERE),
        await client.options(address, headers=ANYWHERE | PREFLIGHT),
    ]
    for answer in answers:
        assert answer.is_success
        assert answer.headers["access-control-allow-origin"] == "*"


async def test_the_record_is_for_the_origins_of_registered_apps(
    client: httpx.AsyncClient,
) -> None:
    ours = await client.options("/Patient/a", headers=APP | PREFLIGHT)
    theirs = await client.options("/Patient/a", headers=ANYWHERE | PREFLIGHT)

    assert ours.headers["access-control-allow-origin"] == "https://registered.example"
    assert "X-Provenance" in ours.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in ours.headers
    assert "access-control-allow-origin" not in theirs.headers


async def test_who_asks_too_often_is_told_when_to_come_back(client: httpx.AsyncClient) -> None:
    answer = await client.get("/Patient/a", headers={"Authorization": "Bearer other"})

    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")


async def test_who_is_throttled_is_not_told_of_each_time(
    client: httpx.AsyncClient, house: AuditedHouse
) -> None:
    for _ in range(5):
        await client.get("/Patient/a", headers={"Authorization": "Bearer other"})

    assert await house.events() == []
