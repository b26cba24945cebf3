"""Search pages and includes through real links."""

from typing import Any

import httpx
import pytest

from server.interactions.services import Policy
from tests.rest.house import (
    CALLERS,
    House,
    bundle,
    entry,
    ids,
    link,
    observation,
    patient,
    told,
)


async def walk(client: httpx.AsyncClient, address: str) -> list[dict[str, Any]]:
    pages = []
    following: str | None = address
    while following is not None:
        answer = await client.get(following)
        assert answer.status_code == 200, answer.text
        pages.append(answer.json())
        following = link(pages[-1])
    return pages


async def fill(client: httpx.AsyncClient, count: int, **more: Any) -> None:
    entries = [
        entry("PUT", f"Observation/o{n}", observation("Patient/a", f"o{n}", **more))
        for n in range(count)
    ]
    for start in range(0, count, 500):
        sent = bundle("transaction", *entries[start : start + 500])
        assert (await client.post("", json=sent)).status_code == 200


async def test_a_walk_shows_each_once_and_in_order(client: httpx.AsyncClient) -> None:
    for n in range(7):
        await client.put(f"/Patient/p{n}", json=patient(f"p{n}", birthDate=f"198{n}-01-01"))

    pages = await walk(client, "/Patient?_sort=-birthdate&_count=3")

    assert [ids(page) for page in pages] == [
        ["Patient/p6", "Patient/p5", "Patient/p4"],
        ["Patient/p3", "Patient/p2", "Patient/p1"],
        ["Patient/p0"],
    ]
    assert link(pages[0], "self") == "http://fhir.test/fhir/Patient?_sort=-birthdate&_count=3"
    assert all(url.startswith("http://fhir.test/fhir/Patient?") for url in [link(pages[0]) or ""])


async def test_a_walk_is_not_disturbed_by_writes(client: httpx.AsyncClient) -> None:
    for n in range(10):
        await client.put(f"/Patient/p{n}", json=patient(f"p{n}", birthDate=f"198{n}-01-01"))
    seen: list[str] = []
    following: str | None = "/Patient?_sort=birthdate&_count=2"
    step = 0

    while following is not None:
        page = (await client.get(following)).json()
        seen += ids(page)
        following = link(page)
        await client.put(f"/Patient/new{step}", json=patient(f"new{step}", birthDate="1970-01-01"))
        await client.put(
            f"/Patient/p{step}", json=patient(f"p{step}", birthDate=f"198{step}-01-01")
        )
        step += 1

    assert seen == [f"Patient/p{n}" for n in range(10)]


async def test_the_total_is_told_when_it_is_known(client: httpx.AsyncClient) -> None:
    for n in range(5):
        await client.put(f"/Patient/p{n}", json=patient(f"p{n}"))

    async def total(parameters: str) -> Any:
        return (await client.get(f"/Patient?{parameters}")).json().get("total")

    assert await total("") == 5
    assert await total("_count=2") is None
    assert await total("_count=2&_total=accurate") == 5
    assert await total("_count=5") == 5
    assert await total("_count=0") == 5
    assert await total("_summary=count") == 5
    assert await total("_id=p1") == 1
    pages = await walk(client, "/Patient?_count=2&_total=accurate")
    assert [page["total"] for page in pages] == [5, 5, 5]


async def test_a_cursor_belongs_to_its_caller_and_its_search(house: House) -> None:
    async with house.client() as client, house.client("other") as other:
        for n in range(3):
            await client.put(f"/Patient/p{n}", json=patient(f"p{n}", birthDate="1980"))
        following = link((await client.get("/Patient?birthdate=1980&_count=1")).json()) or ""

        assert (await client.get(following)).status_code == 200
        assert told(await other.get(following)) == (400, "invalid", ["_cursor"])
        elsewhere = following.replace("birthdate=1980", "birthdate=1981")
        assert told(await client.get(elsewhere)) == (400, "invalid", ["_cursor"])
        at = following.index("_cursor=") + 20
        changed = following[:at] + ("A" if following[at] != "A" else "B") + following[at + 1 :]
        assert told(await client.get(changed)) == (400, "invalid", ["_cursor"])


