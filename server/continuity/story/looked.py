"""When the reader's own department last looked at a patient's story.

Only calls that show the record as a whole count: who read one result has not seen the rest, and
what is taken for seen is no longer shown as new.  To count too few looks shows too much; to count
too many hides something.
"""

from base64 import b64decode, b64encode
from binascii import Error as BadBase64
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import orjson

from server.access.context import SYSTEM, AccessContext
from server.audit.codes import LOGIN
from server.continuity.story.wording import at
from server.fhir.dates import MINUTE, SECOND, interval
from server.fhir.errors import Forbidden, InvalidParameter
from server.fhir.references import split_reference
from server.interactions.services import Services
from server.search.query import AllOf, HasKey, Query
from server.store.port import Scalar, Version

WHOLE: Final = ("$story", "$everything", "$summary")
SITTING: Final = 30 * MINUTE  # looks of one reader with shorter breaks are one look
_PAGE: Final = 200
_MOST_PAGES: Final = 20
_DEPARTMENTS: Final = ("Organization", "HealthcareService")


class Departments(Protocol):
    """Which departments a login belongs to, and which logins a department has."""

    async def of(self, principal: str) -> frozenset[str]:
        """Return the departments (``Organization/x``) of ``user/anna``."""

    async def people(self, department: str) -> frozenset[str]:
        """Return the logins (``user/anna``) of a department."""


@dataclass(frozen=True, slots=True)
class Readers:
    """Whose looks count: logins, and the resources that stand for people."""

    principals: frozenset[str]
    persons: frozenset[str]


@dataclass(frozen=True, slots=True)
class Look:
    """A look at the whole record; ``at`` in microseconds."""

    at: int
    by_reader: bool


async def last_look(
    services: Services,
    access: AccessContext,
    patient: str,
    departments: Departments | None,
    department: str | None = None,
) -> int | None:
    """Return when the reader's department last saw the whole record, in microseconds.

    ``None``: never.  The reader's present sitting does not count.  A reader without a department,
    or a patient, is asked about their own looks alone.  ``department``: one of several.

    Raises:
        Forbidden: the department is not one of the reader's own.
        StoreUnavailable: what was shown lately is not in the audit yet.
    """
    readers = await _readers(services, access, departments, department)
    if services.audit is not None:
        await services.audit.settled()  # what was shown half a second ago counts as well
    edge = services.now()
    # What was stored while that story was being made was perhaps not in it.
    making = int(services.policy.deadline_s * SECOND)
    async for look in _looks(services, access, patient, readers):
        if look.by_reader and edge - look.at <= SITTING:
            edge = look.at
            continue
        return look.at - making
    return None


async def _readers(
    services: Services,
    access: AccessContext,
    departments: Departments | None,
    department: str | None,
) -> Readers:
    own = await departments.of(access.principal) if departments is not None else frozenset()
    own |= await _roles(services, access.person) if access.person else frozenset()
    if department is not None:
        wanted = split_reference(department, services.base_url)
        if wanted.type not in _DEPARTMENTS or wanted.id is None:
            raise InvalidParameter(
                "department is Organization/x or HealthcareService/x", expression=("department",)
            )
        name = f"{wanted.type}/{wanted.id}"
        if name not in own:
            raise Forbidden(
                "when a department last looked is told to its own people",
                expression=("department",),
            )
        own = frozenset((name,))
    principals, persons = {access.principal}, {access.person} if access.person else set()
    for one in own:
        if departments is not None:
            principals |= await departments.people(one)
        persons |= await _members(services, one)
    return Readers(frozenset(principals), frozenset(one for one in persons if one))


async def _roles(services: Services, person: str) -> frozenset[str]:
    """Return the departments that a practitioner's active roles name."""
    if person.startswith("PractitionerRole/"):
        found = await services.store.read_many(SYSTEM, [("PractitionerRole", person[17:])])
        return frozenset(d for one in found.values() for d in _departments(services, one))
    roles = await _search(services, "PractitionerRole", f"practitioner|r|{person}")
    return frozenset(name for one in roles for name in _departments(services, one))


async def _members(services: Services, department: str) -> frozenset[str]:
    param = "service" if department.startswith("HealthcareService/") else "organization"
    roles = await _search(services, "PractitionerRole", f"{param}|r|{department}")
    found = {f"PractitionerRole/{one.id}" for one in roles}
    for one in roles:
        body = orjson.loads(one.body or b"{}")
        if body.get("active") is not False:
            found |= set(_local(services, at(body, "practitioner")))
    return frozenset(found)


def _departments(services: Services, role: Version) -> set[str]:
    body = orjson.loads(role.body or b"{}")
    if body.get("active") is False:
        return set()
    named = [*at(body, "organization"), *at(body, "healthcareService")]
    return set(_local(services, named))


def _local(services: Services, references: Iterable[Any]) -> list[str]:
    found = []
    for one in references:
        if isinstance(one, dict) and isinstance(one.get("reference"), str):
            local = split_reference(one["reference"], services.base_url).local
            if local:
                found.append(local)
    return found


async def _search(services: Services, type_: str, key: str) -> tuple[Version, ...]:
    page = await services.store.search(
        SYSTEM,
        Query((type_,), HasKey((f"{type_}|{key}",))),
        limit=_PAGE,
        deadline_s=services.policy.deadline_s,
    )
    return page.versions


async def _looks(
    services: Services, access: AccessContext, patient: str, readers: Readers
) -> AsyncIterator[Look]:
    """Yield each look at the whole record, newest first.

    Read as SYSTEM: clinicians may not read AuditEvents, which name others and what they did.  Of
    all that is in them this gives away one time, at which the reader's own department looked, and
    nothing of what was shown to it; so nothing hidden can be told from it.
    """
    agents = [f"AuditEvent|agent|n|s|{LOGIN}|{one}" for one in sorted(readers.principals)]
    agents += [f"AuditEvent|agent|r|{one}" for one in sorted(readers.persons)]
    query = Query(
        ("AuditEvent",),
        AllOf(
            (
                HasKey((f"AuditEvent|patient|r|{patient}",)),
                HasKey(("AuditEvent|subtype|c|operation",)),
                HasKey(tuple(agents)),
            )
        ),
    )
    whole = {f"{patient}/{name}" for name in WHOLE}
    written = [b64encode(one.encode()) for one in whole]
    after: tuple[Scalar, ...] | None = None
    for _ in range(_MOST_PAGES):
        page = await services.store.search(
            SYSTEM, query, limit=_PAGE, after=after, deadline_s=services.policy.deadline_s
        )
        for version in page.versions:
            body = version.body or b"{}"
            if not any(one in body for one in written):
                continue  # most looks are at a part; to parse them all takes longer than the story
            event = orjson.loads(body)
            if event.get("outcome") == "0" and not whole.isdisjoint(_asked(event)):
                recorded = interval(event["recorded"])[0]  # the version is made a little later
                yield Look(recorded, access.principal in _logins(event))
        after = page.after
        if after is None:
            return


def _asked(event: dict[str, Any]) -> list[str]:
    found = []
    for text in at(event, "entity.query"):
        try:
            found.append(b64decode(text).decode())
        except (BadBase64, UnicodeDecodeError, TypeError):
            continue
    return found


def _logins(event: dict[str, Any]) -> set[str]:
    return {str(one.get("value")) for one in at(event, "agent.who.identifier")}
