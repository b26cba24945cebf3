"""The forms that were answered: what their items mean, and which of them they asked.

A form that is sent along speaks for itself, but it cannot enable what the stored one of its name
disables.
"""

from collections.abc import Collection, Sequence
from typing import Final

from server.continuity.form import Form, form_of
from server.continuity.gather.found import Gathered
from server.continuity.gather.search import Looking
from server.continuity.statements.conditions import Budget, Conditions, Former, changed_at
from server.continuity.statements.read import Resource, moment
from server.continuity.statements.responses import Answered, Meanings
from server.continuity.validity import Validity
from server.fhir import json as fhir_json
from server.fhir.errors import FhirError
from server.search.query import HasKey

MOST_FORMS: Final = 100  # Questionnaires whose answers are read
MOST_FORMER: Final = 20  # versions of one that was changed since it was answered


async def read_forms(looking: Looking, found: Gathered, form: Form, policy: Validity) -> None:
    """Read the forms that were answered, so that an answer's item is known by its codes."""
    named: dict[str, int] = {}  # when the oldest answer to each was written
    for local, one in found.resources.items():
        if local.startswith("QuestionnaireResponse/"):
            canonical, at = str(one.get("questionnaire", "")), moment(one.get("authored"))[0] or 0
            named[canonical] = min(at, named.get(canonical, at))
    stored = await _stored(looking, named)
    budget = Budget()
    for canonical, oldest in sorted(named.items()):
        there = _form(stored, canonical)
        own = canonical == form.canonical != ""
        asked = form if own else there
        forms = [one for one in (there, asked) if one is not None]
        conditions = Conditions(_distinct(forms), await _former(looking, forms, oldest), budget)
        found.forms[canonical] = Answered(Meanings(policy, canonical, asked, form), conditions)


async def conditions_of(looking: Looking, responses: Sequence[Resource]) -> dict[str, Conditions]:
    """Return the conditions of the stored forms of some responses, by what names the form."""
    oldest: dict[str, int] = {}
    for one in responses:
        canonical, at = str(one.get("questionnaire", "")), moment(one.get("authored"))[0] or 0
        oldest[canonical] = min(at, oldest.get(canonical, at))
    stored = await _stored(looking, oldest)
    budget, made = Budget(), {}
    for canonical, at in sorted(oldest.items()):
        there = _form(stored, canonical)
        forms = [there] if there is not None else []
        made[canonical] = Conditions(tuple(forms), await _former(looking, forms, at), budget)
    return made


async def _stored(looking: Looking, named: Collection[str]) -> list[Resource]:
    urls = sorted({canonical.partition("|")[0] for canonical in named} - {"", "None"})
    if not urls or not looking.opened(("Questionnaire",)):
        return []
    keys = tuple(f"Questionnaire|url|u|{url}" for url in urls)
    versions, _ = await looking.found(("Questionnaire",), HasKey(keys), MOST_FORMS)
    return [fhir_json.loads(one.body or b"{}") for one in versions]


def _form(stored: Sequence[Resource], canonical: str) -> Form | None:
    """Return the form of an answer: of the version that it names, or the only one there is."""
    url, _, version = canonical.partition("|")
    fit = [
        one
        for one in stored
        if one.get("url") == url and (not version or one.get("version") == version)
    ]
    return _read(fit[0]) if len(fit) == 1 else None


def _read(questionnaire: Resource) -> Form | None:
    try:
        return form_of(questionnaire)
    except FhirError:
        return None


def _distinct(forms: Sequence[Form]) -> tuple[Form, ...]:
    """Return one of two that ask the same."""
    kept: list[Form] = []
    for one in forms:
        if all(one.raw.get("item") != other.raw.get("item") for other in kept):
            kept.append(one)
    return tuple(kept)


async def _former(looking: Looking, forms: Sequence[Form], oldest: int) -> tuple[Former, ...]:
    """Return the versions of a form that was changed since, newest first; else none."""
    changes = [(one, changed_at(one)) for one in forms]
    ids = {str(one.raw.get("id")) for one, at in changes if at is not None and at > oldest}
    made: list[Former] = []
    for id_ in sorted(ids):
        versions = await looking.services.store.history(
            looking.access, "Questionnaire", id_, limit=MOST_FORMER
        )
        made += [Former(one.at, _read(fhir_json.loads(one.body)))
                 for one in versions if one.body is not None]  # fmt: skip
    return tuple(made)
