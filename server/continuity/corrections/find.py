"""From the versions of a commit to the notices that they make."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from server.access.context import SYSTEM, AccessContext
from server.continuity.citations import Showings, Shown
from server.continuity.corrections.changed import Reason, lost, reason
from server.continuity.corrections.occasions import Occasion
from server.continuity.corrections.tell import Correction, Notice
from server.continuity.readers import Readers
from server.fhir import json as fhir_json
from server.interactions.services import Services
from server.search import extract
from server.store.port import Version

DOCUMENT: Final = "document/"
"""What the name of a reader begins with that is a stored form or document."""

_SILENT: Final = frozenset(("AuditEvent", "Provenance"))

Concerned = tuple[Correction, Reason, Shown]
"""What is corrected, why, and who was shown it."""


@dataclass(slots=True)
class Finder:
    """Finds whom the versions of one look concern; what it reads it reads once."""

    services: Services
    readers: Readers
    showings: Showings
    _access: dict[str, AccessContext | None] = field(default_factory=dict)

    async def concerned(
        self, occasion: Occasion, only: Iterable[Shown] | None = None
    ) -> list[Concerned]:
        """Return whom the versions of a commit concern who may be told.

        ``only``: those who are asked about; else all who were shown the resources.
        """
        found: list[Concerned] = []
        for version in occasion.versions:
            name = f"{version.type}/{version.id}/_history/{version.number}"
            if version.number == 1 or version.type in _SILENT or name in occasion.silent:
                continue
            writers = occasion.writers.get(name, set())
            concerned = await self._of_version(version, only)
            found += [one for one in concerned if one[2].reader not in writers]  # they know it
        return found

    async def _of_version(self, version: Version, only: Iterable[Shown] | None) -> list[Concerned]:
        before = await self._read(version.type, version.id, version.number - 1)
        if before is None:
            return []
        after = fhir_json.loads(version.body) if version.body is not None else None
        was = self._patients(before)
        now = self._patients(after) if after is not None else was
        why = reason(before, after, patients_before=was, patients_after=now)
        correction = Correction(version, why, before, after)
        found = []
        listed = only if only is not None else await self._shown(correction, was | now)
        for shown in listed:
            own = await self._why(correction, shown)
            if own == "moved" and shown.patient not in was - now:
                own = None
            if own is not None and await self._may_know(correction, own, shown):
                found.append((correction, own, shown))
        return found

    async def _shown(self, correction: Correction, patients: Iterable[str]) -> list[Shown]:
        if correction.reason == "merged":
            every = await self.showings.all_of(correction.local)
            return [one for one in every if not one.reader.startswith(DOCUMENT)]
        shown = await self.showings.of(correction.local, patients)
        number = correction.version.number
        return [one for one in shown if min(one.versions) < number]

    async def _why(self, correction: Correction, shown: Shown) -> Reason | None:
        """Return why a reader is concerned; of single elements only when it was shown to them."""
        if correction.reason not in (None, "corrected"):
            return correction.reason
        after = correction.after
        if after is None:
            return None
        version = correction.version
        earlier = [number for number in shown.versions if 0 < number < version.number]
        seen = None
        if earlier and shown.paths:
            seen = await self._read(version.type, version.id, max(earlier))
        if lost(seen or correction.before, correction.before, after, shown.paths):
            return correction.reason or "changed"
        return correction.reason if not shown.paths else None

    async def _may_know(self, correction: Correction, why: Reason, shown: Shown) -> bool:
        """Tell whether the reader may see now what is corrected, or could when it was here."""
        if shown.reader.startswith(DOCUMENT):
            return True  # a Task beside the form, for whoever may see both
        if shown.reader not in self._access:
            self._access[shown.reader] = await self.readers(shown.reader)
        access = self._access[shown.reader]
        if access is None:
            return False
        store, version = self.services.store, correction.version
        if why == "moved":
            past = await store.vread(access, version.type, version.id, version.number - 1)
            return past is not None
        return await store.read(access, version.type, version.id) is not None

    async def _read(self, type_: str, id_: str, number: int) -> dict[str, Any] | None:
        found = await self.services.store.vread(SYSTEM, type_, id_, number)
        if found is None or found.body is None:
            return None
        made: dict[str, Any] = fhir_json.loads(found.body)
        return made

    def _patients(self, resource: dict[str, Any]) -> set[str]:
        services = self.services
        own = {f"Patient/{resource.get('id')}"} if resource["resourceType"] == "Patient" else set()
        within = extract.compartments(resource, services.base_url, catalog=services.catalog)
        return own | {one for one in within if one.startswith("Patient/")}


def grouped(concerned: Iterable[Concerned]) -> list[Notice]:
    """Return one notice for each reader and patient."""
    found: dict[tuple[str, str], Notice] = {}
    for correction, why, shown in concerned:
        key = (shown.reader, shown.patient)
        notice = found.setdefault(key, Notice(shown.patient, shown.reader, shown.person))
        notice.told.append((correction, why, shown))
    return list(found.values())
