"""An authorization server in one process: fixed clock, a user, apps of every kind, a browser.

The pages are stood in for by one address that says yes in the name of ``anna``, so that these
tests see the protocol only.
"""

import base64
import hashlib
import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import anyio
import httpx
from fastapi import FastAPI, Request, Response
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from server import rest
from server.access.context import AccessContext, Trace
from server.access.policy_file import read_policy
from server.audit.port import Told
from server.auth import Authenticator
from server.auth.bearer import Bearer
from server.auth.keys import SigningKeys
from server.auth.limits import Limits
from server.auth.oauth import AuthorizationServer, PageError, Pending, Redirected, Terms
from server.auth.person import Rights
from server.auth.records import Client, Kept, Launch, Session, User, key_of
from server.interactions.services import Services
from server.safe_client import Fetched, SafeClient
from server.store.port import RecordWrite, Store, Version, Write
from tests.rest.house import BASE, STORES, Clock

ROOT = "http://fhir.test"
TOKEN = f"{ROOT}/auth/token"
CALLBACK = "https://app.example/callback"
SCOPE = "launch/patient openid fhirUser offline_access patient/Observation.rs patient/Patient.r"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"  # RFC 7636, appendix B
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
SECRET = "a-secret-of-more-than-32-characters-0123456789"
BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

RSA = RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig", "alg": "RS384"})
EC = ECKey.generate_key("P-384", {"kid": "ec", "use": "sig", "alg": "ES384"})
SIGNING = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)
OTHER_RSA = RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig", "alg": "RS384"})

ALL = "launch launch/patient launch/encounter openid fhirUser profile offline_access online_access"
FHIR = "patient/*.cruds user/*.rs"
CLIENTS = (
    Client("app", "Growth chart", redirect_uris=(CALLBACK,), scope=f"{ALL} {FHIR}"),
    Client(
        "other", "Another app", redirect_uris=("https://other.example/cb",), scope=f"{ALL} {FHIR}"
    ),
    Client(
        "basic",
        "With a secret",
        auth="client_secret_basic",
        secret=key_of(SECRET),
        redirect_uris=(CALLBACK,),
        scope=f"{ALL} {FHIR}",
    ),
    Client(
        "post",
        "With a secret in the form",
        auth="client_secret_post",
        secret=key_of(SECRET),
        redirect_uris=(CALLBACK,),
        scope=f"{ALL} {FHIR}",
    ),
    Client(
        "signed",
        "That signs",
        auth="private_key_jwt",
        jwks={"keys": [RSA.as_dict(private=False), EC.as_dict(private=False)]},
        redirect_uris=(CALLBACK,),
        scope=f"{ALL} {FHIR}",
    ),
    Client(
        "backend",
        "Backend service",
        auth="private_key_jwt",
        jwks={"keys": [RSA.as_dict(private=False), EC.as_dict(private=False)]},
        scope="system/*.rs system/Observation.c introspect",
        grants=("client_credentials",),
    ),
    Client(
        "far",
        "Backend service with its keys elsewhere",
        auth="private_key_jwt",
        jwks_uri="https://far.example/jwks",
        scope="system/*.rs",
        grants=("client_credentials",),
    ),
)
ANNA = User("anna", roles=("patient",), fhir_user="Patient/a", display="Anna Alm")
SESSION = "5e55"


