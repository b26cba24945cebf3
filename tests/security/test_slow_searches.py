"""What took too long says nothing of what others have: no plan, no numbers."""

import pytest

from server.fhir.errors import DeadlineExceeded
from server.store.memory import MemoryStore
from tests.rest.house import House, bundle, entry, observation, patient, told

PLAN = "it ran too long; drive: Observation|subject, 120000 rows"

ASKED = [
    ("GET", "/Observation?code=x", None, {}),
    ("POST", "/Observation", observation(), {"If-None-Exist": "code=x"}),
    ("PUT", "/Observation?code=x", observation(), {}),
    ("DELETE", "/Organization?name=x", None, {}),
    ("GET", "/Observation/$lastn?patient=a", None, {}),
    ("GET", "/Patient/a/$everything", None, {}),
    ("GET", "/Observation/$meta", None, {}),
    ("POST", "", bundle("transaction", entry("PUT", "Observation?code=x", observation())), {}),
]


@pytest.mark.parametrize(("method", "address", "body", "headers"), ASKED)
async def test_only_who_sees_everything_is_told_the_plan(
    house: House,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    address: str,
    body: object,
    headers: dict[str, str],
) -> None:
    async def late(*_: object, **__: object) -> None:
        raise DeadlineExceeded(PLAN)

    async with house.client() as admin:
        await admin.put("/Patient/a", json=patient("a"))
    for store in (MemoryStore, type(house.store)):
        monkeypatch.setattr(store, "search", late)
        monkeypatch.setattr(store, "count", late)
    for caller, knows in (("admin", True), ("patient-a", False)):
        async with house.client(caller) as client:
            answer = await client.request(method, address, json=body, headers=headers)
        assert told(answer)[1] in ("too-costly", "timeout"), answer.text
        assert ("120000" in answer.text) is knows
