"""What a token opens at the FHIR API, and when it stops.  SMART app-launch.html#response-6."""

from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from server.auth import new_token
from server.auth.limits import Limits, Rate
from server.auth.oauth import AuthorizationServer, Terms
from server.auth.records import Grant, Proxy, User
from tests.auth.oauth.house import ANNA, CLIENTS, House
from tests.rest.house import START, observation, patient

MINUTE = 60_000_000
DOC = User("doc", roles=("practitioner",), fhir_user="Practitioner/doc")


async def furnish(house: House) -> None:
    """Put two patients with one observation each into the record."""
    token = await new_token(house.store, "ops")
    for resource in (
        patient("a", birthDate="1980-01-01"),
        patient("b", birthDate="2020-01-01"),
        observation("Patient/a", "oa"),
        observation("Patient/b", "ob"),
        {
            "resourceType": "RelatedPerson",
            "id": "r",
            "active": True,
            "patient": {"reference": "Patient/b"},
        },
    ):
        answer = await call(
            house, token, f"{resource['resourceType']}/{resource['id']}", "PUT", resource
        )
        assert answer.status_code == 201, answer.text


async def call(
    house: House, token: str | None, path: str, method: str = "GET", body: Any = None
) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return await house.http.request(method, f"/fhir/{path}", json=body, headers=headers)


async def statuses(house: House, token: str, *paths: str) -> list[int]:
    return [(await call(house, token, path)).status_code for path in paths]


@pytest.mark.smart(95, 119, 136, 266, 367)
async def test_a_patients_token_opens_what_its_scope_says_of_that_patient(house: House) -> None:
    await furnish(house)
    token = (await house.tokens(scope="launch/patient patient/Observation.rs"))["access_token"]

    paths = ("Observation/oa", "Observation/ob", "Observation/none", "Patient/a")
    assert await statuses(house, token, *paths) == [200, 404, 404, 403]
    assert (await call(house, token, "Observation")).json()["total"] == 1


@pytest.mark.smart(370)
async def test_a_granular_scope_opens_what_its_conditions_hold_for(house: House) -> None:
    await furnish(house)
    ops = await new_token(house.store, "ops")
    system = "http://terminology.hl7.org/CodeSystem/observation-category"
    lab = observation(
        "Patient/a", "lab", category=[{"coding": [{"system": system, "code": "laboratory"}]}]
    )
    assert (await call(house, ops, "Observation/lab", "PUT", lab)).status_code == 201
    scope = f"patient/Observation.rs?category={system}|laboratory"
    tokens = await house.tokens(scope=f"launch/patient {scope}")

    assert tokens["scope"] == f"launch/patient {scope}"
    token = tokens["access_token"]
    assert await statuses(house, token, "Observation/lab", "Observation/oa") == [200, 404]
    assert (await call(house, token, "Observation")).json()["total"] == 1


@pytest.mark.smart(144)
async def test_a_wildcard_opens_every_type_of_the_patient(house: House) -> None:
    await furnish(house)
    token = (await house.tokens(scope="launch/patient patient/*.read"))["access_token"]
    paths = ("Patient/a", "Observation/oa", "Condition", "RelatedPerson", "Observation/ob")
    assert await statuses(house, token, *paths) == [200, 200, 200, 200, 404]


async def test_a_token_without_a_scope_for_resources_reads_nothing(house: House) -> None:
    await furnish(house)
    token = (await house.tokens(scope="launch/patient openid fhirUser"))["access_token"]
    assert await statuses(house, token, "Patient/a", "Observation", "Patient/none") == [403] * 3


@pytest.mark.smart(140, 368)
async def test_a_users_token_opens_what_the_user_may_see(house: House) -> None:
    await furnish(house)
    house.yes["patient"] = None
    own = (await house.tokens(scope="user/Patient.rs"))["access_token"]
    await house.keep(DOC, "doc", "user")
    house.yes["user"] = DOC
    all_ = (await house.tokens(scope="user/Patient.rs"))["access_token"]

    assert await statuses(house, own, "Patient/a", "Patient/b") == [200, 404]
    assert await statuses(house, all_, "Patient/a", "Patient/b") == [200, 200]


