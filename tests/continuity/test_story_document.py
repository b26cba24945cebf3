"""``Composition/$document``: everything that a Composition refers to, frozen."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.access.context import AccessContext, Permit
from server.interactions.services import Policy
from server.rest import Limits
from server.validation import validate
from tests.continuity.story_record import ADA, ADA_HERSELF, PEOPLE, Resource, concept, of
from tests.rest.house import CALLERS, STORES, Clock, House, told

READS = frozenset(("read", "search"))
CALLERS.setdefault(
    "reads",
    AccessContext("user/reads", "app", (Permit("*", READS),)),  # type: ignore[arg-type]
)
COMPOSITION: Resource = of(
    "Composition", "c", status="final", type=concept("Letter"), subject=ADA, date="2026-01-02",
    author=[{"reference": "Practitioner/roe"}], title="Letter",
    section=[
        {"title": "Findings", "text": {"status": "generated", "div":
            '<div xmlns="http://www.w3.org/1999/xhtml">Gout</div>'},
         "entry": [{"reference": "Condition/gout/_history/1"}, {"reference": "Condition/ache"}]},
    ],
)  # fmt: skip


@pytest.fixture(params=STORES)
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    clock = Clock()
    made = House(STORES[request.param](tmp_path, clock), clock, Policy(delete="allow"), Limits())
    gout = of("Condition", "gout", subject=ADA, code=concept("Gout"))
    ache = of("Condition", "ache", subject=ADA, code=concept("Ache"))
    async with made.client() as admin:
        for one in (*PEOPLE, ADA_HERSELF, gout, ache, COMPOSITION):
            answer = await admin.put(f"/{one['resourceType']}/{one['id']}", json=one)
            assert answer.status_code == 201, answer.text
    yield made
    await made.app.stop(grace_s=5)
    await made.store.close()


async def document(house: House, caller: str = "admin", query: str = "") -> httpx.Response:
    async with house.client(caller) as client:
        return await client.get(f"/Composition/c/$document{query}")


def names(bundle: Any) -> list[str]:
    return [f"{one['resource']['resourceType']}/{one['resource'].get('id', '')}"
            for one in bundle["entry"]]  # fmt: skip


async def put(house: House, resource: Resource) -> None:
    async with house.client() as admin:
        answer = await admin.put(f"/{resource['resourceType']}/{resource['id']}", json=resource)
        assert answer.status_code in (200, 201), answer.text


async def test_a_document_has_the_composition_first_and_each_reference_once(house: House) -> None:
    answer = await document(house)
    assert answer.status_code == 200
    bundle = answer.json()
    assert bundle["type"] == "document"
    assert bundle["timestamp"] == "2026-01-02T03:04:05.678Z"
    assert bundle["identifier"]["value"].startswith("urn:uuid:")
    assert names(bundle) == [
        "Composition/c", "Patient/ada", "Practitioner/roe", "Condition/gout", "Condition/ache",
    ]  # fmt: skip
    assert bundle["entry"][3]["fullUrl"] == "http://fhir.test/fhir/Condition/gout"
    assert validate(bundle) == []


async def test_a_reference_to_a_version_stays_that_version(house: House) -> None:
    for id_ in ("gout", "ache"):
        await put(house, of("Condition", id_, subject=ADA, code=concept("Changed")))
    bundle = (await document(house)).json()
    assert [one["resource"]["code"]["text"] for one in bundle["entry"][3:]] == ["Gout", "Changed"]


async def test_what_is_deleted_and_what_is_hidden_is_told_in_the_same_words(house: House) -> None:
    ache = of("Condition", "ache", subject=ADA, code=concept("Ache"))
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "V"}
    await put(house, {**ache, "meta": {"security": [label]}})
    permit = Permit("*", hidden=(f"{label['system']}|V",))
    CALLERS["cleared-low"] = AccessContext("user/low", "app", (permit,))
    hidden = (await document(house, "cleared-low")).json()
    async with house.client() as admin:
        await admin.delete("/Condition/ache")
    deleted = (await document(house, "cleared-low")).json()
    outcome = {
        "resourceType": "OperationOutcome",
        "issue": [
            {
                "severity": "warning",
                "code": "not-found",
                "diagnostics": "Condition/ache is not known, and not in this document",
                "expression": ["Composition.section[0].entry[1]"],
            }
        ],
    }
    assert [one["entry"][-1]["resource"] for one in (hidden, deleted)] == [outcome, outcome]
    assert "V" not in str(hidden.get("meta"))


async def test_a_document_bears_the_highest_label_inside(house: House) -> None:
    ache = of("Condition", "ache", subject=ADA, code=concept("Ache"))
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
    await put(house, {**ache, "meta": {"security": [label]}})
    assert (await document(house)).json()["meta"]["security"] == [label]


@pytest.mark.parametrize(
    "reference",
    ["http://elsewhere.test/fhir/Condition/x", "Condition?code=1", "Condition/gout/_history/99",
     "urn:uuid:00000000-0000-0000-0000-000000000001", "Nothing/x"],
)  # fmt: skip
async def test_what_cannot_be_resolved_is_an_issue(house: House, reference: str) -> None:
    section = {**COMPOSITION["section"][0], "entry": [{"reference": reference}]}
    async with house.client() as admin:
        await admin.put("/Composition/c", json={**COMPOSITION, "section": [section]})
    answer = await document(house)
    assert answer.status_code == 200
    assert names(answer.json())[3:] == ["OperationOutcome/"]


async def test_a_document_is_stored_under_the_caller_s_rights(house: House) -> None:
    answer = await document(house, query="?persist=true")
    assert answer.status_code == 200
    stored = answer.json()
    async with house.client() as admin:
        found = await admin.get(f"/Bundle/{stored['id']}")
    assert found.json() == stored
    assert names(stored)[0] == "Composition/c"


async def test_who_may_not_store_bundles_stores_no_document(house: House) -> None:
    assert told(await document(house, "reads", "?persist=true"))[:2] == (403, "forbidden")
    assert (await document(house, "reads")).status_code == 200


async def test_post_works_as_get_does(house: House) -> None:
    async with house.client() as admin:
        answer = await admin.post("/Composition/c/$document", json={
            "resourceType": "Parameters",
            "parameter": [{"name": "persist", "valueBoolean": False}],
        })  # fmt: skip
    assert answer.status_code == 200
    assert len(answer.json()["entry"]) == 5


async def test_a_composition_that_may_not_be_seen_has_no_document(house: House) -> None:
    async with house.client("patient-b") as client:
        assert told(await client.get("/Composition/c/$document"))[:2] == (404, "not-found")
        assert told(await client.get("/Composition/none/$document"))[:2] == (404, "not-found")
