"""Security labels and releases, on every way in: put on, handed on, and not taken off."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from server import rest
from server.access.context import AccessContext, Permit
from server.access.policy import load_policy
from tests.rest.house import (
    BASE,
    FHIR_JSON,
    JSON_PATCH,
    House,
    bundle,
    entry,
    fhirpath_patch,
    told,
)

ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
LEVEL = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
HIV = {"system": ACT, "code": "HIV"}
RESTRICTED = {"system": LEVEL, "code": "R"}
CODE = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "B20"}]}
RELEASE = "https://tellonce.org/fhir/StructureDefinition/release"
HOLD = {"url": RELEASE, "extension": [{"url": "hold", "valueString": "to be told in person"}]}

CALLERS = {
    "doctor": AccessContext("user/doctor", "app", (Permit("*"),), role="practitioner"),
    "admin": AccessContext("user/admin", "app", (Permit("*"),), role="admin"),
    "lab": AccessContext("client/lab", "lab", (Permit("*"),), role="system"),
    "token": AccessContext("administrator/x", "token", (Permit("*"),)),
    "ann": AccessContext("user/ann", "app", (
        Permit("*", compartment="Patient/a", released=1_767_323_045_678_000),), role="patient"),
    "proxy": AccessContext("user/p", "app", (
        Permit("*", compartment="Patient/a", hidden=(f"{ACT}|HIV", f"{LEVEL}|V")),)),
}  # fmt: skip


def condition(id_: str | None = None, **more: Any) -> dict[str, Any]:
    own = {"id": id_} if id_ else {}
    subject = {"reference": "Patient/a"}
    return {"resourceType": "Condition", **own, "subject": subject, "code": CODE, **more}


def about(encounter: str, **more: Any) -> dict[str, Any]:
    plain = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "J00"}]}
    return condition(code=plain, encounter={"reference": encounter}, **more)


ENCOUNTER: dict[str, Any] = {
    "resourceType": "Encounter", "id": "e", "status": "finished", "class": {"code": "AMB"},
    "subject": {"reference": "Patient/a"}, "reasonCode": [CODE],
}  # fmt: skip


class Labelling:
    """A server with the packaged policy."""

    def __init__(self, house: House) -> None:
        services = replace(house.services, access_policy=load_policy())

        async def authenticate(authorization: bytes | None) -> AccessContext:
            return CALLERS[(authorization or b"").decode()]

        self.house = house
        self.app = rest.build(services, authenticate=authenticate)

    def client(self, caller: str = "doctor") -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app, raise_app_exceptions=False),
            base_url=BASE,
            headers={"Authorization": caller},
        )

    async def stored(self, type_: str, id_: str) -> Any:
        async with self.client("token") as client:
            return (await client.get(f"/{type_}/{id_}")).json()


@pytest.fixture
async def there(house: House) -> AsyncIterator[Labelling]:
    made = Labelling(house)
    async with made.client() as doctor:
        await doctor.put("/Patient/a", json={"resourceType": "Patient", "id": "a"})
        await doctor.put("/Encounter/e", json=ENCOUNTER)
    yield made
    await made.app.stop(grace_s=5)


def security(resource: dict[str, Any]) -> list[Any]:
    return list(resource.get("meta", {}).get("security", []))


WAYS = [
    ("POST", "/Condition", condition(), {}),
    ("POST", "/Condition", condition(), {"If-None-Exist": "code=none"}),
    ("PUT", "/Condition/c", condition("c"), {}),
    ("PUT", "/Condition?code=none", condition(), {}),
    ("POST", "", bundle("batch", entry("POST", "Condition", condition())), {}),
    ("POST", "", bundle("transaction", entry("POST", "Condition", condition())), {}),
    ("POST", "", bundle("transaction", entry("PUT", "Condition/c", condition("c"))), {}),
    ("POST", "", bundle("transaction", entry("PUT", "Condition?code=none", condition())), {}),
]


@pytest.mark.parametrize(("method", "address", "body", "headers"), WAYS)
async def test_codes_bring_their_labels_on_every_way_in(
    there: Labelling, method: str, address: str, body: Any, headers: dict[str, str]
) -> None:
    async with there.client() as doctor:
        await doctor.request(method, address, json=body, headers=headers)
        (found,) = (await doctor.get("/Condition")).json()["entry"]
    assert security(found["resource"]) == [HIV, RESTRICTED]


async def test_a_patch_brings_labels_too(there: Labelling) -> None:
    async with there.client() as doctor:
        await doctor.put("/Condition/c", json=about("Encounter/none", id="c"))
        assert security(await there.stored("Condition", "c")) == []
        patch = [{"op": "replace", "path": "/code", "value": CODE}]
        answer = await doctor.patch(
            "/Condition/c", json=patch, headers={"Content-Type": JSON_PATCH}
        )
    assert security(answer.json()) == [HIV, RESTRICTED]


async def test_what_is_about_a_confidential_visit_is_confidential(there: Labelling) -> None:
    async with there.client() as doctor:
        answer = await doctor.post("/Condition", json=about("Encounter/e"))
    assert security(answer.json()) == [HIV, RESTRICTED]


async def test_a_file_is_as_confidential_as_what_it_belongs_to(there: Labelling) -> None:
    file = {"resourceType": "Binary", "contentType": "text/plain", "data": "QQ==",
            "securityContext": {"reference": "Encounter/e"}}  # fmt: skip
    async with there.client() as doctor:
        answer = await doctor.post("/Binary", json=file, headers={"Content-Type": FHIR_JSON})
        raw = await doctor.post("/Binary", content=b"A", headers={
            "Content-Type": "text/plain", "X-Security-Context": "Encounter/e"})  # fmt: skip
    assert security(answer.json()) == [HIV, RESTRICTED]
    assert security(raw.json()) == [HIV, RESTRICTED]


async def test_labels_are_handed_on_within_one_transaction(there: Labelling) -> None:
    visit = {name: value for name, value in ENCOUNTER.items() if name != "id"}
    sent = bundle(
        "transaction",
        entry("PUT", "Condition/c", about("urn:uuid:00000000-0000-4000-8000-000000000001", id="c")),
        entry("POST", "Encounter", visit, fullUrl="urn:uuid:00000000-0000-4000-8000-000000000001"),
    )
    async with there.client() as doctor:
        assert (await doctor.post("", json=sent)).status_code == 200
    assert security(await there.stored("Condition", "c")) == [HIV, RESTRICTED]


async def test_what_is_stored_hands_labels_on_to_a_transaction_by_one_read(
    there: Labelling, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One for each entry made a bundle four times as slow where the store is another process."""
    store, read = there.house.services.store, list[Any]()
    read_many = store.read_many

    async def counted(access: AccessContext, references: Any) -> Any:
        read.extend(references)
        return await read_many(access, references)

    monkeypatch.setattr(store, "read_many", counted)
    made = [entry("POST", "Condition", about("Encounter/e", recordedDate=f"202{n}")) for n in "123"]
    changed = entry("PUT", "Condition/c", about("Encounter/e", id="c"))
    async with there.client() as doctor:
        answer = await doctor.post("", json=bundle("transaction", changed, *made))

    assert answer.status_code == 200
    assert read.count(("Encounter", "e")) == 1
    located = [one["response"]["location"].split("/")[-3] for one in answer.json()["entry"]]
    for id_ in located:
        assert security(await there.stored("Condition", id_)) == [HIV, RESTRICTED]


