"""User-access brands: what is published, from a file or without one."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from server.auth.brands import (
    Brands,
    UnfitBrands,
    checked,
    default_brand,
    published,
    read_brands,
)
from server.auth.brands_page import brands_router
from server.store.port import Store
from server.validation import check
from tests.contract.made import START

BASE = "https://www.westbruck.example/fhir"
SITE = {"system": "urn:ietf:rfc:3986", "value": "https://westbruck.example"}


def brand(id_: str = "main", **more: Any) -> dict[str, Any]:
    said = {"resourceType": "Organization", "id": id_, "name": "Westbruck", "identifier": [SITE]}
    return {**said, **more}


def other(id_: str = "branch", **more: Any) -> dict[str, Any]:
    identifier = {"system": "https://registry.example", "value": id_}
    return brand(id_, identifier=[identifier], partOf={"reference": "Organization/main"}, **more)


def absent(reason: str) -> dict[str, Any]:
    url = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
    return {"_name": {"extension": [{"url": url, "valueCode": reason}]}, "name": None}


@pytest.fixture
async def brands(store: Store) -> Brands:
    return await published(store, checked(default_brand(BASE, "Westbruck"), BASE), START)


@pytest.fixture
async def client(brands: Brands) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.include_router(brands_router(brands))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://fhir.test") as made:
        yield made


@pytest.mark.smart(395, 396, 398, 399, 407, 410, 411, 412, 417, 418, 419, 422, 430, 431, 432, 433)
async def test_without_a_file_there_is_one_brand_that_refers_to_this_server(
    brands: Brands,
) -> None:
    bundle = json.loads(brands.body)

    check(bundle)
    assert (bundle["type"], bundle["timestamp"]) == ("collection", "2026-01-02T03:04:05.678Z")
    organization, endpoint = (entry["resource"] for entry in bundle["entry"])
    assert (organization["name"], organization["identifier"]) == ("Westbruck", [SITE])
    assert organization["meta"]["lastUpdated"] == "2026-01-02T03:04:05.678Z"
    assert organization["endpoint"] == [{"reference": f"Endpoint/{endpoint['id']}"}]
    assert endpoint["address"] == BASE
    assert endpoint["payloadType"][0]["coding"][0]["code"] == "none"
    assert endpoint["extension"][0]["valueCode"] == "4.0.1"
    assert brands.identifier == SITE


@pytest.mark.smart(400, 401, 423, 424)
async def test_brands_are_read_from_any_origin_and_not_twice(
    client: httpx.AsyncClient, brands: Brands
) -> None:
    first = await client.get("/brands", headers={"Origin": "https://app.example"})
    again = await client.get("/brands", headers={"If-None-Match": first.headers["etag"]})
    ahead = await client.options("/brands", headers={"Origin": "https://app.example"})

    assert first.headers["content-type"] == "application/fhir+json"
    assert first.headers["access-control-allow-origin"] == "*"
    assert first.headers["etag"].startswith('W/"')
    assert first.content == brands.body
    assert (again.status_code, again.content) == (304, b"")
    assert ahead.status_code == 204
    assert "if-none-match" in ahead.headers["access-control-allow-headers"].lower()


@pytest.mark.smart(398, 418)
async def test_the_timestamp_is_that_of_the_last_change(store: Store) -> None:
    said = default_brand(BASE, "Westbruck")
    first = await published(store, said, START)
    same = await published(store, said, START + 60_000_000)
    changed = await published(store, default_brand(BASE, "Eastbruck"), START + 120_000_000)

    assert same == first
    assert json.loads(changed.body)["timestamp"] == "2026-01-02T03:06:05.678Z"
    assert changed.etag != first.etag


@pytest.mark.smart(397, 402, 403, 404, 408, 421, 434, 436, 437)
async def test_a_file_says_everything_about_its_brands(tmp_path: Path, store: Store) -> None:
    portal = {
        "url": "http://hl7.org/fhir/StructureDefinition/organization-portal",
        "extension": [
            {"url": "portalName", "valueString": "MyWestbruck"},
            {"url": "portalEndpoint", "valueReference": {"reference": "Endpoint/tellonce"}},
        ],
    }
    said = [
        brand(
            extension=[portal],
            alias=["Old Westbruck"],
            address=[{"postalCode": "12345", "country": "DE"}],
        ),
        {k: v for k, v in other(**absent("asked-declined")).items() if v is not None},
    ]
    file = tmp_path / "brands.json"
    entries = [{"resource": one} for one in said]
    file.write_text(json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}))

    made = await published(store, read_brands(file, BASE), START)

    bundle = json.loads(made.body)
    check(bundle)
    main, branch, endpoint = (entry["resource"] for entry in bundle["entry"])
    assert main["extension"] == [portal]
    assert (main["alias"], main["address"]) == (said[0]["alias"], said[0]["address"])
    assert branch["identifier"] == [{"system": "https://registry.example", "value": "branch"}]
    assert (endpoint["address"], made.identifier) == (BASE, SITE)
    assert main["endpoint"] == [{"reference": "Endpoint/tellonce"}]


@pytest.mark.smart(405, 412, 432, 437)
@pytest.mark.parametrize(
    ("said", "why"),
    [
        ([], "no brand"),
        ([{"resourceType": "Patient", "id": "p"}], "no Patient"),
        ([brand(id_="")], "has no id"),
        ([brand(), brand()], "two Organization/main"),
        ([brand(name=None)], "has no name"),
        ([brand(identifier=[])], "has no identifier"),
        ([brand(), brand("b")], "2 brands have the primary brand's identifier"),
        ([brand(), other(endpoint=[{"reference": "Endpoint/x"}])], "Endpoint/x, which is not in"),
        ([brand(**absent("unknown"))], "none of asked-declined, asked-unknown"),
    ],
)
def test_brands_that_break_a_rule_are_not_published(said: list[dict[str, Any]], why: str) -> None:
    with pytest.raises(UnfitBrands, match=why):
        checked(said, BASE)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"resourceType": "Patient"}', '{"resourceType": "Bundle", "x": 1}']
)
def test_a_file_that_is_no_bundle_is_told_of(tmp_path: Path, text: str) -> None:
    file = tmp_path / "brands.json"
    file.write_text(text)
    with pytest.raises(UnfitBrands, match=r"brands\.json: "):
        read_brands(file, BASE)
    with pytest.raises(UnfitBrands, match=r"other\.json: No such file"):
        read_brands(tmp_path / "other.json", BASE)


async def test_openapi_tells_of_the_brands_once(brands: Brands) -> None:
    app = FastAPI()
    app.include_router(brands_router(brands))
    assert set(app.openapi()["paths"]["/brands"]) == {"get"}
