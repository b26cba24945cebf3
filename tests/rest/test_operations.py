"""The operations over HTTP."""

import itertools
from typing import Any

import httpx
import pytest

from server.operations import meta_in_use
from tests.rest.house import House, bundle, entry, ids, link, observation, patient, told

TAG = {"system": "urn:tags", "code": "blue"}


def parameters(**values: Any) -> dict[str, Any]:
    """``valueX__name=...`` or ``resource__name=...`` -> Parameters."""
    listed = []
    for key, value in values.items():
        kind, _, name = key.partition("__")
        listed.append({"name": name, kind: value})
    return {"resourceType": "Parameters", "parameter": listed}


@pytest.mark.parametrize(
    ("address", "body", "expected"),
    [
        ("/Patient/$validate", patient(), [None]),
        ("/Patient/$validate", parameters(resource__resource=patient()), [None]),
        ("/Patient/$validate", patient(active="yes", gender="blue"),
         ["Patient.active", "Patient.gender"]),
        ("/Patient/$validate", observation(), ["Observation"]),
        ("/Patient/a/$validate", parameters(resource__resource=patient("b"),
                                            valueCode__mode="update"), ["Patient.id"]),
        ("/Patient/a/$validate", parameters(valueCode__mode="delete"), [None]),
    ],
)  # fmt: skip
async def test_validate(
    client: httpx.AsyncClient, address: str, body: Any, expected: list[str | None]
) -> None:
    await client.put("/Patient/a", json=patient("a"))

    answer = await client.post(address, json=body)

    assert answer.status_code == 200
    issues = answer.json()["issue"]
    if address.endswith("a/$validate") and expected == [None]:
        assert issues[0]["code"] == "business-rule"  # deletion is refused by default
        return
    assert [i.get("expression", [None])[0] for i in issues] == expected
    severity = "information" if expected == [None] else "error"
    assert {i["severity"] for i in issues} == {severity}
    assert (await client.get("/_history")).json()["total"] == 1


async def test_validate_of_what_is_stored(client: httpx.AsyncClient) -> None:
    await client.put("/Patient/a", json=patient("a"))

    assert (await client.get("/Patient/a/$validate")).status_code == 200
    assert told(await client.get("/Patient/none/$validate")) == (404, "not-found", None)
    assert told(await client.post("/Patient/$validate", json=parameters())) == (
        400, "invalid", ["resource"],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("query", "body", "told_"),
    [
        ("?colour=red", None, (400, "invalid", ["colour"])),
        ("?mode=x", None, (400, "invalid", ["mode"])),
        ("?mode=create&mode=update", None, (400, "invalid", ["mode"])),
        ("?resource=x", None, (400, "invalid", ["resource"])),
        ("?profile=http://x", None, (404, "not-supported", ["profile"])),
        ("", parameters(valueString__colour="red"), (400, "invalid", ["colour"])),
        ("", parameters(valueInteger__mode=7), (400, "invalid", ["Parameters.parameter[0]"])),
        ("", parameters(resource__resource={"resourceType": "X"}),
         (400, "invalid", ["Parameters.parameter[0]"])),
        ("", {"resourceType": "Parameters", "parameter": [{"name": "mode"}]},
         (400, "invalid", ["Parameters.parameter[0]"])),
        ("", {"resourceType": "Parameters", "parameter": 7}, (400, "invalid", None)),
        ("", 7, (400, "invalid", None)),
        ("?mode=create", parameters(), (400, "invalid", ["mode"])),
    ],
)  # fmt: skip
async def test_an_argument_that_is_refused(
    client: httpx.AsyncClient, query: str, body: Any, told_: Any
) -> None:
    await client.put("/Patient/a", json=patient("a"))
    address = f"/Patient/a/$validate{query}"

    answer = await (client.get(address) if body is None else client.post(address, json=body))

    assert told(answer) == told_


async def test_meta_is_shown_added_to_and_taken_from(client: httpx.AsyncClient) -> None:
    await client.put("/Patient/a", json=patient("a", meta={"profile": ["http://p"]}))

    async def call(operation: str, meta: Any) -> dict[str, Any]:
        answer = await client.post(
            f"/Patient/a/${operation}", json=parameters(valueMeta__meta=meta)
        )
        assert answer.status_code == 200, answer.text
        (made,) = answer.json()["parameter"]
        assert made["name"] == "return"
        found: dict[str, Any] = made["valueMeta"]
        return found

    added = await call("meta-add", {"tag": [TAG], "profile": ["http://p"]})
    again = await call("meta-add", {"tag": [{**TAG, "display": "other"}]})
    removed = await call("meta-delete", {"tag": [TAG], "profile": ["http://none"]})

    assert (added["tag"], added["profile"], added["versionId"]) == ([TAG], ["http://p"], "2")
    assert again["versionId"] == "2"
    assert "tag" not in removed
    assert (removed["profile"], removed["versionId"]) == (["http://p"], "3")
    shown = (await client.get("/Patient/a/$meta")).json()
    assert shown["parameter"][0]["valueMeta"] == removed
    assert ids(await client.get("/Patient?_tag=urn:tags|blue")) == []
    wrong = await client.post(
        "/Patient/a/$meta-add", json=parameters(valueMeta__meta={"tag": [{"colour": 1}]})
    )
    assert told(wrong)[:2] == (422, "structure")


