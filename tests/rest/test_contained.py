"""``_contained``: matches inside other resources, each checked by itself, on whole pages."""

from typing import Any

import httpx
import pytest

from tests.rest.house import House, bundle, entry, ids, link, told

RX = "http://rx.test"


def drug(id_: str, code: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Medication",
        "id": id_,
        "code": {"coding": [{"system": RX, "code": code}]},
        **more,
    }


def order(id_: str, *contained: dict[str, Any], subject: str = "Patient/a") -> dict[str, Any]:
    return {
        "resourceType": "MedicationRequest",
        "id": id_,
        "status": "active",
        "intent": "order",
        "subject": {"reference": subject},
        "contained": list(contained),
        "medicationReference": {"reference": f"#{contained[0]['id']}"},
    }


async def put(client: httpx.AsyncClient, *resources: dict[str, Any]) -> None:
    sent = [entry("PUT", f"{r['resourceType']}/{r['id']}", r) for r in resources]
    answer = await client.post("", json=bundle("transaction", *sent))
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


def urls(page: dict[str, Any]) -> list[str]:
    return [e["fullUrl"].removeprefix("http://fhir.test/fhir/") for e in page.get("entry", [])]


async def test_the_container_stands_for_the_match_unless_the_contained_is_asked_for(
    client: httpx.AsyncClient,
) -> None:
    await put(client, order("r", drug("m", "x")), drug("own", "x"))

    plain = (await client.get("/Medication?code=x")).json()
    inside = (await client.get("/Medication?code=x&_contained=true")).json()
    itself = (
        await client.get("/Medication?code=x&_contained=true&_containedType=contained")
    ).json()
    both = (await client.get("/Medication?code=x&_contained=both")).json()

    assert urls(plain) == ["Medication/own"]
    assert (urls(inside), inside["total"]) == (["MedicationRequest/r"], 1)
    assert itself["entry"] == [
        {
            "resource": drug("m", "x"),
            "fullUrl": "http://fhir.test/fhir/MedicationRequest/r#m",
            "search": {"mode": "match"},
        }
    ]
    assert (urls(both), both["total"]) == (["Medication/own", "MedicationRequest/r"], 2)


async def test_what_is_asked_must_hold_of_one_contained_resource(client: httpx.AsyncClient) -> None:
    await put(
        client,
        order("one", drug("m", "x", status="active"), drug("n", "y", status="inactive")),
        order("two", drug("m", "x", status="inactive"), drug("n", "y", status="active")),
    )
    address = "/Medication?code=x&status=active&_contained=true"

    assert urls((await client.get(address)).json()) == ["MedicationRequest/one"]
    assert urls((await client.get("/Medication?code:not=x&_contained=true&_containedType=contained")
                 ).json()) == ["MedicationRequest/two#n", "MedicationRequest/one#n"]  # fmt: skip
    assert urls((await client.get("/Medication?_id=n&_contained=true")).json()) == [
        "MedicationRequest/two", "MedicationRequest/one",
    ]  # fmt: skip


async def test_chains_lead_out_of_the_container(client: httpx.AsyncClient) -> None:
    maker = {"resourceType": "Organization", "id": "maker", "name": "Gray & Sons"}
    made = {"manufacturer": {"reference": "Organization/maker"}}
    await put(
        client, maker, order("by-gray", drug("m", "x", **made)), order("other", drug("m", "x"))
    )

    found = await client.get("/Medication?manufacturer.name=gray&_contained=true")
    none = await client.get("/Medication?manufacturer.name=blue&_contained=true")

    assert urls(found.json()) == ["MedicationRequest/by-gray"]
    assert urls(none.json()) == []


