"""A server with its pages and its token endpoint, for tests: fixed clock, a small record."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from html import unescape
from typing import Any, cast
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
from fastapi import FastAPI

from server.access.context import SYSTEM, AccessContext, Permit
from server.access.policy import load_policy
from server.auth.bearer import Bearer
from server.auth.limits import Limits
from server.auth.oauth import AuthorizationServer, Terms
from server.auth.pages import PageContext, pages_router
from server.auth.passwords import CHEAP, Passwords
from server.auth.person import Rights
from server.auth.records import Client, Proxy, Role, User
from server.auth.users import Users
from server.fhir import json as fhir_json
from server.fhir.errors import LoginRequired
from server.interactions import search_parameters, write
from server.interactions.audit_log import AuditLog
from server.interactions.services import Services
from server.search.catalog import R4
from server.store.memory import MemoryStore
from server.store.port import RecordWrite, Store
from tests.auth.pages.record import ENCOUNTERS, PATIENTS, RELATIVES

ORIGIN = "https://record.example"
BASE = f"{ORIGIN}/fhir"
START = 1_767_323_045_678_000  # 2026-01-02T03:04:05.678Z
SECOND = 1_000_000
MINUTE = 60 * SECOND
PASSWORD = "a long enough phrase"
APP = "https://app.example"
VERIFIER = "v" * 43
POLICY = load_policy()


class Clock:
    """Stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> int:
        return self.at


class House:
    """``browser()`` is a new browser, with a cookie jar of its own."""

    def __init__(self, store: Store, clock: Clock, origin: str = ORIGIN, **more: Any) -> None:
        self.store, self.clock, self.origin = store, clock, origin
        self._ids = 0
        base = f"{origin}/fhir"
        self.audit = AuditLog(store, clock, self._new_id, base)
        self.services = Services(store, base, clock, self._new_id, b"k" * 32, audit=self.audit)
        self.passwords = Passwords(CHEAP)
        self.users = Users(store, self.passwords, clock)
        terms = Terms(base, style_url=f"{origin}/auth/static/smart-style.json")
        rights = Rights(self.services, POLICY)
        bearer = Bearer(store, clock, base, rights, self._authenticate)
        self.server = AuthorizationServer(self.services, terms, bearer)
        more.setdefault("access_of", bearer.access_of)
        more.setdefault("limits", Limits(clock, **more.pop("rates", {})))
        self.context = PageContext(
            services=self.services,
            users=self.users,
            authorize=self.server.authorize,
            ledger=self.server.ledger,
            authenticate=self._authenticate,
            **more,
        )
        self.app = FastAPI()
        self.app.include_router(self.server.router)
        self.app.include_router(pages_router(self.context))

    def browser(self, **headers: str) -> "Browser":
        return Browser(self, headers)

    async def add_user(
        self, name: str, role: Role, fhir_user: str | None, display: str = "", **more: Any
    ) -> User:
        return await self.users.add(
            name,
            roles=[role],
            password=PASSWORD,
            fhir_user=fhir_user,
            display=display,
            **more,
        )

    async def add_mother(self) -> None:
        """Somebody who acts for two: a Person, linked with a RelatedPerson for each of them."""
        hashed = await self.passwords.hash(PASSWORD)
        user = User("mother", hashed, ("patient",), "Person/mother", (), "Mary Doe")
        proxies = [
            Proxy(f"RelatedPerson/of-{child}", f"Patient/{child}", "parent")
            for child in ("kim", "lee")
        ]
        records = [RecordWrite(User.KIND, user.name, user.pack(), tag="user")]
        records += [
            RecordWrite(Proxy.KIND, one.related_person, one.pack(), tag=one.patient)
            for one in proxies
        ]
        await self.store.commit([], records=records)

    async def add_client(self, id_: str = "chart", **more: Any) -> Client:
        more.setdefault("name", "Growth Chart")
        more.setdefault("redirect_uris", (f"{APP}/cb",))
        more.setdefault("launch_uri", f"{APP}/launch")
        more.setdefault("grants", ("authorization_code", "refresh_token"))
        more.setdefault(
            "scope",
            "launch launch/patient launch/encounter openid fhirUser offline_access online_access "
            "patient/*.cruds user/*.cruds",
        )
        client = Client(id_, created=START, **more)
        written = RecordWrite(Client.KIND, id_, client.pack(), tag="client")
        await self.store.commit([], records=[written])
        return client

    async def heard(self) -> list[tuple[str, str, str]]:
        """What audit was told of security: code, principal and outcome, the oldest first."""
        await self.audit.settled()
        made = await self.store.changes(SYSTEM, limit=10_000)
        events = [fhir_json.loads(one.body or b"{}") for one in made if one.type == "AuditEvent"]
        return [
            (
                one["subtype"][0]["code"],
                one["agent"][-1]["who"]["identifier"]["value"],
                one["outcome"],
            )
            for one in events
            if one["type"]["code"] in ("110113", "110114")
        ]

    async def put(self, resource: dict[str, Any]) -> None:
        type_, id_ = resource["resourceType"], resource["id"]
        await write.update(self.services, SYSTEM, type_, id_, resource)

    def _new_id(self) -> str:
        self._ids += 1
        return f"new-{self._ids}"

    async def _authenticate(self, authorization: bytes | None) -> AccessContext:
        if authorization == b"Bearer administrator":
            return AccessContext("administrator/ops", "token", (Permit("*"),))
        if authorization is not None and authorization.startswith(b"Bearer grant "):
            grant = authorization.decode().removeprefix("Bearer grant ")
            return AccessContext("client/ehr", "ehr", (), grant=grant)
        raise LoginRequired("send a token")