async def test_what_may_not_be_seen_hands_nothing_on(there: Labelling) -> None:
    """Else the label, or the refusal of it, would tell that the visit is there."""
    async with there.client("proxy") as proxy:
        answers = [
            await proxy.post("/Condition", json=about(to)) for to in ("Encounter/e", "Encounter/x")
        ]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert [security(answer.json()) for answer in answers] == [[], []]


async def test_nobody_writes_what_he_could_not_see_then(there: Labelling) -> None:
    async with there.client("proxy") as proxy:
        assert told(await proxy.post("/Condition", json=condition()))[:2] == (403, "forbidden")
        plain = about("Encounter/x", meta={"security": [{"system": LEVEL, "code": "V"}]})
        assert told(await proxy.post("/Condition", json=plain))[:2] == (403, "forbidden")


TAKEN_OFF = [
    ("PUT", "/Condition/c", about("Encounter/none", id="c"), {}),
    ("PUT", "/Condition?_id=c", about("Encounter/none"), {}),
    ("PATCH", "/Condition/c", [{"op": "remove", "path": "/meta/security"},
                               {"op": "remove", "path": "/code"}], {"Content-Type": JSON_PATCH}),
    ("PATCH", "/Condition/c", fhirpath_patch(("delete", "Condition.code"),
                                             ("delete", "Condition.meta")),
     {"Content-Type": FHIR_JSON}),
    ("POST", "/Condition/c/$meta-delete",
     {"resourceType": "Parameters",
      "parameter": [{"name": "meta", "valueMeta": {"security": [HIV, RESTRICTED]}}]}, {}),
    ("POST", "", bundle("transaction",
                        entry("PUT", "Condition/c", about("Encounter/none", id="c"))), {}),
    ("POST", "", bundle("batch", entry("PUT", "Condition/c", about("Encounter/none", id="c"))), {}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "address", "body", "headers"), TAKEN_OFF)
