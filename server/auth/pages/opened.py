"""``/auth/opened``: who opened the record of a person, in words, from the AuditEvents about it.

They are found with the person's own rights, which for this page alone reach the AuditEvents in
the compartments that are open to them anyway: the same labels hide what is confidential.
"""

from base64 import b64decode
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from fastapi import Response

from server.access import plain
from server.access.context import AccessContext, Permit
from server.access.scopes import Scope
from server.auth.pages import finding
from server.auth.pages.page_error import PageError
from server.auth.pages.people import date_words
from server.auth.pages.serve import Page
from server.auth.pages.visit import CLIENT, PRINCIPAL, Visit
from server.auth.records import Client, Role
from server.fhir import definitions
from server.fhir import json as fhir_json
from server.interactions.links import CURSOR
from server.interactions.search import search

OPENED = "/auth/opened"
PAGE = "100"

_ROLES: dict[Role, str] = {
    "practitioner": "clinician",
    "admin": "administrator",
    "patient": "patient or relative",
}
_DOING = {
    "read": "opened",
    "vread": "opened an earlier version of",
    "history-instance": "looked at the history of",
    "history-type": "looked at the history of",
    "history-system": "looked at the history of",
    "search-type": "looked for",
    "search-system": "looked for",
    "create": "added",
    "update": "changed",
    "patch": "changed",
    "delete": "removed",
    "operation": "asked for",
    "batch": "worked with",
    "transaction": "worked with",
    "AuthZ-Role": "allowed an app to open",
    "110126": "let an app go on with",
    "110137": "took an app's access away from",
}
_ABOUT_ACCESS = ("AuthZ-Role", "110126", "110137")


@dataclass(slots=True)
class Line:
    """What one person, or program, did with one kind of thing on one day; the newest first.

    ``times`` are ``10:05``; ``technical`` are (time, request, references).
    """

    who: str
    role: str
    app: str
    doing: str
    what: str
    person: bool
    refused: bool
    times: list[str] = field(default_factory=list)
    technical: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def kind(self) -> tuple[Any, ...]:
        """Lines of one kind are shown as one."""
        return (self.who, self.role, self.app, self.doing, self.what, self.refused)


@dataclass(slots=True)
class Day:
    """``people`` did something themselves; ``others`` are programs without anybody there, and the
    person's own visits to these pages."""

    name: str
    people: list[Line] = field(default_factory=list)
    others: list[Line] = field(default_factory=list)


def pages() -> list[Page]:
    """Return the addresses of this module."""
    return [Page(OPENED, shown)]


async def shown(visit: Visit) -> Response:
    """Show who opened the record, newest first."""
    services = visit.context.services
    access = await visit.access()
    ids = finding.within(access) or ()
    if not ids:
        raise PageError(
            403,
            "There is no record of yours",
            "This page is for people whose own record is here, and for those who act for them.",
        )
    asked = visit.asked("patient") or ids[0]
    people = await finding.named(services, access, ids)
    person = next((one for one in people if one.id == asked), None)
    if person is None:
        raise PageError(404, "This record is not here", "There is no such record of yours.")
    pairs = [("_sort", "-date"), ("_count", PAGE)]
    pairs += [(CURSOR, visit.asked("page"))] if visit.asked("page") else []
    found = await search(
        services,
        with_events(access, person.id),
        "AuditEvent",
        pairs,
        compartment=f"Patient/{person.id}",
        strict=True,
    )
    events = [fhir_json.loads(version.body or b"{}") for version in found.matches]
    own = visit.me.user.fhir_user == f"Patient/{person.id}"
    lines = [await _line(visit, event, "your" if own else "their") for event in events]
    older = urlencode({"patient": person.id, "page": found.next}) if found.next else None
    return visit.page(
        "opened",
        person=person,
        own=own,
        others=[one for one in people if one.id != person.id],
        days=_by_day(zip(events, lines, strict=True)),
        older=f"{OPENED}?{older}" if older else None,
        later=bool(visit.asked("page")),
    )


