"""``$explain-access``: an administrator learns why somebody does, or does not, see something."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from server import rest
from server.access.policy import load_policy
from server.auth import new_token
from server.auth.person import Rights
from server.auth.records import User
from server.auth.ways import Ways
from server.continuity.site import Site
from server.operations import operations
from tests.auth.oauth.house import ANNA, House
from tests.auth.oauth.test_bearer import DOC, furnish
from tests.rest.house import BASE

NOTES = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSYTHPN"}


class Asking:
    """``ask`` returns (open, the ways, each with its lines)."""

    def __init__(self, http: httpx.AsyncClient, token: str) -> None:
        self.http, self.headers = http, {"Authorization": f"Bearer {token}"}

    async def get(self, address: str, **asked: str) -> httpx.Response:
        return await self.http.get(f"{address}/$explain-access", params=asked, headers=self.headers)

    async def ask(self, address: str, **asked: str) -> tuple[bool, list[tuple[str, list[str]]]]:
        answer = await self.get(address, **asked)
        assert answer.status_code == 200, answer.text
        first, *ways = answer.json()["parameter"]
        return first["valueBoolean"], [_way(one["part"]) for one in ways]


def _way(parts: list[dict[str, Any]]) -> tuple[str, list[str]]:
    through, _open, *lines = parts
    return through["valueString"], [line["valueString"] for line in lines]


@pytest.fixture
async def asking(house: House) -> AsyncIterator[Asking]:
    await furnish(house)
    services = replace(house.services, audit=None)
    ways = Ways(house.store, Rights(house.services, load_policy()), house.clock)
    app = rest.build(services, authenticate=house.bearer, operations=operations(ways, Site()))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as http:
        yield Asking(http, await new_token(house.store, "why"))


async def test_by_the_policy_alone(asking: Asking) -> None:
    there, ((through, lines),) = await asking.ask("/Observation/oa", user="anna")
    assert (there, through) == (True, "anna as patient, by the policy alone")
    assert lines[0] == "Observation/oa is open to user/anna with pages, for read"
    assert any(line.endswith("in Patient/a: it opens the resource") for line in lines)
    there, ((_, lines),) = await asking.ask("/Observation/ob", user="anna")
    assert not there
    assert lines[0] == "Observation/ob is not there to user/anna with pages, for read"
    assert any("the resource is in Patient/b's record" in line for line in lines)


async def test_each_grant_is_looked_at(asking: Asking, house: House) -> None:
    await house.tokens(scope="launch/patient patient/Patient.r")
    await house.tokens(scope="launch/patient patient/Observation.rs")
    there, ways = await asking.ask("/Observation/oa", user="anna", client="app")
    assert there
    told = {through: lines[0] for through, lines in ways}
    assert told == {
        "anna as patient, granted app 'launch/patient patient/Patient.r', with Patient/a": (
            "Observation/oa is not there to user/anna with app, for read"
        ),
        "anna as patient, granted app 'launch/patient patient/Observation.rs', with Patient/a": (
            "Observation/oa is open to user/anna with app, for read"
        ),
    }


async def test_without_a_grant_it_is_what_could_be_granted(asking: Asking) -> None:
    there, ((through, _),) = await asking.ask("/Observation/oa", user="anna", client="other")
    assert there
    assert through.startswith("anna as patient, if other had 'launch launch/patient")
    assert through.endswith("with Patient/a")


async def test_scopes_can_be_supposed(asking: Asking) -> None:
    vital = "patient/Observation.rs?category=vital-signs"
    there, ((_, lines),) = await asking.ask(
        "/Observation/oa", user="anna", scope=vital, patient="Patient/a"
    )
    assert not there
    assert lines[1].endswith("in Patient/a under a condition: its condition does not hold")


async def test_a_backend_service_is_explained_by_its_own_scope(asking: Asking) -> None:
    there, ((through, _),) = await asking.ask("/Observation/oa", client="backend")
    assert there
    assert through == (
        "backend as system, if backend had 'system/*.rs system/Observation.c introspect'"
    )
    there, _ = await asking.ask("/Observation/oa", client="backend", interaction="update")
    assert not there


async def test_labels_and_locks_are_told(asking: Asking, house: House) -> None:
    labelled = {
        "resourceType": "Observation",
        "id": "notes",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": "Patient/a"},
        "meta": {"security": [NOTES]},
    }
    await asking.http.put("/Observation/notes", json=labelled, headers=asking.headers)
    _, ((_, lines),) = await asking.ask("/Observation/notes", user="anna")
    assert any("PSYTHPN is above the clearance" in line for line in lines)
    await house.keep(replace(ANNA, active=False), "anna", "user")
    there, ((through, _),) = await asking.ask("/Observation/oa", user="anna")
    assert (there, through) == (False, "anna is locked: nothing is open")


@pytest.mark.parametrize(
    ("asked", "status", "told"),
    [
        ({"user": "nobody"}, 400, "there is no user 'nobody'"),
        ({"client": "nothing"}, 400, "there is no client 'nothing'"),
        ({}, 400, "name a user, a client, or both"),
        ({"user": "anna", "interaction": "look"}, 400, "interaction is one of"),
    ],
)
async def test_what_cannot_be_asked_is_told(
    asking: Asking, asked: dict[str, str], status: int, told: str
) -> None:
    answer = await asking.get("/Observation/oa", **asked)
    assert answer.status_code == status
    assert told in answer.text


async def test_nobody_but_administrators_may_ask(asking: Asking, house: House) -> None:
    await house.keep(DOC, "doc", "user")
    house.yes = {"patient": None, "context": {}, "user": DOC}
    tokens = [(await house.tokens(scope="user/*.rs"))["access_token"]]
    house.yes = {"patient": "a", "context": {}, "user": User("root", roles=("admin",))}
    await house.keep(User("root", roles=("admin",)), "root", "user")
    tokens.append((await house.tokens(scope="user/*.rs"))["access_token"])
    answer = await house.backend(house.assertion(), scope="system/*.rs")
    tokens.append(answer.json()["access_token"])
    for token in tokens:
        asking.headers = {"Authorization": f"Bearer {token}"}
        for place in ("/Observation/oa", "/Observation/none"):
            assert (await asking.get(place, user="anna")).status_code == 403


async def test_what_is_not_there_is_not_explained(asking: Asking) -> None:
    assert (await asking.get("/Observation/none", user="anna")).status_code == 404
