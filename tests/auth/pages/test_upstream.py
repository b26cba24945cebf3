"""Login by an external OpenID provider: a second server of ours, and one that lies."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from server.auth.pages import Provider, Upstream
from server.auth.records import Session
from server.safe_client import SafeClient
from tests.auth.pages.house import PASSWORD, START, Browser, House, Page, allow, opened
from tests.auth.pages.sockets import serving

ISSUER_HOST = "localhost"  # cookies know no ports: the two servers need two names
SCOPE = "openid"


@asynccontextmanager
async def provider(**more: Any) -> AsyncIterator[tuple[House, str]]:
    """A server of ours as the provider; it and its issuer."""
    async with opened() as inner:
        made: list[House] = []

        def make(port: int) -> Any:
            house = House(inner.store, inner.clock, f"http://{ISSUER_HOST}:{port}", **more)
            made.append(house)
            return house.app

        async with serving(make) as port:
            yield made[0], f"http://{ISSUER_HOST}:{port}"


@asynccontextmanager
async def relying(issuer: str, **more: Any) -> AsyncIterator[House]:
    """A server where people may log in by the provider."""
    web = SafeClient(allowed=(issuer,))
    try:
        async with opened() as house:
            upstream = Upstream(
                Provider(issuer, "record", label="Log in with the hospital", **more),
                web,
                house.clock,
            )
            object.__setattr__(house.context, "upstream", upstream)
            yield house
    finally:
        await web.close()


async def at_provider(house: House, address: str, name: str = "anna") -> str:
    """Log in at the provider and allow it; where the browser is sent then."""
    browser = house.browser()
    await browser.log_in(name)
    page = await browser.get(address.removeprefix(house.origin))
    assert page.title == "Allow The record? – Tellonce", page.words
    back = await allow(browser, page)
    return back.location


async def leave(browser: Browser, wanted: str = "/auth/apps") -> Page:
    return await browser.get(f"/auth/upstream/login?{urlencode({'next': wanted})}", follow=False)


async def test_a_person_logs_in_by_a_provider_and_goes_where_they_wanted() -> None:
    async with provider() as (idp, issuer), relying(issuer, aud=f"{issuer}/fhir") as house:
        await register(idp, house)
        await house.users.add(
            "ann", roles=["patient"], fhir_user="Patient/anna", external=f"{issuer} anna"
        )
        browser = house.browser()
        form = await browser.get("/auth/apps")
        assert "Log in with the hospital" in form.words
        away = await leave(browser)
        asked = parse_qs(urlsplit(away.location).query)
        assert away.location.startswith(f"{issuer}/auth/authorize?")
        assert asked["code_challenge_method"] == ["S256"]
        assert len(asked["nonce"][0]) == len(asked["state"][0]) == 43
        back = await at_provider(idp, away.location)
        page = await browser.get(back)
        assert page.title == "Apps with access – Tellonce"
        assert "Logged in as ann" in page.words
        assert "__Host-tellonce-upstream" not in browser.client.cookies


async def test_who_has_no_user_here_is_told_what_to_ask_for() -> None:
    async with provider() as (idp, issuer), relying(issuer, aud=f"{issuer}/fhir") as house:
        await register(idp, house)
        browser = house.browser()
        page = await browser.get(await at_provider(idp, (await leave(browser)).location))
        assert (page.status, page.title) == (403, "You are not known here – Tellonce")
        assert f"{issuer} anna" in page.words
        assert await house.store.find_records(Session.KIND) == []


async def test_a_provider_that_does_not_answer_is_told() -> None:
    async with relying("http://localhost:1") as house:
        page = await leave(house.browser())
        assert (page.status, page.title) == (502, "The other login did not work – Tellonce")
        assert "Nobody was logged in." in page.words


async def test_without_a_provider_there_is_no_such_page(browser: Browser) -> None:
    assert (await leave(browser)).status == 404
    assert (await browser.get("/auth/upstream/callback?code=x&state=y")).status == 404


async def test_a_password_may_be_of_no_use() -> None:
    async with relying("http://localhost:1") as house:
        object.__setattr__(house.context, "password_login", False)
        browser = house.browser()
        form = await browser.get("/auth/login")
        assert 'name="password"' not in form.text
        token = sha256(f"csrf {browser.client.cookies['__Host-tellonce-visit']}".encode())
        fields = {"csrf": token.hexdigest(), "name": "anna", "password": PASSWORD}
        page = await browser.post("/auth/login", fields)
        assert page.status == 403
        assert await house.store.find_records(Session.KIND) == []


async def register(idp: House, house: House) -> None:
    await idp.add_client(
        "record",
        name="The record",
        redirect_uris=(f"{house.origin}/auth/upstream/callback",),
        scope=SCOPE,
        launch_uri=None,
    )


KEY = RSAKey.generate_key(2048, {"kid": "k1", "alg": "RS256", "use": "sig"})
OTHER = RSAKey.generate_key(2048, {"kid": "k1", "alg": "RS256", "use": "sig"})


@dataclass
class Liar:
    """A provider that answers what a test tells it to."""

    issuer: str = ""
    nonce: str = ""
    claims: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    sign: Callable[[dict[str, Any]], str] = lambda claims: jwt.encode(
        {"alg": "RS256", "kid": "k1"}, claims, KEY
    )
    forms: list[dict[str, str]] = field(default_factory=list)
    keys: Any = field(default_factory=lambda: [KEY.as_dict(private=False)])

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        if path == "/.well-known/openid-configuration":
            body: dict[str, Any] = {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/go",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/jwks",
                **self.metadata,
            }
        elif path == "/jwks":
            body = {"keys": self.keys}
        else:
            sent = (await receive())["body"].decode()
            self.forms.append({name: value[0] for name, value in parse_qs(sent).items()})
            body = {"access_token": "t", "token_type": "Bearer", "id_token": self.token()}
        content = json.dumps(body).encode()
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def token(self) -> str:
        now = START // 1_000_000
        honest = {
            "iss": self.issuer,
            "sub": "a-1",
            "aud": "record",
            "iat": now,
            "exp": now + 60,
            "nonce": self.nonce,
        }
        claims = {**honest, **self.claims}
        return self.sign({name: value for name, value in claims.items() if value is not None})


@asynccontextmanager
async def lying(liar: Liar) -> AsyncIterator[House]:
    def make(port: int) -> Liar:
        liar.issuer = f"http://{ISSUER_HOST}:{port}"
        return liar

    async with serving(make), relying(liar.issuer, client_secret="s/1 x") as house:
        await house.users.add(
            "ann", roles=["patient"], fhir_user="Patient/anna", external=f"{liar.issuer} a-1"
        )
        yield house


async def come_back(house: House, liar: Liar, **more: str) -> Page:
    browser = house.browser()
    asked = parse_qs(urlsplit((await leave(browser)).location).query)
    liar.nonce = asked["nonce"][0]
    answer = {"code": "c-1", "state": asked["state"][0], **more}
    return await browser.get(f"/auth/upstream/callback?{urlencode(answer)}")


async def test_an_honest_answer_logs_in_with_verifier_and_secret() -> None:
    liar = Liar()
    async with lying(liar) as house:
        page = await come_back(house, liar)
        assert page.title == "Apps with access – Tellonce"
        (form,) = liar.forms
        assert form["grant_type"] == "authorization_code"
        assert form["code"] == "c-1"
        assert len(form["code_verifier"]) == 43
        assert "client_id" not in form


async def test_a_key_of_a_kind_that_is_not_known_locks_nobody_out() -> None:
    liar = Liar()
    liar.keys = [
        {"kty": "OKP", "crv": "of tomorrow", "x": "AA"},
        {"kty": "RSA", "n": 5, "e": {}},
        {},
        7,
        *liar.keys,
    ]
    async with lying(liar) as house:
        assert (await come_back(house, liar)).title == "Apps with access – Tellonce"


def unsigned(claims: dict[str, Any]) -> str:
    return "eyJhbGciOiJub25lIn0." + jwt.encode({"alg": "RS256"}, claims, KEY).split(".")[1] + "."


def by_public_key(claims: dict[str, Any]) -> str:
    """The classic: the public key as the secret of an HMAC."""
    secret = OctKey.import_key(KEY.as_pem(private=False))
    return jwt.encode({"alg": "HS256", "kid": "k1"}, claims, secret, algorithms=["HS256"])


@pytest.mark.filterwarnings("ignore::UserWarning")  # of joserfc, for the key that is abused above
@pytest.mark.parametrize(
    "lie",
    [
        {"claims": {"iss": "https://evil.example"}},
        {"claims": {"aud": "other"}},
        {"claims": {"aud": ["record", "other"]}},
        {"claims": {"azp": "other"}},
        {"claims": {"nonce": "of another login"}},
        {"claims": {"nonce": None}},
        {"claims": {"exp": START // 1_000_000 - 61}},
        {"claims": {"exp": None}},
        {"claims": {"sub": None}},
        {"claims": {"iat": START // 1_000_000 + 3600}},
        {"claims": {"at_hash": "wrong"}},
        {"sign": lambda claims: jwt.encode({"alg": "RS256", "kid": "k1"}, claims, OTHER)},
        {"sign": unsigned},
        {"sign": by_public_key},
        {"sign": lambda claims: "no token"},
        {"metadata": {"issuer": "https://evil.example"}},
        {"metadata": {"authorization_response_iss_parameter_supported": True}},
        {"metadata": {"token_endpoint": "http://127.0.0.1:1/"}},
        {"metadata": {"jwks_uri": None}},
        {"keys": 5},
        {"keys": []},
        {"keys": [{"kty": "OKP", "crv": "of tomorrow", "x": "AA"}]},
    ],
)
async def test_an_answer_that_cannot_be_trusted_logs_nobody_in(lie: dict[str, Any]) -> None:
    liar = Liar()
    async with lying(liar) as house:
        honest = {name: lie[name] for name in lie if name != "metadata"}
        for name, value in honest.items():
            setattr(liar, name, value)
        liar.metadata = lie.get("metadata", {})
        browser = house.browser()
        away = await leave(browser)
        if away.status == 303:
            asked = parse_qs(urlsplit(away.location).query)
            liar.nonce = asked["nonce"][0]
            answer = urlencode({"code": "c-1", "state": asked["state"][0]})
            away = await browser.get(f"/auth/upstream/callback?{answer}")
        assert (away.status, away.title) == (502, "The other login did not work – Tellonce")
        assert await house.store.find_records(Session.KIND) == []


async def test_the_answer_of_another_issuer_is_refused() -> None:
    liar = Liar()
    async with lying(liar) as house:
        page = await come_back(house, liar, iss="https://evil.example")
        assert page.status == 502
        assert liar.forms == []


async def test_the_state_must_be_that_of_this_browser() -> None:
    liar = Liar()
    async with lying(liar) as house:
        wrong = await come_back(house, liar, state="wrong")
        assert (wrong.status, wrong.title) == (400, "This login was not begun here – Tellonce")
        begun = parse_qs(urlsplit((await leave(house.browser())).location).query)["state"][0]
        other = await house.browser().get(f"/auth/upstream/callback?code=c&state={begun}")
        assert other.status == 400
        empty = await house.browser().get("/auth/upstream/callback?code=c&state=")
        assert empty.status == 400
        assert liar.forms == []


async def test_a_refusal_at_the_provider_is_told() -> None:
    liar = Liar()
    async with lying(liar) as house:
        page = await come_back(house, liar, error="access_denied")
        assert page.status == 502
        assert "the provider did not let you in" in page.words
        assert await house.heard() == [("110122", "anybody", "4")]


async def test_a_provider_inside_the_network_is_asked_only_if_it_is_allowed() -> None:
    liar = Liar()
    async with lying(liar) as house:
        web = SafeClient()
        upstream = Upstream(Provider(liar.issuer, "record"), web, house.clock)
        object.__setattr__(house.context, "upstream", upstream)
        page = await leave(house.browser())
        assert page.status == 502
        await web.close()
