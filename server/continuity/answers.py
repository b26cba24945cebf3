"""What is known of each item of a form, for one caller.  docs/continuity.md.

The rules are in ``server.continuity.rules``; here they meet the record.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from server.access.context import AccessContext
from server.continuity.choices import with_choices
from server.continuity.form import Form
from server.continuity.gather import Gatherer
from server.continuity.known import Known
from server.continuity.questions import Question, questions
from server.continuity.rules.case import Rule, Visit
from server.continuity.rules.judge import RULES, judge
from server.continuity.site import Site, Translated, synonyms
from server.continuity.statements.read import is_over, moment
from server.fhir import json as fhir_json
from server.fhir.errors import BusinessRule, InvalidParameter
from server.fhir.references import split_reference
from server.interactions.read import looked_up
from server.interactions.services import Services
from server.store.port import Version

MOST_OPTIONS: Final = 500  # of a question, that are looked for under other codes


@dataclass(frozen=True, slots=True)
class Answered:
    """What is known of each item, and the versions of the record that are shown with it."""

    known: tuple[Known, ...]
    shown: tuple[Version, ...]


async def known_answers(
    services: Services,
    access: AccessContext,
    patient: str,
    form: Form,
    site: Site,
    *,
    encounter: str | None = None,
    rules: Mapping[str, Rule] = RULES,
) -> list[Known]:
    """Return what the record knows of each item that can have an answer, in the order of the form.

    ``patient`` is a logical id, ``encounter`` that of the Encounter in which it is asked.

    Raises:
        NotFound, Gone, Forbidden: as of a read of the Patient or the Encounter.
        BusinessRule: the patient was merged into another one, who is to be asked for.
        InvalidParameter: the Encounter is another patient's.
    """
    made = await answered(services, access, patient, form, site, encounter=encounter, rules=rules)
    return list(made.known)


async def answered(
    services: Services,
    access: AccessContext,
    patient: str,
    form: Form,
    site: Site,
    *,
    encounter: str | None = None,
    rules: Mapping[str, Rule] = RULES,
) -> Answered:
    """Return what :func:`known_answers` returns, with the versions that it shows."""
    found = await looked_up(services, access, "Patient", patient)
    demand_current(found)
    visit = await _visit(services, access, patient, encounter) if encounter else None
    translated = await synonyms(site, services, access)
    asked = await with_choices(services, access, form, questions(form, site.validity))
    asked = [_translated(one, translated) for one in asked]
    gatherer = Gatherer(services, access, found, form, site.validity)
    told = await gatherer.statements(asked)
    now = services.now()
    known = tuple(
        judge(question, statements, site.validity, now, visit, rules)
        for question, statements in zip(asked, told.of_each, strict=True)
    )
    cited = {
        f"{source.type}/{source.id}"
        for one in known
        for candidate in one.candidates
        for source in candidate.sources
    }
    shown = tuple(version for local, version in told.versions.items() if local in cited)
    return Answered(known, (found, *(one for one in shown if one.type != "Patient")))


def demand_current(found: Version) -> None:
    """Refuse a Patient that was merged away; which one is meant, the caller decides."""
    for link in fhir_json.loads(found.body or b"{}").get("link", ()):
        if link.get("type") == "replaced-by":
            other = str(link.get("other", {}).get("reference", "another Patient"))
            raise BusinessRule(
                f"Patient/{found.id} was merged into {other[:200]}; ask for that one",
                expression=("Patient.link",),
            )


async def _visit(
    services: Services, access: AccessContext, patient: str, encounter: str
) -> Visit | None:
    """Return the visit in which it is asked; ``None`` when that is over."""
    named = split_reference(encounter, services.base_url)
    id_ = named.id if named.type == "Encounter" and named.id else encounter
    found = await looked_up(services, access, "Encounter", id_, place=("encounter",))
    read = fhir_json.loads(found.body or b"{}")
    whose = split_reference(str(read.get("subject", {}).get("reference", "")), services.base_url)
    if whose.local != f"Patient/{patient}":
        raise InvalidParameter("encounter is that of another patient", expression=("encounter",))
    period = read.get("period", {})
    if read.get("status") in _OVER or (period.get("end") and is_over(period, services.now())):
        return None
    start, _ = moment(period.get("start"))
    return Visit(f"Encounter/{id_}", start)


_OVER: Final = frozenset(("finished", "cancelled", "entered-in-error"))


def _translated(question: Question, translated: Translated | None) -> Question:
    """Return the question with what means the same as its codes and its options."""
    if translated is None:
        return replace(question, mapped=not question.item.codes)
    known = {code: translated(code) for code in question.codes}
    codes = frozenset(question.codes).union(*known.values())
    for option in list(question.options or ())[:MOST_OPTIONS]:
        for code in translated(option):
            known[code] = known.get(code, frozenset()) | {option}
    return replace(question, codes=codes, synonyms=known)
