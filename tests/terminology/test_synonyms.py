"""What maps say that codes mean is kept for those who see the same maps, while no map changes."""

from typing import Any

import httpx

from server.access.context import SYSTEM, AccessContext, Permit
from server.interactions.concept_maps import translations
from server.interactions.services import Policy
from server.rest import Limits
from server.store.mongo import MongoStore
from tests import mongod
from tests.rest.house import NAME, Clock, House, index
from tests.terminology.maps import LOCAL, LOINC
from tests.terminology.test_translate import HIDDEN, HR, put

RATE = {(LOINC, "8867-4")}
CLEARED = AccessContext("user/c", "app", (Permit("*", hidden=(HIDDEN,)),))


def labelled() -> dict[str, Any]:
    system, _, code = HIDDEN.partition("|")
    return {**HR, "meta": {"security": [{"system": system, "code": code}]}}


async def rate(house: House, access: AccessContext = SYSTEM) -> set[tuple[str, str]]:
    return set((await translations(house.services, access))((LOCAL, "HR")))


async def test_a_map_that_is_written_changed_or_retired_counts_at_once(house: House) -> None:
    async with house.client() as admin:
        found = [await rate(house)]
        await put(admin, HR)
        found.append(await rate(house))
        await put(admin, {**HR, "status": "retired"})
        found.append(await rate(house))
        await put(admin, HR)
        found.append(await rate(house))
        await admin.delete("/ConceptMap/hr")
        found.append(await rate(house))

    assert found == [set(), RATE, set(), RATE, set()]


async def test_what_one_may_see_is_not_kept_for_who_may_not(house: House) -> None:
    async with house.client() as admin:
        await put(admin, labelled())

    assert [await rate(house, who) for who in (SYSTEM, CLEARED, SYSTEM)] == [RATE, set(), RATE]


async def test_a_label_that_is_raised_counts_at_once(house: House) -> None:
    async with house.client() as admin:
        await put(admin, HR)
        before = await rate(house, CLEARED)
        await put(admin, labelled())

    assert (before, await rate(house, CLEARED)) == (RATE, set())


async def test_what_another_process_writes_counts_at_once() -> None:
    clock = Clock()
    name = mongod.take()
    stores = [
        MongoStore(mongod.url(), name, now=clock, index=index, fingerprint=NAME) for _ in range(2)
    ]
    one, other = (House(store, clock, Policy(), Limits()) for store in stores)
    try:
        before = await rate(one)
        async with other.client() as admin:
            await put(admin, HR)
        after = await rate(one)
    finally:
        for house in (one, other):
            await house.app.stop(grace_s=1)
            await house.store.close()
        mongod.give_back(name)

    assert (before, after) == (set(), RATE)


async def test_a_map_with_the_same_code_many_times_is_asked_quickly(house: House) -> None:
    target = {"code": "8867-4", "equivalence": "equal"}
    elements = [{"code": "HR", "target": [target]} for _ in range(2_000)]
    many = {**HR, "group": [{"source": LOCAL, "target": LOINC, "element": elements}]}
    async with house.client() as admin:
        await put(admin, many)
        answer = await admin.get("/ConceptMap/$translate", params={"system": LOCAL, "code": "HR"})

    assert len(answer.json()["parameter"]) == 2  # the result, and one match
    assert await rate(house) == RATE


async def test_maps_that_lead_to_each_other_end(client: httpx.AsyncClient) -> None:
    def leading(number: int) -> dict[str, Any]:
        url = f"http://h.test/map/{number}"
        onward = {"mode": "other-map", "url": f"http://h.test/map/{(number + 1) % 20}"}
        group = {"source": LOCAL, "target": LOINC, "unmapped": onward}
        element = {"code": "other", "target": [{"code": "1", "equivalence": "equal"}]}
        return {**HR, "id": f"m{number}", "url": url, "group": [{**group, "element": [element]}]}

    await put(client, *(leading(number) for number in range(20)))

    asked = {"system": LOCAL, "code": "HR", "url": "http://h.test/map/0"}
    answer = (await client.get("/ConceptMap/$translate", params=asked)).json()

    assert answer["parameter"][0] == {"name": "result", "valueBoolean": False}
