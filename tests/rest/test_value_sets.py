"""``:in :not-in :below :above``: exact codes, or an error that says what cannot be named."""

from typing import Any

import httpx
import pytest

from server.interactions.services import Policy
from tests.rest.house import House, bundle, entry, ids, observation, patient, told

SYSTEM = "http://h.test/codes"
SET = "http://h.test/set"


def value_set(id_: str = "s", url: str = SET, **more: Any) -> dict[str, Any]:
    return {"resourceType": "ValueSet", "id": id_, "url": url, "status": "active", **more}


def listed(*codes: str, system: str = SYSTEM) -> dict[str, Any]:
    return {"system": system, "concept": [{"code": code} for code in codes]}


def coded(id_: str, code: str, system: str = SYSTEM, subject: str = "Patient/a") -> dict[str, Any]:
    made = observation(subject, id_)
    made["code"] = {"coding": [{"system": system, "code": code}]}
    return made


async def put(client: httpx.AsyncClient, *resources: dict[str, Any]) -> None:
    sent = [entry("PUT", f"{r['resourceType']}/{r['id']}", r) for r in resources]
    answer = await client.post("", json=bundle("transaction", *sent))
    assert answer.status_code == 200, answer.text


async def found(client: httpx.AsyncClient, parameters: str) -> list[str]:
    answer = await client.get(f"/Observation?{parameters}&_sort=_id")
    assert answer.status_code == 200, answer.text
    return [id_.removeprefix("Observation/") for id_ in ids(answer)]


TREE = {
    "resourceType": "CodeSystem",
    "id": "tree",
    "url": SYSTEM,
    "status": "active",
    "content": "complete",
    "concept": [
        {"code": "a", "concept": [{"code": "ab", "concept": [{"code": "abc"}]}, {"code": "ad"}]},
        {"code": "x", "property": [{"code": "parent", "valueCode": "ad"}]},
    ],
}


async def test_in_and_not_in_ask_the_codes_of_a_value_set(client: httpx.AsyncClient) -> None:
    await put(client, value_set(compose={"include": [listed("1", "2")]}))
    await put(client, coded("one", "1"), coded("three", "3"), coded("other", "1", "http://o.test"))

    assert await found(client, f"code:in={SET}") == ["one"]
    assert await found(client, f"code:not-in={SET}") == ["other", "three"]
    assert await found(client, "code:in=ValueSet/s") == ["one"]
    assert await found(client, "code:in=http://fhir.test/fhir/ValueSet/s") == ["one"]
    assert ids(await client.get(f"/Patient?_has:Observation:subject:code:in={SET}")) == []


async def test_it_works_behind_chains_and_in_filters(client: httpx.AsyncClient) -> None:
    await put(client, value_set(compose={"include": [listed("1")]}), patient("a"))
    await put(client, coded("one", "1"))

    assert ids(await client.get(f"/Patient?_has:Observation:subject:code:in={SET}")) == [
        "Patient/a"
    ]
    assert await found(client, f"_filter=code in {SET}") == ["one"]


async def test_imports_exclusions_and_intersections(client: httpx.AsyncClient) -> None:
    await put(
        client,
        value_set("one", f"{SET}1", compose={"include": [listed("1", "2", "3")]}),
        value_set("two", f"{SET}2", compose={"include": [listed("2", "3", "4")]}),
        value_set(
            compose={
                "include": [{"valueSet": [f"{SET}1", f"{SET}2"]}, listed("9")],
                "exclude": [listed("3")],
            }
        ),
        *[coded(f"o{n}", str(n)) for n in range(1, 10)],
    )

    assert await found(client, f"code:in={SET}") == ["o2", "o9"]


async def test_a_whole_system_and_its_hierarchy(client: httpx.AsyncClient) -> None:
    below = {"property": "concept", "op": "is-a", "value": "a"}
    await put(
        client,
        TREE,
        value_set("all", f"{SET}/all", compose={"include": [{"system": SYSTEM}]}),
        value_set("a", f"{SET}/a", compose={"include": [{"system": SYSTEM, "filter": [below]}]}),
        *[coded(code, code) for code in ("a", "ab", "abc", "ad", "x", "zzz")],
    )

    assert await found(client, f"code:in={SET}/all") == ["a", "ab", "abc", "ad", "x"]
    assert await found(client, f"code:in={SET}/a") == ["a", "ab", "abc", "ad", "x"]
    assert await found(client, f"code:below={SYSTEM}|ab") == ["ab", "abc"]
    assert await found(client, f"code:above={SYSTEM}|abc") == ["a", "ab", "abc"]
    assert await found(client, f"code:above={SYSTEM}|x") == ["a", "ad", "x"]