@pytest.mark.smart(164, 170)
async def test_a_clinicians_app_for_a_patient_sees_that_one_only(house: House) -> None:
    await furnish(house)
    await house.keep(DOC, "doc", "user")
    house.yes |= {"user": DOC, "patient": "b"}
    token = (await house.tokens(scope="launch/patient patient/*.rs"))["access_token"]
    assert await statuses(house, token, "Patient/a", "Patient/b") == [404, 200]


@pytest.mark.smart(142, 266)
async def test_a_backend_service_has_no_more_than_its_scope(house: House) -> None:
    await furnish(house)
    token = (await house.backend(house.assertion())).json()["access_token"]
    assert await statuses(house, token, "Observation/oa", "Observation/ob") == [200, 200]
    assert await statuses(house, token, "Patient/a") == [403]


async def test_a_client_that_may_have_less_now_has_less_now(house: House) -> None:
    await furnish(house)
    token = (await house.tokens(scope="patient/Observation.rs patient/Patient.r"))["access_token"]
    assert await statuses(house, token, "Patient/a", "Observation/oa") == [200, 200]

    await house.keep(replace(CLIENTS[0], scope="patient/Observation.rs"), "app", "client")
    house.clock.at += 2_000_000
    assert await statuses(house, token, "Patient/a", "Observation/oa") == [403, 200]


PARENT = User("mum", roles=("proxy",), fhir_user="RelatedPerson/r")
KEPT = Proxy("RelatedPerson/r", "Patient/b", "parent")


async def test_a_proxy_sees_the_patient_that_the_operator_said(house: House) -> None:
    await furnish(house)
    await house.keep(PARENT, "mum", "user")
    house.yes |= {"user": PARENT, "patient": "b"}
    token = (await house.tokens(scope="launch/patient patient/Observation.rs"))["access_token"]
    # What the record says about relations opens nothing by itself: apps may write it.
    assert await statuses(house, token, "Observation/ob") == [403]

    await house.keep(KEPT, "RelatedPerson/r", "Patient/b")
    house.clock.at += 2_000_000
    assert await statuses(house, token, "Observation/ob", "Observation/oa") == [200, 404]

    await house.keep(replace(KEPT, end="2026-01-01"), "RelatedPerson/r", "Patient/b")
    house.clock.at += 2_000_000
    assert await statuses(house, token, "Observation/ob") == [403]


async def test_a_person_acts_for_those_whom_its_related_persons_act_for(house: House) -> None:
    await furnish(house)
    ops = await new_token(house.store, "ops")
    links = [{"target": {"reference": "RelatedPerson/r"}}, {"target": {"reference": "Patient/a"}}]
    person = {"resourceType": "Person", "id": "p", "link": links}
    assert (await call(house, ops, "Person/p", "PUT", person)).status_code == 201
    await house.keep(KEPT, "RelatedPerson/r", "Patient/b")
    user = replace(PARENT, fhir_user="Person/p")
    await house.keep(user, "mum", "user")
    house.yes |= {"user": user, "patient": "b"}

    tokens = await house.tokens(scope="launch/patient patient/Observation.rs openid fhirUser")
    token = tokens["access_token"]
    assert await statuses(house, token, "Observation/ob", "Observation/oa") == [200, 404]

    person["active"] = False
    assert (await call(house, ops, "Person/p", "PUT", person)).status_code == 200
    house.clock.at += 2_000_000
    assert await statuses(house, token, "Observation/ob") == [403]


