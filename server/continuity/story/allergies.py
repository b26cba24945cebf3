"""Allergies: absent is not none (C3), and what contradicts stands first (C4)."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from server.continuity.story.sentence import Sentence
from server.continuity.story.states import in_brackets, is_refuted, state
from server.continuity.story.telling import SNOMED, Found, Telling
from server.continuity.story.wording import (
    Json,
    code,
    codes,
    date,
    inside_quotes,
    labels,
    listed,
    plain,
)

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

_NEGATING: Final = re.compile(
    r"(no|nil|none|nka|nkda|nkfa|nkma|not|never|without|denies|denied|negative|absence|unknown"
    r"|allergies? not)\b",
    re.IGNORECASE,
)

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
    refuted = [one for one in found if is_refuted(one.resource)]
    nones = [one for one in found if _is_none(telling, one) and one not in refuted]
    worded = [one for one in found if _is_worded(telling, one) and one not in refuted]
    positive = [one for one in found if one not in (*nones, *worded, *refuted)]
    made = [allergy(telling, one) for one in (*positive, *worded, *refuted)]
    for none in nones:
        against = [one for one in positive if _speaks_against(one.resource, none.resource)]
        made += [_conflict(telling, one, none) for one in against]
        if not against:
            made.append(_none(telling, none))
    return sorted(made, key=lambda sentence: sentence.cautious)


def allergy(telling: Telling, found: Found) -> Sentence:
    """Return one allergy, or that it was refuted."""
    resource, words = found.resource, telling.words
    on = resource.get("recordedDate")
    what = telling.label(resource.get("code"))
    if NO_INFORMATION in codes(resource.get("code")):
        return telling.said(found, words.say("allergy-none", what=what), on)
    if is_refuted(resource):
        is_named = none_known(resource) or _is_named(what)
        key = "condition-refuted" if is_named else "allergy-refuted"
        cautious = 0 if none_known(resource) else 2
        return telling.said(found, words.say(key, what=what), on, cautious=cautious)
    if _is_none(telling, found):
        return _none(telling, found)
    if _is_worded(telling, found):
        detail = in_brackets(*state(telling, resource))
        main = words.say("allergy-worded", what=inside_quotes(what), detail=detail)
        return telling.said(found, main, on, cautious=1)
    risk = words.risk(code(resource.get("criticality")))
    reactions = [_reaction(telling, one) for one in listed(resource.get("reaction"))]
    status = state(telling, resource)
    detail = in_brackets(*filter(None, (*reactions, risk)), *status)
    onset = date(resource.get("onsetDateTime"), words)
    detail += words.say("onset", date=onset) if onset else ""
    variant = "doubted" if status else "named" if _is_named(what) else ""
    main = words.say_as("allergy", variant, what=what, detail=detail)
    return telling.said(found, main, on, cautious=0)


def _is_named(what: str) -> bool:
    """Tell whether a name says by itself that it is an allergy: "Allergy to mould"."""
    return re.search(r"allerg|intoleran", what, re.IGNORECASE) is not None


def _reaction(telling: Telling, reaction: Any) -> str:
    if not isinstance(reaction, dict):
        return ""
    told = labels(reaction.get("manifestation"), telling.words)
    told = told or plain(reaction.get("description")) or None
    severity = code(reaction.get("severity"))
    return ", ".join(filter(None, (told, severity)))


def _is_none(telling: Telling, found: Found) -> bool:
    """Tell whether an entry says that there is none, and still stands."""
    return none_known(found.resource) and not state(telling, found.resource)


def _is_worded(telling: Telling, found: Found) -> bool:
    """Tell whether an entry says something else than an allergy, in words or by its state.

    "NKDA" is in many lists without a code; it must not read as an allergy to NKDA.
    """
    if none_known(found.resource):
        return not _is_none(telling, found)
    return _NEGATING.match(telling.label(found.resource.get("code"))) is not None


def none_known(resource: Json) -> bool:
    """Tell whether an AllergyIntolerance says that there is none."""
    return not codes(resource.get("code")).isdisjoint(NONE_KNOWN)


def _none(telling: Telling, found: Found) -> Sentence:
    what = telling.label(found.resource.get("code"))
    on = found.resource.get("recordedDate")
    author = telling.people.author(found.resource)
    if author is None or date(on, telling.words) is None:
        lacking = telling.words.say("author" if author is None else "date")
        text = telling.words.say("allergy-unsupported", what=what, lacking=lacking)
        return telling.sentence(text, (found.source,), cautious=0)
    return telling.said(found, telling.words.say("allergy-none", what=what), on, cautious=1)


def _conflict(telling: Telling, one: Found, none: Found) -> Sentence:
    what, other = (telling.label(each.resource.get("code")) for each in (one, none))
    variant = "named" if _is_named(what) else ""
    text = telling.words.say_as("allergy-conflict", variant, what=what, none=other)
    return telling.sentence(text, (one.source, none.source), "conflict", cautious=-1)


def _speaks_against(one: Json, none: Json) -> bool:
    of = {NONE_KNOWN[c] for c in codes(none.get("code")) if c in NONE_KNOWN}
    categories = set(listed(one.get("category")))
    return None in of or not categories or not categories.isdisjoint(of)