class Page:
    """What a browser shows: ``text`` is the HTML."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer, self.status, self.text = answer, answer.status_code, answer.text
        self.headers = answer.headers

    @property
    def title(self) -> str:
        found = re.search("<title>(.*?)</title>", self.text, re.DOTALL)
        return unescape(found[1]).strip() if found else ""

    @property
    def words(self) -> str:
        """What is read, without markup, in one line."""
        body = re.sub(r"<head>.*?</head>", "", self.text, flags=re.DOTALL)
        return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())

    def values(self, name: str) -> list[str]:
        """The values of the fields and buttons of a name, in their order."""
        tags = re.findall(r"<(?:input|button)\b[^>]*>", self.text)
        named = [tag for tag in tags if f'name="{name}"' in tag]
        return [unescape(re.search(r'value="([^"]*)"', tag)[1]) for tag in named]  # type: ignore[index]

    @property
    def ticked(self) -> list[str]:
        """The scopes that are ticked when the page is loaded."""
        tags = re.findall(r"<input\b[^>]*\bchecked>", self.text)
        return [unescape(re.search(r'value="([^"]*)"', tag)[1]) for tag in tags]  # type: ignore[index]

    @property
    def csrf(self) -> str:
        return self.values("csrf")[0]

    @property
    def location(self) -> str:
        return self.headers["location"]

    @property
    def sent(self) -> dict[str, str]:
        """The parameters of the address that the browser is sent to."""
        return {k: v[0] for k, v in parse_qs(urlsplit(self.location).query).items()}


class Browser:
    """Follows redirects within the server, keeps cookies, sends what browsers send."""

    def __init__(self, house: House, headers: dict[str, str]) -> None:
        self.house = house
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(house.app, raise_app_exceptions=True),
            base_url=house.origin,
            headers=headers,
        )

    async def get(self, path: str, *, follow: bool = True, **headers: str) -> Page:
        return await self._follow(await self.client.get(path, headers=headers), follow)

    async def post(
        self, path: str, fields: Any, *, follow: bool = True, headers: dict[str, str] | None = None
    ) -> Page:
        sent = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Origin": "null",  # what browsers write under Referrer-Policy: no-referrer
            "Sec-Fetch-Site": "same-origin",
            **(headers or {}),
        }
        sent = {name: value for name, value in sent.items() if value}
        body = urlencode(fields, doseq=True)
        return await self._follow(await self.client.post(path, content=body, headers=sent), follow)

    async def submit(self, page: Page, path: str, *, follow: bool = True, **fields: Any) -> Page:
        """Send a form of a page with its token."""
        return await self.post(path, {"csrf": page.csrf, **fields}, follow=follow)

    async def log_in(self, name: str, wanted: str = "", password: str = PASSWORD) -> Page:
        form = await self.get("/auth/login" + (f"?{urlencode({'next': wanted})}" if wanted else ""))
        return await self.submit(form, "/auth/login", name=name, password=password, next=wanted)

    async def authorize(self, **more: str | None) -> Page:
        return await self.get(authorize_path(**more))

    async def token(self, code: str, client: str = "chart") -> dict[str, Any]:
        answer = await self.client.post(
            "/auth/token",
            data={
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": f"{APP}/cb",
                "client_id": client,
                "code_verifier": VERIFIER,
            },
        )
        assert answer.status_code == 200, answer.text
        return cast(dict[str, Any], answer.json())

    async def _follow(self, answer: httpx.Response, follow: bool) -> Page:
        hops = 0
        while follow and answer.is_redirect and hops < 10:
            target = answer.headers["location"]
            if not target.startswith(f"{self.house.origin}/"):
                break
            answer, hops = await self.client.get(target), hops + 1
        return Page(answer)


def authorize_path(**more: str | None) -> str:
    """The address of an authorization request; ``None`` leaves a parameter out."""
    asked = {
        "response_type": "code",
        "client_id": "chart",
        "redirect_uri": f"{APP}/cb",
        "scope": "launch/patient patient/Observation.rs",
        "state": "s-1",
        "aud": BASE,
        "code_challenge": challenge(),
        "code_challenge_method": "S256",
        **more,
    }
    return f"/auth/authorize?{urlencode({k: v for k, v in asked.items() if v is not None})}"


def challenge() -> str:
    from base64 import urlsafe_b64encode

    return urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).decode().rstrip("=")


def path_of(page: Page) -> str:
    return urlsplit(str(page.answer.url)).path


async def allow(browser: Browser, page: Page, **more: Any) -> Page:
    fields = {"scope": page.ticked, "patient": page.values("patient")[0], **more}
    return await browser.submit(page, path_of(page), decision="allow", **fields)


@asynccontextmanager
async def opened(**more: Any) -> AsyncIterator[House]:
    """A house with people, patients and one app."""
    clock = Clock()
    index = search_parameters.index(BASE, R4)
    store = MemoryStore(now=clock, index=index, fingerprint=search_parameters.fingerprint(BASE, R4))
    house = House(store, clock, **more)
    await house.add_user("anna", "patient", "Patient/anna", "Anna Roe")
    await house.add_mother()
    await house.add_user("bell", "practitioner", "Practitioner/bell", "Dr. Bell")
    await house.add_user("ops", "admin", None)
    await house.add_client()
    await house.audit.start()
    for resource in (*PATIENTS, *RELATIVES, *ENCOUNTERS):
        await house.put(resource)
    try:
        yield house
    finally:
        await house.audit.stop()
        house.passwords.close()
        await store.close()