async def test_meta_of_a_type_and_of_the_record_is_what_is_in_use(house: House) -> None:
    label = {"system": "urn:labels", "code": "R"}
    async with house.client() as client:
        for n in range(3):
            meta = {"tag": [{**TAG, "display": f"{n}"}], "profile": ["http://q", f"http://p{n}"]}
            await client.put(f"/Patient/p{n}", json=patient(f"p{n}", meta=meta))
        await client.put("/Patient/none", json=patient("none"))
        made = observation("Patient/a", "o", meta={"security": [label], "tag": [{"code": "blue"}]})
        await client.put("/Observation/o", json=made)
        # A profile that only an older version states is not in use.
        await client.put("/Patient/p2", json=patient("p2"))

        of_type = (await client.get("/Patient/$meta")).json()
        of_all = (await client.post("/$meta")).json()
        empty = (await client.get("/Encounter/$meta")).json()
    async with house.client("patient-a") as own, house.client("reader") as reader:
        of_own = (await own.get("/$meta")).json()
        of_reader = (await reader.get("/$meta")).json()
        refused = await reader.get("/Patient/$meta")
    async with house.client("nothing") as nobody:
        nothing = await nobody.get("/$meta")

    first = {**TAG, "display": "1"}
    profiles = ["http://p0", "http://p1", "http://q"]
    (found,) = of_type["parameter"]
    assert found["name"] == "return"
    assert found["valueMeta"]["profile"] == profiles
    assert [t["code"] for t in found["valueMeta"]["tag"]] == [first["code"]]
    (found,) = of_all["parameter"]
    assert found["valueMeta"]["profile"] == profiles
    assert [t.get("system") for t in found["valueMeta"]["tag"]] == [None, TAG["system"]]
    assert found["valueMeta"]["security"] == [label]
    assert empty == {"resourceType": "Parameters"}
    inside = {"security": [label], "tag": [{"code": "blue"}]}
    assert (
        of_own["parameter"] == of_reader["parameter"] == [{"name": "return", "valueMeta": inside}]
    )
    assert told(refused) == (403, "forbidden", None)
    assert told(nothing) == (403, "forbidden", None)


async def test_meta_that_would_look_at_too_much_says_so(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meta_in_use, "MAX_LOOKED_AT", 2)
    for n in range(3):
        await client.put(f"/Patient/{n}", json=patient(str(n), meta={"profile": ["http://p"]}))
        answer = await client.get("/Patient/$meta")
        assert answer.status_code == (403 if n == 2 else 200)
    assert told(answer) == (403, "too-costly", None)
    assert "$meta looks at 2" in answer.json()["issue"][0]["diagnostics"]


@pytest.fixture
async def filled(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """Patient a with an encounter and 450 results; patient b with one result."""
    practitioner = {"reference": "Practitioner/dr"}
    entries = [
        entry("PUT", "Practitioner/dr", {"resourceType": "Practitioner", "id": "dr"}),
        entry("PUT", "Patient/a", patient("a", generalPractitioner=[practitioner])),
        entry("PUT", "Patient/b", patient("b")),
        entry("PUT", "Encounter/e", {
            "resourceType": "Encounter", "id": "e", "status": "finished",
            "class": {"code": "AMB"}, "subject": {"reference": "Patient/a"},
            "period": {"start": "2020-06-01", "end": "2020-06-01"},
        }),
        entry("PUT", "Observation/b", observation("Patient/b", "b")),
    ]  # fmt: skip
    for n in range(450):
        more: dict[str, Any] = {"encounter": {"reference": "Encounter/e"}} if n < 3 else {}
        made = observation("Patient/a", f"o{n}", effectiveDateTime=f"20{n % 20:02}-01-01", **more)
        entries.append(entry("PUT", f"Observation/o{n}", made))
    answer = await client.post("", json=bundle("transaction", *entries))
    assert answer.status_code == 200, answer.text
    return client


EVERYTHING = {
    "Patient/a",
    "Practitioner/dr",
    "Encounter/e",
    *(f"Observation/o{n}" for n in range(450)),
}


async def test_everything_of_a_patient_is_complete(filled: httpx.AsyncClient) -> None:
    answer = await filled.get("/Patient/a/$everything")

    found = ids(answer)
    assert found[0] == "Patient/a"
    assert set(found) == EVERYTHING
    assert len(found) == len(EVERYTHING)
    assert ids(answer, "include") == ["Practitioner/dr"]
    assert answer.json()["type"] == "searchset"


async def test_everything_in_pages_is_complete(filled: httpx.AsyncClient) -> None:
    found: list[str] = []
    following: str | None = "/Patient/a/$everything?_count=100"
    while following is not None:
        page = (await filled.get(following)).json()
        matches = ids(page, "match")
        assert len(matches) <= 100
        found += matches
        following = link(page)

    assert found[0] == "Patient/a"
    assert sorted(found) == sorted(EVERYTHING - {"Practitioner/dr"})


async def test_everything_one_at_a_time(filled: httpx.AsyncClient) -> None:
    first = (await filled.get("/Patient/a/$everything?_count=1&_type=Patient,Encounter")).json()
    second = (await filled.get(link(first) or "")).json()

    assert ids(first) == ["Patient/a"]
    assert ids(second) == ["Encounter/e"]
    assert link(second) is None


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("_type=Encounter", ["Encounter/e"]),
        ("_type=Patient,Practitioner", ["Patient/a", "Practitioner/dr"]),
        ("_type=Observation&start=2019-01-01",
         [f"Observation/o{n}" for n in range(19, 450, 20)]),
        ("_type=Observation,Encounter&start=2019-02&end=2021", ["Encounter/e"]),
        ("_type=Encounter&_since=2026-01-02", ["Encounter/e"]),
        ("_type=Encounter&_since=2026-01-03", []),
    ],
)  # fmt: skip
async def test_everything_can_be_narrowed(
    filled: httpx.AsyncClient, query: str, expected: list[str]
) -> None:
    found = ids(await filled.get(f"/Patient/a/$everything?{query}"))
    assert sorted(found) == sorted(expected)


