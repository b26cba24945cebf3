"""Apps register themselves, where the operator lets them.  RFC 7591."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from server.auth.limits import Limits, Rate
from server.auth.oauth.register import (
    is_registration_token,
    new_registration_token,
    registration_tokens,
    remove_registration_token,
)
from tests.auth.oauth.house import RSA, House
from tests.auth.oauth.house import house as made
from tests.rest.house import Clock

APP = {
    "client_name": "My app",
    "redirect_uris": ["https://mine.example/cb"],
    "token_endpoint_auth_method": "none",
    "scope": "launch/patient openid fhirUser patient/*.rs",
}


@pytest.fixture
async def open_house(tmp_path: Path, clock: Clock) -> AsyncIterator[House]:
    built = made(tmp_path, clock, registration="open")
    await built.furnish()
    yield built
    await built.store.close()


async def register(house: House, **changed: Any) -> Any:
    body = {name: value for name, value in (APP | changed).items() if value is not None}
    return await house.http.post("/auth/register", json=body)


async def test_registration_is_off_unless_asked_for(house: House) -> None:
    assert (await register(house)).status_code == 404


@pytest.mark.smart(19, 24, 316)
async def test_a_public_app_registers_and_is_used(open_house: House) -> None:
    answer = await register(open_house)
    said = answer.json()
    id_ = said.pop("client_id")

    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    assert said == {
        "client_id_issued_at": 1767323045,
        "client_name": "My app",
        "redirect_uris": ["https://mine.example/cb"],
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
        "scope": "launch/patient openid fhirUser patient/*.rs",
    }
    asked = await open_house.ask(client_id=id_, redirect_uri="https://mine.example/cb")
    assert asked.headers["location"].startswith("https://mine.example/cb?code=")


async def test_a_client_with_a_secret_is_told_it_once(open_house: House) -> None:
    said = (await register(open_house, token_endpoint_auth_method=None)).json()
    assert said["token_endpoint_auth_method"] == "client_secret_basic"
    assert said["client_secret_expires_at"] == 0
    auth = (said["client_id"], said["client_secret"])

    answer = await open_house.post("introspect", {"token": "x"}, auth=auth)
    assert answer.json() == {"active": False}
    record = await open_house.store.get_record("client", said["client_id"])
    assert record is not None
    assert said["client_secret"].encode() not in record.value


@pytest.mark.smart(296, 297)
@pytest.mark.parametrize(
    "keys",
    [
        {"jwks": {"keys": [RSA.as_dict(private=False)]}},
        {"jwks_uri": "https://mine.example/jwks"},
    ],
)
async def test_a_client_that_signs_registers_its_keys(
    open_house: House, keys: dict[str, Any]
) -> None:
    answer = await register(open_house, token_endpoint_auth_method="private_key_jwt", **keys)
    assert answer.status_code == 201
    assert {name: answer.json()[name] for name in keys} == keys


@pytest.mark.parametrize(
    "address",
    [
        "http://mine.example/cb",
        "https://mine.example/cb#x",
        "javascript:alert(1)",
        "data:text/html,x",
        "https://*.example/cb",
        "https://user@mine.example/cb",
        "myapp:/cb",
        "https://mine.example;frame-ancestors/cb",
        "https://mine.example,x/cb",
        "https://mine'example/cb",
        "/cb",
        "",
    ],
)
async def test_only_safe_addresses_can_be_redirected_to(open_house: House, address: str) -> None:
    answer = await register(open_house, redirect_uris=[address])
    assert answer.status_code == 400
    assert answer.json()["error"] in ("invalid_redirect_uri", "invalid_client_metadata")


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:8000/cb", "http://localhost/cb", "org.example.app:/cb"]
)
async def test_native_apps_can_register(open_house: House, address: str) -> None:
    assert (await register(open_house, redirect_uris=[address])).status_code == 201


@pytest.mark.parametrize(
    "changed",
    [
        {"redirect_uris": None},
        {"redirect_uris": []},
        {"redirect_uris": "https://mine.example/cb"},
        {"redirect_uris": [1]},
        {"grant_types": ["client_credentials"]},
        {"grant_types": ["refresh_token"]},
        {"grant_types": ["implicit"]},
        {"response_types": ["token"]},
        {"token_endpoint_auth_method": "tls_client_auth"},
        {"token_endpoint_auth_method": ["none"]},
        {"token_endpoint_auth_method": "private_key_jwt"},
        {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": []}},
        {
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": {"keys": [RSA.as_dict(private=True)]},
        },
        {"token_endpoint_auth_method": "private_key_jwt", "jwks": "x"},
        {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "http://10.0.0.1/jwks"},
        {"scope": "system/*.rs"},
        {"scope": 7},
        {"client_name": "x" * 200},
        {"client_name": ["x"]},
    ],
)
async def test_what_cannot_be_registered_is_refused(
    open_house: House, changed: dict[str, Any]
) -> None:
    answer = await register(open_house, **changed)
    assert answer.status_code == 400
    assert answer.json()["error"] in ("invalid_redirect_uri", "invalid_client_metadata")


async def test_an_app_gets_no_more_scope_than_registration_gives(open_house: House) -> None:
    answer = await register(open_house, scope="patient/*.cruds system/*.rs introspect admin/users")
    assert answer.json()["scope"] == "patient/*.rs"


@pytest.mark.parametrize("body", [b"", b"[]", b"x", b"{" * 5000, b" " * 70_000])
async def test_a_body_that_is_no_object_is_refused(open_house: House, body: bytes) -> None:
    answer = await open_house.http.post("/auth/register", content=body)
    assert answer.status_code in (400, 413)


async def test_registration_may_ask_for_an_initial_token(tmp_path: Path, clock: Clock) -> None:
    house = made(tmp_path, clock, registration="token")
    await house.furnish()
    token = await new_registration_token(house.store, "a partner", clock())

    for sent in (None, "Bearer wrong", f"Basic {token}"):
        headers = {"Authorization": sent} if sent else {}
        answer = await house.http.post("/auth/register", json=APP, headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")
        assert answer.headers["www-authenticate"].startswith("Bearer ")
    headers = {"Authorization": f"Bearer {token}"}
    assert (await house.http.post("/auth/register", json=APP, headers=headers)).status_code == 201
    clock.at += 30 * 86_400_000_000
    assert (await house.http.post("/auth/register", json=APP, headers=headers)).status_code == 401


async def test_only_so_many_register_from_an_address(tmp_path: Path, clock: Clock) -> None:
    limits = Limits(clock, registration=Rate(2, 1))
    house = made(tmp_path, clock, registration="open", limits=limits)
    await house.furnish()
    try:
        found = [(await register(house)).status_code for _ in range(3)]
        clock.at += 60_000_000
        found.append((await register(house)).status_code)
    finally:
        await house.store.close()
    assert found == [201, 201, 429, 201]


async def test_only_so_many_are_registered_at_all(
    open_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = len(await open_house.store.find_records("client"))
    monkeypatch.setattr("server.auth.oauth.register.MOST_CLIENTS", there + 1)
    assert (await register(open_house)).status_code == 201
    answer = await register(open_house)
    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")


async def test_a_registration_token_is_listed_and_taken_back(open_house: House) -> None:
    store = open_house.store
    token = await new_registration_token(store, "a partner", open_house.clock())
    ((id_, name),) = await registration_tokens(store)
    assert (len(id_), name) == (12, "a partner")
    assert await remove_registration_token(store, id_[:-1]) is None
    assert await is_registration_token(store, token)
    assert await remove_registration_token(store, id_) == "a partner"
    assert not await is_registration_token(store, token)
