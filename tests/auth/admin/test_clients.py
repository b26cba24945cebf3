"""Programs that ask for access: what is kept, and what is refused before it is."""

from dataclasses import replace
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey

from server.auth.client_checks import check_client, check_redirect, origins_of
from server.auth.client_keys import check_keys, read_keys
from server.auth.clients import Clients, has_secret, new_secret, secret_to_keep
from server.auth.records import Client, Grant
from server.auth.unfit import Missing, Taken, Unfit
from server.store.port import RecordWrite, Store
from tests.contract.made import START

APP = Client(
    "app", "My app", redirect_uris=("https://app.example/cb",), scope="openid patient/*.rs"
)
EC: dict[str, Any] = dict(ECKey.generate_key("P-384", {"kid": "e"}).as_dict(private=False))


async def test_a_client_is_kept_and_found(clients: Clients) -> None:
    made = await clients.add(APP)

    assert made == replace(APP, created=START)
    assert await clients.get("app") == made
    assert await clients.list() == [made]
    assert await clients.get("") is None
    with pytest.raises(Taken):
        await clients.add(APP)


async def test_removing_a_client_ends_what_people_allowed_it(
    clients: Clients, store: Store
) -> None:
    await clients.add(APP)
    for user, client in (("anna", "app"), ("bob", "app"), ("bob", "other")):
        grant = Grant(f"{user}-{client}", client, user, "patient/*.rs")
        await store.commit([], records=[RecordWrite("grant", grant.id, grant.pack(), user)])

    await clients.remove("app")

    assert [one.key for one in await store.find_records("grant")] == ["bob-other"]
    with pytest.raises(Missing):
        await clients.remove("app")


@pytest.mark.parametrize(
    "address",
    [
        "https://app.example/cb",
        "https://app.example:8443/cb?tenant=1",
        "http://localhost:3000/",
        "http://127.0.0.1/cb",
        "http://[::1]:9000/cb",
        "org.example.app:/callback",
        "org.example.app://callback",
    ],
)
def test_an_exact_address_may_be_redirected_to(address: str) -> None:
    check_redirect(address)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "/cb",
        "app.example/cb",
        "http://app.example/cb",
        "http://localhost.evil.example/cb",
        "http://127.0.0.1.evil.example/cb",
        "https://app.example/cb#x",
        "https://*.example/cb",
        "https://user@app.example/cb",
        "https:///cb",
        "https://app.example:port/cb",
        "https://app.example/a b",
        "https://app.example\\@evil.example/",
        "https://äpp.example/",
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "myapp://cb",
        "https://app.example/" + "x" * 2000,
    ],
)
def test_what_is_open_to_interpretation_is_no_redirect_address(address: str) -> None:
    with pytest.raises(Unfit):
        check_redirect(address)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"id": "a b"}, "a client's id"),
        ({"id": "token"}, "callers of its own"),
        ({"name": " "}, "a name"),
        ({"redirect_uris": ()}, "needs a redirect address"),
        ({"scope": "openid opnid patient/*.rx"}, "not understood as scopes: opnid patient/*.rx"),
        ({"grants": ("password",)}, "a grant is one of"),
        ({"grants": ()}, "a grant is one of"),
        ({"grants": ("client_credentials",)}, "clients that sign"),
        ({"auth": "client_secret_basic"}, "has a secret when"),
        ({"secret": "0" * 64}, "has a secret when"),
        ({"auth": "private_key_jwt"}, "a key set or its address"),
        ({"jwks": {"keys": [EC]}}, "a key set or its address"),
        ({"origins": ("https://app.example/",)}, "not an origin"),
        ({"origins": ("*",)}, "no wildcard"),
        ({"launch_uri": "http://app.example/launch"}, "not https"),
    ],
)
def test_a_client_that_could_not_work_is_refused(bad: dict[str, Any], why: str) -> None:
    with pytest.raises(Unfit, match=why.replace("*", r"\*")):
        check_client(replace(APP, **bad))


def test_pages_call_from_where_logins_return_to_unless_said_otherwise() -> None:
    app = replace(APP, redirect_uris=("https://App.example/cb", "org.example.app:/cb"))

    assert origins_of(app) == {"https://app.example"}
    assert origins_of(replace(app, origins=("https://b.example",))) == {"https://b.example"}


def test_a_secret_is_long_and_kept_as_a_hash() -> None:
    secret = new_secret()
    app = replace(APP, auth="client_secret_basic", secret=secret_to_keep(secret))

    assert secret not in str(app)
    assert has_secret(app, secret)
    assert not has_secret(app, secret + "x")
    assert not has_secret(APP, "")
    for bad in ("short", "a" * 40, "ä" * 40):
        with pytest.raises(Unfit):
            secret_to_keep(bad)


def test_public_keys_that_sign_rs384_or_es384_are_taken() -> None:
    rsa = dict(RSAKey.generate_key(2048, {"kid": "r", "alg": "RS384"}).as_dict(private=False))

    assert check_keys({"keys": [EC, rsa]}) == {"keys": [EC, rsa]}


def private(key: Any) -> dict[str, Any]:
    return dict(key.as_dict(private=True))


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ([], "1 to 50 keys"),
        ("x", "1 to 50 keys"),
        ([EC] * 51, "1 to 50 keys"),
        ([EC, EC], "same kid"),
        ([{**EC, "kid": ""}], "has a kid"),
        ([{k: v for k, v in EC.items() if k != "kid"}], "has a kid"),
        (["x"], "not an object"),
        ([private(ECKey.generate_key("P-384", {"kid": "e"}))], "holds a secret"),
        ([private(OctKey.generate_key(256, {"kid": "o"}))], "holds a secret"),
        ([{"kty": "oct", "kid": "o"}], "holds a secret"),
        ([{**EC, "alg": "ES256"}], "no key of the set signs"),
        ([{**EC, "use": "enc"}], "no key of the set signs"),
        ([{**EC, "x": "AAAA"}], "cannot be read"),
        ([{**EC, "note": "\ud800"}], "cannot be kept"),
        ([{**EC, "kid": "\ud800"}], "cannot be kept"),
        ([{**EC, "note": 2**64}], "cannot be kept"),
        ([{"kty": "RSA", "kid": "r"}], "cannot be read"),
        ([{"kty": "RSA", "kid": "r", "n": "AQ", "e": 3}], "cannot be read"),
        ([{"kty": "new", "kid": "n"}], "no key of the set signs"),
        (
            [dict(ECKey.generate_key("P-256", {"kid": "e"}).as_dict(private=False))],
            "no key of the set signs",
        ),
    ],
)
def test_a_key_set_that_nobody_can_sign_by_is_refused(keys: Any, why: str) -> None:
    with pytest.raises(Unfit, match=why):
        check_keys({"keys": keys})


@pytest.mark.filterwarnings("ignore")
def test_a_short_rsa_key_is_not_taken() -> None:
    short = dict(RSAKey.generate_key(1024, {"kid": "r"}).as_dict(private=False))
    with pytest.raises(Unfit, match="no key of the set signs"):
        check_keys({"keys": [short]})


def test_a_file_that_is_no_json_is_told_of() -> None:
    with pytest.raises(Unfit, match="not JSON"):
        read_keys(b"-----BEGIN PUBLIC KEY-----")
