"""Discovery documents, the key set, and who may read them from a browser."""

import json
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from server.auth.keys import Keys
from tests.auth.oauth.house import House
from tests.auth.oauth.house import house as made
from tests.rest.house import BASE, Clock

APP = {"Origin": "https://app.example"}
STRANGER = {"Origin": "https://evil.example"}


@pytest.mark.smart(
    30,
    285,
    286,
    287,
    288,
    289,
    373,
    378,
    381,
    382,
    383,
    384,
    385,
    386,
    389,
    390,
    391,
    392,
    393,
    394,
    439,
    15,
    126,
    346,
    348,
    349,
    350,
    351,
    228,
)
async def test_the_smart_configuration_says_where_everything_is(house: House) -> None:
    said = json.loads(house.server.discovery())
    capabilities = [
        "launch-ehr",
        "launch-standalone",
        "authorize-post",
        "client-public",
        "client-confidential-symmetric",
        "client-confidential-asymmetric",
        "sso-openid-connect",
        "context-banner",
        "context-ehr-patient",
        "context-ehr-encounter",
        "context-standalone-patient",
        "context-standalone-encounter",
        "permission-offline",
        "permission-online",
        "permission-patient",
        "permission-user",
        "permission-v1",
        "permission-v2",
    ]
    scopes = said.pop("scopes_supported")

    assert {"openid", "fhirUser", "launch", "launch/patient", "offline_access"} <= set(scopes)
    assert {"patient/*.rs", "user/*.cruds", "system/*.rs", "patient/*.read"} <= set(scopes)
    assert said == {
        "issuer": "http://fhir.test",
        "jwks_uri": "http://fhir.test/auth/jwks",
        "authorization_endpoint": "http://fhir.test/auth/authorize",
        "token_endpoint": "http://fhir.test/auth/token",
        "introspection_endpoint": "http://fhir.test/auth/introspect",
        "revocation_endpoint": "http://fhir.test/auth/revoke",
        "management_endpoint": "http://fhir.test/auth/apps",
        "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token"],
        "token_endpoint_auth_methods_supported": [
            "private_key_jwt",
            "client_secret_basic",
            "client_secret_post",
            "none",
        ],
        "token_endpoint_auth_signing_alg_values_supported": ["RS384", "ES384"],
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
        "capabilities": capabilities,
        "associated_endpoints": [{"url": BASE, "capabilities": capabilities}],
    }


@pytest.mark.smart(387, 388, 406, 410, 411, 427, 428, 430, 431, 438, 360)
async def test_what_is_optional_is_said_where_the_operator_offers_it(
    tmp_path: Path, clock: Clock
) -> None:
    offering = made(
        tmp_path,
        clock,
        registration="open",
        brand_bundle="http://fhir.test/brands",
        brand_identifier={"system": "urn:ietf:rfc:3986", "value": "https://hospital.example"},
        style_url="http://fhir.test/auth/static/style.json",
    )
    said = json.loads(offering.server.discovery())
    assert said["registration_endpoint"] == "http://fhir.test/auth/register"
    assert said["user_access_brand_bundle"] == "http://fhir.test/brands"
    assert said["user_access_brand_identifier"]["value"] == "https://hospital.example"
    assert "context-style" in said["capabilities"]


async def test_openid_connect_is_discovered_at_the_issuer(house: House) -> None:
    answer = await house.http.get("/.well-known/openid-configuration")
    said = answer.json()
    assert answer.content == house.server.openid()
    assert answer.headers["content-type"] == "application/json"
    assert said["issuer"] == "http://fhir.test"
    assert said["id_token_signing_alg_values_supported"] == ["RS256"]
    assert said["subject_types_supported"] == ["public"]
    assert "authorization_response_iss_parameter_supported" not in said


@pytest.mark.smart(16, 207)
async def test_public_documents_may_be_read_by_any_page(house: House) -> None:
    for path in ("/.well-known/openid-configuration", "/auth/jwks"):
        answer = await house.http.get(path, headers=STRANGER)
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["cache-control"] == "public, max-age=3600"


@pytest.mark.smart(17)
async def test_pages_of_registered_origins_may_call_the_token_endpoint(house: House) -> None:
    asked = {"Access-Control-Request-Method": "POST"}
    preflight = await house.http.options("/auth/token", headers=APP | asked)
    answer = await house.http.post("/auth/token", data={"grant_type": "x"}, headers=APP)

    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-methods"] == "POST"
    assert preflight.headers["access-control-allow-headers"] == "Authorization, Content-Type"
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert "access-control-allow-credentials" not in answer.headers


async def test_pages_of_other_origins_may_not(house: House) -> None:
    preflight = await house.http.options("/auth/token", headers=STRANGER)
    answer = await house.http.post("/auth/token", data={"grant_type": "x"}, headers=STRANGER)
    assert preflight.status_code == 403
    assert "access-control-allow-origin" not in answer.headers
    assert not await house.server.origins.allows("null")


@pytest.mark.smart(207)
async def test_the_key_set_holds_public_keys_only(house: House) -> None:
    (key,) = (await house.http.get("/auth/jwks")).json()["keys"]
    assert set(key) == {"kty", "n", "e", "kid", "use", "alg"}
    assert (key["kty"], key["use"], key["alg"]) == ("RSA", "sig", "RS256")
    assert len(key["n"]) == 342  # 2048 bits


async def test_a_new_key_is_announced_before_it_signs(house: House) -> None:
    keys = house.server.keys
    old = await keys.signing()
    before = (await house.tokens())["id_token"]

    new = await keys.rotate()
    assert [one["kid"] for one in (await keys.published())["keys"]] == [old.kid, new]
    assert (await keys.signing()).kid == old.kid

    house.clock.at += 3_600_000_000
    assert (await keys.signing()).kid == new

    # An id_token of the last second before that lives for an hour more.
    house.clock.at += 3_600_000_000
    published = KeySet.import_key_set(await keys.published())
    assert jwt.decode(before, published, algorithms=["RS256"]).claims["sub"] == "anna"

    house.clock.at += 3_600_000_000
    assert [one["kid"] for one in (await keys.published())["keys"]] == [new]


async def test_the_first_key_is_made_once_and_kept(tmp_path: Path, clock: Clock) -> None:
    empty = made(tmp_path, clock)
    key = await Keys(empty.store, clock).signing()
    assert (await Keys(empty.store, clock).signing()).kid == key.kid
    assert key.public_key.key_size == 2048


async def test_a_clock_that_was_set_back_leaves_a_key_to_sign_with(
    tmp_path: Path, clock: Clock
) -> None:
    empty = made(tmp_path, clock)
    keys = empty.server.keys
    first = await keys.rotate()
    clock.at -= 86_400_000_000
    assert (await keys.signing()).kid == first


async def test_a_key_that_another_process_made_is_seen_soon(house: House) -> None:
    await house.server.keys.published()
    new = await Keys(house.store, house.clock).rotate()
    house.clock.at += 10_000_000
    assert new in [one["kid"] for one in (await house.server.keys.published())["keys"]]
