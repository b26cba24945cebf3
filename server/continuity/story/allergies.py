"""Allergies: absent is not none (C3), and what contradicts stands first (C4)."""

from collections.abc import Mapping, Sequence
from typing import Final

from server.continuity.story.sentence import Sentence
from server.continuity.story.states import in_brackets, is_refuted, state
from server.continuity.story.telling import SNOMED, Found, Telling
from server.continuity.story.wording import Json, code, codes, date, labels, listed

IPS: Final = "http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips"
NONE_KNOWN: Final[Mapping[tuple[str, str], str | None]] = {
    (IPS, "no-known-allergies"): None,
    (IPS, "no-known-medication-allergies"): "medication",
    (IPS, "no-known-food-allergies"): "food",
    (IPS, "no-known-environmental-allergies"): "environment",
    (SNOMED, "716186003"): None,
    (SNOMED, "160244002"): None,
    (SNOMED, "409137002"): "medication",
    (SNOMED, "429625007"): "food",
    (SNOMED, "428607008"): "environment",
}
"""Codes that say that there is no known allergy, and of which category; ``None``: of any (C3)."""

NO_INFORMATION: Final = (IPS, "no-allergy-info")


def allergies(telling: Telling, found: Sequence[Found], patient: Found) -> list[Sentence]:
    """Return what is said of allergies, the cautious first.

    Absent is not none (C3): without any entry the story says that nothing is recorded.  None known
    counts with an author and a date alone, and an allergy beside it is a conflict (C4).
    """
    found = [one for one in found if NO_INFORMATION not in codes(one.resource.get("code"))]
    if not found:
        text = telling.words.say("allergy-missing")
        return [telling.sentence(text, (patient.source,), "missing", cautious=0)]
    nones = [one for one in found if none_known(one.resource) and not is_refuted(one.resource)]
    refuted = [one for one in found if is_refuted(one.resource)]
    positive = [one for one in found if one not in nones and one not in refuted]
    made = [allergy(telling, one) for one in (*positive, *refuted)]
    for none in nones:
        against = [one for one in positive if _speaks_against(one.resource, none.resource)]
        made += [_conflict(telling, one, none) for one in against]
        if not against:
            made.append(_none(telling, none))
    return sorted(made, key=lambda sentence: sentence.cautious)


def allergy(telling: Telling, found: Found) -> Sentence:
    """Return one allergy, or that it was refuted."""
    resource, words = found.resource, telling.words
    on = resource.get("recordedDate") or resource.get("onsetDateTime")
    what = telling.label(resource.get("code"))
    if NO_INFORMATION in codes(resource.get("code")):
        return telling.said(found, words.say("allergy-none", what=what), on)
    if none_known(resource):
        if not is_refuted(resource):
            return _none(telling, found)
        return telling.said(found, words.say("condition-refuted", what=what), on, cautious=0)
    if is_refuted(resource):
        return telling.said(found, words.say("allergy-refuted", what=what), on, cautious=2)
    reactions = [
        labels(one.get("manifestation"), words)
        for one in listed(resource.get("reaction"))
        if isinstance(one, dict)
    ]
    status = state(telling, resource)
    criticality = [f"criticality {c}" for c in [code(resource.get("criticality"))] if c]
    detail = in_brackets(*filter(None, reactions), *criticality, *status)
    return telling.said(found, words.say("allergy", what=what, detail=detail), on, cautious=0)


def none_known(resource: Json) -> bool:
    """Tell whether an AllergyIntolerance says that there is none."""
    return not codes(resource.get("code")).isdisjoint(NONE_KNOWN)


def _none(telling: Telling, found: Found) -> Sentence:
    what = telling.label(found.resource.get("code"))
    on = found.resource.get("recordedDate")
    author = telling.people.author(found.resource)
    if author is None or date(on, telling.words) is None:
        lacking = "author" if author is None else "date"
        text = telling.words.say("allergy-unsupported", what=what, lacking=lacking)
        return telling.sentence(text, (found.source,), cautious=0)
    return telling.said(found, telling.words.say("allergy-none", what=what), on, cautious=1)


def _conflict(telling: Telling, one: Found, none: Found) -> Sentence:
    what, other = (telling.label(each.resource.get("code")) for each in (one, none))
    text = telling.words.say("allergy-conflict", what=what, none=other)
    return telling.sentence(text, (one.source, none.source), "conflict", cautious=-1)


def _speaks_against(one: Json, none: Json) -> bool:
    of = {NONE_KNOWN[c] for c in codes(none.get("code")) if c in NONE_KNOWN}
    categories = set(listed(one.get("category")))
    return None in of or not categories or not categories.isdisjoint(of)
