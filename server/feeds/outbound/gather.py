"""Read what a message is made of: the resource, what the map names, and what those refer to.

Two worlds are gathered, that of now and that before the change: the second differs in the
resources of the same commit, which are taken as they were.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mappings.emit_map import EmitMap, Need
from mappings.emit_run import Change, World, roots_of
from server.access.context import SYSTEM
from server.fhir import json as fhir_json
from server.fhir.dates import instant_text
from server.interactions.conditional import condition
from server.interactions.services import Services
from server.store.port import Version

MOST_FOUND = 100  # resources of one ``search`` in a map
_READ_AT_ONCE = 200
_LEVELS = 3  # of references that are followed: report -> result -> performer -> organization
_FOLLOWED = frozenset(
    [
        "Account", "Condition", "Coverage", "Device", "Encounter", "HealthcareService", "Location",
        "Observation", "Organization", "Patient", "Practitioner", "PractitionerRole",
        "RelatedPerson", "ServiceRequest", "Specimen",
    ]
)  # fmt: skip

Resource = dict[str, Any]
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Occasion:
    """The versions of one commit that have one origin; ``feed`` is ``""`` for all but feeds.

    ``mode`` is that of the message that brought them, ``by`` its event.
    """

    versions: tuple[Version, ...]
    feed: str = ""
    mode: str = "live"
    by: str = ""


@dataclass(slots=True)
class Gatherer:
    """Reads for the messages of one occasion; what was read is kept for the next of them."""

    services: Services
    occasion: Occasion
    _now: dict[Key, Resource | None] = field(default_factory=dict)
    _was: dict[Key, Resource | None] = field(default_factory=dict)
    _changed: dict[Key, Version] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for version in self.occasion.versions:
            self._changed[version.type, version.id] = version
            self._now[version.type, version.id] = _resource(version)

    async def change(self, map_: EmitMap, version: Version) -> Change:
        """Return what happened to a resource, with everything that the map needs.

        Raises:
            StoreUnavailable, DeadlineExceeded: the record could not be read now.
        """
        key = version.type, version.id
        if key not in self._now:
            self._now[key] = _resource(version)
        now, was = self._now[key], await self._before(key)
        if key not in self._changed:
            was = now  # it is told because of another that changed: itself it did not
        older = None
        if map_.older and version.number > 2:
            older = await self._version(version.type, version.id, version.number - 2)
        return Change(
            await self._world(map_, now, before=False),
            await self._world(map_, was, before=True) if was is not None else None,
            older,
            by=self.occasion.by,
            at=instant_text(version.at),
        )

    async def _world(self, map_: EmitMap, about: Resource | None, *, before: bool) -> World:
        if about is None:
            return World(None)
        roots: dict[str, Sequence[Resource]] = {}
        for need in map_.needs:
            roots[need.name] = await self._needed(need, about, roots, before=before)
        others: dict[str, Resource] = {}
        level = [about, *(one for found in roots.values() for one in found)]
        for _ in range(_LEVELS):
            wanted = {key for one in level for key in _references(one)}
            wanted -= {(one.partition("/")[0], one.partition("/")[2]) for one in others}
            found = await self._read(sorted(wanted), before=before)
            if not found:
                break
            others |= {f"{type_}/{id_}": one for (type_, id_), one in found.items()}
            level = list(found.values())
        return World(about, roots, others)

    async def _needed(
        self,
        need: Need,
        about: Resource,
        roots: Mapping[str, Sequence[Resource]],
        *,
        before: bool,
    ) -> list[Resource]:
        if need.path is not None:
            here = _Here(roots_of(World(about, roots)))
            values = need.path.values(about, here)
            keys = [key for one in values for key in _reference(one)]
            found = await self._read([key for key in keys if key[0] == need.type], before=before)
            return [found[key] for key in keys if key in found]
        named = {"": [about], str(about["resourceType"]): [about], **roots}
        made: list[Resource] = []
        for one in named.get(need.of, ()):
            made += await self._search(need, f"{one['resourceType']}/{one['id']}", before=before)
        return made

    async def _search(self, need: Need, reference: str, *, before: bool) -> list[Resource]:
        asked = condition(
            self.services, SYSTEM, need.type, [(need.by, reference)], where=f"with {need.name}"
        )
        page = await self.services.store.search(
            SYSTEM,
            asked.query,
            limit=MOST_FOUND,
            deadline_s=self.services.policy.deadline_s,
        )
        made: list[Resource] = []
        for version in sorted(page.versions, key=lambda v: v.id):
            key = version.type, version.id
            self._now.setdefault(key, _resource(version))
            found = await self._before(key) if before else self._now[key]
            if found is not None:
                made.append(found)
        return made

    async def _read(self, keys: Iterable[Key], *, before: bool) -> dict[Key, Resource]:
        wanted = [key for key in keys if key not in self._now]
        for start in range(0, len(wanted), _READ_AT_ONCE):
            part = wanted[start : start + _READ_AT_ONCE]
            found = await self.services.store.read_many(SYSTEM, part)
            for key in part:
                self._now[key] = _resource(found[key]) if key in found else None
        made: dict[Key, Resource] = {}
        for key in keys:
            one = await self._before(key) if before else self._now[key]
            if one is not None:
                made[key] = one
        return made

    async def _before(self, key: Key) -> Resource | None:
        """Return a resource as it was before this occasion."""
        if key not in self._was:
            changed = self._changed.get(key)
            if changed is None:
                self._was[key] = self._now.get(key)
            else:
                self._was[key] = await self._version(*key, changed.number - 1)
        return self._was[key]

    async def _version(self, type_: str, id_: str, number: int) -> Resource | None:
        if number < 1:
            return None
        found = await self.services.store.vread(SYSTEM, type_, id_, number)
        return _resource(found) if found is not None else None


@dataclass(frozen=True, slots=True)
class _Here:
    """Named resources alone: the paths under ``with`` follow no references."""

    roots: Mapping[str, Sequence[Mapping[str, Any]]]

    def resolve(self, _reference: Any) -> Any:
        """Return nothing."""
        return None


def _resource(version: Version) -> Resource | None:
    if version.body is None:
        return None
    made: Resource = fhir_json.loads(version.body)
    return made


def _references(resource: Any) -> Iterator[Key]:
    """Yield what a resource refers to, of the types that messages speak of."""
    if isinstance(resource, dict):
        yield from _reference(resource)
        for value in resource.values():
            if isinstance(value, (dict, list)):
                yield from _references(value)
    elif isinstance(resource, list):
        for one in resource:
            yield from _references(one)


def _reference(value: Any) -> list[Key]:
    text = value.get("reference") if isinstance(value, dict) else None
    if not isinstance(text, str):
        return []
    type_, _, id_ = text.partition("/_history/")[0].rpartition("/")
    type_ = type_.rpartition("/")[2]
    return [(type_, id_)] if type_ in _FOLLOWED and id_ else []
