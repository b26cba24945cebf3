"""One extraction: a response and its form in, the entries of a transaction out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from time import monotonic
from typing import Any, Final

import anyio.to_thread

from server.access.context import AccessContext, Interaction
from server.continuity.answers import known_answers
from server.continuity.confirm import NEW, Prior, priors
from server.continuity.confirmed import ANSWERED, confirmation, responses_of, source_of, verifies
from server.continuity.enabled import enabled
from server.continuity.extract.bundle import Entries
from server.continuity.extract.definitions import Definitions
from server.continuity.extract.expressions import Asking, Variables
from server.continuity.extract.facts import STATEMENTS, Fact, Said, author_of, is_in_error
from server.continuity.extract.items import Answer, Given, given
from server.continuity.extract.observations import Observations
from server.continuity.extract.stored import Stored, find_others, made_before, writer
from server.continuity.extract.templates import Templates
from server.continuity.form import Form
from server.continuity.known import Candidate
from server.continuity.site import Site
from server.continuity.statement import Source
from server.fhir import json as fhir_json
from server.fhir.errors import BusinessRule, Forbidden, Gone, Issue, NotFound
from server.fhir.references import split_reference
from server.interactions.services import Services
from server.store.port import Version

_IN_ERROR: Final = "entered-in-error"
_LAY: Final = ("Patient", "RelatedPerson")
_OPERATION: Final = "http://terminology.hl7.org/CodeSystem/v3-DataOperation"


@dataclass(frozen=True, slots=True)
class Extracted:
    """``entries`` of a transaction; ``issues`` of which an error means that something is missing;
    ``sources``: the versioned references that it was made of; ``patient``: ``Patient/x``;
    ``needs``: what who commits it must be allowed."""

    entries: tuple[dict[str, Any], ...]
    issues: tuple[Issue, ...]
    sources: tuple[str, ...]
    patient: str | None
    needs: frozenset[tuple[Interaction, str]] = frozenset()


async def extract(
    services: Services,
    access: AccessContext,
    response: dict[str, Any],
    version: Version | None,
    form: Form,
    site: Site,
) -> Extracted:
    """Return what the answers of a response say, as a transaction that may be sent twice.

    ``version``: the response as it is stored, ``None`` when it is not: nothing made of it can then
    be found again.

    Raises:
        BusinessRule: the response is not complete.
        DeadlineExceeded, StoreUnavailable: as of a search.
    """
    status = response.get("status")
    if status not in ANSWERED and status != _IN_ERROR:
        raise BusinessRule(
            f"a response is extracted when it is completed, this one is {status}",
            expression=("QuestionnaireResponse.status",),
        )
    one = _Extraction(services, access, response, version, form, site)
    return await one.run(answers=status != _IN_ERROR)


class _Extraction:
    def __init__(
        self,
        services: Services,
        access: AccessContext,
        response: dict[str, Any],
        version: Version | None,
        form: Form,
        site: Site,
    ) -> None:
        self._services, self._access = services, access
        self._response, self._version = response, version
        self._form, self._site = form, site
        self._said = Said.of(response)
        self._patient = _patient(self._said, services.base_url)
        seed = f"QuestionnaireResponse/{version.id}" if version is not None else services.new_id()
        self._asking = Asking(response, services.now(), seed)
        self._priors: Mapping[str, Prior] = {}

    async def run(self, *, answers: bool) -> Extracted:
        version, stored = self._version, Stored(self._patient)
        if version is not None:
            stored = await made_before(self._services, self._access, version.id, self._patient)
            await self._attribute(version)
        if answers:
            await self._drop_disabled()
        items, issues = given(self._form, self._response) if answers else ((), [])
        self._priors = await self._standing(items, stored)
        facts = await self._facts(items) if answers else []
        if version is not None:
            await find_others(self._services, self._access, version.id, facts, stored)
        named = f"QuestionnaireResponse/{version.id}/_history/{version.number}" if version else None
        made = Entries(
            self._services,
            self._said,
            named,
            version.id if version is not None else None,
            stored,
            self._services.now(),
            self._patient,
            tuple((self._response.get("meta") or {}).get("security") or ()),
        )
        made.add(facts, await self._there(facts))
        made.withdraw(facts)
        if named is not None:
            self._confirm(made, items, named)
            await self._contradict(made)
        sources = {text for one in self._priors.values() for text in one.sources}
        told = (*issues, *self._asking.issues, *made.issues, *self._carried(items))
        return Extracted(
            tuple(made.entries),
            tuple(dict.fromkeys(told)),
            tuple(sorted(sources | ({named} if named is not None else set()))),
            self._patient,
            frozenset(made.needs),
        )

    async def _attribute(self, version: Version) -> None:
        """Let what a patient or a proxy wrote be theirs, in whose name ever they wrote it (C6).

        Who is not a patient or proxy may write down what others say: a nurse, a desk, a kiosk.
        """
        services = self._services
        own = self._said.author(services.base_url)
        wrote = await writer(services, version)
        if wrote is None or wrote.partition("/")[0] not in _LAY or wrote == own.reference:
            return
        self._said = replace(self._said, who={"reference": wrote})
        told = f"{wrote} wrote the response: what it says is said by them, and by nobody else"
        self._asking.issues.append(Issue("information", "informational", told, ("author",)))

    async def _drop_disabled(self) -> None:
        """Let what stands at questions that the form does not ask be no answers (R4 enableWhen)."""
        variables = await self._variables()
        asking, form = self._asking, self._form

        @cache
        def declared() -> Variables:
            at = asking.at("QuestionnaireResponse")
            return asking.declared(form.raw, at, variables, "", "Questionnaire")

        def holds(expression: dict[str, Any], path: str, where: str) -> bool:
            text = str(expression.get("expression"))
            return asking.holds(text, asking.at(path), declared(), where)

        def dropped() -> tuple[dict[str, Any], list[Issue]]:
            return enabled(form, self._response, holds)

        asking.until = monotonic() + self._services.policy.deadline_s
        self._response, issues = await anyio.to_thread.run_sync(dropped)
        if issues:
            self._asking = Asking(self._response, asking.now, asking.seed, asking.issues + issues)

    async def _standing(self, items: Sequence[Given], stored: Stored) -> Mapping[str, Prior]:
        """Return how the answers stand to what others said, and to what was said before."""
        if not items:
            return {}
        known = await self._known(stored)
        return await priors(self._services, self._access, self._patient, items, known)

    async def _known(self, stored: Stored) -> dict[str, list[Candidate]]:
        """Return what others said, as far as the caller may see it."""
        if self._patient is None:
            return {}
        patient = self._patient.partition("/")[2]
        try:
            found = await known_answers(
                self._services, self._access, patient, self._form, self._site
            )
        except (Forbidden, Gone, NotFound):
            return {}
        return {
            one.item.link_id: [
                replace(candidate, sources=sources)
                for candidate in one.candidates
                if (sources := self._of_others(candidate, stored))
            ]
            for one in found
        }

    def _of_others(self, candidate: Candidate, stored: Stored) -> tuple[Source, ...]:
        """Return the sources that are neither this very response nor made of it."""
        own = set(stored.refs)
        if self._version is not None:
            own.add(f"QuestionnaireResponse/{self._version.id}")
        return tuple(one for one in candidate.sources if f"{one.type}/{one.id}" not in own)

    async def _facts(self, items: tuple[Given, ...]) -> list[Fact]:
        variables = await self._variables()
        self._asking.until = monotonic() + self._services.policy.deadline_s

        def made() -> list[Fact]:
            found = Observations(self._form, self._said, self._asking, self._kept).of(items)
            found += Definitions(self._form, self._asking, self._left).of(items, variables)
            found += Templates(self._form, self._asking, self._left).of(items, variables)
            return found

        # A form's expressions may take seconds, in which others must get on.
        return await anyio.to_thread.run_sync(made)

    def _left(self, path: str) -> bool:
        return self._priors.get(path, NEW).left

    def _kept(self, _item: Given, answer: Answer) -> str | None:
        """A measurement of today is another one than an equal one of last week: only what the
        response itself says was there already is not made again."""
        prior = self._priors.get(answer.path, NEW)
        if not (prior.left and prior.marked):
            return None
        return prior.sources[0].partition("/_history/")[0] if prior.sources else ""

    async def _variables(self) -> dict[str, Any]:
        """Return ``%patient``, ``%subject``, ``%encounter``, ``%user`` as far as they are there."""
        who, user = self._said.subject, self._response.get("author")
        named = {"subject": who, "patient": who, "encounter": self._said.encounter, "user": user}
        wanted: dict[str, tuple[str, str]] = {}
        for name, reference in named.items():
            one = split_reference(str((reference or {}).get("reference")), self._services.base_url)
            if one.type is not None and one.id is not None:
                wanted[name] = one.type, one.id
        there = await self._services.store.read_many(self._access, set(wanted.values()))
        read = {ref: fhir_json.loads(version.body or b"{}") for ref, version in there.items()}
        made = {name: read.get(ref) for name, ref in wanted.items()}
        return {**dict.fromkeys(named), **made, "questionnaire": self._form.raw}

    async def _there(self, facts: Sequence[Fact]) -> dict[tuple[str, str], Version]:
        """Return the resources that facts name by their id."""
        wanted = {(f.type, str(f.resource["id"])) for f in facts if f.resource.get("id")}
        return await self._services.store.read_many(self._access, wanted) if wanted else {}

    async def _contradict(self, made: Entries) -> None:
        """Ask others who said something else to look at it again; a voice corrects itself (C4)."""
        texts = {
            t for one in self._priors.values() if one.standing == "changed" for t in one.sources
        }
        base_url = self._services.base_url
        named = [split_reference(text.partition("#")[0], base_url) for text in sorted(texts)]
        wanted = {(one.type, one.id) for one in named if one.type in STATEMENTS and one.id}
        own = self._said.author(base_url)
        there = await self._services.store.read_many(
            self._access, [(type_ or "", id_ or "") for type_, id_ in wanted]
        )
        for version in (there[ref] for ref in sorted(there)):
            resource = fhir_json.loads(version.body or b"{}")
            who = author_of(resource, base_url)
            if who.kind != own.kind and not is_in_error(resource):
                made.contradicted(version, who.reference)

    def _confirm(self, made: Entries, items: Sequence[Given], named: str) -> None:
        """Add confirmations of what was said again; take back those of what was not."""
        links: dict[str, list[str]] = {}
        for one in (below for item in items for below in item.walk()):
            for answer in one.answers:
                prior = self._priors.get(answer.path, NEW)
                for source in prior.sources if prior.standing == "confirmed" else ():
                    links.setdefault(source, []).append(one.item.link_id)
        said = self._said.at
        if said is None:
            if links:
                told = "the response does not say when it was authored: nothing is re-dated"
                made.issues.append(Issue("warning", "incomplete", told, ("authored",)))
            links = {}
        there = set()
        for version, provenance in made.stored.provenances:
            named_there = {id_ for _, id_, _ in responses_of(self._services, provenance)}
            if not verifies(provenance) or len(named_there) != 1:
                continue  # what another response says as well is not this one's to take back
            targets = [source_of(target) for target in provenance.get("target") or ()]
            if not set(targets) <= links.keys() or provenance.get("occurredDateTime") != said:
                made.replace_provenance(_withdrawn(provenance), version)
            else:
                there |= set(targets)
        for source in sorted(links.keys() - there):
            own = list(dict.fromkeys(links[source]))
            made.provenance(confirmation(source, named, own, made.who, said or "", made.recorded))

    def _carried(self, items: Sequence[Given]) -> list[Issue]:
        """Tell of what was filled in and nobody confirmed."""
        found = []
        for one in (below for item in items for below in item.walk()):
            for answer in one.answers:
                if self._priors.get(answer.path, NEW).standing == "carried":
                    told = f"item {one.item.link_id[:80]!r} was filled in, and nobody confirmed it"
                    found.append(Issue("information", "informational", told, (answer.path,)))
        return found


def _withdrawn(provenance: dict[str, Any]) -> dict[str, Any]:
    """Return a confirmation that is taken back: an amended response does not say it any more."""
    activity = {"coding": [{"system": _OPERATION, "code": "NULLIFY"}]}
    return {**provenance, "activity": activity}


def _patient(said: Said, base_url: str) -> str | None:
    named = split_reference(str((said.subject or {}).get("reference")), base_url)
    return named.local if named.type == "Patient" else None
