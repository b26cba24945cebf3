"""How clients prove who they are: secrets, signed assertions, and what proves nothing."""

import base64
import hashlib
import hmac
import json
import warnings
from dataclasses import replace
from typing import Any

import anyio
import pytest
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from server.auth.records import Client
from tests.auth.oauth.house import (
    CALLBACK,
    EC,
    OTHER_RSA,
    RSA,
    SECRET,
    TOKEN,
    VERIFIER,
    House,
)
from tests.rest.house import START

NOW = START // 1_000_000


async def exchange(house: House, client: str, **more: Any) -> tuple[int, str]:
    form = {
        "grant_type": "authorization_code",
        "code": await house.code(client_id=client),
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
    }
    auth = more.pop("auth", None)
    answer = (
        await house.post("token", form | more, auth=auth)
        if auth
        else await house.post("token", form | more)
    )
    return answer.status_code, answer.json().get("error", "")


@pytest.mark.smart(356)
async def test_a_secret_proves_a_client_in_the_way_that_it_is_registered_for(house: House) -> None:
    assert await exchange(house, "basic", auth=("basic", SECRET)) == (200, "")
    assert await exchange(house, "post", client_id="post", client_secret=SECRET) == (200, "")


@pytest.mark.parametrize(
    ("client", "more"),
    [
        ("basic", {"auth": ("basic", "wrong")}),
        ("basic", {"auth": ("basic", "")}),
        ("basic", {"auth": ("nobody", SECRET)}),
        ("basic", {"client_id": "basic", "client_secret": SECRET}),
        ("basic", {"client_id": "basic"}),
        ("post", {"auth": ("post", SECRET)}),
        ("post", {"client_id": "post", "client_secret": "wrong"}),
        ("signed", {"auth": ("signed", SECRET)}),
        ("signed", {"client_id": "signed"}),
        ("app", {"auth": ("app", SECRET)}),
        ("app", {"client_id": "app", "client_secret": SECRET}),
    ],
)
async def test_no_other_way_proves_a_client(
    house: House, client: str, more: dict[str, Any]
) -> None:
    assert await exchange(house, client, **more) == (401, "invalid_client")


async def test_two_ways_at_once_are_refused(house: House) -> None:
    more: dict[str, Any] = {"auth": ("basic", SECRET), "client_id": "basic"}
    assert await exchange(house, "basic", **more) == (200, "")
    more["client_secret"] = SECRET
    assert await exchange(house, "basic", **more) == (400, "invalid_request")


@pytest.mark.parametrize("sent", ["Basic", "Basic !!!", "Basic /w==", "Basic YWJj", "Digest x"])
async def test_a_broken_authorization_header_is_refused(house: House, sent: str) -> None:
    answer = await house.http.post(
        "/auth/token",
        data={"grant_type": "refresh_token", "refresh_token": "x"},
        headers={"Authorization": sent},
    )
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert answer.headers["www-authenticate"].startswith("Basic ")


@pytest.mark.smart(297, 310, 335, 357)
@pytest.mark.parametrize(("key", "alg"), [(RSA, "RS384"), (EC, "ES384")])
async def test_a_signature_proves_an_app(house: House, key: RSAKey | ECKey, alg: str) -> None:
    assertion = house.assertion(key, alg, iss="signed", sub="signed")
    more = {
        "client_assertion": assertion,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    }
    assert await exchange(house, "signed", **more) == (200, "")


@pytest.mark.smart(240, 241, 249, 250, 253, 254, 255, 256, 257, 258, 261, 262, 142)
async def test_a_backend_service_gets_a_token_of_five_minutes(house: House) -> None:
    answer = await house.backend(house.assertion(), scope="system/Observation.rs introspect")
    body = answer.json()
    token = body.pop("access_token")

    assert answer.status_code == 200
    assert body == {
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": "system/Observation.rs introspect",
    }
    assert await house.opens(token)
    house.clock.at += 300_000_000
    assert not await house.opens(token)


@pytest.mark.smart(248)
async def test_a_backend_service_gets_no_refresh_token(house: House) -> None:
    assert "refresh_token" not in (await house.backend(house.assertion(EC, "ES384"))).json()


