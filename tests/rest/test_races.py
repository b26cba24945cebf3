"""What holds when 32 requests come at once (reliability R5, R6)."""

from collections import Counter

import anyio
import httpx

from tests.rest.house import JSON_PATCH, House, bundle, entry, patient

RACERS = 32


async def all_at_once(requests: list[httpx.Request], client: httpx.AsyncClient) -> list[int]:
    statuses: list[int] = []

    async def one(request: httpx.Request) -> None:
        statuses.append((await client.send(request)).status_code)

    async with anyio.create_task_group() as group:
        for request in requests:
            group.start_soon(one, request)
    return statuses


async def test_32_conditional_creates_make_one_resource(client: httpx.AsyncClient) -> None:
    request = client.build_request(
        "POST",
        "/Patient",
        json=patient(identifier=[{"system": "s", "value": "1"}]),
        headers={"If-None-Exist": "identifier=s|1"},
    )

    statuses = await all_at_once([request] * RACERS, client)

    assert Counter(statuses) == {201: 1, 200: 31}
    assert (await client.get("/Patient?_summary=count")).json()["total"] == 1


async def test_32_transactions_with_the_same_condition_make_one_resource(
    client: httpx.AsyncClient,
) -> None:
    resource = patient(identifier=[{"system": "s", "value": "1"}])
    sent = bundle("transaction", entry("POST", "Patient", resource, ifNoneExist="identifier=s|1"))
    request = client.build_request("POST", "", json=sent)

    statuses = await all_at_once([request] * RACERS, client)

    assert Counter(statuses) == {200: 32}
    assert (await client.get("/Patient?_summary=count")).json()["total"] == 1


async def test_of_32_updates_of_one_version_one_wins(client: httpx.AsyncClient) -> None:
    await client.put("/Patient/a", json=patient("a"))
    request = client.build_request(
        "PUT", "/Patient/a", json=patient("a", active=True), headers={"If-Match": 'W/"1"'}
    )

    statuses = await all_at_once([request] * RACERS, client)

    assert Counter(statuses) == {200: 1, 412: 31}
    assert (await client.get("/Patient/a")).headers["etag"] == 'W/"2"'


async def test_32_patches_are_all_kept(client: httpx.AsyncClient) -> None:
    await client.put("/Patient/a", json=patient("a", name=[{"family": "0"}]))
    requests = [
        client.build_request(
            "PATCH",
            "/Patient/a",
            json=[{"op": "add", "path": "/name/-", "value": {"family": str(number)}}],
            headers={"Content-Type": JSON_PATCH},
        )
        for number in range(1, RACERS + 1)
    ]

    statuses = await all_at_once(requests, client)

    assert Counter(statuses) == {200: 32}
    names = (await client.get("/Patient/a")).json()["name"]
    assert {name["family"] for name in names} == {str(number) for number in range(33)}


async def test_32_updates_without_a_version_are_all_kept(house: House) -> None:
    async with house.client() as client:
        request = client.build_request("PUT", "/Patient/a", json=patient("a"))
        statuses = await all_at_once([request] * RACERS, client)
        history = (await client.get("/Patient/a/_history?_count=100")).json()

    assert set(statuses) <= {200, 201}
    numbers = [int(e["resource"]["meta"]["versionId"]) for e in history["entry"]]
    assert numbers == list(range(32, 0, -1))


async def test_of_32_updates_that_make_a_resource_one_says_created(
    client: httpx.AsyncClient,
) -> None:
    request = client.build_request("PUT", "/Patient/new", json=patient("new"))

    statuses = await all_at_once([request] * RACERS, client)

    assert Counter(statuses) == {201: 1, 200: 31}