async def test_a_cursor_shows_nothing_of_its_sort_values(client: httpx.AsyncClient) -> None:
    from base64 import urlsafe_b64decode

    for name in ("Geheimnis", "Zwei"):
        await client.post("/Patient", json=patient(name=[{"family": name}]))

    following = link((await client.get("/Patient?_sort=family&_count=1")).json()) or ""

    cursor = following.partition("_cursor=")[2]
    assert b"geheim" not in urlsafe_b64decode(cursor + "==").lower()
    assert "geheim" not in following.lower()


@pytest.mark.parametrize("policy", [Policy(max_page=3, default_page=2)])
async def test_the_page_size_has_a_default_and_a_limit(client: httpx.AsyncClient) -> None:
    for n in range(5):
        await client.put(f"/Patient/p{n}", json=patient(f"p{n}"))

    assert len(ids(await client.get("/Patient"))) == 2
    answer = (await client.get("/Patient?_count=100")).json()
    assert len([e for e in answer["entry"] if e["search"]["mode"] == "match"]) == 3


async def test_includes_come_once_and_with_their_mode(client: httpx.AsyncClient) -> None:
    await client.put(
        "/Organization/org", json={"resourceType": "Organization", "id": "org", "name": "x"}
    )
    await client.put(
        "/Patient/a", json=patient("a", managingOrganization={"reference": "Organization/org"})
    )
    await fill(client, 3)

    answer = (
        await client.get("/Observation?_include=Observation:subject&_include=Observation:patient")
    ).json()

    assert ids(answer, "match") == ["Observation/o2", "Observation/o1", "Observation/o0"]
    assert ids(answer, "include") == ["Patient/a"]
    assert answer["total"] == 3
    both = (await client.get(
        "/Patient?_include=Patient:organization&_revinclude=Observation:subject"
    )).json()  # fmt: skip
    assert ids(both, "match") == ["Patient/a"]
    assert sorted(ids(both, "include")) == [
        "Observation/o0", "Observation/o1", "Observation/o2", "Organization/org",
    ]  # fmt: skip


async def test_2500_revincludes_are_complete_over_the_pages(client: httpx.AsyncClient) -> None:
    await client.put("/Patient/b", json=patient("b"))
    await client.put("/Patient/a", json=patient("a"))
    await fill(client, 2500)

    pages = await walk(client, "/Patient?_count=1&_revinclude=Observation:subject")

    matches = [id_ for page in pages for id_ in ids(page, "match")]
    included = [id_ for page in pages for id_ in ids(page, "include")]
    assert matches == ["Patient/a", "Patient/b"]
    assert len(included) == 2500
    assert set(included) == {f"Observation/o{n}" for n in range(2500)}
    assert max(len(ids(page)) for page in pages) <= 1001


async def test_1200_forward_includes_are_complete_over_the_pages(
    client: httpx.AsyncClient,
) -> None:
    sent = [entry("PUT", f"Patient/p{n}", patient(f"p{n}")) for n in range(1200)]
    await client.post("", json=bundle("transaction", *sent))
    members = [{"entity": {"reference": f"Patient/p{n}"}} for n in range(1200)]
    group = {"resourceType": "Group", "id": "g", "type": "person", "actual": True}
    await client.put("/Group/g", json={**group, "member": members})

    pages = await walk(client, "/Group?_include=Group:member")

    included = [id_ for page in pages for id_ in ids(page, "include")]
    assert [ids(page, "match") for page in pages] == [["Group/g"], []]
    assert sorted(included) == sorted(f"Patient/p{n}" for n in range(1200))


