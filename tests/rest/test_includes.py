"""``_include`` and ``_revinclude``: complete, each once, and only what the caller may see."""

from typing import Any

import httpx
import pytest

from server.interactions import includes
from tests.rest.house import House, bundle, entry, ids, link, observation, patient, told


async def put(client: httpx.AsyncClient, *resources: dict[str, Any]) -> None:
    sent = [entry("PUT", f"{r['resourceType']}/{r['id']}", r) for r in resources]
    for start in range(0, len(sent), 1000):
        answer = await client.post("", json=bundle("transaction", *sent[start : start + 1000]))
        assert answer.status_code == 200, answer.text


async def walk(client: httpx.AsyncClient, url: str) -> list[dict[str, Any]]:
    pages = []
    following: str | None = url
    while following is not None:
        answer = await client.get(following)
        assert answer.status_code == 200, answer.text
        pages.append(answer.json())
        following = link(pages[-1])
    return pages


async def included(client: httpx.AsyncClient, url: str) -> list[str]:
    return [id_ for page in await walk(client, url) for id_ in ids(page, "include")]


def place(id_: str, part_of: str | None = None) -> dict[str, Any]:
    more = {"partOf": {"reference": f"Location/{part_of}"}} if part_of else {}
    return {"resourceType": "Location", "id": id_, **more}


def answers(id_: str, questionnaire: str) -> dict[str, Any]:
    return {
        "resourceType": "QuestionnaireResponse",
        "id": id_,
        "status": "completed",
        "questionnaire": questionnaire,
    }


def questionnaire(id_: str, version: str) -> dict[str, Any]:
    return {
        "resourceType": "Questionnaire",
        "id": id_,
        "status": "active",
        "url": "http://q.test/fall",
        "version": version,
    }


HOUSE = [place("house"), place("ward", "house"), place("room", "ward"), place("bed", "room")]


async def test_iterate_goes_on_from_what_was_included(client: httpx.AsyncClient) -> None:
    await put(client, *HOUSE)

    once = await included(client, "/Location?_id=bed&_include=Location:partof")
    on = await included(client, "/Location?_id=bed&_include:iterate=Location:partof")
    back = await included(client, "/Location?_id=house&_revinclude:iterate=Location:partof")

    assert once == ["Location/room"]
    assert on == ["Location/room", "Location/ward", "Location/house"]
    assert back == ["Location/ward", "Location/room", "Location/bed"]


async def test_iterate_follows_both_directions_together(client: httpx.AsyncClient) -> None:
    await put(
        client,
        patient("a", managingOrganization={"reference": "Organization/o"}),
        {"resourceType": "Organization", "id": "o", "name": "x"},
        observation("Patient/a", "r"),
    )

    found = await included(
        client,
        "/Organization?_revinclude=Patient:organization&_revinclude:iterate=Observation:patient",
    )
    forward = await included(
        client, "/Observation?_include=Observation:subject&_include:iterate=Patient:organization"
    )

    assert found == ["Patient/a", "Observation/r"]
    assert forward == ["Patient/a", "Organization/o"]


async def test_a_cycle_ends_and_shows_each_once(client: httpx.AsyncClient) -> None:
    await put(client, place("a", "c"), place("b", "a"), place("c", "b"), place("own", "own"))

    around = await included(client, "/Location?_id=a&_include:iterate=Location:partof")
    both = await included(
        client,
        "/Location?_id=a&_include:iterate=Location:partof&_revinclude:iterate=Location:partof",
    )
    itself = await included(client, "/Location?_id=own&_include:iterate=Location:partof")

    assert around == ["Location/c", "Location/b"]
    assert sorted(both) == ["Location/b", "Location/c"]
    assert itself == []


async def test_a_star_means_every_reference_parameter(client: httpx.AsyncClient) -> None:
    await put(
        client,
        patient("a"),
        {"resourceType": "Encounter", "id": "e", "status": "finished", "class": {"code": "AMB"},
         "subject": {"reference": "Patient/a"}},
        observation("Patient/a", "r", encounter={"reference": "Encounter/e"}),
    )  # fmt: skip

    assert sorted(await included(client, "/Observation?_include=*")) == ["Encounter/e", "Patient/a"]
    assert sorted(await included(client, "/Observation?_include=Observation:*")) == [
        "Encounter/e", "Patient/a",
    ]  # fmt: skip
    assert sorted(await included(client, "/Patient?_revinclude=*")) == [
        "Encounter/e", "Observation/r",
    ]  # fmt: skip
    assert await included(client, "/Patient?_revinclude=Observation:*") == ["Observation/r"]


async def test_canonical_references_are_followed_by_url_and_version(
    client: httpx.AsyncClient,
) -> None:
    await put(
        client,
        questionnaire("q1", "1"),
        questionnaire("q2", "2"),
        answers("any", "http://q.test/fall"),
        answers("first", "http://q.test/fall|1"),
        answers("none", "http://q.test/fall|3"),
    )
    forward = "_include=QuestionnaireResponse:questionnaire"
    back = "_revinclude=QuestionnaireResponse:questionnaire"

    def of(id_: str) -> str:
        return f"/QuestionnaireResponse?_id={id_}&{forward}"

    assert await included(client, of("any")) == ["Questionnaire/q1", "Questionnaire/q2"]
    assert await included(client, of("first")) == ["Questionnaire/q1"]
    assert await included(client, of("none")) == []
    assert await included(client, f"/Questionnaire?_id=q1&{back}") == [
        "QuestionnaireResponse/first", "QuestionnaireResponse/any",
    ]  # fmt: skip
    assert await included(client, f"/Questionnaire?_id=q2&{back}") == ["QuestionnaireResponse/any"]


