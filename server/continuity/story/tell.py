"""The story of a patient: from the caller's question to a Composition.  See ``docs/continuity.md``.

Everything is read under the caller's access, so that nothing hidden can be told of, not by count,
not by order.  The one thing that the server finds out itself is when the reader's own department
last looked (:mod:`.looked`).
"""

from dataclasses import dataclass

from server.access.context import AccessContext
from server.continuity.statement import Source
from server.continuity.story import about
from server.continuity.story.composition import Heading, composition, document
from server.continuity.story.gather import Gathered, gather
from server.continuity.story.looked import Departments, last_look
from server.continuity.story.rephrase import Rephraser, rephrased
from server.continuity.story.sections import sections
from server.continuity.story.sentence import Section, Sentence
from server.continuity.story.telling import Telling
from server.continuity.story.wording import Json, person
from server.continuity.story.words import Register, words
from server.continuity.withheld import is_withheld
from server.fhir import json as fhir_json
from server.interactions.links import resource_url
from server.interactions.read import looked_up
from server.interactions.services import Services
from server.search.marks import labels
from server.store.port import Version


@dataclass(frozen=True, slots=True)
class Asked:
    """``patient``: an id.  ``since``: microseconds.  ``department``, ``encounter``: references."""

    patient: str
    audience: Register = "clinician"
    since: int | None = None
    department: str | None = None
    encounter: str | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """What was told: the Composition, the versions behind it and what is in them, the sentences."""

    composition: Json
    versions: tuple[Version, ...]
    resources: tuple[Json, ...]
    told: dict[Section, list[Sentence]]
    at: int

    def document(self, base_url: str, id_: str) -> Json:
        """Return a document Bundle, of a new id, with every version that a sentence cites."""
        entries = [
            (resource_url(base_url, one.type, one.id), resource)
            for one, resource in zip(self.versions, self.resources, strict=True)
        ]
        return document(self.composition, entries, base_url, self.at, id_)


async def story(
    services: Services,
    access: AccessContext,
    asked: Asked,
    *,
    departments: Departments | None = None,
    rephraser: Rephraser | None = None,
) -> Story:
    """Return the story of a patient.

    Without ``since``, what is new is what changed since the reader's department last looked.

    Raises:
        NotFound, Gone, Forbidden: as of a read of the Patient.
        StoreUnavailable: what was shown lately cannot be kept.
        DeadlineExceeded: it would take too long.
    """
    patient = await looked_up(services, access, "Patient", asked.patient)
    reference = f"Patient/{asked.patient}"
    since = asked.since
    if since is None:
        since = await last_look(services, access, reference, departments, asked.department)
    at = services.now()
    said = words(asked.audience, about.language(_parsed(patient)))
    gathered = await gather(services, access, patient, said, since=since, encounter=asked.encounter)
    telling = Telling(reference, gathered.people, at)
    told = sections(telling, gathered)
    if asked.audience == "clinician" and await is_withheld(services, access, reference):
        source = (gathered.patient.source,)
        told["patient"].append(Sentence(said.say("withheld"), source, "withheld"))
    told = await rephrased(rephraser, told, language=said.language, register=said.register)
    sources = cited(gathered, told)
    versions = tuple(gathered.versions[source] for source in sources)
    resources = tuple(gathered.resource(source) for source in sources)
    heading = Heading(
        services.new_id(),
        reference,
        person(gathered.patient.resource.get("name")) or "",
        at,
        access.person,
        since,
        asked.encounter,
    )
    marks = [mark for one in resources for mark in labels(one)]
    made = composition(heading, said, told, marks)
    return Story(made, versions, resources, told, at)


def cited(gathered: Gathered, told: dict[Section, list[Sentence]]) -> tuple[Source, ...]:
    """Return the versions that sentences cite, the Patient first, each once."""
    sources = dict.fromkeys([gathered.patient.source])
    for of in told.values():
        for sentence in of:
            sources |= dict.fromkeys(sentence.sources)
    return tuple(sources)


def _parsed(version: Version) -> Json:
    made: Json = fhir_json.loads(version.body or b"{}")
    return made
