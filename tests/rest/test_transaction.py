"""transaction: order, references, atomicity.  R4 http.html#trules."""

import json
from base64 import b64encode
from typing import Any

import httpx
import pytest

from server.access.context import SYSTEM
from server.interactions.services import Policy
from tests.rest.house import (
    JSON_PATCH,
    House,
    bundle,
    entry,
    fhirpath_patch,
    ids,
    observation,
    patient,
    told,
)

U1 = "urn:uuid:6a4d7c0e-0000-4000-8000-000000000001"
U2 = "urn:uuid:6a4d7c0e-0000-4000-8000-000000000002"
ONE = [{"system": "s", "value": "1"}]
TWO = [{"system": "s", "value": "2"}]


async def run(client: httpx.AsyncClient, *entries: Any, **headers: str) -> list[Any]:
    answer = await client.post("", json=bundle("transaction", *entries), headers=headers)
    assert answer.status_code == 200, answer.text
    made = answer.json()
    assert made["type"] == "transaction-response"
    found: list[Any] = made["entry"]
    return found


async def refused(client: httpx.AsyncClient, *entries: Any) -> tuple[int, str, list[str] | None]:
    before = (await client.get("/_history?_count=1000")).json()
    found = told(await client.post("", json=bundle("transaction", *entries)))
    assert (await client.get("/_history?_count=1000")).json() == before
    return found


def binary_patch(*operations: Any) -> dict[str, Any]:
    data = b64encode(json.dumps(operations).encode()).decode()
    return {"resourceType": "Binary", "contentType": JSON_PATCH, "data": data}


async def test_both_kinds_of_patch_in_one_transaction(client: httpx.AsyncClient) -> None:
    for id_ in ("a", "b", "c"):
        await client.put(f"/Patient/{id_}", json=patient(id_, identifier=ONE, active=True))
    link = {"part": [{"name": "other", "valueReference": {"reference": U1}},
                     {"name": "type", "valueCode": "seealso"}]}  # fmt: skip

    found = await run(
        client,
        entry("POST", "Patient", patient(identifier=TWO), fullUrl=U1),
        entry("PATCH", "Patient/a", fhirpath_patch(("delete", "Patient.active"))),
        entry("PATCH", "Patient/b", binary_patch({"op": "remove", "path": "/active"})),
        entry("PATCH", "Patient/c", fhirpath_patch(("add", "Patient", link, "link"))),
    )

    assert [e["response"]["status"] for e in found] == ["201 Created", *["200 OK"] * 3]
    made = found[0]["response"]["location"].split("/")[5]
    assert "active" not in (await client.get("/Patient/a")).json()
    assert "active" not in (await client.get("/Patient/b")).json()
    assert (await client.get("/Patient/c")).json()["link"] == [
        {"other": {"reference": f"Patient/{made}"}, "type": "seealso"}
    ]


async def test_a_fhirpath_patch_that_does_not_apply_undoes_all(client: httpx.AsyncClient) -> None:
    await client.put("/Patient/a", json=patient("a", active=True))
    await client.put("/Patient/b", json=patient("b"))

    assert await refused(
        client,
        entry("POST", "Patient", patient()),
        entry("PATCH", "Patient/a", fhirpath_patch(("delete", "Patient.active"))),
        entry("PATCH", "Patient/b",
              fhirpath_patch(("replace", "Patient.active", {"valueBoolean": True}))),
    ) == (422, "invalid", ["Bundle.entry[2].resource.parameter[0]"])  # fmt: skip


async def test_references_are_resolved_in_any_order_of_entries(client: httpx.AsyncClient) -> None:
    found = await run(
        client,
        entry("POST", "Observation", observation(U1), fullUrl=U2),
        entry("POST", "Patient", patient(), fullUrl=U1),
    )

    assert [e["response"]["status"] for e in found] == ["201 Created", "201 Created"]
    (made,) = (await client.get("/Observation")).json()["entry"]
    location = found[1]["response"]["location"].removeprefix("http://fhir.test/fhir/")
    assert made["resource"]["subject"]["reference"] == location.partition("/_history")[0]


