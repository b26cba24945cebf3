"""What the server tells of itself.  SMART conformance.html."""

import time

import httpx
import pytest

from tests.smart.app import ORIGIN, App
from tests.system.process import Process

ADDRESSES = (
    "issuer", "jwks_uri", "authorization_endpoint", "token_endpoint", "introspection_endpoint",
    "revocation_endpoint", "management_endpoint", "registration_endpoint",
)  # fmt: skip


@pytest.mark.smart(30, 228, 372, 373, 374, 376, 377, 380)
@pytest.mark.parametrize("accept", ["application/json", "application/fhir+xml", "text/html", "*/*"])
def test_discovery_is_json_below_the_fhir_address(server: Process, accept: str) -> None:
    answer = httpx.get(
        f"{server.base_url}/.well-known/smart-configuration", headers={"Accept": accept}
    )
    assert answer.status_code == 200
    assert answer.headers["content-type"].partition(";")[0] == "application/json"
    assert "capabilities" in answer.json()


@pytest.mark.smart(378, 381, 382, 383, 385, 286, 391, 392, 438)
def test_every_address_is_absolute(page: App) -> None:
    told = page.configuration()
    assert {name: told[name].startswith(page.root) for name in ADDRESSES} == dict.fromkeys(
        ADDRESSES, True
    )


@pytest.mark.smart(384, 386, 287, 288, 289, 390, 394)
def test_what_is_supported_is_told(page: App) -> None:
    told = page.configuration()

    assert {"authorization_code", "client_credentials"} <= set(told["grant_types_supported"])
    assert {"client_secret_basic", "private_key_jwt"} <= set(
        told["token_endpoint_auth_methods_supported"]
    )
    assert set(told["token_endpoint_auth_signing_alg_values_supported"]) == {"RS384", "ES384"}
    assert told["code_challenge_methods_supported"] == ["S256"]
    assert told["response_types_supported"] == ["code"]
    assert "patient/*.rs" in told["scopes_supported"]


@pytest.mark.smart(126, 285, 346, 348, 349, 350, 351, 393)
def test_the_capability_sets_are_whole(page: App) -> None:
    """Patient and clinician access, standalone and from the record (#capability-sets)."""
    told = set(page.configuration()["capabilities"])
    assert told >= {
        "launch-ehr", "launch-standalone", "authorize-post", "client-public",
        "client-confidential-symmetric", "client-confidential-asymmetric", "sso-openid-connect",
        "context-standalone-patient", "context-ehr-patient", "context-ehr-encounter",
        "permission-patient", "permission-user", "permission-offline", "permission-online",
        "permission-v1", "permission-v2",
    }  # fmt: skip
    assert "smart-app-state" not in told  # listed, it would have to be kept


@pytest.mark.smart(16)
@pytest.mark.parametrize("path", [".well-known/smart-configuration", "metadata"])
def test_pages_of_every_origin_may_look(server: Process, path: str) -> None:
    answer = httpx.get(f"{server.base_url}/{path}", headers={"Origin": "https://anybody.example"})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] in ("*", "https://anybody.example")


@pytest.mark.smart(17)
def test_pages_of_registered_origins_may_call_and_others_may_not(page: App) -> None:
    preflight = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
    for _ in range(20):  # that an app was registered is in force within two seconds
        answer = httpx.options(f"{page.server.base_url}/Patient/ada", headers=preflight)
        if "access-control-allow-origin" in answer.headers:
            break
        time.sleep(0.1)
    for address in (page.configuration()["token_endpoint"], f"{page.server.base_url}/Patient/ada"):
        asked = {"Access-Control-Request-Method": "POST" if "token" in address else "GET"}
        asked["Access-Control-Request-Headers"] = "authorization,content-type"
        ours = httpx.options(address, headers={"Origin": ORIGIN, **asked})
        foreign = httpx.options(address, headers={"Origin": "https://evil.example", **asked})

        assert ours.headers["access-control-allow-origin"] == ORIGIN
        assert "authorization" in ours.headers["access-control-allow-headers"].lower()
        assert "access-control-allow-origin" not in foreign.headers


def test_the_capability_statement_tells_the_addresses_too(page: App) -> None:
    """Older clients look there only."""
    statement = httpx.get(f"{page.server.base_url}/metadata").json()
    [oauth] = [
        one["extension"]
        for one in statement["rest"][0]["security"]["extension"]
        if one["url"].endswith("/oauth-uris")
    ]
    told = {one["url"]: one["valueUri"] for one in oauth}
    assert told["authorize"] == page.configuration()["authorization_endpoint"]
    assert told["token"] == page.configuration()["token_endpoint"]
