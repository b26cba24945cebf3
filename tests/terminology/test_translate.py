"""``ConceptMap/$translate`` over HTTP, on every store."""

from time import process_time
from typing import Any

import httpx
import pytest

from mappings.files import TABLES
from server.access.context import SYSTEM, AccessContext, Permit
from server.interactions.concept_maps import ConceptMaps, translations
from server.interactions.shipped_maps import PREFIX, shipped
from tests.pace import Cost
from tests.rest.house import CALLERS, House, told
from tests.terminology.maps import LOCAL, LOINC, SNOMED, concept_map, element, group, target

HR = concept_map("hr", group(element("HR", target("8867-4", display="Heart rate"))), version="1")
MATCHED = {
    "resourceType": "Parameters",
    "parameter": [
        {"name": "result", "valueBoolean": True},
        {
            "name": "match",
            "part": [
                {"name": "equivalence", "valueCode": "equivalent"},
                {
                    "name": "concept",
                    "valueCoding": {"system": LOINC, "code": "8867-4", "display": "Heart rate"},
                },
                {"name": "source", "valueUri": "http://h.test/map/hr|1"},
            ],
        },
    ],
}
NONE = {
    "resourceType": "Parameters",
    "parameter": [
        {"name": "result", "valueBoolean": False},
        {"name": "message", "valueString": "no concept map has this code"},
    ],
}
CODE = {"code": "HR", "system": LOCAL}


async def put(client: httpx.AsyncClient, *maps: dict[str, Any]) -> None:
    for one in maps:
        answer = await client.put(f"/ConceptMap/{one['id']}", json=one)
        assert answer.status_code in (200, 201), answer.text


