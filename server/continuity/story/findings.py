"""What was found: conditions, family, results, reports, documents, medicines taken."""

from collections.abc import Callable, Mapping
from typing import Final

from server.continuity.statement import Source
from server.continuity.story.allergies import allergy
from server.continuity.story.sentence import Sentence
from server.continuity.story.states import in_brackets, is_refuted, state
from server.continuity.story.telling import Found, Telling
from server.continuity.story.wording import (
    Json,
    code,
    date,
    label,
    labels,
    listed,
    period,
    plain,
    value_of,
)


def condition(telling: Telling, found: Found) -> Sentence:
    """Return a problem or diagnosis, or that it was refuted."""
    resource, words = found.resource, telling.words
    what = telling.label(resource.get("code"))
    on = resource.get("recordedDate")
    if is_refuted(resource):
        return telling.said(found, words.say("condition-refuted", what=what), on, cautious=2)
    detail = in_brackets(*state(telling, resource))
    onset = date(resource.get("onsetDateTime"), words) or plain(resource.get("onsetString"))
    onset = onset or date((resource.get("onsetPeriod") or {}).get("start"), words) or ""
    abated = date(resource.get("abatementDateTime"), words)
    detail += words.say("onset", date=onset) if onset else ""
    detail += words.say("abated", date=abated) if abated else ""
    return telling.said(found, words.say("condition", what=what, detail=detail), on)


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
    return words.say("observation", what=what, value=told) + in_brackets(
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
        what += in_brackets(telling.words.status(status))
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
    main = words.say(key, what=what, detail=in_brackets(*filter(None, [why])))
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
