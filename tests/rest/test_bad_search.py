"""Searches that mean nothing: 400 with the parameter named, never a 500, never everything."""

import asyncio

import httpx
import pytest

from server.interactions.services import Policy
from tests.pace import Cost
from tests.rest.house import House, bundle, entry, ids, link, observation, patient, told

LONG = "x" * 5_000
DEEP = "(" * 500


@pytest.mark.parametrize(
    ("address", "at_fault"),
    [
        ("/Patient?_count=-1", "_count"),
        ("/Patient?_count=1e9", "_count"),
        ("/Patient?_cursor=abc", "_cursor"),
        ("/Patient?_cursor=%00%C3%BF", "_cursor"),
        ("/Patient?name:exactly=x", "name:exactly"),
        ("/Patient?name:=x", "name:"),
        ("/Patient?gender:contains=x", "gender:contains"),
        ("/Patient?birthdate=xx1980", "birthdate"),
        ("/Patient?birthdate=ge", "birthdate"),
        ("/Patient?birthdate=1980-13-01", "birthdate"),
        ("/Patient?name=x,,y", "name"),
        ("/Observation?value-quantity=ge", "value-quantity"),
        ("/Observation?value-quantity=abc|kg|kg", "value-quantity"),
        ("/Observation?subject:Practitioner.name=x", "subject:Practitioner.name"),
        ("/Observation?subject:Nothing.name=x", "subject:Nothing.name"),
        ("/Observation?code.name=x", "code.name"),
        ("/Observation?subject.nothing=x", "subject.nothing"),
        ("/Observation?subject.name:exactly=x", "subject.name:exactly"),
        ("/Observation?subject.=x", "subject."),
        ("/Observation?subject..name=x", "subject..name"),
        (f"/Observation?{'subject:Patient.link:Patient.' + 'link:Patient.' * 20}name=x", None),
        ("/Patient?_has=x", "_has"),
        ("/Patient?_has:Observation=x", "_has:Observation"),
        ("/Patient?_has:Observation:code:code=x", "_has:Observation:code:code"),
        ("/Patient?_has:Nothing:subject:code=x", "_has:Nothing:subject:code"),
        ("/Patient?_has:Observation:subject:nothing=x", "_has:Observation:subject:nothing"),
        ("/Patient?_filter=(name eq x", "_filter"),
        ("/Patient?_filter=name eq x)", "_filter"),
        ("/Patient?_filter=name", "_filter"),
        ("/Patient?_filter=name zz x", "_filter"),
        ("/Patient?_filter=nothing eq x", "_filter"),
        ("/Patient?_filter=name eq \"x", "_filter"),
        (f"/Patient?_filter={DEEP}name eq x", "_filter"),
        ("/Patient?_filter=not", "_filter"),
        ("/Patient?_list=$current-nothing", "_list"),
        ("/Patient?_list=a b", "_list"),
        ("/Patient?_query=x", "_query"),
        ("/Patient?_sort=nothing", "_sort"),
        ("/Patient?_sort=-", "_sort"),
        ("/Patient?_sort=organization:Patient.name", "_sort"),
        ("/Patient?_total=all", "_total"),
        ("/Patient?_summary=yes", "_summary"),
        ("/Patient?_elements=a b", "_elements"),
        ("/Patient?_sort=name&_sort=name", "_sort"),
        ("/Patient?_sort:desc=name", "_sort:desc"),
        ("/Patient?_count:not=1", "_count:not"),
        (f"/Patient?name={LONG}", "name"),
        ("/Location?near=x", "near"),
        ("/Location?near=91|0|1|km", "near"),
        ("/Location?near=1|1|-1|km", "near"),
        ("/Observation?code-value-quantity=x", "code-value-quantity"),
        ("/Observation?code-value-quantity=x$y$z", "code-value-quantity"),
        ("/Patient?_lastUpdated:missing=true", "_lastUpdated:missing"),
        ("/Patient?name:missing=perhaps", "name:missing"),
        ("/Observation?code:in=", None),
        ("/Observation?subject:identifier=", None),
        ("/?_type=Nothing", "_type"),
        ("/?_type=Patient&_sort=birthdate,nothing", "_sort"),
        ("/Patient/a/Observation?subject:Practitioner.name=x", "subject:Practitioner.name"),
    ],
)  # fmt: skip
async def test_it_is_refused_and_the_parameter_named(
    client: httpx.AsyncClient, address: str, at_fault: str | None
) -> None:
    answer = await client.get(address, headers={"Prefer": "handling=strict"})
    status, code, expression = told(answer)
    assert status == 400, answer.text
    assert code in ("invalid", "not-supported")
    if at_fault is not None:
        assert expression == [at_fault]