class Web(SafeClient):
    """The internet of these tests: one address, and how often it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.slow: anyio.Event | None = None
        self.headers = {"cache-control": "max-age=120"}
        self.answer = Fetched(200, self.headers, b"")
        self.publish(RSA)

    def publish(self, *keys: RSAKey | ECKey) -> None:
        body = json.dumps({"keys": [key.as_dict(private=False) for key in keys]}).encode()
        self.answer = replace(self.answer, body=body)

    async def fetch(self, url: str, **_: Any) -> Fetched:
        self.asked.append(url)
        if self.slow is not None:
            await self.slow.wait()
        return self.answer


class Ear:
    """An audit that keeps what it is told in a list."""

    def __init__(self) -> None:
        self.heard: list[Told] = []
        self.counted: list[str] = []
        self.durable = False
        self.settlings = 0
        self.taken: list[Trace] = []

    def beside(self, access: AccessContext, writes: Sequence[Write]) -> list[Write]:
        return []

    def tell(self, told: Told) -> None:
        self.heard.append(told)

    async def settled(self) -> None:
        self.settlings += 1

    def take(self, trace: Trace) -> bool:
        self.taken.append(trace)
        return False

    def refused(self, address: str) -> None:
        self.counted.append(address)

    def shown(
        self,
        access: AccessContext,
        interaction: str,
        versions: Sequence[Version],
        query: str | None,
    ) -> None:
        pass


class House:
    """``http`` is a browser without an account; ``yes`` changes what the user allows."""

    def __init__(
        self, store: Store, clock: Clock, limits: Limits | None = None, **terms: Any
    ) -> None:
        self.store, self.clock, self.web, self.ear = store, clock, Web(), Ear()
        self.limits = limits
        ids = itertools.count(1)
        self.services = Services(
            store, BASE, clock, lambda: f"new-{next(ids)}", b"k" * 32, audit=self.ear
        )
        self.terms = Terms(BASE, **terms)
        rights = Rights(self.services, read_policy(None))
        self.bearer = Bearer(store, clock, BASE, rights, Authenticator(store, clock))
        self.server = AuthorizationServer(
            self.services, self.terms, self.bearer, web=self.web, limits=self.limits
        )
        self.yes: dict[str, Any] = {"patient": "a", "context": {}, "user": ANNA}
        unheard = replace(self.services, audit=None)
        self.application = rest.build(unheard, authenticate=self.bearer)
        pages: FastAPI = self.application.pages
        pages.include_router(self.server.router)
        pages.add_api_route("/auth/authorize", self._authorize, methods=["GET", "POST"])
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.application), base_url=ROOT
        )

    async def _authorize(self, request: Request) -> Response:
        pairs = list(request.query_params.multi_items())
        if request.method == "POST":
            pairs += parse_qsl((await request.body()).decode())
        try:
            pending = await self.server.authorize.begin(pairs)
            url = await self._conclude(pending)
        except PageError as error:
            return Response(f"<h1>{error.title}</h1>", error.status, media_type="text/html")
        except Redirected as refused:
            url = refused.url
        return Response(status_code=303, headers={"Location": url})

    async def _conclude(self, pending: Pending) -> str:
        return await self.server.authorize.conclude(
            pending,
            user=self.yes["user"],
            scopes_granted=self.yes.get("scope", pending.scope),
            patient=pending.patient or self.yes["patient"],
            context=self.yes["context"],
            session=key_of(SESSION),
            auth_time=self.clock.at,
        )

    async def keep(self, kept: Kept, key: str, tag: str = "") -> None:
        write = RecordWrite(kept.KIND, key, kept.pack(), tag)
        await self.store.commit([], records=[write])

    async def furnish(self) -> None:
        signing = {"jwk": SIGNING.as_dict(private=True), "since": 0, "signs": 0, "until": None}
        await self.keep(SigningKeys((signing,)), "signing")
        for client in CLIENTS:
            await self.keep(client, client.id, "client")
        await self.keep(ANNA, "anna", "user")
        await self.keep(Session("anna", self.clock.at, "csrf"), key_of(SESSION), "anna")

    async def launch(self, handle: str, **more: Any) -> None:
        await self.keep(Launch("anna", **more), key_of(handle), "anna")

    async def ask(self, method: str = "GET", **changed: str | None) -> httpx.Response:
        """Send an authorization request; ``None`` leaves a parameter out."""
        sent = {k: v for k, v in (request() | changed).items() if v is not None}
        if method == "POST":
            return await self.http.post("/auth/authorize", data=sent)
        return await self.http.get("/auth/authorize", params=sent)

    async def code(self, **changed: str | None) -> str:
        return told(await self.ask(**changed))["code"]

    async def token(self, **sent: str | None) -> httpx.Response:
        """Exchange a code of the public app; ``None`` leaves a parameter out."""
        form = {
            "grant_type": "authorization_code",
            "redirect_uri": CALLBACK,
            "client_id": "app",
            "code_verifier": VERIFIER,
        }
        return await self.post("token", {**form, **sent})

    async def refresh(self, token: str, **sent: str | None) -> httpx.Response:
        form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": "app"}
        return await self.post("token", {**form, **sent})

    async def backend(self, assertion: str, **sent: str | None) -> httpx.Response:
        form = {
            "grant_type": "client_credentials",
            "scope": "system/Observation.rs",
            "client_assertion_type": BEARER,
            "client_assertion": assertion,
        }
        return await self.post("token", {**form, **sent})

    async def post(self, name: str, form: dict[str, str | None], **more: Any) -> httpx.Response:
        kept = {key: value for key, value in form.items() if value is not None}
        return await self.http.post(f"/auth/{name}", data=kept, **more)

    async def tokens(self, **changed: str | None) -> dict[str, Any]:
        """Return the whole answer to a code that was asked for with ``changed``."""
        answer = await self.token(code=await self.code(**changed))
        assert answer.status_code == 200, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def opens(self, access_token: str) -> bool:
        """Tell whether an access token is in force at the FHIR API."""
        answer = await self.http.get(
            "/fhir/Patient/none", headers={"Authorization": f"Bearer {access_token}"}
        )
        assert answer.status_code in (401, 403, 404), answer.text
        return answer.status_code != 401

    def assertion(
        self,
        key: RSAKey | ECKey = RSA,
        alg: str = "RS384",
        header: dict[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """Return a client's assertion; ``None`` leaves a claim out."""
        now = self.clock.at // 1_000_000
        self.jti = getattr(self, "jti", 0) + 1
        said = {
            "iss": "backend",
            "sub": "backend",
            "aud": TOKEN,
            "exp": now + 240,
            "jti": f"jti-{self.jti}",
        } | claims
        head = {"alg": alg, "kid": key.kid, "typ": "JWT"} | (header or {})
        return jwt.encode(
            {k: v for k, v in head.items() if v is not None},
            {k: v for k, v in said.items() if v is not None},
            key,
            algorithms=[alg],
        )


def request() -> dict[str, str | None]:
    """Return a request for a code that is right."""
    return {
        "response_type": "code",
        "client_id": "app",
        "redirect_uri": CALLBACK,
        "scope": SCOPE,
        "state": "a state = {with} & odd/characters",
        "aud": BASE,
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        "nonce": "n-0S6",
    }


def told(answer: httpx.Response) -> dict[str, str]:
    """Return what the app is told at its redirect address; fails when it is not sent there."""
    assert answer.status_code == 303, answer.text
    to = urlsplit(answer.headers["location"])
    assert f"{to.scheme}://{to.netloc}{to.path}" == CALLBACK
    return dict(parse_qsl(to.query, strict_parsing=True))


def challenge(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def house(folder: Path, clock: Clock, store: str = "memory", **terms: Any) -> House:
    return House(STORES[store](folder, clock), clock, **terms)
