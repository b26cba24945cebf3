"""What the record says that may answer the questions of a form: few searches, for one caller.

Everything is read under the caller's access (C7).  Nothing is cut silently: where a limit leaves
something out, what is found of that kind says so in its ``note`` and is at best confirmed.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from server.access.context import AccessContext
from server.continuity.brought import Brought, brought
from server.continuity.citations import cited
from server.continuity.confirmed import confirmations
from server.continuity.fed import fed
from server.continuity.form import Form
from server.continuity.gather.forms import read_forms
from server.continuity.gather.found import Gathered
from server.continuity.gather.index import Index
from server.continuity.gather.search import Looking
from server.continuity.questions import OF_ELEMENTS, Question
from server.continuity.statement import Author, Code, Statement
from server.continuity.statements import elements, observations, responses, things
from server.continuity.statements.read import Reading
from server.continuity.validity import Validity
from server.interactions.services import Services
from server.store.port import Version

CUT: Final = "The record has more of this than is looked through; the newest were."

TAKEN_BACK: Final = "What was made of this answer was withdrawn."


@dataclass(frozen=True, slots=True)
class Told:
    """What may answer each question, in their order, and the versions that were read."""

    of_each: list[list[Statement]]
    versions: Mapping[str, Version]


@dataclass(frozen=True, slots=True)
class Gatherer:
    """One caller's look into one patient's record; ``patient`` is the stored Patient."""

    services: Services
    access: AccessContext
    patient: Version
    form: Form
    policy: Validity

    async def statements(self, questions: Sequence[Question]) -> Told:
        """Return what may answer each question."""
        found = Gathered()
        found.add([self.patient])
        local = f"Patient/{self.patient.id}"
        looking = Looking(self.services, self.access, local)
        await looking.things(found, questions, self.policy)
        await looking.responses(found, self.form)
        await read_forms(looking, found, self.form, self.policy)
        await looking.others(found, Reading(local, self.policy, self.services.base_url))
        reading = Reading(
            local, self.policy, self.services.base_url, found.others, self.services.now()
        )
        told = Index(self._told(found, reading))
        answers = [[*told.matching(question), *self._elements(found, reading, question)]
                   for question in questions]  # fmt: skip
        return Told(await self._dated(found, answers), found.versions)

    def _told(self, found: Gathered, reading: Reading) -> list[Statement]:
        told: list[Statement] = []
        for local, resource in found.resources.items():
            version = found.versions[local]
            if version.type == "Observation":
                made = list(observations.statements(resource, version.number, reading))
            elif version.type in things.ELEMENTS:
                made = list(things.statements(resource, version.number, reading))
            elif version.type == "QuestionnaireResponse":
                made = list(responses.statements(resource, version.number, reading, found.forms))
            else:
                continue
            if _is_modified(version):
                made = [replace(one, standing="withdrawn") for one in made]
            told += [_cut(one, found) for one in made]
        gone = _taken_back(told)
        return [_seen(_retracted(one, gone), found) for one in told]

    def _elements(self, found: Gathered, reading: Reading, question: Question) -> list[Statement]:
        type_ = question.element.partition(".")[0]
        asked = elements.Asked(
            question.element, question.only, question.uses, question.item.repeats
        )
        told: list[list[Statement]] = []
        for local, resource in found.resources.items() if question.element else ():
            if local.startswith(f"{type_}/"):
                version = found.versions[local]
                now = self.services.now()
                made = list(elements.statements(resource, version.number, reading, asked, now))
                if _is_modified(version):
                    made = [replace(one, standing="withdrawn") for one in made]
                if made or elements.counts(resource, reading, asked, now):
                    told.append([_cut(one, found) for one in made])
        silent = not question.item.repeats and len(told) > 1 and not all(told)
        doubt = elements.SEVERAL if silent else ""
        return [
            replace(one, note=one.note or doubt) if doubt else one for some in told for one in some
        ]

    async def _dated(
        self, found: Gathered, answers: list[list[Statement]]
    ) -> list[list[Statement]]:
        """Return the statements with who brought them, and when they were confirmed."""
        bare = {
            one.source.type + "/" + one.source.id
            for some in answers
            for one in some
            if one.source.type in OF_ELEMENTS
        }
        versions = [found.versions[local] for local in sorted(bare)]
        by = await brought(self.services, self.access, versions)
        answers = [[_brought(one, by) for one in some] for some in answers]
        unsigned = {one.source for some in answers for one in some if _is_unsigned(one)}
        sent = await fed(self.services, self.access, unsigned)
        answers = [[_sent(one, sent) for one in some] for some in answers]
        sources = {one.source for some in answers for one in some}
        again = await confirmations(self.services, self.access, sources)
        return [[_confirmed(one, again) for one in some] for some in answers]


def _cut(one: Statement, found: Gathered) -> Statement:
    cut = one.source.type in found.cut or not found.cut_codes.isdisjoint(one.codes)
    return one.noted(CUT) if cut else one


def _is_modified(version: Version) -> bool:
    """Tell whether something in it may turn its meaning round (R4 extensibility.html#modifier).

    What nobody here knows must not be read as if it were not there.
    """
    body = version.body or b""
    return b'"modifierExtension"' in body or b'"implicitRules"' in body


def _taken_back(told: Iterable[Statement]) -> set[tuple[str, Code]]:
    """Return answers by their response and codes of which a fact was made and withdrawn."""
    return {
        (origin, code)
        for one in told
        if one.standing == "withdrawn"
        for origin in one.origins
        for code in one.codes
    }


def _retracted(one: Statement, gone: Collection[tuple[str, Code]]) -> Statement:
    local = f"{one.source.type}/{one.source.id}"
    if gone and any((local, code) in gone for code in one.codes):
        return replace(one, note=TAKEN_BACK)
    return one


def _seen(one: Statement, found: Gathered) -> Statement:
    """Take away the origins that the caller may see; C7 leaves out what has others."""
    return replace(one, origins=one.origins - found.others.keys()) if one.origins else one


def _brought(one: Statement, by: Mapping[str, Brought]) -> Statement:
    found = by.get(f"{one.source.type}/{one.source.id}")
    return found.dated(one) if found is not None else one


def _is_unsigned(one: Statement) -> bool:
    return one.author.kind == "unknown" and one.source.type not in OF_ELEMENTS


def _sent(one: Statement, by: Mapping[str, Author]) -> Statement:
    """Return a statement that nobody signed with who sent it."""
    who = by.get(one.source.reference) if by and _is_unsigned(one) else None
    return one if who is None else replace(one, author=who)


def _confirmed(one: Statement, again: Mapping[str, tuple[int, object]]) -> Statement:
    told = again.get(cited(one.source))
    if told is None or (one.said_at is not None and one.said_at >= told[0]):
        return one
    return replace(one, said_at=told[0], said_until=None)
