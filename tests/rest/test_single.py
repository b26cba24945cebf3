"""read, vread, create, update, delete of one resource."""

import httpx
import pytest

from server.interactions.services import Policy
from tests.rest.house import House, observation, patient, told

ALLOW = pytest.mark.parametrize("policy", [Policy(delete="allow")])


async def test_create_answers_with_the_stored_resource(client: httpx.AsyncClient) -> None:
    answer = await client.post("/Patient", json=patient(name=[{"family": "Ŝorpo"}]))

    assert answer.status_code == 201
    assert answer.json() == {
        "resourceType": "Patient",
        "id": "new-3",
        "meta": {"versionId": "1", "lastUpdated": "2026-01-02T03:04:05.678Z"},
        "name": [{"family": "Ŝorpo"}],
    }
    assert answer.headers["location"] == "http://fhir.test/fhir/Patient/new-3/_history/1"
    assert answer.headers["etag"] == 'W/"1"'
    assert answer.headers["last-modified"] == "Fri, 02 Jan 2026 03:04:05 GMT"
    assert answer.headers["content-type"] == "application/fhir+json; charset=utf-8"


async def test_create_ignores_the_id_that_was_sent(client: httpx.AsyncClient) -> None:
    answer = await client.post("/Patient", json=patient("mine"))

    assert answer.json()["id"] == "new-3"
    assert (await client.get("/Patient/mine")).status_code == 404


async def test_read_returns_the_very_bytes_that_were_stored(client: httpx.AsyncClient) -> None:
    sent = (
        b'{ "resourceType":"Observation","id":"o","status":"final",\n"code":{"text":"x"},'
        b'"valueQuantity":{"value":1.50}}'
    )
    await client.put("/Observation/o", content=sent)

    answer = await client.get("/Observation/o")

    assert answer.content == (
        b'{"resourceType":"Observation","id":"o","meta":{"versionId":"1",'
        b'"lastUpdated":"2026-01-02T03:04:05.678Z"},"status":"final","code":{"text":"x"},'
        b'"valueQuantity":{"value":1.50}}'
    )


async def test_update_creates_then_replaces(client: httpx.AsyncClient) -> None:
    first = await client.put("/Patient/a", json=patient("a"))
    second = await client.put("/Patient/a", json=patient("a", active=True))

    assert (first.status_code, first.headers["etag"]) == (201, 'W/"1"')
    assert (second.status_code, second.headers["etag"]) == (200, 'W/"2"')
    assert "location" not in second.headers
    assert (await client.get("/Patient/a")).json()["active"] is True
    assert "active" not in (await client.get("/Patient/a/_history/1")).json()


