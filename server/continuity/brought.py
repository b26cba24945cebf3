"""Who brought a value into a resource that neither dates nor signs it (C2, C6).

The value's time is that of the version in which it came, and of the person whom a Provenance of
that version names: not of the last version, which a re-sent A08 makes, and not of a feed, a program
or an import, which names no person.  R4 provenance.html.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from server.access.context import AccessContext
from server.continuity.confirmed import PARTICIPANT, verifies
from server.continuity.fed import sender
from server.continuity.statement import Author, Statement
from server.continuity.who import author
from server.fhir import json as fhir_json
from server.fhir.dates import InvalidDate, interval
from server.fhir.errors import FhirError
from server.fhir.references import split_reference
from server.interactions.rights import demand
from server.interactions.services import Services
from server.search.query import HasKey, Query
from server.store.port import Version

MOST_VERSIONS: Final = 50  # of one resource
MOST: Final = 1_000  # Provenances

_PASSES_ON: Final = frozenset(("assembler", "enterer", "transmitter", "custodian", "composer"))

Said = tuple[int, Author]


@dataclass(frozen=True, slots=True)
class Brought:
    """The versions of one resource, newest first, and who brought each of them; ``sent``: the
    senders of those that a feed brought."""

    versions: tuple[tuple[int, Mapping[str, Any]], ...]
    by: Mapping[int, Said]
    whole: bool
    patient: str
    sent: Mapping[int, Author]

    def dated(self, one: Statement) -> Statement:
        """Return a statement with the time and author of the version in which it came."""
        number, found = self._since(one)
        if not found:
            return one
        said = self.by.get(number)
        if said is None:
            return replace(one, author=self.sent.get(number, one.author))
        return replace(one, said_at=said[0], author=self._author(said[1]))

    def _author(self, who: Author) -> Author:
        if who.kind == "patient" and who.reference != self.patient:
            return replace(who, kind="proxy")
        return who

    def _since(self, one: Statement) -> tuple[int, bool]:
        """Return the first version of the row that has the value; and whether it is known."""
        first = one.source.version
        wanted = _at(self.versions[0][1], one.source.path) if self.versions else None
        for number, resource in self.versions:
            if not _has(resource, one.source.path, wanted):
                return first, True
            first = number
        return first, self.whole


async def brought(
    services: Services, access: AccessContext, versions: Sequence[Version]
) -> dict[str, Brought]:
    """Return by ``Type/id`` who brought what into these resources."""
    if not versions:
        return {}
    told, senders = await _provenances(services, access, versions)
    made = {}
    for version in versions:
        local = f"{version.type}/{version.id}"
        history = [version]
        if version.number > 1:
            history = await services.store.history(
                access, version.type, version.id, limit=MOST_VERSIONS
            )
        rows = tuple(
            (one.number, fhir_json.loads(one.body) if one.body is not None else {})
            for one in history
            if one.number <= version.number
        )
        whole = bool(rows) and rows[-1][0] == 1
        by, sent = told.get(local, {}), senders.get(local, {})
        made[local] = Brought(rows, by, whole, _patient(version, rows), sent)
    return made


def _patient(version: Version, rows: Sequence[tuple[int, Mapping[str, Any]]]) -> str:
    if version.type == "Patient":
        return f"Patient/{version.id}"
    newest = rows[0][1] if rows else {}
    whose = newest.get("patient") or newest.get("beneficiary") or {}
    return split_reference(str(whose.get("reference", ""))).local or ""


async def _provenances(
    services: Services, access: AccessContext, versions: Iterable[Version]
) -> tuple[dict[str, dict[int, Said]], dict[str, dict[int, Author]]]:
    """Return by ``Type/id`` and version which person brought it, and which feed."""
    try:
        demand(access, "search", "Provenance")
    except FhirError:
        return {}, {}
    page = await services.store.search(
        access,
        Query(
            ("Provenance",),
            HasKey(tuple(f"Provenance|target|r|{one.type}/{one.id}" for one in versions)),
        ),
        limit=MOST,
        deadline_s=services.policy.deadline_s,
    )
    found: dict[str, dict[int, Said]] = {}
    sent: dict[str, dict[int, Author]] = {}
    for one in page.versions:
        provenance = fhir_json.loads(one.body or b"{}")
        said = None if verifies(provenance) else _said(provenance, services.base_url)
        who = sender(provenance)
        for target in provenance.get("target", ()) if said is not None or who is not None else ():
            named = split_reference(str(target.get("reference", "")), services.base_url)
            if not (named.local and named.version and named.version.isdigit()):
                continue
            if said is not None:
                found.setdefault(named.local, {}).setdefault(int(named.version), said)
            else:
                sent.setdefault(named.local, {})[int(named.version)] = Author("feed", None, who)
    return found, sent


def _said(provenance: Mapping[str, Any], base_url: str) -> Said | None:
    """Return when and by which person it was brought; ``None``: by none, or nobody knows when."""
    who = next((made for one in provenance.get("agent", ()) if (made := _person(one, base_url))),
               None)  # fmt: skip
    occurred = provenance.get("occurredDateTime") or provenance.get("recorded")
    try:
        at = interval(str(occurred))[0]
    except InvalidDate:
        return None
    return (at, who) if who is not None else None


def _person(agent: Mapping[str, Any], base_url: str) -> Author | None:
    kinds = {
        one.get("code")
        for one in agent.get("type", {}).get("coding", ())
        if one.get("system") == PARTICIPANT
    }
    made = author(agent.get("who"), base_url)
    person = made.kind in ("patient", "proxy", "clinician") and made.reference is not None
    return made if person and not kinds & _PASSES_ON else None


def _at(resource: Mapping[str, Any], path: str) -> Any:
    """Return what stands at a path such as ``Patient.address[0].city``."""
    here: Any = resource
    for step in path.split(".")[1:]:
        name, _, index = step.partition("[")
        here = here.get(name) if isinstance(here, dict) else None
        if index and isinstance(here, list):
            place = int(index.rstrip("]"))
            here = here[place] if place < len(here) else None
    return here


def _has(resource: Mapping[str, Any], path: str, wanted: Any) -> bool:
    """Tell whether a version has the value at the path, at whatever place of its lists."""
    return wanted is not None and wanted in _all(resource, path.split(".")[1:])


def _all(value: Any, steps: Sequence[str]) -> list[Any]:
    if isinstance(value, list):
        return [found for one in value for found in _all(one, steps)]
    if not steps:
        return [value]
    if not isinstance(value, dict):
        return []
    inner = value.get(steps[0].partition("[")[0])
    return [] if inner is None else _all(inner, steps[1:])
