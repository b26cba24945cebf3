"""What a caller who is limited to one patient's record can do, and cannot even notice."""

from typing import Any

import pytest

from server.interactions.services import Policy
from tests.rest.house import (
    JSON_PATCH,
    House,
    bundle,
    entry,
    ids,
    link,
    observation,
    patient,
    told,
)

Sent = tuple[str, str, Any]


@pytest.fixture
async def two_patients(house: House) -> House:
    async with house.client() as admin:
        for who in ("a", "b"):
            made = patient(who, identifier=[{"system": "s", "value": who}])
            await admin.put(f"/Patient/{who}", json=made)
            for n in range(2):
                id_ = f"{who}{n}"
                await admin.put(f"/Observation/{id_}", json=observation(f"Patient/{who}", id_))
    return house


ABSENT: list[Sent] = [
    ("GET", "/Patient/{}", None),
    ("GET", "/Patient/{}/_history", None),
    ("GET", "/Patient/{}/_history/1", None),
    ("GET", "/Patient/{}/$meta", None),
    ("GET", "/Patient/{}/$everything", None),
    ("GET", "/Patient/{}/$validate", None),
    ("GET", "/Patient/{}/Observation", None),
    ("GET", "/Patient/{}/*", None),
    ("GET", "/Patient?_id={}", None),
    ("GET", "/Patient?identifier=s|{}&_total=accurate", None),
    ("GET", "/Patient?_id={}&_summary=count", None),
    ("GET", "/Patient?_id={}&_revinclude=Observation:subject", None),
    ("GET", "/?_type=Patient,Observation&_id={}", None),
    ("GET", "/Observation?subject=Patient/{}&_include=Observation:subject", None),
    ("GET", "/Observation/$lastn?patient=Patient/{}", None),
    ("PUT", "/Patient/{}", patient("{}")),
    ("PATCH", "/Patient/{}", [{"op": "test", "path": "/active", "value": True}]),
    ("DELETE", "/Patient/{}", None),
    ("PUT", "/Observation?subject=Patient/{}", observation("Patient/a", code="new")),
    ("DELETE", "/Observation?subject=Patient/{}", None),
    ("POST", "", bundle("batch", entry("GET", "Patient/{}"))),
    ("POST", "", bundle("batch", entry("DELETE", "Patient/{}"))),
    ("POST", "", bundle("transaction", entry("PUT", "Patient/{}", patient("{}")))),
    ("POST", "", bundle("transaction", entry("DELETE", "Patient/{}"))),
    ("POST", "", bundle("transaction",
                        entry("POST", "Observation", observation("Patient?identifier=s|{}")))),
    ("PUT", "/Observation?code=none", observation("Patient/a", "{}0")),
    ("POST", "", bundle("transaction",
                        entry("PUT", "Observation?code=none", observation("Patient/a", "{}0")))),
    ("POST", "", bundle("transaction",
                        entry("PUT", "Patient/{}", patient("{}"), ifMatch='W/"1"'))),
    ("POST", "", bundle("transaction", entry("DELETE", "Patient/{}", ifMatch='W/"1"'))),
]  # fmt: skip


