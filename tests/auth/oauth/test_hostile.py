"""Whatever is sent, the answer is an error of OAuth, and nothing is told that should not be."""

import random
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.auth.oauth.house import BEARER, CALLBACK, VERIFIER, House, request

NASTY = (
    "",
    " ",
    '"',
    "\\",
    "\x00",
    "\r\nSet-Cookie: a=b",
    "é",
    "\U0001f600",
    "\ud7ff",
    "a" * 5000,
    "%",
    "%zz",
    "<script>alert(1)</script>",
    "https://evil.example",
    "//evil.example",
    "code",
    "none",
    "patient/*.*",
    "system/*.cruds",
    "launch",
    "app",
    "basic",
    "authorization_code",
    "refresh_token",
    "client_credentials",
    BEARER,
    "eyJhbGciOiJub25lIn0.eyJzdWIiOiJiYWNrZW5kIn0.",
    CALLBACK,
    VERIFIER,
)
NAMES = (
    "grant_type",
    "code",
    "redirect_uri",
    "client_id",
    "client_secret",
    "code_verifier",
    "refresh_token",
    "scope",
    "client_assertion",
    "client_assertion_type",
    "token",
    "token_type_hint",
    "\x00",
)
ERRORS = {
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "invalid_scope",
    "unauthorized_client",
    "unsupported_grant_type",
}


@pytest.mark.parametrize("seed", range(4))
async def test_no_authorization_request_breaks_the_server(house: House, seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(60):
        sent = {name: value for name, value in request().items() if value is not None}
        for name in dice.sample(sorted(sent), dice.randint(1, 3)):
            sent[name] = dice.choice(NASTY)
        answer = await house.ask(dice.choice(("GET", "POST")), **dict(sent))
        if answer.status_code == 303:
            to = urlsplit(answer.headers["location"])
            assert f"{to.scheme}://{to.netloc}{to.path}" == CALLBACK
            assert {"code", "error"} & dict(parse_qsl(to.query)).keys()
            assert "\r" not in answer.headers["location"]
        else:
            assert answer.status_code == 400


@pytest.mark.smart(251, 340)
@pytest.mark.parametrize("seed", range(4))
async def test_no_form_breaks_the_endpoints(house: House, seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(60):
        form: dict[str, str | None] = {
            name: dice.choice(NASTY) for name in dice.sample(NAMES, dice.randint(1, 6))
        }
        headers = {}
        if dice.random() < 0.3:
            scheme = dice.choice(("Basic ", "Bearer ", "bearer", "Basic YXBwOmFwcA=="))
            headers["Authorization"] = (scheme + dice.choice(("", "x", "=", "Og=="))).encode()
        for endpoint in ("token", "introspect", "revoke"):
            answer = await house.post(endpoint, form, headers=headers)
            said = answer.json()
            if endpoint == "revoke" and answer.status_code == 200:
                assert said == {}  # of a public client, which is taken at its word
                continue
            assert answer.status_code in (400, 401)
            assert said["error"] in ERRORS | {"invalid_token"}
            assert set(said) <= {"error", "error_description"}
            assert answer.headers["cache-control"] == "no-store"
            described = said.get("error_description", "")
            assert not any(len(bad) > 30 and bad in described for bad in NASTY)


async def test_endpoints_take_posts_only(house: House) -> None:
    for endpoint in ("token", "introspect", "revoke"):
        assert (await house.http.get(f"/auth/{endpoint}")).status_code == 405


async def test_what_was_sent_is_not_repeated_in_a_redirect(house: House) -> None:
    answer = await house.ask(scope='x"<alert>', response_type='code"<alert>')
    assert "alert" not in answer.headers["location"]


async def test_a_stranger_cannot_fill_the_disk_with_what_is_told_to_audit(house: House) -> None:
    for _ in range(30):
        await house.post("token", {"grant_type": "refresh_token", "refresh_token": "x"})
        await house.ask(scope="nonsense")
    assert len(house.ear.heard) == 20
    assert house.ear.counted == ["127.0.0.1"] * 40
    house.clock.at += 60_000_000
    for _ in range(30):
        await house.post("token", {"grant_type": "refresh_token", "refresh_token": "x"})
    assert len(house.ear.heard) == 30