def parameters(*listed: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": list(listed)}


@pytest.mark.parametrize(
    "path",
    [
        "/ConceptMap/$translate",
        "/ConceptMap/hr/$translate",
        "/ConceptMap/$translate?url=http://h.test/map/hr",
        "/ConceptMap/$translate?url=http://h.test/map/hr&conceptMapVersion=1",
        "/ConceptMap/$translate?targetsystem=http://loinc.org",
    ],
)
async def test_a_code_is_translated_by_one_map_or_by_all(
    client: httpx.AsyncClient, path: str
) -> None:
    await put(client, HR)
    address = httpx.URL(path)
    answer = await client.get(address, params={**dict(address.params), **CODE})
    assert (answer.status_code, answer.json()) == (200, MATCHED)


@pytest.mark.parametrize(
    "given",
    [
        {"name": "coding", "valueCoding": {"system": LOCAL, "code": "HR"}},
        {
            "name": "codeableConcept",
            "valueCodeableConcept": {
                "coding": [{"system": SNOMED, "code": "1"}, {"system": LOCAL, "code": "HR"}]
            },
        },
    ],
    ids=["coding", "codeableConcept"],
)
async def test_codings_and_concepts_are_translated(
    client: httpx.AsyncClient, given: dict[str, Any]
) -> None:
    await put(client, HR)
    answer = await client.post("/ConceptMap/$translate", json=parameters(given))
    assert answer.json() == MATCHED


async def test_a_map_that_is_sent_is_asked_alone(client: httpx.AsyncClient) -> None:
    await put(client, HR)
    sent = concept_map("sent", group(element("HR", target("1-1", "wider"))))
    body = parameters(
        {"name": "conceptMap", "resource": sent},
        {"name": "code", "valueCode": "HR"},
        {"name": "system", "valueUri": LOCAL},
    )
    answer = await client.post("/ConceptMap/$translate", json=body)
    assert answer.json()["parameter"][1]["part"] == [
        {"name": "equivalence", "valueCode": "wider"},
        {"name": "concept", "valueCoding": {"system": LOINC, "code": "1-1"}},
        {"name": "source", "valueUri": "http://h.test/map/sent"},
    ]


async def test_in_reverse_the_sources_are_the_answer(client: httpx.AsyncClient) -> None:
    await put(client, HR)
    query = {"code": "8867-4", "system": LOINC, "reverse": "true"}
    answer = await client.get("/ConceptMap/$translate", params=query)
    assert answer.json()["parameter"][1]["part"][1] == {
        "name": "concept",
        "valueCoding": {"system": LOCAL, "code": "HR"},
    }


async def test_dependencies_are_parts(client: httpx.AsyncClient) -> None:
    needs = [{"property": "http://h.test/ward", "value": "ICU"}]
    await put(client, concept_map("d", group(element("HR", target("8867-4", dependsOn=needs)))))
    asked = [{"name": "code", "valueCode": "HR"}, {"name": "system", "valueUri": LOCAL}]
    known = {
        "name": "dependency",
        "part": [
            {"name": "element", "valueUri": "http://h.test/ward"},
            {"name": "concept", "valueCodeableConcept": {"text": "ICU"}},
        ],
    }
    without = await client.post("/ConceptMap/$translate", json=parameters(*asked))
    with_ = await client.post("/ConceptMap/$translate", json=parameters(*asked, known))
    assert without.json()["parameter"] == [
        {"name": "result", "valueBoolean": False},
        {
            "name": "message",
            "valueString": "no concept map has this code; "
            "http://h.test/map/d has a match that depends on http://h.test/ward",
        },
    ]
    assert with_.json()["parameter"][0] == {"name": "result", "valueBoolean": True}


async def test_value_sets_choose_the_maps(client: httpx.AsyncClient) -> None:
    await put(client, {**HR, "targetCanonical": "http://h.test/vs/vitals|2"})
    for wanted, matched in (("http://h.test/vs/vitals", True), ("http://h.test/vs/labs", False)):
        query = {**CODE, "target": wanted}
        answer = await client.get("/ConceptMap/$translate", params=query)
        assert answer.json()["parameter"][0]["valueBoolean"] is matched


async def test_maps_that_are_not_active_are_asked_by_name_only(client: httpx.AsyncClient) -> None:
    await put(client, {**HR, "status": "draft"})
    assert (await client.get("/ConceptMap/$translate", params=CODE)).json() == NONE
    by_name = {**CODE, "url": "http://h.test/map/hr"}
    assert (await client.get("/ConceptMap/$translate", params=by_name)).json() == MATCHED


async def test_a_changed_map_answers_at_once(client: httpx.AsyncClient) -> None:
    await put(client, HR)
    assert (await client.get("/ConceptMap/hr/$translate", params=CODE)).json() == MATCHED
    await put(client, concept_map("hr", group(element("HR", target("1-1")))))
    answer = await client.get("/ConceptMap/hr/$translate", params=CODE)
    assert answer.json()["parameter"][1]["part"][1]["valueCoding"]["code"] == "1-1"


async def test_cyclic_maps_are_told_and_never_end_the_server(client: httpx.AsyncClient) -> None:
    def onward(name: str, to: str) -> dict[str, Any]:
        unmapped = {"mode": "other-map", "url": f"http://h.test/map/{to}"}
        return concept_map(name, group(element("X", target("x")), unmapped=unmapped))

    await put(client, onward("a", "b"), onward("b", "a"))
    query = {**CODE, "url": "http://h.test/map/a"}

    answer = await client.get("/ConceptMap/$translate", params=query)

    assert answer.json()["parameter"] == [
        {"name": "result", "valueBoolean": False},
        {
            "name": "message",
            "valueString": "no concept map has this code; concept maps lead back to themselves: "
            "http://h.test/map/a -> http://h.test/map/b -> http://h.test/map/a",
        },
    ]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, (400, "invalid", ["code", "coding", "codeableConcept"])),
        ({"code": "HR"}, (400, "invalid", ["system"])),
        ({**CODE, "reverse": "maybe"}, (400, "invalid", ["reverse"])),
        ({**CODE, "url": "http://h.test/none"}, (404, "not-found", ["url"])),
        ({**CODE, "coding": "x"}, (400, "invalid", ["coding"])),
        ({**CODE, "colour": "x"}, (400, "invalid", ["colour"])),
    ],
)
async def test_bad_questions_are_refused(
    client: httpx.AsyncClient, query: dict[str, str], expected: Any
) -> None:
    assert told(await client.get("/ConceptMap/$translate", params=query)) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"name": "coding", "valueCoding": {"code": 5}}, ["Parameters.parameter[0]"]),
        ({"name": "coding", "valueString": "x"}, ["Parameters.parameter[0]"]),
        ({"name": "coding", "valueCoding": {"system": LOCAL}}, ["coding"]),
        ({"name": "dependency", "part": [{"name": "colour"}]}, ["Parameters.parameter[0].part[0]"]),
        ({"name": "dependency", "part": "x"}, ["Parameters.parameter[0].part"]),
        (
            {"name": "conceptMap", "resource": {"resourceType": "Patient"}},
            ["code", "coding", "codeableConcept"],
        ),
    ],
)
async def test_bad_bodies_are_refused_with_their_place(
    client: httpx.AsyncClient, given: dict[str, Any], expected: list[str] | None
) -> None:
    answer = await client.post("/ConceptMap/$translate", json=parameters(given))
    assert told(answer) == (400, "invalid", expected)