def filled(value: Any, id_: str) -> Any:
    if isinstance(value, str):
        return value.replace("{}", id_)
    if isinstance(value, list):
        return [filled(item, id_) for item in value]
    return {k: filled(v, id_) for k, v in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize("policy", [Policy(delete="allow")])
@pytest.mark.parametrize("sent", ABSENT, ids=lambda sent: f"{sent[0]} {sent[1]}")
async def test_what_belongs_to_another_is_as_what_was_never_there(
    two_patients: House, sent: Sent
) -> None:
    """The bytes of both answers are equal, but for the id that was asked for."""
    method, address, body = sent
    headers = {"X-Request-Id": "r"}
    if method == "PATCH":
        headers["Content-Type"] = JSON_PATCH
    answers = []
    async with two_patients.client("patient-a") as client:
        for id_ in ("b", "z"):  # z: no patient of that id
            answer = await client.request(
                method, filled(address, id_), json=filled(body, id_), headers=headers
            )
            plain = answer.text.replace(f"/{id_}", "/?").replace(f"={id_}", "=?")
            plain = plain.replace(f"s|{id_}", "s|?")
            answers.append((answer.status_code, plain.partition("new-")[0]))
            await undo(two_patients)

    assert answers[0] == answers[1]
    async with two_patients.client() as admin:
        assert (await admin.get("/Patient/b")).headers["etag"] == 'W/"1"'
        assert (await admin.get("/Observation/b0")).headers["etag"] == 'W/"1"'


async def undo(house: House) -> None:
    """Take away what a request may have created, so that the next one finds the same."""
    async with house.client() as admin:
        for found in ids(await admin.get("/Observation?code=new,8867-4&_count=100")):
            if found.removeprefix("Observation/") not in ("a0", "a1", "b0", "b1"):
                await admin.delete(f"/{found}")


async def test_one_s_own_record_is_open(two_patients: House) -> None:
    async with two_patients.client("patient-a") as client:
        assert ids(await client.get("/Patient")) == ["Patient/a"]
        assert (await client.get("/Patient?_total=accurate&_count=1")).json()["total"] == 1
        assert ids(await client.get("/Observation")) == ["Observation/a1", "Observation/a0"]
        assert ids(await client.get("/_history")) == [
            "Observation/a1", "Observation/a0", "Patient/a",
        ]  # fmt: skip
        created = await client.post("/Observation", json=observation("Patient/a"))
        updated = await client.put("/Observation/a0", json=observation("Patient/a", "a0"))
        assert (created.status_code, updated.status_code) == (201, 200)


@pytest.mark.parametrize(
    ("method", "address", "body"),
    [
        ("POST", "/Observation", observation("Patient/b")),
        ("POST", "/Observation", {k: v for k, v in observation().items() if k != "subject"}),
        ("POST", "/Patient", patient()),
        ("PUT", "/Observation/a0", observation("Patient/b", "a0")),
        ("PATCH", "/Observation/a0",
         [{"op": "replace", "path": "/subject/reference", "value": "Patient/b"}]),
        ("POST", "", bundle("transaction", entry("POST", "Observation", observation("Patient/b")))),
        ("POST", "", bundle("transaction",
                            entry("PUT", "Observation/a0", observation("Patient/b", "a0")))),
    ],
)  # fmt: skip
async def test_nothing_is_written_into_another_record_or_moved_there(
    two_patients: House, method: str, address: str, body: Any
) -> None:
    headers = {"Content-Type": JSON_PATCH} if method == "PATCH" else {}
    async with two_patients.client("patient-a") as client:
        answer = await client.request(method, address, json=body, headers=headers)
        assert told(answer)[:2] == (403, "forbidden")
    async with two_patients.client() as admin:
        assert (await admin.get("/_history?_summary=false")).json()["total"] == 6


async def test_a_race_for_the_same_condition_stays_inside_its_record(two_patients: House) -> None:
    """Another patient's match does not count: it is not there for this caller."""
    headers = {"If-None-Exist": "code=8867-4"}
    async with two_patients.client() as admin:
        for id_ in ("a0", "a1"):
            await admin.put(f"/Observation/{id_}", json=observation("Patient/a", id_, code="x"))
    async with two_patients.client("patient-a") as client:
        answer = await client.post("/Observation", json=observation("Patient/a"), headers=headers)
    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("method", "address", "body"),
    [
        ("GET", "/Patient/a", None),
        ("GET", "/Patient", None),
        ("GET", "/Patient/a/_history", None),
        ("GET", "/?_type=Patient", None),
        ("GET", "/Patient/a/$meta", None),
        ("GET", "/Patient/a/$everything", None),
        ("POST", "/Observation", observation()),
        ("PUT", "/Observation/a0", observation("Patient/a", "a0")),
        ("PATCH", "/Observation/a0", []),
        ("DELETE", "/Organization/x", None),
        ("PUT", "/Observation?code=x", observation()),
        ("POST", "/Observation/a0/$meta-add",
         {"resourceType": "Parameters",
          "parameter": [{"name": "meta", "valueMeta": {"profile": ["http://x"]}}]}),
        ("POST", "", bundle("transaction", entry("POST", "Observation", observation()))),
    ],
)  # fmt: skip
@pytest.mark.smart(243)
async def test_what_no_permit_speaks_of_is_forbidden(
    two_patients: House, method: str, address: str, body: Any
) -> None:
    headers = {"Content-Type": JSON_PATCH} if method == "PATCH" else {}
    async with two_patients.client("reader") as client:
        answer = await client.request(method, address, json=body, headers=headers)
    assert told(answer)[:2] == (403, "forbidden")


async def test_a_token_without_permits_reads_nothing(two_patients: House) -> None:
    async with two_patients.client("nothing") as client:
        for address in ("/Patient", "/Patient/a", "/", "/Patient/_history", "/Patient/a/*"):
            assert told(await client.get(address))[:2] == (403, "forbidden")
        assert (await client.get("/_history")).json().get("entry") is None


async def test_an_include_leads_nowhere_that_is_not_open(two_patients: House) -> None:
    async with two_patients.client("reader") as client:
        page = (await client.get("/Observation?_include=Observation:subject&_count=3")).json()
        assert ids(page, "include") == []
        assert len(ids(page, "match")) == 3
        assert link(page) is not None