async def test_what_hl7_publishes_is_known(client: httpx.AsyncClient) -> None:
    act = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
    for id_, code in (("out", "AMB"), ("in", "ACUTE")):
        await put(
            client,
            {"resourceType": "Encounter", "id": id_, "status": "finished",
             "class": {"system": act, "code": code}},
        )  # fmt: skip

    async def classes(parameters: str) -> list[str]:
        return ids(await client.get(f"/Encounter?{parameters}&_sort=_id"))

    assert await classes(f"class:below={act}|IMP") == ["Encounter/in"]
    both = await classes("class:in=http://terminology.hl7.org/ValueSet/v3-ActEncounterCode")
    assert both == ["Encounter/in", "Encounter/out"]


async def test_an_expansion_is_taken_where_it_is_whole(client: httpx.AsyncClient) -> None:
    tree = [{"system": SYSTEM, "code": "1", "contains": [{"system": SYSTEM, "code": "2"}]}]
    sct = {"include": [{"system": "http://snomed.info/sct", "filter": [
        {"property": "concept", "op": "is-a", "value": "404684003"}]}]}  # fmt: skip
    whole = {"timestamp": "2026-01-01", "total": 2, "contains": tree}
    await put(
        client,
        value_set("one", f"{SET}/one", expansion=whole),
        value_set("two", f"{SET}/two", compose=sct, expansion=whole),
        value_set("part", f"{SET}/part", expansion={**whole, "total": 3}),
        coded("one", "1"), coded("two", "2"), coded("three", "3"),
    )  # fmt: skip

    assert await found(client, f"code:in={SET}/one") == ["one", "two"]
    assert await found(client, f"code:in={SET}/two") == ["one", "two"]
    answer = await client.get(f"/Observation?code:in={SET}/part")
    assert told(answer) == (422, "not-supported", ["code:in"])
    assert "its expansion holds 2 of 3 codes" in answer.json()["issue"][0]["diagnostics"]


async def test_ten_thousand_codes_are_exact(client: httpx.AsyncClient) -> None:
    codes = [f"c{n}" for n in range(10_000)]
    await put(client, value_set(compose={"include": [listed(*codes)]}))
    await put(client, coded("first", "c0"), coded("last", "c9999"), coded("beyond", "c10000"))

    assert await found(client, f"code:in={SET}") == ["first", "last"]
    assert await found(client, f"code:not-in={SET}") == ["beyond"]


async def test_the_active_one_of_several_and_the_version_asked_for_count(
    client: httpx.AsyncClient,
) -> None:
    await put(client, value_set("v1", version="1", compose={"include": [listed("1")]}))
    await put(
        client, value_set("v2", version="2", status="draft", compose={"include": [listed("2")]})
    )
    await put(client, coded("one", "1"), coded("two", "2"))

    assert await found(client, f"code:in={SET}") == ["one"]
    assert await found(client, f"code:in={SET}|2") == ["two"]


@pytest.mark.parametrize(
    ("parameter", "compose", "status", "code", "why"),
    [
        ("code:in=http://no.test/set", None, 400, "not-found", "is not here"),
        ("code:in=ValueSet/none", None, 400, "not-found", "is not here"),
        (
            f"code:in={SET}", {"include": [{"system": "http://loinc.org"}]},
            400, "not-found", "the code system http://loinc.org is not here",
        ),
        (
            f"code:in={SET}", {"include": [{"system": "http://snomed.info/sct"}]},
            422, "not-supported", "not all codes of http://snomed.info/sct are here",
        ),
        (
            f"code:in={SET}", {"include": [{"valueSet": [SET]}]},
            422, "not-supported", f"the value set imports itself: {SET} -> {SET}",
        ),
        (
            f"code:in={SET}", None,
            422, "not-supported", "it has neither a composition nor an expansion",
        ),
        (
            f"code:in={SET}",
            {"include": [{"system": "http://hl7.org/fhir/administrative-gender",
                          "filter": [{"property": "display", "op": "regex", "value": "."}]}]},
            422, "not-supported", "the filter display regex",
        ),
        ("code:below=http://snomed.info/sct|1", None, 422, "not-supported", "not all codes of"),
        ("code:below=http://h.test/none|1", None, 400, "not-found", "is not here"),
        (
            "code:below=http://hl7.org/fhir/administrative-gender|none", None,
            400, "not-found", "has no code 'none'",
        ),
    ],
)  # fmt: skip
async def test_what_cannot_be_named_is_an_error_and_never_a_part(
    client: httpx.AsyncClient, parameter: str, compose: Any, status: int, code: str, why: str
) -> None:
    if parameter.endswith(SET):
        await put(client, value_set(**({"compose": compose} if compose else {})))

    answer = await client.get(f"/Observation?{parameter}")

    assert told(answer) == (status, code, [parameter.partition("=")[0]]), answer.text
    assert why in answer.json()["issue"][0]["diagnostics"]