@pytest.mark.parametrize(
    "scope",
    [
        None,
        "",
        "system/*.cruds",
        "system/Patient.c",
        "system/Observation.rs system/Patient.u",
        "user/*.rs",
        "patient/Observation.rs",
        "system/Nothing.rs",
        "system/Observation.rs?no-such-parameter=1",
        "openid system/Observation.rs",
        "system/Observation.rs offline_access",
        "admin/users",
    ],
)
@pytest.mark.smart(250)
async def test_a_backend_service_gets_nothing_but_what_was_agreed(
    house: House, scope: str | None
) -> None:
    answer = await house.backend(house.assertion(), scope=scope)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")


@pytest.mark.smart(344)
async def test_client_credentials_are_for_clients_that_sign(house: House) -> None:
    body = {"grant_type": "client_credentials", "scope": "system/*.rs"}
    answer = await house.post("token", body, auth=("basic", SECRET))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    answer = await house.backend(house.assertion(iss="signed", sub="signed"))
    assert (answer.status_code, answer.json()["error"]) == (400, "unauthorized_client")


def by_hand(header: dict[str, Any], house: House, sign: Any) -> str:
    """Return an assertion with any header; ``sign`` makes the signature of the text before it."""

    def part(raw: bytes) -> str:
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    payload = house.assertion().split(".")[1]
    text = f"{part(json.dumps(header).encode())}.{payload}"
    return f"{text}.{part(sign(text.encode()))}"


def escaped(assertion: str) -> str:
    """Return an assertion in which half a surrogate pair stands for ``HALF``, signed again."""
    payload = jws.extract_compact(assertion.encode()).payload.replace(b"HALF", b"\\ud800")
    return jws.serialize_compact({"alg": "RS384", "kid": "rsa"}, payload, RSA, ["RS384"])


ANY = RSAKey.import_key(RSA.as_pem(private=True), {"kid": "rsa"})  # for any algorithm
PEM = RSA.as_pem(private=False)


@pytest.mark.smart(335, 338, 340, 251, 337)
@pytest.mark.parametrize(
    "made",
    [
        lambda house: house.assertion(OTHER_RSA),
        lambda house: house.assertion(header={"kid": None}),
        lambda house: house.assertion(header={"kid": "unknown"}),
        lambda house: house.assertion(header={"kid": "ec"}),
        lambda house: by_hand({"alg": "RS384", "kid": 1}, house, lambda _: b"x"),
        lambda house: house.assertion(header={"typ": "at+jwt"}),
        lambda house: house.assertion(EC, "ES384", header={"kid": "rsa"}),
        lambda house: house.assertion(header={"jku": "https://evil.example/jwks"}),
        lambda house: house.assertion(exp=None),
        lambda house: house.assertion(exp=NOW - 11),
        lambda house: house.assertion(exp=NOW + 311),
        lambda house: house.assertion(exp=NOW + 315_360_000),
        lambda house: house.assertion(exp="soon"),
        lambda house: house.assertion(exp=True),
        lambda house: house.assertion(exp=1e30),
        lambda house: house.assertion(nbf=NOW + 60),
        lambda house: house.assertion(iat=NOW + 60),
        lambda house: house.assertion(iat="now"),
        lambda house: house.assertion(jti=None),
        lambda house: house.assertion(jti=""),
        lambda house: house.assertion(jti=7),
        lambda house: house.assertion(jti="j" * 257),
        lambda house: escaped(house.assertion(jti="HALF")),
        lambda house: escaped(house.assertion(iss="HALF", sub="HALF")),
        lambda house: house.assertion(aud=None),
        lambda house: house.assertion(aud="https://other.example/auth/token"),
        lambda house: house.assertion(aud=TOKEN + "/"),
        lambda house: house.assertion(aud="http://fhir.test"),
        lambda house: house.assertion(iss="signed"),
        lambda house: house.assertion(sub="signed"),
        lambda house: house.assertion(sub=None),
        lambda house: house.assertion(sub=["backend"]),
        lambda house: house.assertion(iss="nobody", sub="nobody"),
        lambda house: house.assertion(iss="basic", sub="basic"),
        lambda house: house.assertion(ANY, "RS256"),
        lambda house: house.assertion(ANY, "PS384"),
        lambda house: by_hand({"alg": "none", "kid": "rsa"}, house, lambda _: b""),
        lambda house: by_hand(
            {"alg": "HS256", "kid": "rsa"},
            house,
            lambda text: hmac.new(PEM, text, hashlib.sha256).digest(),
        ),
        lambda house: by_hand(
            {"alg": "HS384", "kid": "rsa"},
            house,
            lambda text: hmac.new(PEM, text, hashlib.sha384).digest(),
        ),
        lambda house: by_hand({"alg": "RS384", "kid": "rsa"}, house, lambda _: b""),
        lambda house: by_hand({"alg": ["RS384"], "kid": "rsa"}, house, lambda _: b"x"),
        lambda house: by_hand(
            {"alg": "RS384", "kid": "rsa", "crit": ["x"], "x": 1}, house, lambda _: b"x"
        ),
        lambda house: house.assertion() + "A",
        lambda house: house.assertion().rpartition(".")[0] + ".",
        lambda house: "a.b.c",
        lambda house: "",
        lambda house: "…",
        lambda house: base64.urlsafe_b64encode(b"[" * 20_000).decode().rstrip("=") + ".e30.x",
    ],
)
async def test_an_assertion_that_is_not_right_proves_nothing(house: House, made: Any) -> None:
    answer = await house.backend(made(house))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert (await house.backend(house.assertion())).status_code == 200


