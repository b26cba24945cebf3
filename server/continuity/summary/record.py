"""What a summary reads: the patient, what is about the patient, and whom that refers to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from server.access.context import AccessContext, shared_types
from server.continuity.summary.sections import TYPES, is_about
from server.fhir import json as fhir_json
from server.fhir.errors import TooCostly
from server.fhir.references import split_reference
from server.interactions.services import Services
from server.search.query import HasKey, Query
from server.search.rows import compartment_key
from server.store.port import Scalar, Version

MOST_READ: Final = 50_000  # resources of one patient
CHUNK: Final = 2_000
MAX_STEPS: Final = 3  # references followed from reference to reference

Resource = dict[str, Any]
_OF_PATIENTS: Final = frozenset(("Device", "Specimen"))


@dataclass(frozen=True, slots=True)
class Record:
    """The versions read, by ``Type/id``, and their JSON; ``own`` in order, newest first."""

    own: list[Resource] = field(default_factory=list)
    versions: dict[str, Version] = field(default_factory=dict)


async def about_patient(services: Services, access: AccessContext, patient: str) -> Record:
    """Return all that the caller may see and a section could show.

    Raises:
        TooCostly: it is more than :data:`MOST_READ`.
    """
    record = Record()
    query = Query(TYPES, HasKey((compartment_key(patient),)))
    after: tuple[Scalar, ...] | None = None
    read = 0
    while True:
        page = await services.store.search(
            access, query, limit=CHUNK, after=after, deadline_s=services.policy.deadline_s
        )
        read += len(page.versions)
        if read > MOST_READ:
            raise TooCostly(f"a summary is made of at most {MOST_READ} resources")
        for version in page.versions:
            made: Resource = fhir_json.loads(version.body or b"{}")
            if is_about(made, patient, services.base_url):
                record.own.append(made)
                record.versions[f"{version.type}/{version.id}"] = version
        after = page.after
        if after is None:
            return record


async def referred(
    services: Services, access: AccessContext, shown: Iterable[Resource], patient: str
) -> Mapping[str, tuple[Version, Resource]]:
    """Return who and what the resources refer to, by ``Type/id``: people, places, products.

    Another patient, or what belongs to one, is not among them.
    """
    found: dict[str, tuple[Version, Resource]] = {}
    tried: set[tuple[str, str]] = set()
    sources = list(shown)
    for _ in range(MAX_STEPS):
        wanted = {ref for one in sources for ref in _references(one, services.base_url)} - tried
        if not wanted:
            break
        tried |= wanted
        there = await services.store.read_many(access, sorted(wanted))
        made = [(version, fhir_json.loads(version.body or b"{}")) for version in there.values()]
        new = [(version, one) for version, one in made if _is_supporting(one, patient)]
        found |= {f"{version.type}/{version.id}": (version, one) for version, one in new}
        sources = [one for _, one in new]
    return found


def _references(value: Any, base_url: str) -> Iterable[tuple[str, str]]:
    todo: list[Any] = [value]
    while todo:
        part = todo.pop()
        if isinstance(part, dict):
            named = split_reference(str(part.get("reference", "")), base_url)
            if named.type in shared_types() | _OF_PATIENTS and named.id is not None:
                yield named.type, named.id
            todo.extend(part.values())
        elif isinstance(part, list):
            todo.extend(part)


def _is_supporting(resource: Resource, patient: str) -> bool:
    whose = resource.get("patient") or resource.get("subject")
    return not isinstance(whose, dict) or whose.get("reference") in (None, patient)
