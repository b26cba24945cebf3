"""A whole server in one process, for tests: fixed clock and ids, callers by header."""

import itertools
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from server import rest
from server.access.context import AccessContext, Permit
from server.fhir.errors import LoginRequired
from server.interactions import search_parameters
from server.interactions.services import Policy, Services
from server.rest import Application, Limits
from server.search.catalog import R4
from server.store.memory import MemoryStore
from server.store.port import Store
from server.store.sqlite import SqliteStore

BASE = "http://fhir.test/fhir"
START = 1_767_323_045_678_000  # 2026-01-02T03:04:05.678Z
JSON_PATCH = "application/json-patch+json"
FHIR_JSON = "application/fhir+json"


class Clock:
    """Stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> int:
        return self.at


index = search_parameters.index(BASE, R4)

NAME = search_parameters.fingerprint(BASE, R4)

STORES: dict[str, Callable[[Path, Clock], Store]] = {
    "memory": lambda folder, clock: MemoryStore(now=clock, index=index, fingerprint=NAME),
    "sqlite": lambda folder, clock: SqliteStore(
        folder / "record.db", now=clock, index=index, fingerprint=NAME
    ),
}

# ``Authorization: Bearer NAME`` makes one of these callers.
CALLERS = {
    "admin": AccessContext("user/admin", "app", (Permit("*"),)),
    "other": AccessContext("user/other", "app", (Permit("*"),)),
    "patient-a": AccessContext("user/a", "app", (Permit("*", compartment="Patient/a"),)),
    "patient-b": AccessContext("user/b", "app", (Permit("*", compartment="Patient/b"),)),
    "reader": AccessContext(
        "user/reader", "app", (Permit("Observation", frozenset(("read", "search"))),)
    ),
    "nothing": AccessContext("user/nothing", "app", ()),
}


async def authenticate(authorization: bytes | None) -> AccessContext:
    if authorization is None:
        raise LoginRequired("send a token")
    return CALLERS[authorization.decode().removeprefix("Bearer ")]


class House:
    """``client()`` speaks to the application in the name of a caller."""

    def __init__(self, store: Store, clock: Clock, policy: Policy, limits: Limits) -> None:
        self.store = store
        self.clock = clock
        self.ids: Iterator[int] = itertools.count(1)
        self.services = Services(
            store, BASE, clock, lambda: f"new-{next(self.ids)}", b"k" * 32, policy
        )
        self.app: Application = rest.build(
            self.services,
            authenticate=authenticate,
            limits=limits,
            cors_origins=("https://app.example",),
        )
        next(self.ids, None)

    def client(self, caller: str | None = "admin") -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {caller}"} if caller else {}
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app, raise_app_exceptions=False),
            base_url=BASE,
            headers=headers,
        )


def logged(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return what was logged, by whatever logger, but not by the tests' own client."""
    return [
        one for one in caplog.records if one.name.partition(".")[0] not in ("httpx", "httpcore")
    ]


def told(answer: httpx.Response) -> tuple[int, str, list[str] | None]:
    """Return status, issue code and expression of the first issue; fails unless it is one."""
    assert answer.headers["content-type"] == "application/fhir+json; charset=utf-8"
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome", outcome
    issue = outcome["issue"][0]
    assert issue["severity"] == "error"
    assert issue["diagnostics"]
    return answer.status_code, issue["code"], issue.get("expression")


def ids(bundle: Any, mode: str | None = None) -> list[str]:
    """Return ``Type/id`` of the entries of a Bundle, in their order."""
    if isinstance(bundle, httpx.Response):
        bundle = json.loads(bundle.content)
    return [
        f"{entry['resource']['resourceType']}/{entry['resource']['id']}"
        for entry in bundle.get("entry", [])
        if mode is None or entry["search"]["mode"] == mode
    ]


def link(bundle: dict[str, Any], relation: str = "next") -> str | None:
    """Return a link of a Bundle."""
    return next((x["url"] for x in bundle["link"] if x["relation"] == relation), None)


def patient(id_: str | None = None, **more: Any) -> dict[str, Any]:
    own = {"id": id_} if id_ else {}
    return {"resourceType": "Patient", **own, **more}


def observation(subject: str = "Patient/a", id_: str | None = None, **more: Any) -> dict[str, Any]:
    own = {"id": id_} if id_ else {}
    return {
        "resourceType": "Observation",
        **own,
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": more.pop("code", "8867-4")}]},
        "subject": {"reference": subject},
        **more,
    }


def fhirpath_patch(*operations: Any) -> dict[str, Any]:
    """Return a patch of (type, path, value and name where the type takes them)."""
    names = ("type", "path", "value", "name")
    kinds = ("valueCode", "valueString", None, "valueString")
    listed = []
    for operation in operations:
        part = [
            {"name": name, **(value if kind is None else {kind: value})}
            for name, kind, value in zip(names, kinds, operation, strict=False)
        ]
        listed.append({"name": "operation", "part": part})
    return {"resourceType": "Parameters", "parameter": listed}


def entry(method: str, url: str, resource: Any = None, **more: Any) -> dict[str, Any]:
    """Return a Bundle entry; ``fullUrl`` beside, everything else goes into the request."""
    made: dict[str, Any] = {"request": {"method": method, "url": url}}
    if "fullUrl" in more:
        made["fullUrl"] = more.pop("fullUrl")
    if resource is not None:
        made["resource"] = resource
    made["request"] |= more
    return made


def bundle(type_: str, *entries: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": type_, "entry": list(entries)}