@pytest.mark.smart(336)
async def test_an_assertion_is_good_for_one_use(any_house: House) -> None:
    house, assertion = any_house, any_house.assertion()
    assert (await house.backend(assertion)).status_code == 200
    assert (await house.backend(assertion)).json()["error"] == "invalid_client"
    house.clock.at += 249_000_000  # a second before it would be refused for its age
    answer = (await house.backend(assertion)).json()
    assert answer["error_description"] == "the assertion was used before (jti)"


@pytest.mark.smart(336)
async def test_of_racing_uses_of_an_assertion_one_succeeds(any_house: House) -> None:
    house, answers, assertion = any_house, [], any_house.assertion()

    async def use() -> None:
        answers.append((await house.backend(assertion)).status_code)

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(use)
    assert sorted(answers) == [200] + [401] * 7


async def test_the_same_jti_of_another_client_is_another(house: House) -> None:
    assert (await house.backend(house.assertion(jti="one"))).status_code == 200
    far = house.assertion(jti="one", iss="far", sub="far")
    assert (await house.backend(far)).status_code == 200


async def test_the_client_id_beside_an_assertion_must_be_the_same(house: House) -> None:
    answer = await house.backend(house.assertion(), client_id="far")
    assert answer.json()["error"] == "invalid_client"
    assert (await house.backend(house.assertion(), client_id="backend")).status_code == 200


async def test_the_type_of_an_assertion_must_be_that_of_a_jwt(house: House) -> None:
    for sent in (None, "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"):
        answer = await house.backend(house.assertion(), client_assertion_type=sent)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


async def test_two_keys_of_one_kid_prove_nothing(house: House) -> None:
    public = [RSA.as_dict(private=False), OTHER_RSA.as_dict(private=False)]
    two = Client(
        "two",
        "Two keys",
        auth="private_key_jwt",
        jwks={"keys": public},
        scope="system/*.rs",
        grants=("client_credentials",),
    )
    await house.keep(two, "two", "client")
    answer = await house.backend(house.assertion(iss="two", sub="two"))
    assert answer.json()["error_description"] == "the client has more than one key of this kid"


@pytest.mark.smart(296, 326, 338, 339, 342)
async def test_keys_are_fetched_from_the_registered_address_and_cached(house: House) -> None:
    for header in (None, {"jku": "https://far.example/jwks"}):
        answer = await house.backend(house.assertion(iss="far", sub="far", header=header))
        assert answer.status_code == 200
    assert house.web.asked == ["https://far.example/jwks"]


@pytest.mark.smart(341)
@pytest.mark.parametrize(
    ("cache_control", "fetches"),
    [("max-age=120", 1), ("max-age=5", 2), ("no-store", 2), ("", 2), ("max-age=0", 2)],
)
async def test_keys_are_cached_no_longer_than_their_header_says(
    house: House, cache_control: str, fetches: int
) -> None:
    house.web.headers["cache-control"] = cache_control
    await house.backend(house.assertion(iss="far", sub="far"))
    house.clock.at += 5_000_000
    await house.backend(house.assertion(iss="far", sub="far"))
    assert len(house.web.asked) == fetches


