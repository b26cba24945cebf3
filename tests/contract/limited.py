"""Resources with security labels and release, and callers whose permits say more than where."""

from datetime import UTC, datetime
from typing import Any

from server.access.context import SHARED, AccessContext, Permit, shared_types
from server.fhir import definitions
from server.search.query import HasKey, Mentioned, Predicate, Query
from server.search.rows import compartment_key

CODES = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
RESTRICTED = f"{CODES}|R"
RELEASED_AT = "https://tellonce.org/fhir/StructureDefinition/release"
VITALS = HasKey(("Observation|category|c|vital-signs",))


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
