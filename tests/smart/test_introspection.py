"""What a token is good for.  SMART token-introspection.html, RFC 7662."""

import time
from typing import Any

import httpx
import pytest

from tests.smart.app import App

ASKED = "openid fhirUser offline_access launch/patient patient/Observation.rs"


def introspected(app: App, token: str, bearer: str | None = None) -> Any:
    bearer = app.server.token if bearer is None else bearer
    answer = httpx.post(
        app.configuration()["introspection_endpoint"],
        data={"token": token},
        headers={"Authorization": f"Bearer {bearer}"},
    )
    assert answer.headers["content-type"].startswith("application/json")
    return answer.json() if answer.status_code == 200 else answer.status_code


@pytest.mark.smart(99, 269, 271, 272, 273, 274, 275, 276, 277, 278, 279, 280, 283)
def test_a_good_token_is_told_with_its_scope_and_context(page: App) -> None:
    tokens = page.tokens(ASKED)
    said = introspected(page, tokens["access_token"])

    assert said["active"] is True
    assert said["scope"] == tokens["scope"]
    assert said["client_id"] == "page"
    assert abs(said["exp"] - time.time() - tokens["expires_in"]) < 30
    assert said["patient"] == "ada"
    assert said["iss"] == page.configuration()["issuer"]
    assert said["sub"] == "ada"
    assert said["fhirUser"] == f"{page.server.base_url}/Patient/ada"


@pytest.mark.smart(272)
def test_of_a_token_that_is_not_known_nothing_is_told(page: App) -> None:
    assert introspected(page, "x" * 43) == {"active": False}


@pytest.mark.smart(281, 282)
def test_who_may_not_ask_is_refused(page: App) -> None:
    tokens = page.tokens(ASKED)
    assert introspected(page, tokens["access_token"], tokens["access_token"]) == 403
    assert introspected(page, tokens["access_token"], "x" * 43) == 401


def test_a_client_with_a_secret_asks_about_its_own_tokens_only(page: App, site: App) -> None:
    address = site.configuration()["introspection_endpoint"]
    for owner, active in ((site, True), (page, False)):
        token = owner.tokens(ASKED)["access_token"]
        answer = httpx.post(address, data={"token": token}, auth=("site", site.secret or ""))
        assert answer.json()["active"] is active
