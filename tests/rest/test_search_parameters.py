"""SearchParameters at run time: stored, in force at once, and found by when the index is made."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from server import background
from server.interactions import search_parameters
from server.store.memory import MemoryStore
from tests.rest.house import (
    STORES,
    Clock,
    House,
    Limits,
    Policy,
    bundle,
    entry,
    ids,
    observation,
    patient,
    told,
)

EYES = "http://h.test/eye-color"
STRICT = {"Prefer": "handling=strict"}


def parameter(code: str = "eye-color", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "SearchParameter",
        "id": code,
        "url": f"http://h.test/SearchParameter/{code}",
        "name": "EyeColor",
        "status": "active",
        "description": "x",
        "code": code,
        "base": ["Patient"],
        "type": "token",
        "expression": f"Patient.extension.where(url = '{EYES}').value",
        **more,
    }


def person(id_: str, color: str) -> dict[str, Any]:
    return patient(id_, extension=[{"url": EYES, "valueCode": color}])


async def put(client: httpx.AsyncClient, resource: dict[str, Any]) -> httpx.Response:
    return await client.put(f"/{resource['resourceType']}/{resource['id']}", json=resource)


async def made(client: httpx.AsyncClient, resource: dict[str, Any]) -> None:
    answer = await put(client, resource)
    assert answer.status_code in (200, 201), answer.text


def warnings(answer: httpx.Response) -> list[tuple[str, str]]:
    return [
        (issue["code"], issue["diagnostics"])
        for e in answer.json().get("entry", [])
        if e["search"]["mode"] == "outcome"
        for issue in e["resource"]["issue"]
    ]


@asynccontextmanager
async def chores(house: House) -> AsyncIterator[None]:
    async with background.tasks(house.store, house.clock, house.services):
        yield


async def until_indexed(house: House) -> None:
    with anyio.fail_after(30):
        while house.services.searchable.unfinished:  # noqa: ASYNC110 # a state, as clients see it
            await anyio.sleep(0.01)


async def test_a_new_parameter_is_in_force_at_once_and_partial_until_indexed(house: House) -> None:
    async with house.client() as client:
        await made(client, person("old", "blue"))
        await made(client, parameter())
        await made(client, person("new", "blue"))

        early = await client.get("/Patient?eye-color=blue")
        strict = await client.get("/Patient?eye-color=blue", headers=STRICT)
        async with chores(house):
            await until_indexed(house)
        late = await client.get("/Patient?eye-color=blue", headers=STRICT)

    assert ids(early, "match") == ["Patient/new"]
    ((code, text),) = warnings(early)
    assert code == "incomplete"
    assert text.startswith("eye-color: not everything is found yet, its index is being made")
    assert told(strict) == (503, "incomplete", ["eye-color"])
    assert strict.headers["retry-after"] == "10"
    assert ids(late) == ["Patient/new", "Patient/old"]
    assert late.json()["total"] == 2


async def test_a_condition_waits_for_the_index(house: House) -> None:
    async with house.client() as client:
        await made(client, person("old", "blue"))
        await made(client, parameter())
        condition = {"If-None-Exist": "eye-color=blue"}

        early = await client.post("/Patient", json=person("x", "blue"), headers=condition)
        async with chores(house):
            await until_indexed(house)
        late = await client.post("/Patient", json=person("x", "blue"), headers=condition)

    assert told(early) == (503, "incomplete", ["eye-color"])
    assert late.status_code == 200
    assert late.json()["id"] == "old"


async def test_other_searches_are_whole_while_rows_are_made(house: House) -> None:
    async with house.client() as client:
        await made(client, patient("a", gender="female"))
        await made(client, parameter())
        answer = await client.get("/Patient?gender=female", headers=STRICT)

    assert ids(answer) == ["Patient/a"]
    assert warnings(answer) == []


async def test_removed_changed_and_retired_parameters_are_followed(house: House) -> None:
    async with house.client() as client:
        await made(client, person("a", "blue"))
        await made(client, parameter())
        async with chores(house):
            await until_indexed(house)
            assert ids(await client.get("/Patient?eye-color=blue")) == ["Patient/a"]

            await made(client, parameter(expression="Patient.gender"))
            await until_indexed(house)
            changed = await client.get("/Patient?eye-color=blue")
            assert (ids(changed), warnings(changed)) == ([], [])

            await made(client, parameter(status="retired"))
            retired = await client.get("/Patient?eye-color=blue", headers=STRICT)
            assert told(retired) == (400, "invalid", ["eye-color"])

            await made(client, parameter())
            await until_indexed(house)
            assert ids(await client.get("/Patient?eye-color=blue")) == ["Patient/a"]
            assert (await client.delete("/SearchParameter/eye-color")).status_code in (200, 204)
            deleted = await client.get("/Patient?eye-color=blue", headers=STRICT)
            assert told(deleted) == (400, "invalid", ["eye-color"])


async def test_a_transaction_and_a_patch_may_bring_parameters_too(house: House) -> None:
    async with house.client() as client:
        sent = [
            entry("PUT", "SearchParameter/eye-color", parameter()),
            entry("PUT", "SearchParameter/off", parameter("off", status="draft")),
        ]
        answer = await client.post("", json=bundle("transaction", *sent))
        assert answer.status_code == 200, answer.text
        patch = [{"op": "replace", "path": "/status", "value": "active"}]
        headers = {"Content-Type": "application/json-patch+json"}
        patched = await client.patch("/SearchParameter/off", json=patch, headers=headers)
        assert patched.status_code == 200, patched.text
        await made(client, person("a", "blue"))

        assert ids(await client.get("/Patient?eye-color=blue&off=blue"), "match") == ["Patient/a"]


async def test_references_strings_and_abstract_bases_work(house: House) -> None:
    friend = parameter(
        "friend",
        type="reference",
        target=["Practitioner"],
        expression="Patient.extension.where(url = 'http://h.test/friend').value",
    )
    marked = parameter(
        "marked",
        type="string",
        base=["DomainResource"],
        expression="DomainResource.extension.where(url = 'http://h.test/mark').value",
    )
    async with house.client() as client:
        await made(client, friend)
        await made(client, marked)
        await made(
            client,
            {"resourceType": "Practitioner", "id": "d", "name": [{"family": "Gray"}]},
        )
        value = {"reference": "Practitioner/d"}
        await made(
            client,
            patient("a", extension=[{"url": "http://h.test/friend", "valueReference": value}]),
        )
        await made(
            client,
            observation(
                "Patient/a", "o", extension=[{"url": "http://h.test/mark", "valueString": "Red"}]
            ),
        )
        partial = await client.get("/Practitioner?_revinclude=*")
        assert [code for code, _ in warnings(partial)] == ["incomplete"]
        async with chores(house):
            await until_indexed(house)

        assert warnings(await client.get("/Practitioner?_revinclude=*")) == []
        assert ids(await client.get("/Observation?marked=red")) == ["Observation/o"]
        assert ids(await client.get("/Patient?friend=Practitioner/d")) == ["Patient/a"]
        assert ids(await client.get("/Patient?friend.name=gray")) == ["Patient/a"]
        assert ids(await client.get("/Practitioner?_has:Patient:friend:_id=a")) == [
            "Practitioner/d"
        ]
        both = await client.get("/Patient?_include=Patient:friend")
        assert ids(both, "include") == ["Practitioner/d"]
        sorted_ = await client.get("/Patient?_sort=friend&_revinclude=Observation:subject")
        assert ids(sorted_) == ["Patient/a", "Observation/o"]


async def test_a_composite_of_custom_parts_works(house: House) -> None:
    part = parameter(
        "left-eye", expression="Patient.extension.where(url = 'http://h.test/l').value"
    )
    pair = parameter(
        "eyes",
        type="composite",
        expression="Patient",
        component=[
            {"definition": parameter()["url"], "expression": parameter()["expression"]},
            {"definition": part["url"], "expression": part["expression"]},
        ],
    )
    async with house.client() as client:
        for sent in (parameter(), part, pair):
            await made(client, sent)
        more = [{"url": EYES, "valueCode": "blue"}, {"url": "http://h.test/l", "valueCode": "red"}]
        await made(client, patient("a", extension=more))
        await made(client, person("b", "blue"))

        assert ids(await client.get("/Patient?eyes=blue$red"), "match") == ["Patient/a"]
        assert ids(await client.get("/Patient?eyes=blue$blue"), "match") == []


async def test_the_capability_statement_names_them_and_changes(house: House) -> None:
    async with house.client() as client:
        before = await client.get("/metadata")
        await made(client, parameter())
        after = await client.get("/metadata")

    def names(answer: httpx.Response) -> dict[str, str]:
        (rest,) = answer.json()["rest"]
        (described,) = [r for r in rest["resource"] if r["type"] == "Patient"]
        return {p["name"]: p.get("definition", "") for p in described["searchParam"]}

    assert "eye-color" not in names(before)
    assert names(after)["eye-color"] == "http://h.test/SearchParameter/eye-color"
    assert before.headers["etag"] != after.headers["etag"]


async def test_r4s_own_parameters_stay_what_they_are(house: House) -> None:
    own = "http://hl7.org/fhir/SearchParameter/individual-birthdate"
    name = "http://hl7.org/fhir/SearchParameter/Patient-name"
    published = parameter("birthdate", url=own, type="string", expression="Patient.gender")
    derived = parameter(
        "name", id="us-name", url="http://us.test/name", derivedFrom=name, type="string",
        expression="Patient.name",
    )  # fmt: skip
    async with house.client() as client:
        await made(client, patient("a", birthDate="1980-01-31", name=[{"family": "Gray"}]))
        await made(client, published)
        await made(client, derived)

        assert ids(await client.get("/Patient?birthdate=1980", headers=STRICT)) == ["Patient/a"]
        assert ids(await client.get("/Patient?name=gray", headers=STRICT)) == ["Patient/a"]


@pytest.mark.parametrize(
    ("wrong", "element", "code"),
    [
        ({"url": "eye"}, "url", "value"),
        ({"code": "_eye"}, "code", "value"),
        ({"code": "eye.color"}, "code", "value"),
        ({"code": "gender"}, "code", "duplicate"),
        ({"code": "_id"}, "code", "value"),
        ({"type": "special"}, "type", "not-supported"),
        ({"type": "date", "expression": "Patient.name"}, "type", "value"),
        ({"type": "reference"}, "target", "required"),
        ({"expression": None}, "expression", "required"),
        ({"expression": "Patient."}, "expression", "value"),
        ({"expression": "Patient.name.whatever()"}, "expression", "value"),
        ({"expression": "Observation.code"}, "expression", "value"),
        ({"expression": "(" * 3000}, "expression", "value"),
        ({"expression": "Patient.name | " * 400 + "Patient.name"}, "expression", "too-long"),
        ({"type": "composite", "expression": "Patient"}, "component", "required"),
        (
            {
                "type": "composite",
                "expression": "Patient",
                "component": [
                    {"definition": "http://h.test/none", "expression": "gender"},
                    {
                        "definition": "http://hl7.org/fhir/SearchParameter/individual-gender",
                        "expression": "gender",
                    },
                ],
            },
            "component[0].definition",
            "not-found",
        ),
    ],
)
async def test_what_cannot_be_searched_by_is_refused(
    client: httpx.AsyncClient, wrong: dict[str, Any], element: str, code: str
) -> None:
    sent = {k: v for k, v in {**parameter(), **wrong}.items() if v is not None}

    answer = await put(client, sent)

    assert told(answer) == (422, code, [f"SearchParameter.{element}"]), answer.text
    assert (await client.get("/SearchParameter/eye-color")).status_code == 404


async def test_an_unused_draft_may_be_wrong(client: httpx.AsyncClient) -> None:
    await made(client, parameter(status="draft", expression="Patient."))
    activated = parameter(expression="Patient.")
    assert told(await put(client, activated))[0] == 422


async def test_two_resources_may_not_claim_one_code(client: httpx.AsyncClient) -> None:
    await made(client, parameter())
    other = parameter(id="other", url="http://other.test/eye-color")

    answer = await put(client, other)

    assert told(answer) == (422, "duplicate", ["SearchParameter.code"])
    assert parameter()["url"] in answer.json()["issue"][0]["diagnostics"]


async def test_a_restart_in_the_middle_goes_on(tmp_path: Path) -> None:
    clock = Clock()
    first = House(STORES["sqlite"](tmp_path, clock), clock, Policy(), Limits())
    async with first.client() as client:
        sent = [entry("PUT", f"Patient/p{n}", person(f"p{n}", "blue")) for n in range(60)]
        assert (await client.post("", json=bundle("transaction", *sent))).status_code == 200
        await made(client, parameter())
    left = await first.store.reindex(batch=25)
    assert left > 0
    await first.store.close()

    again = House(STORES["sqlite"](tmp_path, clock), clock, Policy(), Limits())
    await search_parameters.load(again.services)
    async with again.client() as client:
        early = await client.get("/Patient?eye-color=blue&_count=100")
        whole = await client.get("/Patient?_id=p1", headers=STRICT)
        async with chores(again):
            await until_indexed(again)
        late = await client.get("/Patient?eye-color=blue&_count=100", headers=STRICT)
    await again.store.close()

    assert 20 < len(ids(early, "match")) < 60
    assert "resources to go" in warnings(early)[0][1]
    assert ids(whole) == ["Patient/p1"]
    assert len(ids(late)) == 60

    third = House(STORES["sqlite"](tmp_path, clock), clock, Policy(), Limits())
    await search_parameters.load(third.services)
    assert third.services.searchable.unfinished == frozenset()
    assert await third.store.verify() == []
    await third.store.close()


async def test_writes_that_race_with_a_new_parameter_are_all_found(house: House) -> None:
    async with house.client() as client:

        async def write(number: int) -> None:
            await made(client, person(f"p{number}", "blue"))

        async def declare() -> None:
            await anyio.sleep(0.005)
            await made(client, parameter())

        async with chores(house):
            async with anyio.create_task_group() as group:
                group.start_soon(declare)
                for number in range(100):
                    group.start_soon(write, number)
            await until_indexed(house)
            found = await client.get("/Patient?eye-color=blue&_count=200")

    assert len(ids(found, "match")) == 100


async def test_a_store_that_cannot_be_asked_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from server.fhir.errors import StoreUnavailable

    clock = Clock()
    store = STORES["memory"](Path(), clock)
    assert isinstance(store, MemoryStore)
    house = House(store, clock, Policy(), Limits())
    monkeypatch.setattr(background, "RETRY_S", 0.0)
    plain, failing = store.search, [True]

    async def search(access: Any, query: Any, **more: Any) -> Any:
        if query.types == ("SearchParameter",) and failing:
            raise StoreUnavailable("the disk is away")
        return await plain(access, query, **more)

    monkeypatch.setattr(store, "search", search)
    async with house.client() as client:
        await made(client, person("a", "blue"))
        await made(client, parameter())
        assert house.services.searchable.behind
        failing.clear()
        async with chores(house):
            with anyio.fail_after(30):
                while house.services.searchable.behind:  # noqa: ASYNC110 # as above
                    await anyio.sleep(0.01)
            await until_indexed(house)
        assert ids(await client.get("/Patient?eye-color=blue", headers=STRICT)) == ["Patient/a"]
