"""Whether the caller may: one place for every interaction.

What no permit speaks of is forbidden (403).  What lies outside the caller's limits does not exist
for the caller, and is answered like what was never there (404).

A write is judged twice, by the version that is there and by the one that would come: both must
lie inside the limits.  So nothing is moved out of a record or into one, and nobody writes what
he could not read afterwards, such as a resource with a security label above his clearance.
Nor does anything enter or leave the record of a patient beside it: who writes about herself does
not put that in somebody else's record by naming him as its subject.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from server.access.authorship import SERVER_SYSTEMS, speaks_for_server, speaks_for_staff
from server.access.context import SYSTEM, AccessContext, Interaction
from server.access.departments import patients_asked_for
from server.access.narrow import decide, limit
from server.fhir import json as fhir_json
from server.fhir.errors import DeadlineExceeded, Forbidden, NotFound, ReadOnly
from server.interactions.hops import named, settled
from server.interactions.services import Services
from server.search import extract
from server.search.match import matches
from server.search.query import Query
from server.search.rows import IndexRows, whole
from server.store.port import Version, Write

READ_ONLY = frozenset(("AuditEvent",))
"""Types that only the server itself writes: what tells of deeds is not the doers' to change."""

_CHANGES: frozenset[Interaction] = frozenset(("create", "update", "delete"))


def demand(access: AccessContext, interaction: Interaction, type_: str) -> None:
    """Raise unless some permit speaks of the interaction on the type.

    Raises:
        ReadOnly: nobody writes the type through the API.
        Forbidden: no permit does.
    """
    if type_ in READ_ONLY and interaction in _CHANGES:
        raise ReadOnly(
            f"{type_} is written by the server alone: no request creates, changes or deletes one"
        )
    for permit in access.permits:
        if permit.covers(type_, interaction):
            return
    raise Forbidden(
        f"this token does not allow {interaction} of {type_}: it takes the scope "
        f"{_level(access)}/{type_}.{interaction[0]}, and a role that may do it"
    )


def _level(access: AccessContext) -> str:
    """Return the level of scopes that is most likely meant."""
    if access.principal == f"client/{access.client}":
        return "system"
    return "user" if access.patient is None else "patient"


def limited(access: AccessContext, interaction: Interaction, type_: str) -> bool:
    """Tell whether the caller may do this to a part of the type's resources only."""
    return not any(p.whole for p in access.covering(type_, interaction))


async def demand_write(
    services: Services,
    access: AccessContext,
    interaction: Interaction,
    resource: dict[str, Any],
    write: Write,
    before: Version | None = None,
) -> None:
    """Raise ``Forbidden`` when the version to be written would lie outside the caller's limits.

    ``write``: how it is to be stored.  ``before``: the live version that it replaces.
    """
    type_ = write.type
    if write.rows is not None:
        demand_own_word(access, resource)
    if write.rows is None or not limited(access, interaction, type_):
        return
    if (named := speaks_for_staff(access, interaction, resource)) is not None:
        raise Forbidden(
            f"{named} names somebody of the staff: a patient, or who acts for one, can say what "
            "they say themselves; what a clinician wrote is a DocumentReference",
            expression=(named,),
        )
    rows = whole(write.rows)
    if not await _open(services, access, interaction, resource, rows, services.now()):
        raise Forbidden(
            f"this token allows {interaction} of {type_} only inside the record it is for, and "
            "under labels within its clearance"
        )
    moved = _patients(write.compartments)
    there: dict[str, Any] = {}
    if before is not None:
        there = fhir_json.loads(before.body or b"{}")
        moved ^= _patients(extract.compartments(there, services.base_url, catalog=services.catalog))
    if moved and not await _reaches(services, access, interaction, resource, rows, moved):
        raise Forbidden(
            f"this token allows {interaction} of {type_} only inside the record it is for; this "
            "would enter or leave that of another patient as well"
        )
    of_one = all(p.compartment is not None for p in access.covering(type_, interaction))
    if of_one and _server_identifiers(resource) - _server_identifiers(there):
        raise Forbidden(
            f"identifiers of {SERVER_SYSTEMS}... are the server's own: by them it knows what a "
            "message of a feed is about"
        )