async def test_an_unknown_parameter_is_told_or_refused(client: httpx.AsyncClient) -> None:
    await client.put("/Patient/a", json=patient("a"))

    lenient = (await client.get("/Patient?nothing=x")).json()
    strict = await client.get("/Patient?nothing=x", headers={"Prefer": "handling=strict"})

    (issue,) = lenient["entry"][-1]["resource"]["issue"]
    assert (issue["severity"], issue["code"], issue["expression"]) == (
        "warning", "not-supported", ["nothing"],
    )  # fmt: skip
    assert told(strict) == (400, "invalid", ["nothing"])


async def test_cursors_of_new_searches_are_bound_to_caller_and_question(house: House) -> None:
    async with house.client() as client, house.client("other") as other:
        sent = [
            entry("PUT", f"Observation/o{n}", observation("Patient/a", f"o{n}")) for n in range(5)
        ]
        sent.append(entry("PUT", "Patient/a", patient("a", name=[{"family": "Gray"}])))
        assert (await client.post("", json=bundle("transaction", *sent))).status_code == 200
        for question in (
            "subject.name=gray",
            "_filter=subject.name eq gray",
            "subject:Patient.name=gray&_sort=-subject:Patient.name,_id",
            "_sort=-subject:Patient.name&_include:iterate=*",
            "_content=gray&subject.name=gray",
        ):
            first = await client.get(f"/Observation?{question}&_count=2")
            following = link(first.json())
            if "_content" in question:
                continue
            assert following is not None, first.text
            assert (await client.get(following)).status_code == 200
            assert told(await other.get(following)) == (400, "invalid", ["_cursor"])
            elsewhere = following.replace("gray", "grey").replace("-subject", "subject")
            if elsewhere != following:
                assert told(await client.get(elsewhere)) == (400, "invalid", ["_cursor"])
            at = following.index("_cursor=") + 30
            changed = following[:at] + ("A" if following[at] != "A" else "B") + following[at + 1 :]
            assert told(await client.get(changed)) == (400, "invalid", ["_cursor"])


@pytest.mark.parametrize("policy", [Policy(deadline_s=0.000_000_1)])
async def test_who_sees_a_part_only_is_told_no_plan(house: House) -> None:
    async with house.client("patient-a") as limited, house.client() as client:
        sent = [entry("PUT", f"Patient/p{n}", patient(f"p{n}")) for n in range(5)]
        await client.post("", json=bundle("transaction", *sent))
        answer = await limited.get("/Patient?name:contains=a")

    assert told(answer) == (503, "too-costly", None)
    assert answer.json()["issue"][0]["diagnostics"] == (
        "the search ran longer than 1e-07 s; narrow it by a patient, a code or a date"
    )