@pytest.mark.parametrize("count", [1, 2, 3, 5, 100])
@pytest.mark.parametrize("kind", ["container", "contained"])
@pytest.mark.parametrize("mode", ["true", "both"])
async def test_pages_are_whole_and_show_each_once(
    client: httpx.AsyncClient, count: int, kind: str, mode: str
) -> None:
    # every second one only looks as if it matched
    orders = [
        order(
            f"r{n}",
            drug("m", "x", status="active" if n % 2 else "inactive"),
            drug("n", "x", status="active"),
            drug("o", "x" if n % 2 else "y", status="active" if n % 2 else "inactive"),
        )
        for n in range(8)
    ]
    decoys = [
        order(f"d{n}", drug("m", "x", status="inactive"), drug("n", "y", status="active"))
        for n in range(8)
    ]
    await put(client, *orders, *decoys, *[drug(f"own{n}", "x", status="active") for n in range(3)])
    address = f"/Medication?code=x&status=active&_contained={mode}&_containedType={kind}"

    pages = await walk(client, f"{address}&_count={count}")

    found = [url for page in pages for url in urls(page)]
    inside = (
        [f"MedicationRequest/r{n}" for n in range(8)]
        if kind == "container"
        else [
            f"MedicationRequest/r{n}#{id_}" for n in range(8) for id_ in ("mno" if n % 2 else "n")
        ]
    )
    own = [f"Medication/own{n}" for n in range(3)] if mode == "both" else []
    assert sorted(found) == sorted(own + inside)
    assert all(len(urls(page)) == count for page in pages[:-1] if urls(page))
    assert max(len(urls(page)) for page in pages) <= count
    counted = (await client.get(f"{address}&_summary=count")).json()["total"]
    assert counted == len(found)
    accurate = (await client.get(f"{address}&_count=1&_total=accurate")).json()["total"]
    assert accurate == len(found)


async def test_a_walk_inside_is_not_disturbed_by_writes(client: httpx.AsyncClient) -> None:
    await put(client, *[order(f"r{n}", drug("m", "x"), drug("n", "x")) for n in range(6)])
    seen: list[str] = []
    following: str | None = "/Medication?code=x&_contained=true&_containedType=contained&_count=3"
    step = 0
    while following is not None:
        page = (await client.get(following)).json()
        seen += urls(page)
        following = link(page)
        await put(client, order(f"new{step}", drug("m", "x")), order(f"r{step}", drug("m", "x"),
                                                                     drug("n", "x")))  # fmt: skip
        step += 1

    assert sorted(seen) == sorted(f"MedicationRequest/r{n}#{i}" for n in range(6) for i in "mn")


async def test_only_containers_that_the_caller_may_see_are_looked_into(house: House) -> None:
    async with house.client() as client:
        await put(
            client,
            {"resourceType": "Patient", "id": "a"},
            {"resourceType": "Patient", "id": "b"},
            order("of-a", drug("m", "x")),
            order("of-b", drug("m", "x"), subject="Patient/b"),
        )
    async with house.client("patient-a") as client:
        found = (await client.get("/Medication?code=x&_contained=true")).json()
        both = (await client.get("/Medication?code=x&_contained=both")).json()
    assert urls(found) == urls(both) == ["MedicationRequest/of-a"]
    assert found["total"] == 1


async def test_compartments_are_those_of_the_container(client: httpx.AsyncClient) -> None:
    finding = {"resourceType": "Observation", "id": "o", "status": "final", "code": {"text": "x"}}
    report = {
        "resourceType": "DiagnosticReport", "id": "d", "status": "final", "code": {"text": "x"},
        "subject": {"reference": "Patient/a"}, "contained": [finding],
        "result": [{"reference": "#o"}],
    }  # fmt: skip
    await put(client, {"resourceType": "Patient", "id": "a"}, report)

    own = await client.get("/Patient/a/Observation?status=final&_contained=true")
    other = await client.get("/Patient/b/Observation?status=final&_contained=true")

    assert ids(own) == ["DiagnosticReport/d"]
    assert ids(other) == []


@pytest.mark.parametrize(
    ("parameters", "at_fault"),
    [
        ("_contained=yes", "_contained"),
        ("_contained=true&_containedType=inside", "_containedType"),
        ("_contained=true&_sort=code", "_sort"),
        ("_contained=both&_include=*", "_include"),
        ("_contained=true&_contained=true", "_contained"),
    ],
)
async def test_what_means_nothing_inside_is_refused(
    client: httpx.AsyncClient, parameters: str, at_fault: str
) -> None:
    status, _, expression = told(await client.get(f"/Medication?{parameters}"))
    assert (status, expression) == (400, [at_fault])