async def test_a_value_set_that_the_caller_may_not_read_is_not_there(house: House) -> None:
    async with house.client() as client:
        await put(client, value_set(compose={"include": [listed("1")]}), coded("one", "1"))
    async with house.client("reader") as client:
        hidden = await client.get(f"/Observation?code:in={SET}")
        absent = await client.get("/Observation?code:in=http://h.test/nes")

    assert told(hidden) == told(absent) == (400, "not-found", ["code:in"])
    text = hidden.json()["issue"][0]["diagnostics"]
    assert text == absent.json()["issue"][0]["diagnostics"].replace("/nes", "/set")


async def test_a_walk_goes_on_when_its_value_set_changes(client: httpx.AsyncClient) -> None:
    await put(client, value_set(compose={"include": [listed("1")]}))
    await put(client, *[coded(f"o{n}", "1") for n in range(4)], coded("late", "2"))
    first = (await client.get(f"/Observation?code:in={SET}&_count=2&_sort=_id")).json()
    await put(client, value_set(compose={"include": [listed("1", "2")]}))

    (following,) = [x["url"] for x in first["link"] if x["relation"] == "next"]
    second = await client.get(following)

    assert (ids(first), ids(second)) == (
        ["Observation/late", "Observation/o0"], ["Observation/o1", "Observation/o2"],
    ) or (ids(first), ids(second)) == (
        ["Observation/o0", "Observation/o1"], ["Observation/o2", "Observation/o3"],
    )  # fmt: skip


async def test_places_below_and_above_a_place(client: httpx.AsyncClient) -> None:
    def place(id_: str, within: str | None = None) -> dict[str, Any]:
        more = {"partOf": {"reference": f"Location/{within}"}} if within else {}
        return {"resourceType": "Location", "id": id_, **more}

    def stay(id_: str, where: str) -> dict[str, Any]:
        return {"resourceType": "Encounter", "id": id_, "status": "finished",
                "class": {"code": "IMP"},
                "location": [{"location": {"reference": f"Location/{where}"}}]}  # fmt: skip

    await put(client, place("h"), place("w", "h"), place("r", "w"), place("else"))
    await put(client, stay("in-h", "h"), stay("in-r", "r"), stay("in-else", "else"))

    async def stays(parameters: str) -> list[str]:
        return ids(await client.get(f"/Encounter?{parameters}&_sort=_id"))

    assert await stays("location:below=Location/w") == ["Encounter/in-r"]
    assert await stays("location:below=Location/h") == ["Encounter/in-h", "Encounter/in-r"]
    assert await stays("location:above=Location/r") == ["Encounter/in-h", "Encounter/in-r"]
    assert await stays("location:above=Location/h") == ["Encounter/in-h"]
    wrong = await client.get("/Observation?subject:below=Patient/a")
    assert told(wrong)[0] == 400


async def test_a_condition_by_value_set_is_refused(client: httpx.AsyncClient) -> None:
    headers = {"If-None-Exist": f"code:in={SET}"}
    answer = await client.post("/Observation", json=observation(), headers=headers)
    assert told(answer) == (400, "invalid", ["If-None-Exist"])


async def test_codes_of_several_value_sets_are_limited_together(client: httpx.AsyncClient) -> None:
    codes = [f"c{n}" for n in range(20_000)]
    await put(client, value_set(compose={"include": [listed(*codes)]}))
    names = ["code", "category", "method", "value-concept", "status", "data-absent-reason"]

    most = await client.get("/Observation?" + "&".join(f"{n}:in={SET}" for n in names[:5]))
    answer = await client.get("/Observation?" + "&".join(f"{n}:in={SET}" for n in names))

    assert most.status_code == 200, most.text
    assert told(answer)[:2] == (403, "too-costly")
    assert "more than 100000 codes" in answer.json()["issue"][0]["diagnostics"]


@pytest.mark.parametrize("policy", [Policy(deadline_s=0.0)])
async def test_listing_the_codes_of_a_search_has_its_deadline(client: httpx.AsyncClient) -> None:
    answer = await client.get("/Encounter?location:below=Location/a")

    assert told(answer) == (503, "too-costly", ["location:below"])
