"""Who the person is.  SMART scopes-and-launch-context.html#scopes-for-requesting-identity-data."""

from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.smart.app import App

ASKED = "openid fhirUser launch/patient patient/Patient.r"


def verified(app: App, id_token: str) -> dict[str, Any]:
    keys = httpx.get(app.configuration()["jwks_uri"]).json()
    token = jwt.decode(id_token, KeySet.import_key_set(keys), algorithms=["RS256"])
    assert token.header["alg"] == "RS256"
    claims: dict[str, Any] = token.claims
    return claims


@pytest.mark.smart(80, 200, 205, 210, 358, 381)
def test_an_id_token_says_who_logged_in_and_for_whom(page: App) -> None:
    said = verified(page, page.tokens(ASKED, nonce="n-0S6_WzA2Mj")["id_token"])

    assert said["iss"] == page.configuration()["issuer"]
    assert said["aud"] in ("page", ["page"])
    assert said["nonce"] == "n-0S6_WzA2Mj"
    assert said["exp"] > said["iat"]
    assert said["sub"]


@pytest.mark.smart(198, 203, 209)
@pytest.mark.parametrize(
    ("person", "resource"), [("ada", "Patient/ada"), ("ruth", "Practitioner/ruth")]
)
def test_fhir_user_is_the_address_of_the_persons_resource(
    page: App, person: str, resource: str
) -> None:
    said = page.tokens(f"{ASKED} user/Practitioner.r", person, choose="ada")
    address = verified(page, said["id_token"])["fhirUser"]
    assert address == f"{page.server.base_url}/{resource}"
    assert page.call(said["access_token"], resource).json()["resourceType"] in resource


def test_without_openid_there_is_no_id_token(page: App) -> None:
    assert "id_token" not in page.tokens("launch/patient patient/Patient.r")


@pytest.mark.smart(207, 382)
def test_the_keys_are_published_bare(page: App) -> None:
    [key, *_] = httpx.get(page.configuration()["jwks_uri"]).json()["keys"]
    assert key["kty"] == "RSA"
    assert {"n", "e", "kid"} <= key.keys()
    assert "d" not in key


@pytest.mark.smart(381)
def test_openid_discovery_names_the_same_issuer(page: App) -> None:
    issuer = page.configuration()["issuer"]
    told = httpx.get(f"{issuer}/.well-known/openid-configuration").json()
    assert told["issuer"] == issuer
    assert told["jwks_uri"] == page.configuration()["jwks_uri"]
    assert "RS256" in told["id_token_signing_alg_values_supported"]
