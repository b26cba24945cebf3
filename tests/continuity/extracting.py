"""A server, a form and its answers, for the tests of extraction and confirmation."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from server.interactions.services import Policy
from server.rest import Limits
from tests.rest.house import STORES, Clock, House

SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-"
KNOWN = "https://tellonce.org/fhir/StructureDefinition/known"
EXTRACTED = "https://tellonce.org/fhir/extracted"
AUTHORED = "2026-01-02T03:00:00Z"


@pytest.fixture
async def house(tmp_path: Any) -> AsyncIterator[House]:
    clock = Clock()
    made = House(STORES["memory"](tmp_path, clock), clock, Policy(), Limits())
    yield made
    await made.app.stop(grace_s=5)
    await made.store.close()


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with house.client() as made:
        yield made


async def put(client: httpx.AsyncClient, resource: dict[str, Any]) -> dict[str, Any]:
    name = f"/{resource['resourceType']}/{resource['id']}"
    answer = await client.put(name, json=resource)
    assert answer.status_code in (200, 201), answer.text
    made: dict[str, Any] = answer.json()
    return made


def response(items: list[Any], **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "QuestionnaireResponse",
        "id": "r",
        "questionnaire": "https://forms.test/q",
        "status": "completed",
        "subject": {"reference": "Patient/a"},
        "authored": AUTHORED,
        "author": {"reference": "Patient/a"},
        "item": items,
        **more,
    }


def form(items: list[Any], **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Questionnaire",
        "id": "q",
        "url": "https://forms.test/q",
        "status": "active",
        "item": items,
        **more,
    }


async def given(
    client: httpx.AsyncClient, questionnaire: dict[str, Any], answered: dict[str, Any]
) -> None:
    await put(client, {"resourceType": "Patient", "id": "a", "name": [{"family": "Doe"}]})
    await put(client, questionnaire)
    await put(client, answered)


async def extracted(client: httpx.AsyncClient, **args: Any) -> dict[str, Any]:
    """Return the Bundle and the issues of ``QuestionnaireResponse/r/$extract``."""
    body: dict[str, Any] = {"resourceType": "Parameters"}
    if args:
        body["parameter"] = [{"name": name, "valueBoolean": value} for name, value in args.items()]
    answer = await client.post("/QuestionnaireResponse/r/$extract", json=body)
    assert answer.status_code == 200, answer.text
    return {one["name"]: one["resource"] for one in answer.json()["parameter"]}


def facts(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the resources of a Bundle but for the Provenances, without what a store decides."""
    found = []
    for one in bundle.get("entry", ()):
        resource = one.get("resource")
        if resource is not None and resource["resourceType"] != "Provenance":
            found.append({k: v for k, v in resource.items() if k not in ("meta", "id")})
    return found


async def stored(client: httpx.AsyncClient, type_: str) -> list[dict[str, Any]]:
    found = (await client.get(f"/{type_}?_count=100&_sort=_lastUpdated")).json()
    return [one["resource"] for one in found.get("entry", ())]


def shown(value: Any) -> str:
    return json.dumps(value, indent=1)
