"""Conditional create, update, patch and delete."""

from typing import Any

import httpx
import pytest

from server.interactions.services import Policy
from tests.rest.house import JSON_PATCH, House, bundle, entry, observation, patient, told

ONE = [{"system": "urn:mrn", "value": "1"}]
TWO = [{"system": "urn:mrn", "value": "2"}]
CONDITION = {"If-None-Exist": "identifier=urn:mrn|1"}


@pytest.fixture
async def stored(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """Patients ``a`` (mrn 1), ``b`` and ``c`` (both mrn 2)."""
    await client.put("/Patient/a", json=patient("a", identifier=ONE))
    await client.put("/Patient/b", json=patient("b", identifier=TWO))
    await client.put("/Patient/c", json=patient("c", identifier=TWO))
    return client


async def test_conditional_create_makes_one(client: httpx.AsyncClient) -> None:
    first = await client.post("/Patient", json=patient(identifier=ONE), headers=CONDITION)
    second = await client.post("/Patient", json=patient(identifier=ONE), headers=CONDITION)

    assert (first.status_code, second.status_code) == (201, 200)
    assert first.headers["location"] == second.headers["location"]
    assert (await client.get("/Patient?_summary=count")).json()["total"] == 1


async def test_conditional_create_with_several_matches(stored: httpx.AsyncClient) -> None:
    answer = await stored.post(
        "/Patient", json=patient(), headers={"If-None-Exist": "identifier=urn:mrn|2"}
    )
    assert told(answer) == (412, "multiple-matches", None)


@pytest.mark.parametrize(
    ("condition", "told_"),
    [
        ("", (400, "invalid", ["If-None-Exist"])),
        ("_count=5", (400, "invalid", ["If-None-Exist"])),
        ("shoesize=44", (400, "invalid", ["If-None-Exist"])),
        ("birthdate=yesterday", (400, "invalid", ["If-None-Exist"])),
    ],
)
async def test_a_condition_that_would_match_anything_is_refused(
    client: httpx.AsyncClient, condition: str, told_: object
) -> None:
    answer = await client.post("/Patient", json=patient(), headers={"If-None-Exist": condition})

    assert told(answer) == told_
    assert (await client.get("/Patient?_summary=count")).json()["total"] == 0


@pytest.mark.parametrize(
    ("address", "resource", "expected"),
    [
        ("identifier=urn:mrn|1", patient(gender="male"), (200, "Patient/a")),
        ("identifier=urn:mrn|1", patient("a", gender="male"), (200, "Patient/a")),
        ("identifier=urn:mrn|1", patient("b"), (400, "invalid", ["Patient.id"])),
        ("identifier=urn:mrn|2", patient(), (412, "multiple-matches", None)),
        ("identifier=urn:mrn|9", patient(), (201, "Patient/new-3")),
        ("identifier=urn:mrn|9", patient("d"), (201, "Patient/d")),
        ("identifier=urn:mrn|9", patient("a"), (409, "conflict", None)),
        ("", patient(), (400, "invalid", ["condition"])),
    ],
)
async def test_conditional_update(
    stored: httpx.AsyncClient, address: str, resource: Any, expected: Any
) -> None:
    answer = await stored.put(f"/Patient?{address}", json=resource)

    if len(expected) == 3:
        assert told(answer) == expected
        assert (await stored.get("/Patient?_summary=count")).json()["total"] == 3
    else:
        made = answer.json()
        assert (answer.status_code, f"Patient/{made['id']}") == expected


async def test_conditional_update_with_a_version(stored: httpx.AsyncClient) -> None:
    async def update(version: int) -> httpx.Response:
        return await stored.put(
            "/Patient?identifier=urn:mrn|1",
            json=patient(identifier=ONE),
            headers={"If-Match": f'W/"{version}"'},
        )

    assert told(await update(7)) == (412, "conflict", None)
    assert (await update(1)).status_code == 200


@pytest.mark.parametrize(
    ("mrn", "expected"),
    [
        (1, 200),
        (2, (412, "multiple-matches", None)),
        (9, (404, "not-found", None)),
    ],
)
async def test_conditional_patch(stored: httpx.AsyncClient, mrn: int, expected: Any) -> None:
    answer = await stored.patch(
        f"/Patient?identifier=urn:mrn|{mrn}",
        content=b'[{"op":"add","path":"/active","value":true}]',
        headers={"Content-Type": JSON_PATCH},
    )

    if expected == 200:
        assert (answer.status_code, answer.json()["active"]) == (200, True)
    else:
        assert told(answer) == expected


@pytest.mark.parametrize("policy", [Policy(delete="allow")])
async def test_conditional_delete_of_one(stored: httpx.AsyncClient) -> None:
    several = await stored.delete("/Patient?identifier=urn:mrn|2")
    one = await stored.delete("/Patient?identifier=urn:mrn|1")
    none = await stored.delete("/Patient?identifier=urn:mrn|1")
    every = await stored.delete("/Patient")

    assert told(several) == (412, "multiple-matches", None)
    assert (one.status_code, one.headers["etag"]) == (204, 'W/"2"')
    assert (none.status_code, "etag" in none.headers) == (204, False)
    assert told(every) == (400, "invalid", ["condition"])
    assert (await stored.get("/Patient?_summary=count")).json()["total"] == 2


@pytest.mark.parametrize("policy", [Policy(delete="allow", conditional_delete="multiple")])
async def test_conditional_delete_of_several_where_it_is_allowed(
    stored: httpx.AsyncClient,
) -> None:
    answer = await stored.delete(
        "/Patient?identifier=urn:mrn|2", headers={"Prefer": "return=OperationOutcome"}
    )

    assert answer.status_code == 200
    assert answer.json()["issue"][0]["diagnostics"] == "2 deleted"
    assert (await stored.get("/Patient/a")).status_code == 200
    assert (await stored.get("/Patient/b")).status_code == 410
    assert (await stored.get("/Patient/c")).status_code == 410


@pytest.mark.parametrize(
    "policy", [Policy(delete="allow", conditional_delete="multiple", max_bundle_entries=2)]
)
async def test_too_many_deletions_are_refused_and_none_is_done(house: House) -> None:
    async with house.client() as client:
        for _ in range(3):
            await client.post("/Observation", json=observation())
        answer = await client.delete("/Observation?code=8867-4")

        assert told(answer) == (403, "too-costly", None)
        assert (await client.get("/Observation?_summary=count")).json()["total"] == 3


async def test_conditional_delete_of_a_clinical_type(stored: httpx.AsyncClient) -> None:
    answer = await stored.delete("/Patient?identifier=urn:mrn|1")
    assert told(answer) == (422, "business-rule", None)


@pytest.mark.parametrize(
    "policy", [Policy(delete="allow", conditional_delete="multiple")], ids=["multiple"]
)
@pytest.mark.parametrize(
    "asked",
    [
        "_summary=true", "_elements=id", "_type=Patient", "_count=100&_total=none",
        "_include=Patient:organization", "_revinclude=*", "_contained=true", "_explain=true",
        "_contained=both&identifier=urn:mrn|2", "_include=*&identifier=urn:mrn|2",
    ],
)  # fmt: skip
async def test_what_shapes_an_answer_is_no_condition(stored: httpx.AsyncClient, asked: str) -> None:
    deleted = await stored.delete(f"/Patient?{asked}")
    updated = await stored.put(f"/Patient?{asked}", json=patient())
    created = await stored.post("/Patient", json=patient(), headers={"If-None-Exist": asked})

    assert told(deleted) == (400, "invalid", ["condition"])
    assert told(updated) == (400, "invalid", ["condition"])
    assert told(created) == (400, "invalid", ["If-None-Exist"])
    assert (await stored.get("/Patient?_summary=count")).json()["total"] == 3


async def test_conditions_that_only_look_alike_are_two(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "",
        json=bundle(
            "transaction",
            entry("POST", "Patient", patient(), ifNoneExist="family=x%26name%3Dy"),
            entry("POST", "Patient", patient(), ifNoneExist="family=x&name=y"),
        ),
    )

    assert [one["response"]["status"] for one in answer.json()["entry"]] == ["201 Created"] * 2
    assert (await client.get("/Patient?_summary=count")).json()["total"] == 2
