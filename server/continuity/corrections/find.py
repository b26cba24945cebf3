"""From the versions of a commit to the notices that they make."""

import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from server.access.context import SYSTEM, AccessContext
from server.continuity.citations import Showings, Shown
from server.continuity.corrections.changed import Reason, lost, reason
from server.continuity.corrections.occasions import SILENT, Occasion
from server.continuity.corrections.tell import Correction, Notice
from server.continuity.readers import Readers
from server.fhir import json as fhir_json
from server.fhir.errors import FhirError
from server.interactions.services import Services
from server.search import extract
from server.store.port import CommitConflict, Version

log = logging.getLogger("tellonce")

DOCUMENT: Final = "document/"
"""What the name of a reader begins with that is a stored form or document."""

_AT_ONCE: Final = 500  # resources that a reader is asked about

Concerned = tuple[Correction, Reason, Shown]
"""What is corrected, why, and who was shown it."""


@dataclass(slots=True)
class Finder:
    """Finds whom the versions of one look concern; what it reads it reads once."""

    services: Services
    readers: Readers
    showings: Showings
    _access: dict[str, AccessContext | None] = field(default_factory=dict)
    _may: dict[tuple[str, str], bool] = field(default_factory=dict)

    async def concerned(
        self, occasion: Occasion, only: Iterable[Shown] | None = None
    ) -> AsyncIterator[list[Concerned]]:
        """Yield whom each version of a commit concerns who may be told.

        ``only``: those who are asked about; else all who were shown the resources.
        """
        if only is None and not await self.showings.any():
            return  # as while feeds fill a new record: what was there before need not be read
        for version in occasion.versions:
            name = f"{version.type}/{version.id}/_history/{version.number}"
            if version.number == 1 or version.type in SILENT or name in occasion.silent:
                continue
            writers = occasion.writers.get(name, set())
            try:
                found = await self._of_version(version, only)
            except (FhirError, CommitConflict):
                raise
            except Exception as error:
                # One version that cannot be understood must not keep all later ones untold.
                log.error("corrections pass over %s: %s", name, type(error).__name__)
                continue
            yield [one for one in found if one[2].reader not in writers]  # they know it

    async def may_know(self, concerned: Sequence[Concerned]) -> list[Concerned]:
        """Return those whose readers may see now what is corrected, or could when it was here."""
        by_reader: dict[str, list[Concerned]] = {}
        for one in concerned:
            by_reader.setdefault(one[2].reader, []).append(one)
        for reader, listed in by_reader.items():
            if not reader.startswith(DOCUMENT):  # a Task beside the form, for who may see both
                await self._ask(reader, listed)
        return [
            one
            for one in concerned
            if one[2].reader.startswith(DOCUMENT) or self._may[one[2].reader, _about(one)]
        ]

    async def _ask(self, reader: str, concerned: Sequence[Concerned]) -> None:
        if reader not in self._access:
            self._access[reader] = await self.readers(reader)
        access, store = self._access[reader], self.services.store
        live: dict[tuple[str, str], str] = {}
        for one in concerned:
            (correction, why, _), about = one, _about(one)
            version = correction.version
            if (reader, about) in self._may:
                continue
            if access is None:
                self._may[reader, about] = False
            elif why == "moved":
                past = await store.vread(access, version.type, version.id, version.number - 1)
                self._may[reader, about] = past is not None
            elif correction.after is None:
                gone = await store.read(access, version.type, version.id)
                self._may[reader, about] = gone is not None
            else:
                live[version.type, version.id] = about
        places = list(live)
        for first in range(0, len(places), _AT_ONCE):
            part = places[first : first + _AT_ONCE]
            assert access is not None
            there = await store.read_many(access, part)
            self._may |= {(reader, live[place]): place in there for place in part}

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
        known: dict[tuple[int, frozenset[str]], Reason | None] = {}
        listed = only if only is not None else await self._shown(correction, was | now)
        for shown in listed:
            key = (_seen(correction, shown), shown.paths)
            if key not in known:
                known[key] = await self._why(correction, *key)
            own = known[key]
            if own == "moved" and shown.patient not in was - now:
                own = None
            if own is not None:
                found.append((correction, own, shown))
        return found

    async def _shown(self, correction: Correction, patients: Iterable[str]) -> list[Shown]:
        if correction.reason == "merged":
            every = await self.showings.all_of(correction.local)
            return [one for one in every if not one.reader.startswith(DOCUMENT)]
        shown = await self.showings.of(correction.local, patients)
        number = correction.version.number
        return [one for one in shown if min(one.versions) < number]

    async def _why(self, correction: Correction, seen: int, paths: frozenset[str]) -> Reason | None:
        """Return why who was shown a version is concerned; of elements only when these were."""
        if correction.reason not in (None, "corrected"):
            return correction.reason
        after = correction.after
        if after is None:
            return None
        then = None
        if seen and paths:
            then = await self._read(correction.version.type, correction.version.id, seen)
        if lost(then or correction.before, correction.before, after, paths):
            return correction.reason or "changed"
        return correction.reason if not paths else None

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


def _seen(correction: Correction, shown: Shown) -> int:
    """Return the latest version that was shown before the correction; 0 when only later ones."""
    number = correction.version.number
    return max((one for one in shown.versions if 0 < one < number), default=0)


def _about(concerned: Concerned) -> str:
    """Return what decides whether a reader may know: the resource, or the version that left."""
    correction, why, _ = concerned
    return correction.reference if why == "moved" else correction.local


def grouped(concerned: Iterable[Concerned]) -> list[Notice]:
    """Return one notice for each reader and patient."""
    found: dict[tuple[str, str], Notice] = {}
    for correction, why, shown in concerned:
        key = (shown.reader, shown.patient)
        notice = found.setdefault(key, Notice(shown.patient, shown.reader, shown.person))
        notice.told.append((correction, why, shown))
    return list(found.values())
