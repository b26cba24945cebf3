"""Finding patients and visits, always with the rights of the person who looks.

Nothing here filters afterwards: the store finds what the person may see, and nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from server.access.context import AccessContext
from server.auth.pages.people import Person, Visited, person, visited
from server.fhir import json as fhir_json
from server.fhir.errors import Forbidden, Gone, NotFound
from server.interactions.links import CURSOR
from server.interactions.read import read
from server.interactions.search import search
from server.interactions.services import Services

PAGE = "10"


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of resources; ``next`` is the cursor of the page after it."""

    resources: tuple[dict[str, Any], ...]
    next: str | None

    @property
    def people(self) -> list[Person]:
        """The page as patients."""
        return [person(one) for one in self.resources]

    @property
    def visits(self) -> list[Visited]:
        """The page as visits."""
        return [visited(one) for one in self.resources]


def within(access: AccessContext) -> tuple[str, ...] | None:
    """Return the ids of the only patients whose records are open to the caller.

    ``None``: the records of more patients than can be named; they have to be searched.
    """
    permits = access.covering("Patient", "read")
    if any(permit.compartment is None for permit in permits):
        return None
    ids = (permit.compartment or "" for permit in permits)
    return tuple(dict.fromkeys(one.partition("/")[2] for one in ids))


async def patient(services: Services, access: AccessContext, id_: str) -> Person | None:
    """Return a patient that the caller may see; ``None`` when there is none such."""
    found = await resource(services, access, "Patient", id_)
    return person(found) if found is not None else None


async def resource(
    services: Services, access: AccessContext, type_: str, id_: str
) -> dict[str, Any] | None:
    """Return a resource that the caller may see; ``None`` when there is none such."""
    try:
        version = await read(services, access, type_, id_)
    except (Forbidden, Gone, NotFound):
        return None
    found: dict[str, Any] = fhir_json.loads(version.body or b"{}")
    return found


async def named(services: Services, access: AccessContext, ids: Sequence[str]) -> list[Person]:
    """Return those of these patients that the caller may see, in the order of their names."""
    if not ids:
        return []
    pairs = [("_id", ",".join(ids)), ("_count", "1000")]
    found = await search(services, access, "Patient", pairs, strict=True)
    people = [person(fhir_json.loads(one.body or b"{}")) for one in found.matches]
    return sorted(people, key=lambda one: (one.name.casefold(), one.id))


async def patients(
    services: Services,
    access: AccessContext,
    *,
    name: str,
    identifier: str,
    birthdate: str,
    cursor: str,
) -> Listed:
    """Return patients by the beginnings of their names, a number, a birth date.

    Raises:
        InvalidSearch: the birth date is none, or the cursor is not of this search.
    """
    pairs = [("name", _escaped(word)) for word in name.split()[:8]]
    pairs += [("identifier", _escaped(identifier))] if identifier else []
    pairs += [("birthdate", birthdate)] if birthdate else []
    return await _listed(services, access, "Patient", [*pairs, ("_sort", "family,given")], cursor)


async def visits(services: Services, access: AccessContext, patient_id: str, cursor: str) -> Listed:
    """Return a patient's visits, the newest first."""
    pairs = [("patient", f"Patient/{patient_id}"), ("_sort", "-date")]
    return await _listed(services, access, "Encounter", pairs, cursor)


async def visit_of(
    services: Services, access: AccessContext, id_: str, patient_id: str
) -> Visited | None:
    """Return a visit that the caller may see, if it is one of the patient's."""
    found = await resource(services, access, "Encounter", id_)
    subject = (found or {}).get("subject") or {}
    if found is None or subject.get("reference") != f"Patient/{patient_id}":
        return None
    return visited(found)


async def _listed(
    services: Services,
    access: AccessContext,
    type_: str,
    pairs: Sequence[tuple[str, str]],
    cursor: str,
) -> Listed:
    asked = [*pairs, ("_count", PAGE), *([(CURSOR, cursor)] if cursor else [])]
    found = await search(services, access, type_, asked, strict=True)
    bodies = [fhir_json.loads(version.body or b"{}") for version in found.matches]
    return Listed(tuple(bodies), found.next)


def _escaped(text: str) -> str:
    """Return a value that means itself.  R4 search.html#escaping."""
    for special in "\\$,|":
        text = text.replace(special, f"\\{special}")
    return text