HIDDEN = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality|R"
CALLERS["cleared"] = AccessContext("user/c", "app", (Permit("*", hidden=(HIDDEN,)),))


async def test_a_hidden_map_is_one_that_is_not_there(house: House) -> None:
    system, _, code = HIDDEN.partition("|")
    async with house.client() as admin, house.client("cleared") as caller:
        questions = [
            ("/ConceptMap/$translate", CODE),
            ("/ConceptMap/$translate", {**CODE, "url": "http://h.test/map/hr"}),
            ("/ConceptMap/hr/$translate", CODE),
        ]
        before = [await caller.get(path, params=query) for path, query in questions]
        labelled = {**HR, "meta": {"security": [{"system": system, "code": code}]}}
        await put(admin, labelled)
        assert (await admin.get("/ConceptMap/hr/$translate", params=CODE)).json() == MATCHED
        after = [await caller.get(path, params=query) for path, query in questions]

    assert [answer.status_code for answer in after] == [200, 404, 404]
    assert [answer.content for answer in after] == [answer.content for answer in before]
    cleared = CALLERS["cleared"]
    assert (await ConceptMaps(house.services, cleared).all()).maps == ()


async def test_synonyms_come_from_all_active_maps(house: House) -> None:
    async with house.client() as admin:
        await put(admin, HR, {**HR, "id": "old", "status": "retired", "url": "http://h.test/o"})
        narrow = concept_map("n", group(element("HR", target("1-1", "narrower"))))
        await put(admin, narrow)

    translated = await translations(house.services, SYSTEM)

    assert translated((LOCAL, "HR")) == {(LOINC, "8867-4")}
    assert translated((LOINC, "8867-4")) == {(LOCAL, "HR")}
    assert translated((LOINC, "1-1")) == frozenset()
    assert translated(("", "HR")) == frozenset()


async def test_the_tables_of_hl7v2_are_maps(client: httpx.AsyncClient) -> None:
    query = {
        "url": "https://tellonce.org/fhir/ConceptMap/v2-AdministrativeSex",
        "code": "A",
        "system": "http://terminology.hl7.org/CodeSystem/v2-0001",
    }
    answer = await client.get("/ConceptMap/$translate", params=query)
    assert answer.json()["parameter"][1]["part"] == [
        {"name": "equivalence", "valueCode": "relatedto"},
        {
            "name": "concept",
            "valueCoding": {"system": "http://hl7.org/fhir/administrative-gender", "code": "other"},
        },
        {"name": "source", "valueUri": query["url"]},
    ]
    for name in ("Nothing", "../maps/AdministrativeSex", ""):
        address = f"https://tellonce.org/fhir/ConceptMap/v2-{name}"
        gone = await client.get("/ConceptMap/$translate", params={**query, "url": address})
        assert gone.status_code == 404


def test_every_table_is_a_map() -> None:
    names = [path.stem for path in TABLES.glob("*.yaml")]
    assert len(names) > 50
    assert all(shipped(f"{PREFIX}{name}") is not None for name in names)


async def test_a_large_stored_map_is_compiled_once(client: httpx.AsyncClient) -> None:
    many = [element(f"L{n}", target(f"{n}-0")) for n in range(4_000)]
    await put(client, concept_map("large", group(*many)))
    query = {"code": "L3999", "system": LOCAL}
    await client.get("/ConceptMap/$translate", params=query)
    cost = Cost(0.5, process_time)
    for once in cost:
        with once:
            answer = await client.get("/ConceptMap/$translate", params=query)
    assert cost.least_s < 0.5  # to read it anew would take longer
    assert answer.json()["parameter"][0]["valueBoolean"] is True