async def test_everything_of_an_encounter(filled: httpx.AsyncClient) -> None:
    found = ids(await filled.get("/Encounter/e/$everything"))

    assert found[0] == "Encounter/e"
    assert set(found) == {
        "Encounter/e", "Patient/a", "Practitioner/dr",
        "Observation/o0", "Observation/o1", "Observation/o2",
    }  # fmt: skip


async def test_everything_of_nobody(filled: httpx.AsyncClient) -> None:
    assert told(await filled.get("/Patient/none/$everything")) == (404, "not-found", None)
    assert told(await filled.get("/Patient/a/$everything?_type=X")) == (400, "invalid", ["_type"])
    assert told(await filled.get("/Patient/a/$everything?start=x")) == (400, "invalid", ["start"])
    assert told(await filled.get("/Observation/o1/$everything"))[:2] == (404, "not-supported")


async def test_a_page_of_everything_belongs_to_its_caller(house: House) -> None:
    async with house.client() as client, house.client("other") as other:
        await client.put("/Patient/a", json=patient("a"))
        for _ in range(3):
            await client.post("/Observation", json=observation("Patient/a"))
        page = (await client.get("/Patient/a/$everything?_count=2")).json()
        assert told(await other.get(link(page) or "")) == (400, "invalid", ["_cursor"])


async def test_lastn(client: httpx.AsyncClient) -> None:
    codes = ("bp", "hr", "bp", "hr", "bp")
    for n, code in zip(itertools.count(), codes, strict=False):
        made = observation("Patient/a", f"o{n}", code=code, effectiveDateTime=f"202{n}-01-01")
        await client.put(f"/Observation/o{n}", json=made)
    both = observation("Patient/b", "x", effectiveDateTime="2020-01-01")
    await client.put("/Observation/x", json=both)

    async def lastn(query: str) -> list[str]:
        return ids(await client.get(f"/Observation/$lastn?{query}"))

    assert await lastn("patient=Patient/a") == ["Observation/o4", "Observation/o3"]
    assert await lastn("patient=Patient/a&max=2") == [
        "Observation/o4", "Observation/o2", "Observation/o3", "Observation/o1",
    ]  # fmt: skip
    assert await lastn("subject=Patient/a&code=hr&max=9") == ["Observation/o3", "Observation/o1"]
    assert await lastn("patient=Patient/a&date=lt2022") == ["Observation/o1", "Observation/o0"]
    assert told(await client.get("/Observation/$lastn?max=2")) == (400, "invalid", ["patient"])
    assert told(await client.get("/Observation/$lastn?patient=a&max=0")) == (
        400, "invalid", ["max"],
    )  # fmt: skip
    assert told(await client.get("/Observation/$lastn?patient=a&x=0")) == (400, "invalid", ["x"])


async def test_lastn_joins_kinds_that_share_a_coding(client: httpx.AsyncClient) -> None:
    def coded(id_: str, year: int, *codes: str) -> dict[str, Any]:
        coding = [{"system": "s", "code": code} for code in codes]
        return {**observation("Patient/a", id_, effectiveDateTime=f"{year}"),
                "code": {"coding": coding}}  # fmt: skip

    for made in (
        coded("o1", 2021, "x"),
        coded("o2", 2022, "y"),
        coded("o0", 2020, "x", "y"),
    ):
        await client.put(f"/Observation/{made['id']}", json=made)

    found = ids(await client.get("/Observation/$lastn?patient=Patient/a&max=2"))

    assert found == ["Observation/o2", "Observation/o1"]