@pytest.mark.parametrize(
    "sort",
    [
        "_id", "-_lastUpdated", "code", "-code", "date", "-date,_id", "subject", "value-quantity",
        "subject:Patient.family", "-subject:Patient.birthdate,_id", "_lastUpdated,-_id",
    ],
)  # fmt: skip
async def test_walks_in_every_order_are_whole_while_others_write(
    client: httpx.AsyncClient, sort: str
) -> None:
    people = [
        patient(f"p{n}", name=[{"family": f"F{n % 2}"}], birthDate=f"19{50 + n}-01-01")
        for n in range(4)
    ]
    results = [
        observation(
            f"Patient/p{n % 4}", f"o{n}", code=f"c{n % 3}",
            effectiveDateTime=f"2026-01-{1 + n % 5:02}",
            valueQuantity={"value": n % 4, "unit": "g", "system": "http://unitsofmeasure.org",
                           "code": "g"},
        )
        for n in range(17)
    ]  # fmt: skip
    sent = [entry("PUT", f"{r['resourceType']}/{r['id']}", r) for r in [*people, *results]]
    assert (await client.post("", json=bundle("transaction", *sent))).status_code == 200
    seen: list[str] = []
    following: str | None = f"/Observation?_sort={sort}&_count=3&_include=*"
    step = 0
    while following is not None:
        page = await client.get(following)
        assert page.status_code == 200, page.text
        seen += ids(page, "match")
        following = link(page.json())
        await client.put(f"/Observation/x{step}", json=observation("Patient/p1", f"x{step}"))
        await client.put(f"/Patient/p{step % 4}", json={**people[step % 4], "active": True})
        step += 1

    old = [id_ for id_ in seen if "/o" in id_]
    assert sorted(old) == sorted(f"Observation/o{n}" for n in range(17))
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize("policy", [Policy(words=False)])
@pytest.mark.parametrize(
    ("address", "at_fault"),
    [
        ("/Patient?_text=knee", "_text"),
        ("/Patient?_content=knee", "_content"),
        ("/Observation?subject:Patient._content=knee", "_content"),
        ("/Patient?_has:Observation:subject:_text=knee", "_text"),
    ],
)
async def test_words_that_are_not_kept_are_refused(
    client: httpx.AsyncClient, address: str, at_fault: str
) -> None:
    answer = await client.get(address)
    assert told(answer) == (400, "not-supported", [at_fault])
    assert "TELLONCE_SEARCH_WORDS" in answer.json()["issue"][0]["diagnostics"]
    (rest,) = (await client.get("/metadata")).json()["rest"]
    assert "_content" not in {p["name"] for p in rest["resource"][0]["searchParam"]}


MANY = [
    ("Provenance", [("target", ",".join(f"number-{n}-{m}" for m in range(68))) for n in range(2)]),
    ("Observation", [("combo-code-value-quantity", ",".join(f"c{n}-{m}$1" for m in range(300)))
                     for n in range(4)]),
    ("ValueSet", [("url:above", ",".join(f"http://h.test/{n}/{m}" for m in range(150)))
                  for n in range(8)]),
    ("MolecularSequence", [("chromosome-variant-coordinate",
                            ",".join(f"{n}-{m}$lt{m}e9$gt{m}" for m in range(150)))
                           for n in range(6)]),
]  # fmt: skip


@pytest.mark.parametrize(("type_", "asked"), MANY, ids=[one for one, _ in MANY])
async def test_what_a_request_comes_to_is_limited_and_others_are_served_meanwhile(
    client: httpx.AsyncClient, type_: str, asked: list[tuple[str, str]]
) -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.001)

    cost = Cost(0.02)
    waiting = asyncio.create_task(others())
    for once in cost:
        turns = 0
        with once:
            answer = await client.post(f"/{type_}/_search", data=dict_of(asked))
        if turns > 1:
            break
    waiting.cancel()

    status, code, expression = told(answer)
    assert (status, code, expression) == (400, "invalid", [asked[0][0]])
    assert "more than 10000" in answer.json()["issue"][0]["diagnostics"]
    assert turns > 1 or cost.least_s < 0.02  # what is over so soon kept nobody waiting


def dict_of(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    """Return a form with every value of a name."""
    made: dict[str, list[str]] = {}
    for name, text in pairs:
        made.setdefault(name, []).append(text)
    return made


async def test_a_long_search_that_is_within_the_limits_is_answered(
    client: httpx.AsyncClient,
) -> None:
    for id_ in ("a", "b"):
        await client.put(f"/Patient/{id_}", json=patient(id_, identifier=[{"value": id_}]))
    values = ",".join(["a", *(f"number-{n}" for n in range(300))])

    answer = await client.post("/Patient/_search", data={"identifier": values})

    assert ids(answer) == ["Patient/a"]
