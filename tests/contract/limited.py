"""Resources with security labels and release, and callers whose permits say more than where."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from server.access.context import SHARED, AccessContext, Permit, shared_types
from server.fhir import definitions
from server.fhir.dates import interval
from server.interactions.prepare import to_write
from server.search import extract
from server.search.query import HasKey, Mentioned, Predicate, Query
from server.search.rows import (
    MAX_TIME,
    RELEASE,
    RELEASE_MARK,
    IndexRows,
    compartment_key,
    label_mark,
    param_hash,
)
from server.store.port import Write

CODES = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
RESTRICTED = f"{CODES}|R"
RELEASED_AT = "https://tellonce.org/fhir/StructureDefinition/release"
VITALS = HasKey(("Observation|category|c|vital-signs",))


def index(resource: dict[str, Any]) -> tuple[IndexRows, tuple[str, ...]]:
    """Return rows and marks, those of labels and release among them."""
    rows, marks = extract.indexed(resource)
    labels = [f"{one['system']}|{one['code']}" for one in _labels(resource)]
    marks = tuple(dict.fromkeys([*marks, *map(label_mark, labels)]))
    at = _release(resource)
    place = param_hash(resource["resourceType"], RELEASE)
    if at is None or any(row[0] == place for row in rows.dates):
        return rows, marks
    dates = (*rows.dates, (place, at, MAX_TIME if at == MAX_TIME else at + 1))
    return replace(rows, dates=dates), tuple(dict.fromkeys([*marks, RELEASE_MARK]))


def put(resource: dict[str, Any]) -> Write:
    rows, marks = index(resource)
    write = to_write(resource, base_url="", method="PUT")
    return replace(write, rows=rows, compartments=marks)


def labelled(resource: dict[str, Any], code: str = "R") -> dict[str, Any]:
    return {**resource, "meta": {"security": [{"system": CODES, "code": code}]}}


def released(resource: dict[str, Any], at: str | None) -> dict[str, Any]:
    """Return the resource with a release at that instant; ``None``: held without an end."""
    what = {"url": "at", "valueInstant": at} if at else {"url": "hold", "valueCode": "review"}
    return {**resource, "extension": [{"url": RELEASED_AT, "extension": [what]}]}


def holding(*permits: Permit) -> AccessContext:
    return AccessContext("user/1", "app", permits)


def moment(year: int) -> int:
    return int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000


def mentioned_by(patient: str, where: Predicate | None = None) -> Mentioned:
    """Return the limit on what patients share: some resource of the patient refers to it."""
    own = HasKey((compartment_key(patient),))
    return Mentioned(Query(patient_types(), own if where is None else where))


def shared_with(patient: str) -> tuple[Permit, ...]:
    """Return what an app of the patient is given: the compartment, and what it refers to."""
    return Permit("*", compartment=patient), Permit(SHARED, where=mentioned_by(patient))


def patient_types() -> tuple[str, ...]:
    return tuple(sorted(set(definitions.resource_types()) - shared_types()))


def _labels(resource: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = resource.get("meta", {}).get("security", [])
    return found


def _release(resource: dict[str, Any]) -> int | None:
    for extension in resource.get("extension", ()):
        if extension["url"] == RELEASED_AT:
            (what,) = extension["extension"]
            return MAX_TIME if what["url"] == "hold" else interval(what["valueInstant"])[0]
    return None