async def test_whole_system_and_compartment_searches(client: httpx.AsyncClient) -> None:
    await client.put("/Patient/a", json=patient("a"))
    await client.put("/Patient/b", json=patient("b"))
    await fill(client, 1)
    await client.put("/Observation/z", json=observation("Patient/b", "z"))

    assert sorted(ids(await client.get("/?_type=Patient,Observation"))) == [
        "Observation/o0", "Observation/z", "Patient/a", "Patient/b",
    ]  # fmt: skip
    assert len(ids(await client.get("/"))) == 4
    assert ids(await client.get("/Patient/a/Observation")) == ["Observation/o0"]
    assert ids(await client.get("/Patient/a/Observation?code=nothing")) == []
    assert sorted(ids(await client.get("/Patient/a/*"))) == ["Observation/o0", "Patient/a"]
    form = await client.post("/Patient/a/Observation/_search", data={"code": "8867-4"})
    assert ids(form) == ["Observation/o0"]
    assert form.json()["link"][0]["url"] == (
        "http://fhir.test/fhir/Patient/a/Observation?code=8867-4"
    )
    system = await client.post("/_search?_type=Patient", data={"_id": "a"})
    assert ids(system) == ["Patient/a"]


async def test_search_by_form_gives_the_same_bytes(client: httpx.AsyncClient) -> None:
    await client.put("/Patient/a", json=patient("a", name=[{"family": "Ŝ b"}]))

    get = await client.get("/Patient", params={"name": "ŝ b"})
    post = await client.post("/Patient/_search", data={"name": "ŝ b"})

    assert ids(get) == ["Patient/a"]
    assert get.content == post.content


async def test_summaries_and_elements_are_marked(client: httpx.AsyncClient) -> None:
    div = '<div xmlns="http://www.w3.org/1999/xhtml">a</div>'
    await client.put(
        "/Patient/a",
        json=patient(
            "a",
            text={"status": "generated", "div": div},
            birthDate="1980",
            communication=[{"language": {"text": "eo"}}],
        ),
    )

    async def first(parameters: str) -> dict[str, Any]:
        found: dict[str, Any] = (await client.get(f"/Patient?{parameters}")).json()
        return found["entry"][0]["resource"]

    names = {
        "_summary=true": {"resourceType", "id", "meta", "birthDate"},
        "_summary=text": {"resourceType", "id", "meta", "text"},
        "_summary=data": {"resourceType", "id", "meta", "birthDate", "communication"},
        "_summary=false": {"resourceType", "id", "meta", "text", "birthDate", "communication"},
        "_elements=communication": {"resourceType", "id", "meta", "communication"},
        "_elements=birthDate,Patient.text": {"resourceType", "id", "meta", "birthDate", "text"},
        # Only whole elements can be asked for: a deeper name stands for the one it is in.
        "_elements=communication.language": {"resourceType", "id", "meta", "communication"},
        "_elements=Patient.communication.language": {"resourceType", "id", "meta", "communication"},
    }
    for parameters, expected in names.items():
        resource = await first(parameters)
        assert set(resource) == expected, parameters
        marked = any(tag["code"] == "SUBSETTED" for tag in resource["meta"].get("tag", ()))
        assert marked is (parameters != "_summary=false")


async def test_mandatory_and_choice_elements_survive_a_selection(client: httpx.AsyncClient) -> None:
    await client.put("/Observation/o", json=observation(id_="o", valueString="x"))

    answer = (await client.get("/Observation?_elements=value")).json()

    resource = answer["entry"][0]["resource"]
    assert set(resource) == {"resourceType", "id", "meta", "status", "code", "valueString"}


async def test_a_search_of_nothing_is_an_empty_bundle(client: httpx.AsyncClient) -> None:
    assert (await client.get("/Patient?_id=x")).json() == {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": 0,
        "link": [{"relation": "self", "url": "http://fhir.test/fhir/Patient?_id=x"}],
    }


def test_callers_differ_in_what_binds_their_cursors() -> None:
    assert CALLERS["admin"].identity != CALLERS["other"].identity


async def test_a_form_may_hold_utf_8_that_is_not_percent_encoded(client: httpx.AsyncClient) -> None:
    """``curl -d 'name=Müller'`` sends it so."""
    await client.post("Patient", json={"resourceType": "Patient", "name": [{"family": "Müller"}]})

    found = await client.post(
        "Patient/_search",
        content="name:exact=Müller".encode(),
        headers={"content-type": "application/x-www-form-urlencoded"},
    )

    assert found.json()["total"] == 1
