"""batch: each entry for itself."""

import json
from base64 import b64encode
from typing import Any

import httpx
import pytest

from server.interactions.services import Policy
from tests.rest.house import JSON_PATCH, bundle, entry, fhirpath_patch, observation, patient


async def run(client: httpx.AsyncClient, *entries: Any) -> list[Any]:
    answer = await client.post("", json=bundle("batch", *entries))
    assert answer.status_code == 200, answer.text
    assert answer.json()["type"] == "batch-response"
    found: list[Any] = answer.json()["entry"]
    return found


def statuses(found: list[Any]) -> list[str]:
    return [e["response"]["status"] for e in found]


async def test_one_failure_does_not_touch_the_others(client: httpx.AsyncClient) -> None:
    found = await run(
        client,
        entry("PUT", "Patient/a", patient("a")),
        entry("POST", "Patient", patient(birthDate="soon")),
        {"resource": patient()},
        entry("GET", "Patient/none"),
        entry("POST", "Observation", observation()),
    )

    assert statuses(found) == [
        "201 Created",
        "422 Unprocessable Entity",
        "400 Bad Request",
        "404 Not Found",
        "201 Created",
    ]
    issue = found[1]["response"]["outcome"]["issue"][0]
    assert issue["expression"] == ["Bundle.entry[1].resource.birthDate"]
    issue = found[2]["response"]["outcome"]["issue"][0]
    assert issue["expression"] == ["Bundle.entry[2].request"]
    assert (await client.get("/Patient/a")).status_code == 200


@pytest.mark.parametrize("policy", [Policy(delete="allow")])
async def test_every_interaction_works_inside(client: httpx.AsyncClient) -> None:
    identified = patient(identifier=[{"system": "s", "value": "1"}])
    await client.put("/Patient/a", json=patient("a", active=True))

    found = await run(
        client,
        entry("GET", "Patient/a"),
        entry("GET", "Patient/a", ifNoneMatch='W/"1"'),
        entry("GET", "Patient/a/_history/1"),
        entry("GET", "Patient/a/_history"),
        entry("GET", "Patient/_history"),
        entry("GET", "_history"),
        entry("GET", "Patient?active=true"),
        entry("GET", "Patient/a/*"),
        entry("GET", "?_type=Patient&_id=a"),
        entry("POST", "Patient", identified, ifNoneExist="identifier=s|1"),
        entry("PUT", "Patient?identifier=s|7", patient()),
        entry("DELETE", "Organization/none"),
        entry("DELETE", "Organization?name=none"),
        entry("GET", "Patient/a/$meta"),
        entry("POST", "Patient/$validate", patient(active="yes")),
        entry("GET", "Patient/a/$everything"),
        entry("GET", "Patient/a/b/c/d"),
    )

    assert statuses(found) == [
        "200 OK", "304 Not Modified", "200 OK", "200 OK", "200 OK", "200 OK", "200 OK", "200 OK",
        "200 OK", "201 Created", "201 Created", "204 No Content", "204 No Content", "200 OK",
        "200 OK", "200 OK", "404 Not Found",
    ]  # fmt: skip
    assert found[0]["resource"]["active"] is True
    assert "resource" not in found[1]
    assert found[6]["resource"]["total"] == 1
    assert found[8]["resource"]["link"][0]["url"] == ("http://fhir.test/fhir?_id=a&_type=Patient")
    assert found[14]["resource"]["issue"][0]["expression"] == ["Patient.active"]
    assert found[15]["resource"]["entry"][0]["resource"]["id"] == "a"


async def test_a_patch_that_does_not_apply_names_its_operation(client: httpx.AsyncClient) -> None:
    operations = [{"op": "add", "path": "/active", "value": True}, {"op": "remove", "path": "/x"}]
    data = b64encode(json.dumps(operations).encode()).decode()
    patch = {"resourceType": "Binary", "contentType": JSON_PATCH, "data": data}
    await client.put("/Patient/a", json=patient("a"))

    _, found = await run(client, entry("GET", "Patient/a"), entry("PATCH", "Patient/a", patch))

    (issue,) = found["response"]["outcome"]["issue"]
    assert issue["expression"] == ["Bundle.entry[1].resource.data", "patch[1]"]


async def test_a_fhirpath_patch_is_an_entry_like_others(client: httpx.AsyncClient) -> None:
    await client.put("/Patient/a", json=patient("a", active=True))
    wrong = fhirpath_patch(("replace", "Patient.gender", {"valueCode": "male"}))
    right = fhirpath_patch(("delete", "Patient.active"))

    found = await run(
        client, entry("PATCH", "Patient/a", wrong), entry("PATCH", "Patient/a", right)
    )

    assert statuses(found) == ["422 Unprocessable Entity", "200 OK"]
    (issue,) = found[0]["response"]["outcome"]["issue"]
    assert issue["expression"] == ["Bundle.entry[0].resource.parameter[0]"]
    assert "active" not in (await client.get("/Patient/a")).json()


async def test_100_creates_are_all_there(client: httpx.AsyncClient) -> None:
    found = await run(client, *[entry("POST", "Patient", patient()) for _ in range(100)])

    assert statuses(found) == ["201 Created"] * 100
    assert len({e["response"]["location"] for e in found}) == 100
