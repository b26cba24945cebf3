"""From a code to tokens, and on.  SMART app-launch.html."""

import re

import httpx
import pytest

from tests.smart.app import REDIRECT, App
from tests.smart.person import Person

READ = "launch/patient patient/Observation.rs"


@pytest.mark.smart(73, 74, 75, 76, 78, 84, 86, 87, 88, 91)
def test_the_answer_has_a_token_and_is_not_kept(page: App) -> None:
    answer = page.redeem(page.ask(READ)["code"])

    said = answer.json()
    assert said["token_type"] == "Bearer"
    assert 0 < said["expires_in"] <= 3600
    assert said["scope"] == READ
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"
    assert answer.headers["content-type"].startswith("application/json")


@pytest.mark.smart(85, 134)
def test_a_token_is_short_and_of_the_characters_that_headers_hold(page: App) -> None:
    token = page.tokens(READ)["access_token"]
    assert re.fullmatch(r"[A-Za-z0-9\-._~+/]{43}=*", token)


@pytest.mark.smart(81, 89, 102)
def test_a_refresh_token_is_for_who_may_refresh(page: App) -> None:
    assert "refresh_token" not in page.tokens(READ)
    assert "refresh_token" in page.tokens(f"{READ} offline_access")


@pytest.mark.smart(109, 110, 111, 112, 113, 114, 116, 118)
def test_refreshing_gives_the_same_rights_again(page: App) -> None:
    first = page.tokens(f"{READ} offline_access")
    answer = page.refresh(first["refresh_token"])

    again = answer.json()
    assert again["access_token"] != first["access_token"]
    assert again["refresh_token"] != first["refresh_token"]
    assert again["token_type"] == "Bearer"
    assert 0 < again["expires_in"] <= 3600
    assert again["scope"] == first["scope"]
    assert again["patient"] == "ada"
    assert answer.headers["cache-control"] == "no-store"
    assert page.call(again["access_token"], "Observation").status_code == 200


@pytest.mark.smart(104, 115)
def test_refreshing_may_ask_for_less_and_not_for_more(page: App) -> None:
    refresh = page.tokens(f"{READ} offline_access")["refresh_token"]
    less = page.refresh(refresh, scope="patient/Observation.r").json()
    assert less["scope"] == "patient/Observation.r"
    assert page.call(less["access_token"], "Observation").status_code == 403

    more = page.refresh(less["refresh_token"], scope="patient/*.cruds")
    assert (more.status_code, more.json()["error"]) == (400, "invalid_scope")


@pytest.mark.smart(103)
def test_a_refresh_token_is_of_no_use_to_another_client(page: App, site: App) -> None:
    refresh = page.tokens(f"{READ} offline_access")["refresh_token"]
    assert site.refresh(refresh).json()["error"] == "invalid_grant"
    assert page.refresh(refresh).status_code == 200


def test_a_public_client_refreshes_without_its_id(page: App) -> None:
    """As npm's fhirclient does; the refresh token says whose it is."""
    refresh = page.tokens(f"{READ} offline_access")["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": refresh}
    answer = httpx.post(page.configuration()["token_endpoint"], data=form)
    assert answer.status_code == 200, answer.text


def test_a_client_with_a_secret_does_not_refresh_without_it(site: App) -> None:
    refresh = site.tokens(f"{READ} offline_access")["refresh_token"]
    for form in ({}, {"client_id": "site"}):
        said = {"grant_type": "refresh_token", "refresh_token": refresh, **form}
        answer = httpx.post(site.configuration()["token_endpoint"], data=said)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


@pytest.mark.smart(103)
def test_a_refresh_token_that_comes_twice_ends_all(page: App) -> None:
    first = page.tokens(f"{READ} offline_access")
    second = page.refresh(first["refresh_token"]).json()

    assert page.refresh(first["refresh_token"]).json()["error"] == "invalid_grant"
    assert page.refresh(second["refresh_token"]).json()["error"] == "invalid_grant"
    assert page.call(second["access_token"], "Observation").status_code == 401


@pytest.mark.smart(55, 58)
def test_a_code_works_once_and_a_second_use_ends_what_came_of_it(page: App) -> None:
    code = page.ask(READ)["code"]
    token = page.redeem(code).json()["access_token"]

    assert page.redeem(code).json()["error"] == "invalid_grant"
    assert page.call(token, "Observation").status_code == 401


@pytest.mark.smart(31)
def test_a_code_needs_its_verifier(page: App) -> None:
    for verifier in ("", "x" * 43):
        code = page.ask(READ)["code"]
        page.verifier = verifier
        answer = page.redeem(code)
        assert answer.status_code == 400
        assert answer.json()["error"] in ("invalid_grant", "invalid_request")


@pytest.mark.smart(14, 15, 54, 96)
@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"aud": "https://elsewhere.example/fhir"}, "invalid_request"),
        ({"aud": ""}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"launch": "invented"}, "invalid_request"),
        ({"scope": "patient/Nonsense.q"}, "invalid_scope"),
    ],
)
def test_a_request_that_is_not_right_is_told_to_the_app(
    page: App, more: dict[str, str], error: str
) -> None:
    scope = more.pop("scope", READ)
    told = page.ask(scope, **more)
    assert told["error"] == error
    assert "code" not in told


@pytest.mark.smart(18, 56)
@pytest.mark.parametrize(
    "more",
    [{"redirect_uri": f"{REDIRECT}/x"}, {"client_id": "nobody"}],
    ids=lambda one: next(iter(one)),
)
def test_an_address_that_is_not_registered_is_never_led_to(page: App, more: dict[str, str]) -> None:
    answer = httpx.get(
        page.configuration()["authorization_endpoint"], params=page.parameters(READ, **more)
    )
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("text/html")
    assert "location" not in answer.headers


@pytest.mark.smart(49, 354)
def test_authorization_is_asked_for_by_post_as_well(page: App) -> None:
    asked = page.parameters(READ)
    with Person(page.root, "ada") as ada:
        begun = ada.http.post(page.configuration()["authorization_endpoint"], data=asked)
        told = ada.authorize(begun.headers["location"], REDIRECT)
    assert told["state"] == asked["state"]
    assert page.redeem(told["code"]).status_code == 200


@pytest.mark.smart(94, 95)
def test_the_fhir_api_asks_for_a_token_that_it_knows(page: App) -> None:
    for token in ("", "x" * 43):
        answer = page.call(token, "Observation")
        assert answer.status_code == 401
        assert "Bearer" in answer.headers["www-authenticate"]
    token = page.tokens(READ)["access_token"]
    assert page.call(token, "Observation").status_code == 200
    assert page.call(token, "Condition").status_code == 403


@pytest.mark.smart(392)
def test_a_token_that_is_given_back_works_no_more(page: App) -> None:
    said = page.tokens(f"{READ} offline_access")
    address = page.configuration()["revocation_endpoint"]

    answer = httpx.post(address, data={"token": said["refresh_token"], "client_id": "page"})

    assert answer.status_code == 200
    assert page.call(said["access_token"], "Observation").status_code == 401
    assert page.refresh(said["refresh_token"]).json()["error"] == "invalid_grant"