@pytest.mark.parametrize(
    "sent", [None, "Bearer", "Bearer ", "Basic YTpi", "Bearer unknown", "Bearer \xff", "x" * 9000]
)
async def test_who_is_not_known_is_told_so_and_nothing_more(house: House, sent: str | None) -> None:
    headers = {"Authorization": sent.encode("latin-1")} if sent is not None else {}
    answer = await house.http.get("/fhir/Patient/a", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_why_a_token_is_not_in_force_is_not_told(house: House) -> None:
    ended = (await house.tokens())["access_token"]
    await house.post("revoke", {"token": ended, "client_id": "app"})
    one = (await call(house, "never-given-to-anybody", "Patient/a")).json()["issue"]
    assert (await call(house, ended, "Patient/a")).json()["issue"] == one


async def test_what_is_not_an_access_token_opens_nothing(house: House) -> None:
    tokens = await house.tokens()
    code = await house.code()
    for secret in (tokens["refresh_token"], tokens["id_token"], code, "5e55"):
        assert not await house.opens(secret)


async def test_a_token_for_another_address_opens_nothing(house: House) -> None:
    token = (await house.tokens())["access_token"]
    (record,) = await house.store.find_records("grant")
    grant = Grant.unpack(record.value)
    assert grant.audience == "http://fhir.test/fhir"
    await house.keep(replace(grant, audience="https://old.example/fhir"), grant.id, "anna")
    assert not await house.opens(token)


@pytest.mark.parametrize("who", ["user", "client"])
async def test_who_is_disabled_is_out_within_two_seconds(house: House, who: str) -> None:
    token = (await house.tokens())["access_token"]
    assert await house.opens(token)
    if who == "user":
        await house.keep(replace(ANNA, active=False), "anna", "user")
    else:
        await house.keep(replace(CLIENTS[0], active=False), "app", "client")
    house.clock.at += 2_000_000
    assert not await house.opens(token)


async def test_a_clock_that_was_set_back_keeps_no_token_alive(house: House) -> None:
    token = (await house.tokens())["access_token"]
    assert await house.opens(token)
    (grant,) = await house.store.find_records("grant")
    await house.store.take_record("grant", grant.key)
    house.clock.at -= 1
    assert not await house.opens(token)


async def test_the_last_use_is_noted_once_a_minute(any_house: House) -> None:
    house = any_house
    token = (await house.tokens())["access_token"]

    async def used() -> int:
        await house.bearer.settled()
        (record,) = await house.store.find_records("grant")
        return Grant.unpack(record.value).used

    house.clock.at = START + MINUTE - 1
    await house.opens(token)
    assert await used() == START
    house.clock.at = START + MINUTE + 2_000_000
    await house.opens(token)
    assert await used() == START + MINUTE + 2_000_000


async def test_administrators_come_in_as_before(house: House) -> None:
    token = await new_token(house.store, "ops")
    access = await house.bearer(f"Bearer {token}".encode())
    assert access.principal == "administrator/ops"
    assert access.unrestricted


async def test_the_context_says_who_acts_by_which_app_and_grant(house: House) -> None:
    token = (await house.tokens())["access_token"]
    (record,) = await house.store.find_records("grant")
    access = await house.bearer(f"Bearer {token}".encode())
    assert (access.principal, access.client, access.person) == ("user/anna", "app", "Patient/a")
    assert (access.patient, access.role, access.grant) == ("Patient/a", "patient", record.key)


async def test_the_endpoints_are_limited(house: House) -> None:
    limits = Limits(house.clock, token=Rate(2, 60))
    server = AuthorizationServer(
        house.services, Terms("http://fhir.test/x/fhir"), house.bearer, limits=limits
    )
    assert server.terms.issuer == "http://fhir.test/x"
    app = FastAPI()
    app.include_router(server.router)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://fhir.test"
    ) as http:
        answers = [await http.post("/auth/token", data={"grant_type": "x"}) for _ in range(3)]
    assert [one.status_code for one in answers] == [400, 400, 429]
    assert int(answers[2].headers["retry-after"]) >= 1
    assert answers[2].json()["error"] == "temporarily_unavailable"


async def test_audit_is_told_from_where_and_waited_for_where_that_is_wanted(house: House) -> None:
    await house.token(code="never-given-to-anybody")
    assert house.ear.settlings == 0
    house.ear.durable = True
    await house.token(code="never-given-to-anybody")

    told = house.ear.heard[-1]
    assert house.ear.settlings == 1
    assert (told.interaction, told.outcome, told.why) == ("token", "4", "invalid_grant")
    assert (told.access.principal, told.access.client) == ("client/app", "app")
    assert told.access.trace is not None
    assert told.access.trace.address == "127.0.0.1"
    assert house.ear.taken[-1] == told.access.trace  # audit need not remember it any longer


@pytest.mark.parametrize("client", ["nobody", "x" * 5000, "basic"])
async def test_audit_names_registered_clients_only(house: House, client: str) -> None:
    answer = await house.http.post(
        "/auth/token", data={"grant_type": "authorization_code", "code": "x"}, auth=(client, "?")
    )
    assert answer.status_code == 401
    expected = "client/basic" if client == "basic" else "-"
    assert house.ear.heard[-1].access.principal == expected
