"""What is told of a token, and to whom.  RFC 7662; SMART token-introspection.html."""

import pytest

from server.auth import new_token
from server.auth.records import User
from tests.auth.oauth.house import SCOPE, SECRET, House
from tests.rest.house import BASE, START

NOW = START // 1_000_000


async def asking(house: House) -> dict[str, str]:
    """Return the header of a backend service that may ask about any token."""
    answer = await house.backend(house.assertion(), scope="introspect")
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


@pytest.mark.smart(271, 272, 273, 274, 275, 276, 277, 278, 279, 280, 282, 283)
async def test_a_service_with_the_scope_is_told_of_any_token(house: House) -> None:
    house.yes["context"] = {"encounter": "e1", "intent": "reconcile"}
    tokens = await house.tokens()
    house.clock.at += 10_000_000
    answer = await house.post(
        "introspect", {"token": tokens["access_token"]}, headers=await asking(house)
    )

    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "active": True,
        "scope": SCOPE,
        "client_id": "app",
        "token_type": "Bearer",
        "exp": NOW + 3600,
        "iat": NOW,
        "aud": BASE,
        "iss": "http://fhir.test",
        "sub": "anna",
        "fhirUser": "http://fhir.test/fhir/Patient/a",
        "patient": "a",
        "encounter": "e1",
        "intent": "reconcile",
        "need_patient_banner": True,
    }


async def test_without_openid_the_person_is_not_told(house: House) -> None:
    tokens = await house.tokens(scope="patient/Patient.r")
    answer = await house.post(
        "introspect", {"token": tokens["access_token"]}, headers=await asking(house)
    )
    assert {"iss", "sub", "fhirUser"}.isdisjoint(answer.json())


async def test_an_administrator_is_told_of_any_token(house: House) -> None:
    token = await new_token(house.store, "ops")
    headers = {"Authorization": f"Bearer {token}"}
    tokens = await house.tokens()
    answer = await house.post("introspect", {"token": tokens["access_token"]}, headers=headers)
    assert answer.json()["active"] is True


async def test_a_confidential_client_is_told_of_its_own_tokens_only(house: House) -> None:
    from tests.auth.oauth.test_client_auth import CALLBACK, VERIFIER

    form: dict[str, str | None] = {
        "grant_type": "authorization_code",
        "code": await house.code(client_id="basic"),
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
    }
    own = (await house.post("token", form, auth=("basic", SECRET))).json()
    others = await house.tokens()

    told = [
        (await house.post("introspect", {"token": token}, auth=("basic", SECRET))).json()
        for token in (own["access_token"], own["refresh_token"], others["access_token"])
    ]
    assert [one["active"] for one in told] == [True, True, False]
    assert told[2] == {"active": False}
    assert "token_type" not in told[1]


@pytest.mark.smart(271)
@pytest.mark.parametrize("when", ["unknown", "expired", "revoked", "spent", "disabled", "code"])
async def test_of_a_token_that_is_not_in_force_nothing_more_is_told(
    house: House, when: str
) -> None:
    tokens = await house.tokens()
    token = tokens["access_token"]
    match when:
        case "unknown":
            token = "never-given-to-anybody"
        case "expired":
            house.clock.at += 3_600_000_000
        case "revoked":
            await house.post("revoke", {"token": token, "client_id": "app"})
        case "spent":
            await house.refresh(tokens["refresh_token"])
            token = tokens["refresh_token"]
        case "disabled":
            await house.keep(User("anna", active=False), "anna", "user")
        case "code":
            token = await house.code()
    answer = await house.post("introspect", {"token": token}, headers=await asking(house))
    assert (answer.status_code, answer.json()) == (200, {"active": False})


async def test_who_may_not_ask_is_told_nothing(house: House) -> None:
    tokens = await house.tokens()
    form: dict[str, str | None] = {"token": tokens["access_token"]}
    own = {"Authorization": f"Bearer {tokens['access_token']}"}
    unknown = {"Authorization": "Bearer unknown"}

    assert (await house.post("introspect", form)).status_code == 401
    assert (await house.post("introspect", form | {"client_id": "app"})).status_code == 401
    assert (await house.post("introspect", form, auth=("basic", "wrong"))).status_code == 401
    refused = await house.post("introspect", form, headers=own)
    assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_scope")
    refused = await house.post("introspect", form, headers=unknown)
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_token")
    assert refused.headers["www-authenticate"].startswith("Bearer ")


async def test_a_question_without_a_token_is_refused(house: House) -> None:
    answer = await house.post("introspect", {}, auth=("basic", SECRET))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
