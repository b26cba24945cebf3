"""``_explain=true``: the plan of a search, for those who may see everything."""

import httpx
import pytest

from tests.rest.house import House, bundle, entry, ids, observation, patient, told

QUESTIONS = [
    "/Patient?name=gray&birthdate=1980-01-31",
    "/Patient?identifier=http://h.test/mrn|1",
    "/Observation?patient=Patient/a&code=http://loinc.org|8867-4&_count=10",
    "/Observation?patient=Patient/a&category=vital-signs&date=ge2026-01-01",
    "/Encounter?subject:Patient.name=gray&status=in-progress",
]


async def fill(client: httpx.AsyncClient) -> None:
    sent = [entry("PUT", "Patient/a", patient("a", name=[{"family": "Gray"}]))]
    sent += [entry("PUT", f"Observation/o{n}", observation("Patient/a", f"o{n}")) for n in range(5)]
    assert (await client.post("", json=bundle("transaction", *sent))).status_code == 200


@pytest.mark.parametrize("question", QUESTIONS)
async def test_the_plan_comes_first_and_the_answer_is_the_same(
    client: httpx.AsyncClient, question: str
) -> None:
    await fill(client)

    plain = (await client.get(question)).json()
    told_how = (await client.get(f"{question}&_explain=true")).json()

    first, *rest = told_how["entry"]
    assert rest == plain.get("entry", [])
    assert told_how.get("total") == plain.get("total")
    assert first["search"] == {"mode": "outcome"}
    issues = first["resource"]["issue"]
    assert {(i["severity"], i["code"]) for i in issues} == {("information", "informational")}
    texts = [issue["diagnostics"] for issue in issues]
    assert texts[0].startswith("1. ")
    assert texts[-1].endswith(" ms for the matches of the first page")


async def test_it_shows_what_drives_and_how_many_rows_there_were(house: House) -> None:
    async with house.client() as client:
        await fill(client)
        address = "/Observation?patient=Patient/a&code=8867-4&_explain=true"
        issues = (await client.get(address)).json()["entry"][0]["resource"]["issue"]

    text = "\n".join(issue["diagnostics"] for issue in issues)
    assert "1. drive: " in text
    assert "5 rows" in text


async def test_a_count_is_explained_as_well(client: httpx.AsyncClient) -> None:
    await fill(client)
    answer = (await client.get("/Observation?code=8867-4&_summary=count&_explain=true")).json()
    assert answer["total"] == 5
    assert [e["search"]["mode"] for e in answer["entry"]] == ["outcome"]


@pytest.mark.parametrize("caller", ["patient-a", "reader"])
async def test_who_may_see_a_part_only_is_told_no_counts(house: House, caller: str) -> None:
    async with house.client(caller) as client:
        answer = await client.get("/Observation?code=8867-4&_explain=true")
    assert told(answer) == (403, "forbidden", ["_explain"])


async def test_it_is_true_or_false(client: httpx.AsyncClient) -> None:
    assert told(await client.get("/Patient?_explain=maybe")) == (400, "invalid", ["_explain"])
    assert ids(await client.get("/Patient?_explain=false")) == []


async def test_the_plan_of_a_search_for_thousands_of_values_is_short(
    client: httpx.AsyncClient,
) -> None:
    await client.put("/Observation/a", json=observation("Patient/a", "a"))
    asked = [",".join(f"{n}.{m}" for m in range(400)) for n in range(10)]

    answer = await client.post(
        "/Observation/_search", data={"value-quantity": asked, "_explain": "true"}
    )

    plan = answer.json()["entry"][0]["resource"]
    assert answer.status_code == 200
    assert max(len(issue["diagnostics"]) for issue in plan["issue"]) < 10_000
