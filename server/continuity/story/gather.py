"""The reads behind a story, all under the caller's access (C7)."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from server.access.context import AccessContext
from server.continuity.enabled import without
from server.continuity.gather.forms import conditions_of
from server.continuity.gather.search import Looking
from server.continuity.statement import Source
from server.continuity.statements.conditions import Conditions
from server.continuity.story import asks
from server.continuity.story.asks import Ask
from server.continuity.story.people import People, Ref, references
from server.continuity.story.telling import Found, is_withdrawn
from server.continuity.story.wording import Json, at
from server.continuity.story.words import Words
from server.fhir import json as fhir_json
from server.fhir.references import split_reference
from server.interactions.services import Services
from server.search.query import HasKey, Query, SortKey
from server.store.port import Version

MOST_CHANGES = 40
MOST_PROVENANCES = 500
HOPS = 2  # from a role to the person in it


@dataclass(slots=True)
class Group:
    """The answer to one search: what is told, how many more there are, and one of those."""

    type: str
    found: list[Found] = field(default_factory=list)
    more: int = 0
    witness: Source | None = None


@dataclass(slots=True)
class Gathered:
    """Everything that was read.  ``versions`` are those that sentences may cite, ``parsed`` what
    is in those that were looked into."""

    patient: Found
    groups: dict[str, Group]
    changed: Group | None
    people: People
    versions: dict[Source, Version]
    parsed: dict[Source, Json]

    def resource(self, source: Source) -> Json:
        """Return the resource that a source names."""
        if source not in self.parsed:
            self.parsed[source] = fhir_json.loads(self.versions[source].body or b"{}")
        return self.parsed[source]


async def gather(
    services: Services,
    access: AccessContext,
    patient: Version,
    words: Words,
    *,
    since: int | None = None,
    encounter: str | None = None,
) -> Gathered:
    """Return what the story of a patient is made of.

    ``since``: microseconds; ``encounter``: ``Encounter/x``.  Raises DeadlineExceeded.
    """
    reference = f"Patient/{patient.id}"
    reading = _Reading(services, access)
    listed = asks.asks(reference, services.now())
    if since is not None:
        listed += (asks.new_home(since, reference),)
    tasks = [reading.group(ask, ask.query(reference, encounter)) for ask in listed]
    groups = dict(zip((ask.name for ask in listed), await asyncio.gather(*tasks), strict=True))
    changed = None
    if since is not None:
        ask = Ask("changes", "", MOST_CHANGES, sort=asks.NEWEST)
        changed = await reading.group(ask, asks.changes(reference, since, encounter), errors=True)
    await _leave_out(
        services, access, reference, [*groups.values(), *([changed] if changed else [])]
    )
    itself = reading.found(patient)
    every = [one for group in (*groups.values(), changed) if group for one in group.found]
    people = People(reference, services.base_url, words, await reading.people(every))
    authorless = [one for one in every if people.author(one.resource) is None]
    written = await reading.written(authorless)
    writers = await reading.people(Found(*one) for one in written.values())
    people = replace(people, written=written, known={**people.known, **writers})
    return Gathered(itself, groups, changed, people, reading.versions, reading.parsed)


async def _leave_out(
    services: Services, access: AccessContext, patient: str, groups: Iterable[Group]
) -> None:
    """Leave out of answered forms what they did not ask: it is nobody's word (R4 enableWhen)."""
    some = [group for group in groups if any(map(_is_form, group.found))]
    responses = [one.resource for group in some for one in group.found if _is_form(one)]
    if not responses:
        return
    conditions = await conditions_of(Looking(services, access, patient), responses)
    for group in some:
        group.found = [_asked(one, conditions) if _is_form(one) else one for one in group.found]


def _is_form(found: Found) -> bool:
    return found.type == "QuestionnaireResponse"


def _asked(found: Found, conditions: Mapping[str, Conditions]) -> Found:
    named = conditions[str(found.resource.get("questionnaire", ""))]
    return replace(found, resource=without(found.resource, named.of(found.resource).not_asked))


@dataclass(slots=True)
class _Reading:
    services: Services
    access: AccessContext
    versions: dict[Source, Version] = field(default_factory=dict)
    parsed: dict[Source, Json] = field(default_factory=dict)

    async def group(self, ask: Ask, query: Query, *, errors: bool = False) -> Group:
        """Return the newest entries; one more than the limit is read, to have a witness of more."""
        versions = await self._search(query, ask.sort, ask.limit + 1)
        told, beyond = versions[: ask.limit], versions[ask.limit :]
        group = Group(ask.type)
        for version in told:
            found = self.found(version)
            if errors or not is_withdrawn(found.resource):
                group.found.append(found)
        if beyond:
            deadline_s = self.services.policy.deadline_s
            count = await self.services.store.count(self.access, query, deadline_s=deadline_s)
            group.more = max(count - len(told), 1)
            group.witness = self._kept(beyond[0])
        return group

    async def people(self, every: Iterable[Found]) -> dict[Ref, tuple[Json, Source]]:
        """Return those that the entries refer to by a reference without a name."""
        known: dict[Ref, tuple[Json, Source]] = {}
        tried: set[Ref] = set()
        resources = [one.resource for one in every]
        for _ in range(HOPS):
            wanted = {ref for one in resources for ref in references(one, self._base)} - tried
            if not wanted:
                break
            tried |= wanted
            there = await self.services.store.read_many(self.access, sorted(wanted))
            resources = []
            for ref, version in there.items():
                found = self.found(version)
                if not is_withdrawn(found.resource):
                    known[ref] = found.resource, found.source
                    resources.append(found.resource)
        return known

    async def written(self, authorless: Iterable[Found]) -> dict[Ref, tuple[Json, Source]]:
        """Return by (type, id) the Provenance of the very version of what names no author."""
        names = {one.source.reference: (one.source.type, one.source.id) for one in authorless}
        if not names:
            return {}
        keys = tuple(f"Provenance|target|v|{name}" for name in names)
        found = await self._search(Query(("Provenance",), HasKey(keys)), (), MOST_PROVENANCES)
        written: dict[Ref, tuple[Json, Source]] = {}
        for version in found:
            one = self.found(version)
            for text in at(one.resource, "target.reference"):
                name = split_reference(str(text), self._base)
                versioned = f"{name.type}/{name.id}/_history/{name.version}"
                if versioned in names:
                    written.setdefault(names[versioned], (one.resource, one.source))
        return written

    def found(self, version: Version) -> Found:
        """Return a version as it is told of; each is parsed once."""
        source = self._kept(version)
        if source not in self.parsed:
            self.parsed[source] = fhir_json.loads(version.body or b"{}")
        return Found(self.parsed[source], source)

    @property
    def _base(self) -> str:
        return self.services.base_url

    def _kept(self, version: Version) -> Source:
        source = Source.of(version)
        self.versions.setdefault(source, version)
        return source

    async def _search(
        self, query: Query, sort: tuple[SortKey, ...], limit: int
    ) -> tuple[Version, ...]:
        page = await self.services.store.search(
            self.access, query, sort=sort, limit=limit, deadline_s=self.services.policy.deadline_s
        )
        return page.versions