async def test_a_label_is_not_taken_off_by_leaving_it_out(
    there: Labelling, method: str, address: str, body: Any, headers: dict[str, str]
) -> None:
    async with there.client() as doctor:
        await doctor.put("/Condition/c", json=condition("c"))
        answer = await doctor.request(method, address, json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    found = security(await there.stored("Condition", "c"))
    assert sorted(one["code"] for one in found) == ["HIV", "R"]


@pytest.mark.parametrize("who", ["admin", "token"])
async def test_an_administrator_takes_a_label_off(there: Labelling, who: str) -> None:
    async with there.client(who) as admin:
        await admin.put("/Condition/c", json=condition("c"))
        answer = await admin.put("/Condition/c", json=about("Encounter/none", id="c"))
    assert answer.status_code == 200
    assert security(await there.stored("Condition", "c")) == []


async def test_a_clinician_holds_a_result_back_and_releases_it(there: Labelling) -> None:
    held = about("Encounter/none", id="c", extension=[HOLD])
    async with there.client() as doctor, there.client("ann") as ann:
        await doctor.put("/Condition/c", json=held)
        assert (await ann.get("/Condition/c")).status_code == 404
        assert (await doctor.get("/Condition/c")).status_code == 200
        await doctor.put("/Condition/c", json=about("Encounter/none", id="c"))
        assert (await ann.get("/Condition/c")).status_code == 200


async def test_a_service_that_knows_no_hold_does_not_undo_one(there: Labelling) -> None:
    held = about("Encounter/none", id="c", extension=[HOLD])
    now = {"url": RELEASE, "extension": [{"url": "at", "valueInstant": "2026-01-01T00:00:00Z"}]}
    async with there.client() as doctor, there.client("ann") as ann, there.client("lab") as lab:
        await doctor.put("/Condition/c", json=held)
        kept = await lab.put("/Condition/c", json=about("Encounter/none", id="c"))
        assert kept.json()["extension"] == [HOLD]
        assert (await ann.get("/Condition/c")).status_code == 404
        await lab.put("/Condition/c", json=about("Encounter/none", id="c", extension=[now]))
        assert (await ann.get("/Condition/c")).status_code == 200


async def test_a_patient_neither_sets_nor_removes_a_release(there: Labelling) -> None:
    until = {"url": "until", "valueInstant": "2026-01-01T00:00:00Z"}  # over, so she sees it
    over = {"url": RELEASE, "extension": [{"url": "hold", "valueString": "was"}, until]}
    async with there.client() as doctor, there.client("ann") as ann:
        await doctor.put("/Condition/c", json=about("Encounter/none", id="c", extension=[over]))
        kept = await ann.put("/Condition/c", json=about("Encounter/none", id="c"))
        made = await ann.post("/Condition", json=about("Encounter/none", extension=[HOLD]))
    assert kept.json()["extension"] == [over]
    assert made.status_code == 201
    assert "extension" not in made.json()


async def test_without_a_policy_nothing_is_put_on(house: House) -> None:
    async with house.client() as admin:
        assert security((await admin.post("/Condition", json=condition())).json()) == []


async def test_a_patient_writes_and_reads_what_a_rule_would_hold(there: Labelling) -> None:
    system = "http://terminology.hl7.org/CodeSystem/observation-category"
    mine = {
        "resourceType": "Observation", "status": "preliminary", "code": {"text": "sugar, at home"},
        "category": [{"coding": [{"system": system, "code": "laboratory"}]}],
        "subject": {"reference": "Patient/a"},
    }  # fmt: skip
    async with there.client() as doctor, there.client("ann") as ann:
        made = await ann.post("/Observation", json=mine)
        assert made.status_code == 201
        mine["id"] = made.json()["id"]
        address = f"/Observation/{mine['id']}"
        again = await ann.put(address, json=mine | {"issued": "2026-01-02T03:04:05Z"})
        assert (again.status_code, "extension" in again.json()) == (200, False)
        assert (await ann.get(address)).status_code == 200
        checked = await doctor.put(address, json=mine)
        assert [one["url"] for one in checked.json()["extension"]] == [RELEASE]
        assert (await ann.get(address)).status_code == 404
