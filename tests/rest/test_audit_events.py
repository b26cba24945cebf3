"""AuditEvents are the server's own to write, and are found only where they are named."""

from typing import Any

import pytest

from server.interactions.prepare import to_write
from server.interactions.services import Policy
from tests.rest.house import (
    BASE,
    FHIR_JSON,
    JSON_PATCH,
    House,
    bundle,
    entry,
    fhirpath_patch,
    ids,
    patient,
    told,
)

EVENT: dict[str, Any] = {
    "resourceType": "AuditEvent",
    "id": "e",
    "type": {"system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest"},
    "recorded": "2026-01-02T03:04:05Z",
    "agent": [{"requestor": True, "who": {"reference": "Patient/a"}}],
    "source": {"observer": {"display": "Tellonce"}},
    "entity": [{"what": {"reference": "Patient/a"}}],
}
META = {
    "resourceType": "Parameters",
    "parameter": [{"name": "meta", "valueMeta": {"tag": [{"code": "x"}]}}],
}


@pytest.fixture
async def audited(house: House) -> House:
    async with house.client() as admin:
        await admin.put("/Patient/a", json=patient("a"))
    await house.store.commit([to_write(EVENT, base_url=BASE, method="POST")])
    return house


@pytest.mark.parametrize("policy", [Policy(delete="allow")])
@pytest.mark.parametrize(
    ("method", "address", "body", "headers"),
    [
        ("POST", "/AuditEvent", EVENT, {}),
        ("POST", "/AuditEvent", EVENT, {"If-None-Exist": "agent=Patient/a"}),
        ("PUT", "/AuditEvent/e", EVENT, {}),
        ("PUT", "/AuditEvent/new", {**EVENT, "id": "new"}, {}),
        ("PUT", "/AuditEvent?agent=Patient/a", EVENT, {}),
        ("PATCH", "/AuditEvent/e", [{"op": "remove", "path": "/entity"}],
         {"Content-Type": JSON_PATCH}),
        ("PATCH", "/AuditEvent?agent=Patient/a", [], {"Content-Type": JSON_PATCH}),
        ("PATCH", "/AuditEvent/e", fhirpath_patch(("delete", "AuditEvent.entity")),
         {"Content-Type": FHIR_JSON}),
        ("DELETE", "/AuditEvent/e", None, {}),
        ("DELETE", "/AuditEvent?agent=Patient/a", None, {}),
        ("POST", "/AuditEvent/e/$meta-add", META, {}),
        ("POST", "/AuditEvent/e/$meta-delete", META, {}),
        ("POST", "", bundle("transaction", entry("POST", "AuditEvent", EVENT)), {}),
        ("POST", "", bundle("transaction", entry("PUT", "AuditEvent/e", EVENT)), {}),
        ("POST", "", bundle("transaction", entry("DELETE", "AuditEvent/e")), {}),
    ],
)  # fmt: skip
async def test_nobody_writes_one(
    audited: House, method: str, address: str, body: Any, headers: dict[str, str]
) -> None:
    async with audited.client() as admin:
        answer = await admin.request(method, address, json=body, headers=headers)
        assert told(answer)[:2] == (405, "not-supported")
        assert answer.headers["allow"] == "GET, HEAD, OPTIONS"
        assert "AuditEvent is written by the server alone" in answer.text
        assert (await admin.get("/AuditEvent/_history")).json()["total"] == 1


async def test_nobody_writes_one_in_a_batch(audited: House) -> None:
    sent = bundle("batch", entry("POST", "AuditEvent", EVENT), entry("DELETE", "AuditEvent/e"))
    async with audited.client() as admin:
        answers = (await admin.post("", json=sent)).json()["entry"]
    assert [one["response"]["status"] for one in answers] == ["405 Method Not Allowed"] * 2


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("/AuditEvent", ["AuditEvent/e"]),
        ("/AuditEvent/_history", ["AuditEvent/e"]),
        ("/AuditEvent/e/_history", ["AuditEvent/e"]),
        ("/Patient/a/AuditEvent", ["AuditEvent/e"]),
        ("/?_type=AuditEvent", ["AuditEvent/e"]),
        ("/Patient/a/*?_type=AuditEvent", ["AuditEvent/e"]),
        ("/Patient/a/$everything?_type=AuditEvent", ["AuditEvent/e"]),
        ("/Patient?_revinclude=AuditEvent:entity", ["Patient/a", "AuditEvent/e"]),
        ("/", ["Patient/a"]),
        ("/_history", ["Patient/a"]),
        ("/Patient/a/*", ["Patient/a"]),
        ("/Patient/a/$everything", ["Patient/a"]),
        ("/Patient?_revinclude=*", ["Patient/a"]),
    ],
)
async def test_one_is_found_where_it_is_named(
    audited: House, address: str, found: list[str]
) -> None:
    async with audited.client() as admin:
        assert ids(await admin.get(address)) == found