def with_events(access: AccessContext, patient_id: str) -> AccessContext:
    """Return the caller's rights, reaching the AuditEvents of one record that is open to them."""
    compartment = f"Patient/{patient_id}"
    allowed = tuple(
        Permit("AuditEvent", frozenset(("read", "search")), compartment, hidden=permit.hidden)
        for permit in access.covering("Patient", "read")
        if permit.compartment == compartment
    )
    return replace(access, permits=allowed)


async def _line(visit: Visit, event: dict[str, Any], whose: str) -> Line:
    principal, app = _agents(event)
    who, role = await _person(visit, principal)
    code = str((event.get("subtype") or [{}])[0].get("code", ""))
    at = str(event.get("recorded", ""))[11:16]
    request, references = _technical(event)
    client = await _client(visit, app)
    return Line(
        who or client or "A program",
        role,
        client if who else "",
        _DOING.get(code, "worked with"),
        f"{whose} record" if code in _ABOUT_ACCESS else _what(event, whose),
        bool(who) and not (who == "You" and app == CLIENT),
        str(event.get("outcome", "0")) != "0",
        [at],
        [(at, request, references)],
    )


def _agents(event: dict[str, Any]) -> tuple[str, str]:
    """Return the principal (empty: a program by itself) and the client of an event.

    BALP: the first agent is the client; the user is there when there is one, and the requestor.
    """
    agents = event.get("agent") or [{}]
    names = [str(((a.get("who") or {}).get("identifier") or {}).get("value", "")) for a in agents]
    principal = next((name for name in names[1:] if name.startswith(PRINCIPAL)), "")
    return principal, names[0]


async def _person(visit: Visit, principal: str) -> tuple[str, str]:
    name = principal.removeprefix(PRINCIPAL)
    if not name:
        return "", ""
    if name == visit.me.user.name:
        return "You", ""
    user = await visit.context.users.get(name)
    if user is None:
        return name, "has no login any more"
    return user.display or name, ", ".join(_ROLES[role] for role in user.roles)


async def _client(visit: Visit, id_: str) -> str:
    if id_ in ("", "pages"):
        return ""
    if id_ == "token":
        return "a tool of the administrators"
    record = await visit.context.services.store.get_record(Client.KIND, id_)
    return Client.unpack(record.value).name if record is not None else id_


def _what(event: dict[str, Any], whose: str) -> str:
    """Return the kinds of things that an event is about, in plain words."""
    types = dict.fromkeys(_types(event))
    words = [
        plain.describe(Scope("patient", one, "r"), whose).removeprefix("see ")
        for one in types
        if one != "Patient" or len(types) == 1
    ]
    if not words:
        return f"{whose} record"
    shown = words[:4] + (["more"] if len(words) > 4 else [])
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))


def _types(event: dict[str, Any]) -> Iterable[str]:
    for entity in event.get("entity") or []:
        reference = str((entity.get("what") or {}).get("reference", ""))
        type_ = reference.partition("/")[0]
        if "query" in entity:
            question = b64decode(str(entity["query"])).decode(errors="replace")
            type_ = question.partition("?")[0].rpartition("/")[2].partition("$")[0]
        if type_ in definitions.resource_types():
            yield type_


def _technical(event: dict[str, Any]) -> tuple[str, str]:
    """Return the request's id, and the references of an event."""
    request, references = "", []
    for entity in event.get("entity") or []:
        what = entity.get("what") or {}
        if "reference" in what:
            references.append(str(what["reference"]))
        elif "query" not in entity:
            request = str((what.get("identifier") or {}).get("value", ""))
    return request, ", ".join(references)


def _by_day(found: Iterable[tuple[dict[str, Any], Line]]) -> list[Day]:
    days: dict[str, Day] = {}
    for event, line in found:
        date = str(event.get("recorded", ""))[:10]
        day = days.setdefault(date, Day(_day(date)))
        lines = day.people if line.person else day.others
        same = next((one for one in lines if one.kind == line.kind), None)
        if same is None:
            lines.append(line)
        else:
            same.times += line.times
            same.technical += line.technical
    return list(days.values())


def _day(date: str) -> str:
    try:
        weekday = datetime.fromisoformat(date).replace(tzinfo=UTC).strftime("%A")
    except ValueError:
        return date_words(date)
    return f"{weekday}, {date_words(date)}"