async def test_a_reference_to_a_version_includes_the_current_one(client: httpx.AsyncClient) -> None:
    await put(client, patient("a"), patient("b"))
    await put(client, patient("a", gender="female"))
    await put(client, observation("Patient/a/_history/1", "o"))

    page = (await client.get("/Observation?_include=Observation:subject")).json()

    (resource,) = [e["resource"] for e in page["entry"] if e["search"]["mode"] == "include"]
    assert (resource["id"], resource["meta"]["versionId"]) == ("a", "2")


async def test_what_the_caller_may_not_see_is_not_included_at_any_hop(house: House) -> None:
    async with house.client() as client:
        await put(
            client,
            patient("a", link=[{"other": {"reference": "Patient/b"}, "type": "seealso"}]),
            patient("b"),
            observation("Patient/a", "of-a"),
            observation("Patient/b", "of-b"),
        )
    async with house.client("patient-a") as client:
        found = await included(client, "/Patient?_include:iterate=*&_revinclude:iterate=*&_id=a")
    assert found == ["Observation/of-a"]


@pytest.mark.parametrize("at_once", [1, 2, 3, 7])
async def test_rounds_are_complete_over_the_pages(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(includes, "MAX_PER_PAGE", at_once)
    tree = [place(f"l{n}", f"l{(n - 1) // 3}" if n else None) for n in range(30)]
    await put(client, *tree)

    pages = await walk(client, "/Location?_id=l0&_revinclude:iterate=Location:partof")

    found = [id_ for page in pages for id_ in ids(page, "include")]
    assert sorted(found) == sorted(f"Location/l{n}" for n in range(1, 30))
    assert len(found) == 29
    assert max(len(ids(page, "include")) for page in pages) == at_once
    assert next(page.get("total") for page in pages) == 1


async def test_rounds_go_on_while_others_write(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(includes, "MAX_PER_PAGE", 3)
    await put(client, *[place(f"l{n}", f"l{(n - 1) // 2}" if n else None) for n in range(20)])
    seen: list[str] = []
    following: str | None = "/Location?_id=l0&_revinclude:iterate=Location:partof"
    step = 0
    while following is not None:
        page = (await client.get(following)).json()
        seen += ids(page, "include")
        following = link(page)
        at = step % 20
        again = place(f"l{at}", f"l{(at - 1) // 2}" if at else None)
        await put(client, place(f"new{step}", f"l{at}"), {**again, "name": f"changed {step}"})
        step += 1

    old = [id_ for id_ in seen if "new" not in id_]
    assert sorted(old) == sorted(f"Location/l{n}" for n in range(1, 20))


async def test_what_would_take_too_long_is_refused_with_a_way_round_it(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(includes, "MAX_PER_PAGE", 2)
    monkeypatch.setattr(includes, "MAX_WALKED", 5)
    await put(client, *[place(f"l{n}", f"l{n - 1}" if n else None) for n in range(12)])
    following: str | None = "/Location?_id=l11&_include:iterate=Location:partof"
    seen: list[str] = []
    while following is not None:
        answer = await client.get(following)
        if answer.status_code != 200:
            break
        seen += ids(answer, "include")
        following = link(answer.json())

    assert seen == [f"Location/l{n}" for n in range(10, 4, -1)]
    assert told(answer) == (403, "too-costly", ["_include"])
    assert "ask for fewer matches with _count" in answer.json()["issue"][0]["diagnostics"]


async def test_many_matches_are_asked_about_in_parts(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(includes, "MAX_KEYS", 4)
    await put(client, *[patient(f"p{n}") for n in range(10)])
    shared = [
        {
            "resourceType": "Account",
            "id": f"acc{n}",
            "status": "active",
            "subject": [{"reference": f"Patient/p{n}"}, {"reference": f"Patient/p{9 - n}"}],
        }
        for n in range(10)
    ]
    await put(client, *shared)

    found = await included(client, "/Patient?_revinclude=Account:subject&_count=10")

    assert sorted(found) == sorted(f"Account/acc{n}" for n in range(10))


@pytest.mark.parametrize(
    ("parameters", "at_fault"),
    [
        ("_include=Patient:nothing", "_include"),
        ("_include=Nothing:subject", "_include"),
        ("_include=Patient:general-practitioner:Patient", "_include"),
        ("_include:iterat=Patient:organization", "_include:iterat"),
        ("_include=Patient", "_include"),
        ("_include=Patient:", "_include"),
        ("_include=:", "_include"),
        ("_include=**", "_include"),
        ("_revinclude=Patient:*:Nothing", "_revinclude"),
        ("_revinclude:iterate=Observation:code", "_revinclude:iterate"),
    ],
)
async def test_an_include_that_means_nothing_is_refused(
    client: httpx.AsyncClient, parameters: str, at_fault: str
) -> None:
    answer = await client.get(f"/Patient?{parameters}")
    status, code, expression = told(answer)
    assert (status, expression) == (400, [at_fault]), answer.text
    assert code in ("invalid", "not-supported")
