"""``/auth/opened``: who opened the record of a person, in words, from the AuditEvents about it.

They are found with the person's own rights, which for this page alone reach the AuditEvents in
the compartments that are open to them anyway: the same labels hide what is confidential, and what
is not released yet is not told of before.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any
from urllib.parse import urlencode

from fastapi import Response

from server.access.context import AccessContext, Permit
from server.auth.pages import finding
from server.auth.pages.event_words import agents, doing, technical, what
from server.auth.pages.page_error import PageError
from server.auth.pages.people import date_words
from server.auth.pages.serve import Page
from server.auth.pages.visit import CLIENT, Visit
from server.auth.pages.who import Who
from server.auth.records import Client
from server.fhir import json as fhir_json
from server.interactions.links import CURSOR
from server.interactions.search import search
from server.interactions.services import Services

OPENED = "/auth/opened"
PAGE = "100"


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
    await _forget_hidden(services, access, events)
    own = visit.me.user.fhir_user == f"Patient/{person.id}"
    whose, who = "your" if own else "their", Who(visit, access)
    lines = [await _line(visit, event, whose, await who.did(event)) for event in events]
    older = urlencode({"patient": person.id, "page": found.next}) if found.next else None
    return visit.page(
        "opened",
        person=person,
        own=own,
        others=[one for one in people if one.id != person.id],
        zone=services.catalog.zone,
        days=_by_day(
            (_local(event, visit), line) for event, line in zip(events, lines, strict=True)
        ),
        older=f"{OPENED}?{older}" if older else None,
        later=bool(visit.asked("page")),
    )


def with_events(access: AccessContext, patient_id: str) -> AccessContext:
    """Return the caller's rights, reaching the AuditEvents of one record that is open to them."""
    compartment = f"Patient/{patient_id}"
    allowed = tuple(
        Permit(
            "AuditEvent",
            frozenset(("read", "search")),
            compartment,
            hidden=permit.hidden,
            released=permit.released,
        )
        for permit in access.covering("Patient", "read")
        if permit.compartment == compartment
    )
    return replace(access, permits=allowed)


async def _forget_hidden(
    services: Services, access: AccessContext, events: Iterable[dict[str, Any]]
) -> None:
    """Take the references out of events that lead to what is not there for the person.

    What was labelled or held after somebody opened it bears no mark of that in the AuditEvent.
    """
    seen: dict[str, bool] = {}
    for event in events:
        had = event.get("entity") or []
        named = [str((entity.get("what") or {}).get("reference", "")) for entity in had]
        for type_, id_ in {(*one.split("/"), "")[:2] for one in named if one}:
            if (one := f"{type_}/{id_}") not in seen:
                seen[one] = await services.store.read(access, type_, id_) is not None
        kept = [
            entity
            for entity, one in zip(had, named, strict=True)
            if not one or seen["/".join(one.split("/")[:2])]
        ]
        if len(kept) < len(had) and not any(_is_data(entity) for entity in kept):
            # Else the rest would say that it was the Patient which was opened.
            kept = [entity for entity in kept if "reference" not in (entity.get("what") or {})]
        event["entity"] = kept


def _is_data(entity: dict[str, Any]) -> bool:
    reference = str((entity.get("what") or {}).get("reference", ""))
    return "query" in entity or (bool(reference) and not reference.startswith("Patient/"))


async def _line(visit: Visit, event: dict[str, Any], whose: str, by: tuple[str, str]) -> Line:
    (who, role), (_, app) = by, agents(event)
    at = _local(event, visit).strftime("%H:%M")
    request, references = technical(event)
    client = await _client(visit, app)
    return Line(
        who or client or "A program",
        role,
        client if who else "",
        doing(event),
        what(event, whose),
        bool(who) and not (who == "You" and app == CLIENT),
        str(event.get("outcome", "0")) != "0",
        [at],
        [(at, request, references)],
    )


async def _client(visit: Visit, id_: str) -> str:
    if id_ in ("", "pages"):
        return ""
    if id_ == "token":
        return "a tool of the administrators"
    record = await visit.context.services.store.get_record(Client.KIND, id_)
    return Client.unpack(record.value).name if record is not None else id_


def _by_day(found: Iterable[tuple[datetime, Line]]) -> list[Day]:
    days: dict[date, Day] = {}
    for at, line in found:
        name = f"{at:%A}, {date_words(at.date().isoformat())}"
        day = days.setdefault(at.date(), Day(name))
        lines = day.people if line.person else day.others
        same = next((one for one in lines if one.kind == line.kind), None)
        if same is None:
            lines.append(line)
        else:
            same.times += line.times
            same.technical += line.technical
    return list(days.values())


def _local(event: dict[str, Any], visit: Visit) -> datetime:
    """Return when an event was recorded, as the clocks of the site showed it."""
    recorded = datetime.fromisoformat(str(event["recorded"]))
    return recorded.astimezone(visit.context.services.catalog.tzinfo)
