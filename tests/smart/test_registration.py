"""How clients become known.  RFC 7591; SMART client-confidential-*.html."""

import time

import httpx
import pytest

from tests.clients.backend import Backend, key_set, new_key
from tests.smart.app import REDIRECT, App
from tests.smart.registered import register


@pytest.mark.smart(19, 24, 316, 438)
def test_an_app_registers_itself_and_gets_an_id(page: App) -> None:
    answer = httpx.post(
        page.configuration()["registration_endpoint"],
        json={
            "client_name": "My diary",
            "redirect_uris": [REDIRECT],
            "token_endpoint_auth_method": "none",
            "scope": "launch/patient patient/*.rs",
        },
    )
    said = answer.json()
    assert answer.status_code == 201
    assert said["redirect_uris"] == [REDIRECT]

    registered = App(page.server, said["client_id"])
    assert registered.tokens("launch/patient patient/Observation.rs")["patient"] == "ada"


@pytest.mark.smart(344)
def test_backend_services_have_no_secret(page: App) -> None:
    said = {"auth": "client_secret_basic", "grants": ["client_credentials"], "scope": "system/*.rs"}
    with pytest.raises(AssertionError, match="clients that sign"):
        register(page.server, "lazy", **said)


@pytest.mark.smart(297, 305)
def test_registered_keys_are_changed_by_administrators_only(page: App, lab: Backend) -> None:
    token = lab.token("system/*.cruds")
    headers = {"Authorization": f"Bearer {token}"}
    address = f"{page.root}/admin/clients/lab"
    other = key_set(new_key("ES384", "2027"))

    assert httpx.get(address, headers=headers).status_code in (401, 403)
    assert httpx.patch(address, headers=headers, json={"jwks": other}).status_code in (401, 403)
    with pytest.raises(AssertionError, match="already"):
        register(
            page.server,
            "lab",
            auth="private_key_jwt",
            jwks=other,
            scope="system/*.rs",
            grants=["client_credentials"],
        )

    assert lab.ask("system/Patient.rs").status_code == 200


def test_a_client_that_is_removed_is_nobody_within_two_seconds(page: App) -> None:
    register(page.server, "short", redirect_uris=[REDIRECT], scope="patient/Patient.r")
    short = App(page.server, "short")
    token = short.tokens("patient/Patient.r")["access_token"]
    assert short.call(token, "Patient/ada").status_code == 200

    gone = httpx.delete(
        f"{page.root}/admin/clients/short",
        headers={"Authorization": f"Bearer {page.server.token}"},
    )

    assert gone.is_success
    for _ in range(25):  # 2.5 s, and longer when the machine is stalled
        if short.call(token, "Patient/ada").status_code != 200:
            break
        time.sleep(0.1)
    assert short.call(token, "Patient/ada").status_code == 401
    assert short.post(grant_type="authorization_code", code="x").status_code == 401