async def test_a_key_set_that_comes_slowly_holds_nobody_up(house: House) -> None:
    house.web.slow, answers = anyio.Event(), []
    far = Client(
        "far2",
        "Elsewhere too",
        auth="private_key_jwt",
        jwks_uri="https://far2.example/jwks",
        scope="system/*.rs",
        grants=("client_credentials",),
    )
    await house.keep(far, "far2", "client")

    async def use(client: str) -> None:
        answer = await house.backend(house.assertion(iss=client, sub=client))
        answers.append(answer.status_code)

    async with anyio.create_task_group() as group:
        for client in ("far", "far2") * 10:
            group.start_soon(use, client)
        await anyio.wait_all_tasks_blocked()
        assert (await house.backend(house.assertion())).status_code == 200
        assert sorted(house.web.asked) == ["https://far.example/jwks", "https://far2.example/jwks"]
        house.web.slow.set()
    assert answers == [200] * 20
    assert len(house.web.asked) == 2


async def test_all_who_wait_for_a_key_set_share_one_look_at_it(house: House) -> None:
    house.web.slow, answers = anyio.Event(), []
    house.web.headers.clear()  # nothing may be kept

    async def use() -> None:
        answer = await house.backend(house.assertion(iss="far", sub="far"))
        answers.append(answer.status_code)

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(use)
        await anyio.wait_all_tasks_blocked()
        house.clock.at += 1_000_000
        house.web.slow.set()
    assert answers == [200] * 10
    assert len(house.web.asked) == 1


async def test_a_host_that_gives_no_key_set_is_not_asked_by_each_request(house: House) -> None:
    right = house.web.answer
    house.web.answer = replace(right, status=503)
    for _ in range(5):
        assert (await house.backend(house.assertion(iss="far", sub="far"))).status_code == 401
        house.clock.at += 900_000
    assert len(house.web.asked) == 1
    house.clock.at += 1_000_000
    house.web.answer = right
    assert (await house.backend(house.assertion(iss="far", sub="far"))).status_code == 200


async def test_a_client_that_is_not_let_in_is_told_what_can_be_wrong(house: House) -> None:
    answer = await house.http.post("/auth/token", data={"grant_type": "refresh_token"})
    assert answer.json() == {
        "error": "invalid_client",
        "error_description": "the client is unknown, its secret is wrong, or it does not prove "
        "itself in the way that it is registered for",
    }


async def test_a_new_key_of_a_client_is_found_within_a_minute(house: House) -> None:
    assert (await house.backend(house.assertion(iss="far", sub="far"))).status_code == 200
    house.web.publish(RSA, EC)
    new = {"iss": "far", "sub": "far"}
    assert (await house.backend(house.assertion(EC, "ES384", **new))).status_code == 401
    house.clock.at += 60_000_000
    assert (await house.backend(house.assertion(EC, "ES384", **new))).status_code == 200
    assert len(house.web.asked) == 2


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"keys": 1}', b'{"keys": [1, {}]}', b"<x>"])
async def test_a_key_set_that_is_none_proves_nothing(house: House, body: bytes) -> None:
    house.web.answer = house.web.answer.__class__(200, {}, body)
    answer = await house.backend(house.assertion(iss="far", sub="far"))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


async def test_jku_is_never_fetched_from_anywhere_else(house: House) -> None:
    header = {"jku": "https://evil.example/jwks"}
    await house.backend(house.assertion(iss="far", sub="far", header=header))
    assert house.web.asked == []


async def test_a_weak_key_proves_nothing(house: House) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        weak = RSAKey.generate_key(1024, {"kid": "weak", "use": "sig", "alg": "RS384"})
    kept = Client(
        "weak",
        "Weak key",
        auth="private_key_jwt",
        jwks={"keys": [weak.as_dict(private=False)]},
        scope="system/*.rs",
        grants=("client_credentials",),
    )
    await house.keep(kept, "weak", "client")
    answer = await house.backend(house.assertion(weak, iss="weak", sub="weak"))
    assert answer.json()["error"] == "invalid_client"
