"""What a summary reads: the patient, what is about the patient, and whom that refers to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from server.access.context import AccessContext, shared_types
from server.continuity.summary.kinds import Kinds
from server.continuity.summary.sections import LATEST_OF, REPORTED, TYPES, is_about
from server.fhir import json as fhir_json
from server.fhir.errors import TooCostly
from server.fhir.references import split_reference
from server.interactions.services import Services
from server.search.query import AllOf, HasKey, Not, Predicate, Query
from server.search.rows import compartment_key
from server.store.port import Page, Scalar, Version

MOST_READ: Final = 50_000  # resources of one patient
CHUNK: Final = 2_000
SERIES: Final = 500  # of a long series, at once
MAX_STEPS: Final = 3  # references followed from reference to reference

Resource = dict[str, Any]
_OF_PATIENTS: Final = frozenset(("Device", "Specimen"))


@dataclass(frozen=True, slots=True)
class Record:
    """The versions read, by ``Type/id``, and their JSON; ``own`` in order, newest first."""

    own: list[Resource] = field(default_factory=list)
    versions: dict[str, Version] = field(default_factory=dict)


async def about_patient(services: Services, access: AccessContext, patient: str) -> Record:
    """Return all that the caller may see and a section could show; of long series the newest.

    Numbers in it are good for looking at, not for showing (:func:`exactly`).

    Raises:
        TooCostly: it is more than :data:`MOST_READ`.
    """
    reading = _Reading(services, access, patient)
    await reading.all_of(tuple(type_ for type_ in TYPES if type_ not in LATEST_OF))
    for type_ in LATEST_OF:
        await reading.series(type_)
    return reading.record


def exactly(record: Record, shown: Iterable[Resource]) -> list[Resource]:
    """Return resources of the record with every number as it was written."""
    versions = (record.versions[f"{one['resourceType']}/{one['id']}"] for one in shown)
    return [fhir_json.loads(version.body or b"{}") for version in versions]


@dataclass(slots=True)
class _Reading:
    services: Services
    access: AccessContext
    patient: str
    record: Record = field(default_factory=Record)
    _read: int = 0

    async def all_of(self, types: tuple[str, ...]) -> None:
        """Read everything of some types."""
        after = None
        while True:
            page = await self._page(Query(types, self._inside()), CHUNK, after)
            self._keep(page)
            if (after := page.after) is None:
                return

    async def series(self, type_: str) -> None:
        """Read the newest of each kind, so that a long series costs as much as a short one.

        Which kinds have been read often enough is left out of the next search; what was read and
        is none of them is read again then, so that is done only where it saves more than it costs.
        """
        kinds = Kinds()
        stands = HasKey(tuple(f"{type_}|status|c|{one}" for one in sorted(REPORTED)))
        after: tuple[Scalar, ...] | None = None
        left_out: frozenset[str] = frozenset()
        while True:
            where = AllOf((self._inside(), stands, *_without(type_, left_out)))
            page = await self._page(Query((type_,), where), SERIES, after)
            kinds.add(self._keep(page))
            after = page.after
            if after is None:
                return
            enough = kinds.enough()
            if kinds.rows(enough - left_out) > kinds.rows_beside(enough):
                left_out, after = enough, None

    def _inside(self) -> HasKey:
        return HasKey((compartment_key(self.patient),))

    async def _page(self, query: Query, limit: int, after: tuple[Scalar, ...] | None) -> Page:
        deadline_s = self.services.policy.deadline_s
        page = await self.services.store.search(
            self.access, query, limit=limit, after=after, deadline_s=deadline_s
        )
        self._read += len(page.versions)
        if self._read > MOST_READ:
            raise TooCostly(f"a summary is made of at most {MOST_READ} resources")
        return page

    def _keep(self, page: Page) -> list[Resource]:
        """Keep what is about the patient; return what of it was not there yet."""
        new = []
        for version in page.versions:
            local = f"{version.type}/{version.id}"
            if local in self.record.versions:
                continue
            made: Resource = fhir_json.glance(version.body or b"{}")
            if is_about(made, self.patient, self.services.base_url):
                self.record.own.append(made)
                self.record.versions[local] = version
                new.append(made)
        return new


def _without(type_: str, codes: frozenset[str]) -> tuple[Predicate, ...]:
    keys = tuple(f"{type_}|code|c|{code}" for code in sorted(codes))
    return (Not(HasKey(keys)),) if keys else ()


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
