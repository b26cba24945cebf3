"""How clients become known.  RFC 7591; SMART client-confidential-*.html."""

import json
from pathlib import Path

import httpx
import pytest

from tests.clients.backend import Backend, key_set, new_key
from tests.smart.app import REDIRECT, App
from tests.smart.registered import fhir, register, tellonce

KEY = new_key("ES384", "2026")


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
    options = ["--secret-stdin", "--grant", "client_credentials", "--scope", "system/*.rs"]
    with pytest.raises(AssertionError, match="sign"):
        register(page.server.log.parent / "data", "lazy", *options, stdin=f"{'aB3' * 12}\n")


@pytest.mark.smart(297, 305)
def test_registered_keys_stay_as_they_are(page: App, tmp_path: Path) -> None:
    """An app registering under a taken name changes nothing, and the file is checked."""
    data = page.server.log.parent / "data"
    file = tmp_path / "keys.json"
    file.write_text(json.dumps(key_set(KEY)), "utf-8")
    options = ("--grant", "client_credentials", "--scope", "system/Patient.rs", "--jwks", str(file))
    register(data, "lab", *options)
    lab = Backend(page.server.base_url, "lab", KEY, "ES384")
    token = lab.token("system/Patient.rs")

    with pytest.raises(AssertionError, match="already"):
        register(data, "lab", *options)
    answer = httpx.get(f"{page.root}/admin/clients", headers={"Authorization": f"Bearer {token}"})

    assert answer.status_code == 403
    assert lab.ask("system/Patient.rs").status_code == 200
    tellonce(data, "verify")


def test_a_client_that_was_removed_is_nobody_at_once(page: App) -> None:
    data = page.server.log.parent / "data"
    register(data, "short", "--public", "--redirect", REDIRECT, "--scope", "patient/Patient.r")
    short = App(page.server, "short")
    token = short.tokens("patient/Patient.r")["access_token"]
    assert fhir(page.server, "GET", "Patient/ada", token=token)["id"] == "ada"

    tellonce(data, "client", "remove", "short")

    assert short.post(grant_type="authorization_code", code="x").status_code in (400, 401)