def demand_own_word(access: AccessContext, resource: dict[str, Any]) -> None:
    """Raise ``Forbidden`` for a Provenance that says what only the server knows."""
    if (named := speaks_for_server(access, resource)) is not None:
        raise Forbidden(
            f"{named} has a system of {SERVER_SYSTEMS}..., by which the server says what itself or "
            "a feed wrote",
            expression=(named,),
        )


async def demand_change(
    services: Services, access: AccessContext, interaction: Interaction, current: Version
) -> None:
    """Check the version that is there, before it is replaced or deleted.

    Raises:
        NotFound: the caller may not even see it, so it does not exist.
        Forbidden: the caller may see it, but not change it.
    """
    if not limited(access, interaction, current.type):
        return
    resource: dict[str, Any] = fhir_json.loads(current.body or b"{}")
    rows = extract.index_rows(resource, services.base_url, catalog=services.catalog)
    if await _open(services, access, interaction, resource, rows, current.at):
        return
    if await _open(services, access, "read", resource, rows, current.at):
        raise Forbidden(f"this token does not allow {interaction} of this {current.type}")
    raise not_found(current.type, current.id)


def not_found(type_: str, id_: str, place: tuple[str, ...] = ()) -> NotFound:
    """Return the one error for what is absent and for what may not be seen."""
    return NotFound(f"{type_}/{id_} is not known", expression=place)


@contextmanager
def discreet(access: AccessContext) -> Iterator[None]:
    """Let a search that took too long say no more than that to callers with limits.

    The plan in the text of the store counts resources that they may not know of.
    """
    try:
        yield
    except DeadlineExceeded as error:
        if access.unrestricted:
            raise
        told = "it took too long; narrow it by a patient, a code or a date"
        raise DeadlineExceeded(told) from error


def _server_identifiers(resource: dict[str, Any]) -> set[tuple[str, Any]]:
    """Return (system, value) of the identifiers that the server itself gives."""
    return {
        (one["system"], one.get("value"))
        for name in ("identifier", "masterIdentifier")
        for one in _listed(resource.get(name))
        if isinstance(one, dict) and str(one.get("system", "")).startswith(SERVER_SYSTEMS)
    }


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _patients(compartments: Iterable[str]) -> set[str]:
    return {one for one in compartments if one.startswith("Patient/")}


async def _reaches(
    services: Services,
    access: AccessContext,
    interaction: Interaction,
    resource: dict[str, Any],
    rows: IndexRows,
    patients: set[str],
) -> bool:
    """Tell whether the permits that allow the write speak of all these patients."""
    left = set(patients)
    for permit in access.covering(resource["resourceType"], interaction):
        alone = replace(access, permits=(permit,))
        if not await _open(services, alone, interaction, resource, rows, services.now()):
            continue
        if permit.compartment is not None:
            left.discard(permit.compartment)
        elif (seen := patients_asked_for(permit.where)) is None:
            return True
        else:
            left -= await named(services, seen, left)
        if not left:
            return True
    return False


async def live(services: Services, type_: str, id_: str) -> Version | None:
    """Return the latest version, whoever asks, unless it is a deletion.

    For the checks of this module only: nothing of it may be shown before they passed.
    """
    current = await services.store.read(SYSTEM, type_, id_)
    return current if current is not None and current.body is not None else None


async def _open(
    services: Services,
    access: AccessContext,
    interaction: Interaction,
    resource: dict[str, Any],
    rows: IndexRows,
    updated: int,
) -> bool:
    """Tell whether the caller may do this to a resource, stored or not, with these rows."""
    type_ = resource["resourceType"]
    told = decide(access, interaction, type_, rows.keys)
    if told is not None:
        return told
    with discreet(access):
        where = await settled(services, limit(type_, access, interaction), resource)
    return matches(Query((type_,), where), resource, rows, updated=updated)