@pytest.mark.parametrize("policy", [Policy(update_creates=False)])
async def test_where_the_server_chooses_ids_an_update_cannot_create(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.put("/Patient/a", json=patient("a"))

    assert told(answer) == (405, "not-supported", None)
    assert (await client.get("/Patient/a")).status_code == 404


@pytest.mark.parametrize(
    ("address", "told_"),
    [
        ("/Patient/none", (404, "not-found", None)),
        ("/Patient/a/_history/2", (404, "not-found", None)),
        ("/Patient/a/_history/x", (404, "not-found", None)),
        ("/Patient/a/_history/99999999999999999999", (404, "not-found", None)),
        ("/Paciento/a", (404, "not-supported", ["type"])),
        ("/Patient/a/b/c/d", (404, "not-found", None)),
        ("/Patient//a", (400, "invalid", None)),
    ],
)
async def test_what_is_not_there(
    client: httpx.AsyncClient, address: str, told_: tuple[int, str, None]
) -> None:
    await client.put("/Patient/a", json=patient("a"))

    assert told(await client.get(address)) == told_


@ALLOW
async def test_a_deletion_is_a_version(client: httpx.AsyncClient) -> None:
    await client.put("/Patient/a", json=patient("a"))

    deleted = await client.delete("/Patient/a")

    assert (deleted.status_code, deleted.headers["etag"], deleted.content) == (204, 'W/"2"', b"")
    assert told(await client.get("/Patient/a")) == (410, "deleted", None)
    assert told(await client.get("/Patient/a/_history/2")) == (410, "deleted", None)
    assert (await client.get("/Patient/a/_history/1")).status_code == 200
    again = await client.put("/Patient/a", json=patient("a"))
    assert (again.status_code, again.headers["etag"]) == (201, 'W/"3"')


@ALLOW
async def test_deleting_what_is_not_there_is_no_error(client: httpx.AsyncClient) -> None:
    await client.put("/Patient/a", json=patient("a"))
    await client.delete("/Patient/a")

    twice = await client.delete("/Patient/a")
    never = await client.delete("/Patient/never")

    assert (twice.status_code, never.status_code) == (204, 204)
    assert (await client.get("/Patient/a/_history")).json()["total"] == 2


async def test_clinical_types_are_not_deleted_by_default(client: httpx.AsyncClient) -> None:
    await client.put("/Observation/o", json=observation("Patient/a", "o"))
    await client.put(
        "/Organization/o", json={"resourceType": "Organization", "id": "o", "name": "x"}
    )

    refused = await client.delete("/Observation/o")

    assert told(refused) == (422, "business-rule", None)
    diagnostics = refused.json()["issue"][0]["diagnostics"]
    assert "entered-in-error" in diagnostics
    assert "TELLONCE_DELETE" in diagnostics
    assert (await client.get("/Observation/o")).status_code == 200
    assert (await client.delete("/Organization/o")).status_code == 204


@pytest.mark.parametrize(
    ("address", "resource", "told_"),
    [
        ("/Patient/a", patient("b"), (400, "invalid", ["Patient.id"])),
        ("/Patient/a", patient(), (400, "invalid", ["Patient.id"])),
        ("/Patient/a", observation("Patient/a", "a"), (400, "invalid", ["Observation"])),
        ("/Patient/a_b", patient("ab"), (400, "invalid", ["id"])),
        (f"/Patient/{'a' * 65}", patient("a"), (400, "invalid", ["id"])),
    ],
)
async def test_address_and_body_must_agree(
    client: httpx.AsyncClient, address: str, resource: object, told_: object
) -> None:
    assert told(await client.put(address, json=resource)) == told_
    assert (await client.get("/Patient?_summary=count")).json()["total"] == 0


async def test_head_is_get_without_the_body(client: httpx.AsyncClient) -> None:
    await client.put("/Patient/a", json=patient("a"))

    head, get = await client.head("/Patient/a"), await client.get("/Patient/a")

    assert (head.status_code, head.content) == (200, b"")
    same = ("etag", "last-modified", "content-type", "content-length")
    assert [head.headers[name] for name in same] == [get.headers[name] for name in same]


async def test_options_and_methods_that_an_address_does_not_know(client: httpx.AsyncClient) -> None:
    options = await client.options("/Patient/a")
    post = await client.post("/Patient/a", json=patient("a"))

    assert (options.status_code, options.headers["allow"]) == (
        204,
        "DELETE, GET, HEAD, OPTIONS, PATCH, PUT",
    )
    assert told(post) == (405, "not-supported", None)
    assert post.headers["allow"] == "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"


async def test_a_trailing_slash_is_nothing(client: httpx.AsyncClient) -> None:
    await client.put("/Patient/a/", json=patient("a"))
    assert (await client.get("/Patient/a/")).status_code == 200


async def test_a_read_can_be_a_summary(client: httpx.AsyncClient) -> None:
    await client.put(
        "/Patient/a", json=patient("a", birthDate="1980", contact=[{"gender": "male"}])
    )

    summary = (await client.get("/Patient/a?_summary=true")).json()
    elements = (await client.get("/Patient/a?_elements=contact")).json()

    assert "contact" not in summary
    assert summary["birthDate"] == "1980"
    assert "birthDate" not in elements
    assert elements["meta"]["tag"] == [
        {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
    ]


async def test_no_caller_is_asked_in_vain(house: House) -> None:
    async with house.client(None) as stranger:
        answer = await stranger.get("/Patient/a")
    assert told(answer) == (401, "login", None)
    assert answer.headers["www-authenticate"] == 'Bearer realm="fhir"'
