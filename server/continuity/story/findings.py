"""What was found: allergies, conditions, family, results, reports, documents, medicines taken."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from server.continuity.statement import Source
from server.continuity.story.sentence import Sentence
from server.continuity.story.telling import SNOMED, Found, Telling
from server.continuity.story.wording import (
    Json,
    code,
    codes,
    date,
    label,
    labels,
    listed,
    period,
    plain,
    value_of,
)

_IPS: Final = "http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips"
NONE_KNOWN: Final[Mapping[tuple[str, str], str | None]] = {
    (_IPS, "no-known-allergies"): None,
    (_IPS, "no-known-medication-allergies"): "medication",
    (_IPS, "no-known-food-allergies"): "food",
    (_IPS, "no-known-environmental-allergies"): "environment",
    (SNOMED, "716186003"): None,
    (SNOMED, "160244002"): None,
    (SNOMED, "409137002"): "medication",
    (SNOMED, "429625007"): "food",
    (SNOMED, "428607008"): "environment",
}
"""Codes that say that there is no known allergy, and of which category; ``None``: of any (C3)."""

NO_INFORMATION: Final = (_IPS, "no-allergy-info")
NO_PROBLEMS: Final = frozenset(((SNOMED, "160245001"), (_IPS, "no-known-problems")))
_NEGATED: Final = "refuted"


def allergies(telling: Telling, found: Sequence[Found], patient: Found) -> list[Sentence]:
    """Return what is said of allergies, the cautious first.

    Absent is not none (C3): without any entry the story says that nothing is recorded.  None known
    counts with an author and a date alone, and an allergy beside it is a conflict (C4).
    """
    found = [one for one in found if NO_INFORMATION not in codes(one.resource.get("code"))]
    if not found:
        text = telling.words.say("allergy-missing")
        return [telling.sentence(text, (patient.source,), "missing", cautious=0)]
    nones = [one for one in found if none_known(one.resource) and not _is_refuted(one.resource)]
    refuted = [one for one in found if _is_refuted(one.resource)]
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
    if none_known(resource):
        return _none(telling, found)
    on = resource.get("recordedDate") or resource.get("onsetDateTime")
    what = telling.label(resource.get("code"))
    if NO_INFORMATION in codes(resource.get("code")):
        return telling.said(found, words.say("allergy-none", what=what), on)
    if _is_refuted(resource):
        return telling.said(found, words.say("allergy-refuted", what=what), on, cautious=2)
    reactions = [
        labels(one.get("manifestation"), words)
        for one in listed(resource.get("reaction"))
        if isinstance(one, dict)
    ]
    status = _state(telling, resource)
    criticality = [f"criticality {c}" for c in [code(resource.get("criticality"))] if c]
    detail = _in_brackets(*filter(None, reactions), *criticality, *status)
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


def _is_refuted(resource: Json) -> bool:
    return _NEGATED in {c for _, c in codes(resource.get("verificationStatus"))}


def _state(telling: Telling, resource: Json) -> list[str]:
    """Return the words of clinical and verification status, where they are not the usual ones."""
    told = []
    for name, usual in (("clinicalStatus", "active"), ("verificationStatus", "confirmed")):
        status = code(resource.get(name))
        if status and status != usual:
            told.append(telling.words.status(status))
    return told


def _in_brackets(*parts: str) -> str:
    return f" ({', '.join(parts)})" if parts else ""


def condition(telling: Telling, found: Found) -> Sentence:
    """Return a problem or diagnosis, or that it was refuted."""
    resource, words = found.resource, telling.words
    what = telling.label(resource.get("code"))
    on = resource.get("recordedDate")
    if _is_refuted(resource):
        return telling.said(found, words.say("condition-refuted", what=what), on, cautious=2)
    detail = _in_brackets(*_state(telling, resource))
    onset = date(resource.get("onsetDateTime"), words) or plain(resource.get("onsetString"))
    onset = onset or date((resource.get("onsetPeriod") or {}).get("start"), words) or ""
    abated = date(resource.get("abatementDateTime"), words)
    detail += words.say("onset", date=onset) if onset else ""
    detail += words.say("abated", date=abated) if abated else ""
    return telling.said(found, words.say("condition", what=what, detail=detail), on)


def disagreements(telling: Telling, found: Sequence[Found]) -> list[Sentence]:
    """Return what one entry says and another one refutes (C4), for entries with the same code, and
    what is there beside "no problems"."""
    sound = [one for one in found if not _is_refuted(one.resource)]
    nones = [one for one in sound if _says_no_problems(one)]
    made = [
        telling.sentence(
            telling.words.say(
                "disagree-none",
                what=telling.label(one.resource.get("code")),
                none=telling.label(none.resource.get("code")),
            ),
            (one.source, none.source),
            "conflict",
            cautious=-1,
        )
        for none in nones
        for one in sound
        if not _says_no_problems(one)
    ]
    return [*made, *_refutations(telling, found)]


def _says_no_problems(one: Found) -> bool:
    return not codes(one.resource.get("code")).isdisjoint(NO_PROBLEMS)


def _refutations(telling: Telling, found: Iterable[Found]) -> list[Sentence]:
    entries = [(one, codes(one.resource.get("code"))) for one in found]
    refuted = [(one, of) for one, of in entries if _is_refuted(one.resource)]
    made = []
    for no, of in refuted:
        for yes, same in entries:
            if _is_refuted(yes.resource) or of.isdisjoint(same):
                continue
            text = telling.words.say("disagree", what=telling.label(yes.resource.get("code")))
            sources = (yes.source, no.source)
            made.append(telling.sentence(text, sources, "conflict", cautious=-1))
    return made


def family(telling: Telling, found: Found) -> Sentence:
    """Return what is known of a relative, told as family and never of the patient (C5)."""
    resource, words = found.resource, telling.words
    relation = label(resource.get("relationship"), words) or words.say("nameless")
    name = plain(resource.get("name"))
    who = f"{relation}, {name}" if name else relation
    said = [
        telling.label(one.get("code"))
        for one in listed(resource.get("condition"))
        if isinstance(one, dict)
    ]
    key = "family" if said else "family-none"
    main = words.say(key, who=who, what=", ".join(said))
    return telling.said(found, main, resource.get("date"), kind="family")


def observation(telling: Telling, found: Found) -> Sentence:
    """Return a result with its value, its parts, and how it was judged."""
    resource, words = found.resource, telling.words
    main = observed(telling, resource)
    on = (
        resource.get("effectiveDateTime")
        or resource.get("effectiveInstant")
        or (resource.get("effectivePeriod") or {}).get("start")
        or resource.get("issued")
    )
    if not resource.get("focus"):
        return telling.said(found, main, on)
    named = [telling.people.named(one, resource) for one in listed(resource["focus"])]
    who = ", ".join(one.text for one in named if one) or words.say("nameless")
    sources = tuple(source for one in named if one for source in one.sources)
    main = words.say("focus", who=who, main=main)
    return telling.said(found, main, on, kind="family", more=sources)


def observed(telling: Telling, resource: Json) -> str:
    """Return what was observed, and its value."""
    words = telling.words
    what = telling.label(resource.get("code"))
    value = value_of(resource, words)
    parts = []
    for part in listed(resource.get("component")):
        if isinstance(part, dict):
            told = value_of(part, words) or label(part.get("dataAbsentReason"), words)
            parts.append(f"{telling.label(part.get('code'))} {told or '?'}")
    told = "; ".join(filter(None, (value, *parts)))
    if not told and (why := label(resource.get("dataAbsentReason"), words)):
        return words.say("absent", what=what, why=why)
    if not told:
        return words.say("valueless", what=what)
    judged = labels(resource.get("interpretation"), words)
    status = resource.get("status")
    state = words.status(status) if status in ("preliminary", "registered", "cancelled") else None
    return words.say("observation", what=what, value=told) + _in_brackets(
        *filter(None, (judged, state))
    )


def report(telling: Telling, found: Found) -> Sentence:
    """Return a DiagnosticReport with its conclusion, word by word."""
    resource, words = found.resource, telling.words
    conclusion = plain(resource.get("conclusion")) or labels(resource.get("conclusionCode"), words)
    main = words.say(
        "report",
        what=telling.label(resource.get("code")),
        status=words.status(code(resource.get("status"))),
        conclusion=words.say("conclusion", text=conclusion.rstrip(".")) if conclusion else "",
    )
    on = resource.get("effectiveDateTime") or resource.get("issued")
    return telling.said(found, main, on)


def document(telling: Telling, found: Found) -> Sentence:
    """Return that there is a document; what is in it is not read."""
    resource = found.resource
    titles = [
        plain((one.get("attachment") or {}).get("title"))
        for one in listed(resource.get("content"))
        if isinstance(one, dict)
    ]
    what = plain(resource.get("description")) or next(filter(None, titles), "")
    what = what or telling.label(resource.get("type"))
    status = code(resource.get("status"))
    if status not in ("", "current"):
        what += _in_brackets(telling.words.status(status))
    return telling.said(found, telling.words.say("document", what=what), resource.get("date"))


def taken(telling: Telling, found: Found) -> Sentence:
    """Return a MedicationStatement: taken, not taken, or no longer."""
    resource = found.resource
    what, sources = medicine(telling, found)
    status = code(resource.get("status"))
    key = {"active": "statement", "intended": "statement-past", "not-taken": "statement-not"}
    told = telling.words.say(
        key.get(status, "statement-past"),
        what=what,
        status=telling.words.status(status or "unknown"),
        detail=dosage(resource),
    )
    on = resource.get("dateAsserted")
    cautious = 0 if status == "not-taken" else 1
    return telling.said(found, told, on, cautious=cautious, more=sources)


def immunization(telling: Telling, found: Found) -> Sentence:
    """Return a vaccination, or that it was not done, and why."""
    resource, words = found.resource, telling.words
    what = telling.label(resource.get("vaccineCode"))
    why = label(resource.get("statusReason"), words)
    key = "immunization-not" if resource.get("status") == "not-done" else "immunization"
    main = words.say(key, what=what, detail=_in_brackets(*filter(None, [why])))
    on = resource.get("occurrenceDateTime")
    return telling.said(found, main, on or resource.get("recorded"))


def medicine(telling: Telling, found: Found) -> tuple[str, tuple[Source, ...]]:
    """Return what a medicine is called, and where else that was read."""
    resource = found.resource
    if (told := label(resource.get("medicationCodeableConcept"), telling.words)) is not None:
        return told, ()
    named = telling.people.named(resource.get("medicationReference"), resource)
    return (named.text, named.sources) if named else (telling.words.say("nameless"), ())


def dosage(resource: Json) -> str:
    """Return the dosage as it was written, as a clause or ``""``."""
    written = [
        plain(one.get("text"))
        for name in ("dosageInstruction", "dosage")
        for one in listed(resource.get(name))
        if isinstance(one, dict)
    ]
    return "".join(f", {text.rstrip('.')}" for text in written if text)


def when(telling: Telling, resource: Json) -> str:
    """Return ``effective[x]``, ``performed[x]`` or ``occurrence[x]`` as a clause or ``""``."""
    for name in ("effective", "performed", "occurrence"):
        told = date(resource.get(f"{name}DateTime"), telling.words)
        told = told or period(resource.get(f"{name}Period"), telling.words)
        if told:
            return f", {told}"
    return ""


TELLERS: Final[Mapping[str, Callable[[Telling, Found], Sentence]]] = {
    "AllergyIntolerance": allergy,
    "Condition": condition,
    "DiagnosticReport": report,
    "DocumentReference": document,
    "FamilyMemberHistory": family,
    "Immunization": immunization,
    "MedicationStatement": taken,
    "Observation": observation,
}