async def test_the_response_follows_prefer(client: httpx.AsyncClient) -> None:
    (minimal,) = await run(client, entry("PUT", "Patient/a", patient("a")))
    (whole,) = await run(
        client, entry("PUT", "Patient/a", patient("a")), Prefer="return=representation"
    )
    (outcome,) = await run(
        client, entry("PUT", "Patient/a", patient("a")), Prefer="return=OperationOutcome"
    )

    assert minimal == {
        "response": {
            "status": "201 Created",
            "location": "http://fhir.test/fhir/Patient/a/_history/1",
            "etag": 'W/"1"',
            "lastModified": "2026-01-02T03:04:05.678Z",
        }
    }
    assert whole["resource"]["meta"]["versionId"] == "2"
    assert whole["response"]["status"] == "200 OK"
    assert outcome["response"]["outcome"]["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize("policy", [Policy(delete="allow")])
async def test_the_order_is_delete_post_put_get(client: httpx.AsyncClient) -> None:
    await client.put("/Patient/old", json=patient("old"))

    found = await run(
        client,
        entry("GET", "Patient?_summary=count"),
        entry("PUT", "Patient/new", patient("new")),
        entry("POST", "Patient", patient()),
        entry("DELETE", "Patient/old"),
        entry("GET", "Patient/new"),
        entry("GET", "Patient/old"),
    )

    assert [e["response"]["status"] for e in found] == [
        "200 OK", "201 Created", "201 Created", "204 No Content", "200 OK", "410 Gone",
    ]  # fmt: skip
    assert found[0]["resource"]["total"] == 2
    assert found[4]["resource"]["id"] == "new"
    assert found[5]["response"]["outcome"]["issue"][0]["code"] == "deleted"
    history = (await client.get("/_history?_count=3")).json()
    assert [e["request"]["method"] for e in history["entry"]] == ["PUT", "POST", "DELETE"]


async def test_relative_references_count_from_the_full_url(client: httpx.AsyncClient) -> None:
    """R4 bundle.html#references: ``Patient/7`` beside ``http://other/fhir/Observation/8``."""
    other = "http://other/fhir"
    absolute = observation(f"{other}/Patient/7", code="c")
    await run(
        client,
        entry("POST", "Patient", patient("7"), fullUrl=f"{other}/Patient/7"),
        entry("POST", "Observation", observation("Patient/7"), fullUrl=f"{other}/Observation/8"),
        entry("POST", "Observation", observation("Patient/7", code="b"), fullUrl=U1),
        entry("POST", "Observation", absolute, fullUrl=U2),
    )

    (made,) = ids(await client.get("/Patient"))
    by_code = {
        e["resource"]["code"]["coding"][0]["code"]: e["resource"]["subject"]["reference"]
        for e in (await client.get("/Observation")).json()["entry"]
    }
    assert by_code == {"8867-4": made, "b": "Patient/7", "c": made}


async def test_an_attachment_finds_its_binary(client: httpx.AsyncClient) -> None:
    document = {
        "resourceType": "DocumentReference",
        "status": "current",
        "content": [{"attachment": {"url": U1}}],
    }
    await run(
        client,
        entry("POST", "DocumentReference", document),
        entry(
            "POST", "Binary", {"resourceType": "Binary", "contentType": "text/plain"}, fullUrl=U1
        ),
    )

    (found,) = (await client.get("/DocumentReference")).json()["entry"]
    url = found["resource"]["content"][0]["attachment"]["url"]
    assert url.startswith("Binary/new-")
    assert (await client.get(f"/{url}")).status_code == 200


async def test_a_conditional_reference_finds_what_is_there(client: httpx.AsyncClient) -> None:
    await client.put("/Patient/a", json=patient("a", identifier=ONE))

    await run(client, entry("POST", "Observation", observation("Patient?identifier=s|1")))

    (found,) = (await client.get("/Observation")).json()["entry"]
    assert found["resource"]["subject"]["reference"] == "Patient/a"


async def test_a_conditional_reference_finds_what_the_transaction_makes(
    client: httpx.AsyncClient,
) -> None:
    await run(
        client,
        entry("POST", "Observation", observation("Patient?identifier=s|1")),
        entry("PUT", "Patient/b", patient("b", identifier=ONE)),
    )

    (found,) = (await client.get("/Observation")).json()["entry"]
    assert found["resource"]["subject"]["reference"] == "Patient/b"


WHERE = ["Bundle.entry[0].resource.subject.reference"]


@pytest.mark.parametrize(
    ("condition", "more", "expected"),
    [
        ("identifier=s|9", [], 400),
        ("identifier=s|2", [], 400),
        ("identifier=s|1", [entry("POST", "Patient", patient(identifier=ONE))], 400),
        ("identifier=s|1", [entry("PUT", "Patient/a", patient("a"))], 400),
        ("shoesize=44", [], 400),
    ],
)
async def test_a_conditional_reference_that_is_not_one_resource_refuses_everything(
    client: httpx.AsyncClient, condition: str, more: list[Any], expected: int
) -> None:
    await client.put("/Patient/a", json=patient("a", identifier=ONE))
    await client.put("/Patient/b", json=patient("b", identifier=TWO))
    await client.put("/Patient/c", json=patient("c", identifier=TWO))

    status, _, where = await refused(
        client, entry("POST", "Observation", observation(f"Patient?{condition}")), *more
    )

    assert (status, where) == (expected, WHERE)


async def test_every_conditional_reference_at_fault_is_named(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "",
        json=bundle(
            "transaction",
            entry("POST", "Observation", observation("Patient?identifier=s|1")),
            entry("POST", "Observation", observation("Patient?identifier=s|2")),
        ),
    )

    assert [issue["expression"] for issue in answer.json()["issue"]] == [
        ["Bundle.entry[0].resource.subject.reference"],
        ["Bundle.entry[1].resource.subject.reference"],
    ]


async def test_if_none_exist(client: httpx.AsyncClient) -> None:
    make = entry(
        "POST", "Patient", patient(identifier=ONE), ifNoneExist="identifier=s|1", fullUrl=U1
    )
    refer = entry("POST", "Observation", observation(U1))

    first = await run(client, make, refer)
    second = await run(client, make, refer)

    assert [e["response"]["status"] for e in first] == ["201 Created", "201 Created"]
    assert [e["response"]["status"] for e in second] == ["200 OK", "201 Created"]
    assert first[0]["response"]["location"] == second[0]["response"]["location"]
    (there,) = ids(await client.get("/Patient"))
    subjects = {
        e["resource"]["subject"]["reference"]
        for e in (await client.get("/Observation")).json()["entry"]
    }
    assert subjects == {there}


async def test_the_same_condition_twice_makes_one(client: httpx.AsyncClient) -> None:
    make = entry("POST", "Patient", patient(identifier=ONE), ifNoneExist="identifier=s|1")

    first, second = await run(client, {**make, "fullUrl": U1}, {**make, "fullUrl": U2})

    assert first["response"]["status"] == "201 Created"
    assert second["response"]["status"] == "200 OK"
    assert first["response"]["location"] == second["response"]["location"]


@pytest.mark.parametrize("policy", [Policy(delete="allow")])
async def test_conditional_update_patch_and_delete(client: httpx.AsyncClient) -> None:
    for id_, code in (("a", "1"), ("b", "2"), ("c", "3")):
        identifier = [{"system": "s", "value": code}]
        await client.put(f"/Patient/{id_}", json=patient(id_, identifier=identifier))

    found = await run(
        client,
        entry("PUT", "Patient?identifier=s|1", patient(identifier=ONE, active=True)),
        entry("PATCH", "Patient?identifier=s|2",
              binary_patch({"op": "add", "path": "/active", "value": False})),
        entry("DELETE", "Patient?identifier=s|3"),
        entry("DELETE", "Patient?identifier=s|4"),
        entry("PUT", "Patient?identifier=s|5", patient("e")),
    )  # fmt: skip

    assert [e["response"]["status"] for e in found] == [
        "200 OK", "200 OK", "204 No Content", "204 No Content", "201 Created",
    ]  # fmt: skip
    assert (await client.get("/Patient/a")).json()["active"] is True
    assert (await client.get("/Patient/b")).json()["active"] is False
    assert (await client.get("/Patient/c")).status_code == 410
    assert (await client.get("/Patient/e")).status_code == 200


async def test_a_patch_by_id_with_a_version(client: httpx.AsyncClient) -> None:
    await client.put("/Patient/a", json=patient("a"))
    patch = binary_patch({"op": "add", "path": "/active", "value": True})

    assert await refused(client, entry("PATCH", "Patient/a", patch, ifMatch='W/"7"')) == (
        412, "conflict", ["Bundle.entry[0]"],
    )  # fmt: skip
    await run(client, entry("PATCH", "Patient/a", patch, ifMatch='W/"1"'))

    assert (await client.get("/Patient/a")).json()["active"] is True


URL_1 = ["Bundle.entry[1].request.url"]


@pytest.mark.parametrize(
    ("entries", "told_"),
    [
        ([entry("PUT", "Patient/a", patient("a")), entry("PUT", "Patient/a", patient("a"))],
         (400, "invalid", URL_1)),
        ([entry("PUT", "Organization/o", {"resourceType": "Organization", "id": "o", "name": "x"}),
          entry("DELETE", "Organization/o")], (400, "invalid", URL_1)),
        ([entry("PUT", "Patient/a", patient("a")),
          entry("PUT", "Patient?identifier=s|1", patient())], (400, "invalid", URL_1)),
        ([entry("POST", "Patient", patient(), fullUrl=U1),
          entry("POST", "Patient", patient(), fullUrl=U1)],
         (400, "invalid", ["Bundle.entry[1].fullUrl"])),
        ([entry("PUT", "Patient/a", patient("a"), fullUrl="http://fhir.test/fhir/Patient/b")],
         (400, "invalid", ["Bundle.entry[0].fullUrl"])),
        ([entry("POST", "Patient", patient("a"), fullUrl="http://other/fhir/Patient/b")],
         (400, "invalid", ["Bundle.entry[0].fullUrl"])),
        ([entry("PUT", "Patient/a", patient("a"), ifMatch='W/"7"')],
         (412, "conflict", ["Bundle.entry[0]"])),
        ([entry("PUT", "Patient/x", patient("x"), ifMatch='W/"1"')],
         (412, "conflict", ["Bundle.entry[0]"])),
        ([entry("POST", "Patient", patient()), entry("DELETE", "Patient/a")],
         (422, "business-rule", ["Bundle.entry[1]"])),
        ([entry("POST", "Patient", patient(), ifNoneExist="identifier=s|2")],
         (412, "multiple-matches", ["Bundle.entry[0]"])),
        ([entry("POST", "Patient", patient(), ifNoneExist="shoesize=44")],
         (400, "invalid", ["Bundle.entry[0].request.ifNoneExist"])),
        ([entry("PUT", "Patient?identifier=s|2", patient())],
         (412, "multiple-matches", ["Bundle.entry[0]"])),
        ([entry("PUT", "Patient?identifier=s|1", patient("z"))],
         (400, "invalid", ["Bundle.entry[0].resource.id"])),
        ([entry("PUT", "Patient?identifier=s|9", patient("b"))],
         (409, "conflict", ["Bundle.entry[0].request.url"])),
        ([entry("PATCH", "Patient/none", binary_patch())],
         (404, "not-found", ["Bundle.entry[0]"])),
        ([entry("PATCH", "Patient/a", patient("a"))],
         (415, "not-supported", ["Bundle.entry[0].resource.contentType"])),
        ([entry("PATCH", "Patient/a", {"resourceType": "Parameters",
                                       "parameter": [{"valueCode": "x"}]})],
         (422, "required", ["Bundle.entry[0].resource.parameter[0].name"])),
        ([entry("PATCH", "Patient/a", fhirpath_patch(("jump", "Patient")))],
         (400, "invalid", ["Bundle.entry[0].resource.parameter[0]"])),
        ([entry("PATCH", "Patient/a", fhirpath_patch(
            ("delete", "Patient.active"), ("replace", "Patient.active", {"valueBoolean": True})))],
         (422, "invalid", ["Bundle.entry[0].resource.parameter[1]"])),
        ([entry("PATCH", "Patient/a", fhirpath_patch(
            ("add", "Patient", {"valueCode": "no-code"}, "gender")))],
         (422, "code-invalid", ["Bundle.entry[0].resource", "Patient.gender"])),
        ([entry("PATCH", "Patient/a", {"resourceType": "Binary", "contentType": JSON_PATCH,
                                       "data": "???"})],
         (400, "invalid", ["Bundle.entry[0].resource.data"])),
        ([entry("PATCH", "Patient/a", binary_patch({"op": "test", "path": "/id", "value": "a"},
                                                   {"op": "remove", "path": "/x"}))],
         (422, "invalid", ["Bundle.entry[0].resource.data", "patch[1]"])),
        ([entry("PATCH", "Patient/a", binary_patch({"op": "jump", "path": "/x"}))],
         (400, "invalid", ["Bundle.entry[0].resource.data", "patch[0]"])),
        ([entry("PATCH", "Patient/a", binary_patch({"op": "add", "path": "/x", "value": 1}))],
         (422, "structure", ["Bundle.entry[0].resource.data", "Patient.x"])),
        ([entry("POST", "Patient/$validate", patient())],
         (404, "not-supported", ["Bundle.entry[0]"])),
    ],
)  # fmt: skip
async def test_the_table_of_what_refuses_a_transaction(
    client: httpx.AsyncClient, entries: list[Any], told_: Any
) -> None:
    await client.put("/Patient/a", json=patient("a", identifier=ONE))
    await client.put("/Patient/b", json=patient("b", identifier=TWO))
    await client.put("/Patient/c", json=patient("c", identifier=TWO))

    assert await refused(client, *entries) == told_


async def test_one_wrong_entry_undoes_all(client: httpx.AsyncClient) -> None:
    told_ = await refused(
        client,
        entry("POST", "Patient", patient()),
        entry("POST", "Patient", patient(birthDate="soon")),
    )
    assert told_[2] == ["Bundle.entry[1].resource.birthDate"]
    assert (await client.get("/Patient?_summary=count")).json()["total"] == 0


async def test_an_empty_transaction_is_fine(client: httpx.AsyncClient) -> None:
    answer = await client.post("", json={"resourceType": "Bundle", "type": "transaction"})
    assert answer.json() == {"resourceType": "Bundle", "type": "transaction-response"}


async def test_absolute_addresses_below_the_base_are_taken(client: httpx.AsyncClient) -> None:
    await run(client, entry("PUT", "http://fhir.test/fhir/Patient/a", patient("a")))
    assert (await client.get("/Patient/a")).status_code == 200


async def test_1000_entries_are_one_commit(house: House) -> None:
    async with house.client() as client:
        await run(client, *[entry("POST", "Patient", patient()) for _ in range(1000)])
    versions = await house.store.changes(SYSTEM, limit=2000)
    assert len(versions) == 1000
    assert len({version.at for version in versions}) == 1


async def test_a_conditional_reference_without_a_condition_is_refused(
    client: httpx.AsyncClient,
) -> None:
    sent = bundle("transaction", entry("POST", "Observation", observation("Patient?")))

    answer = await client.post("", json=sent)

    where = "Bundle.entry[0].resource.subject.reference"
    assert told(answer) == (400, "invalid", [where])
    assert (await client.get("/Observation?_summary=count")).json()["total"] == 0
