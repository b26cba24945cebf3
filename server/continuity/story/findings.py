"""What was found: conditions, family, results, reports, documents, medicines taken."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from server.continuity.statement import Source
from server.continuity.story.allergies import allergy
from server.continuity.story.sentence import Sentence
from server.continuity.story.states import in_brackets, is_refuted, state, where
from server.continuity.story.telling import Found, Telling
from server.continuity.story.wording import (
    Json,
    at,
    code,
    codes,
    date,
    first,
    happened,
    has_value,
    is_named,
    label,
    labels,
    listed,
    moment,
    period,
    plain,
    quantity,
    value_of,
)

_OID: Final = re.compile(r"[\d.]{10,}")


def condition(telling: Telling, found: Found) -> Sentence:
    """Return a problem or diagnosis, or that it was refuted."""
    resource, words = found.resource, telling.words
    what = telling.label(resource.get("code"))
    on = resource.get("recordedDate")
    if is_refuted(resource):
        what += in_brackets(*where(telling, resource))
        return telling.said(found, words.say("condition-refuted", what=what), on, cautious=2)
    severity = labels(resource.get("severity"), words)
    beside = (*where(telling, resource), severity, *state(telling, resource))
    detail = in_brackets(*filter(None, beside))
    onset = date(resource.get("onsetDateTime"), words) or plain(resource.get("onsetString"))
    onset = onset or date((resource.get("onsetPeriod") or {}).get("start"), words) or ""
    abated = date(resource.get("abatementDateTime"), words)
    abated = abated or plain(resource.get("abatementString"))
    abated = abated or date((resource.get("abatementPeriod") or {}).get("end"), words) or ""
    detail += words.say("onset", date=onset) if onset else ""
    detail += words.say("abated", date=abated) if abated else ""
    return telling.said(found, words.say("condition", what=what, detail=detail), on)


def family(telling: Telling, found: Found) -> Sentence:
    """Return what is known of a relative, told as family and never of the patient (C5)."""
    resource, words = found.resource, telling.words
    relation = label(resource.get("relationship"), words) or words.say("nameless")
    name = plain(resource.get("name"))
    status = code(resource.get("status"))
    partly = words.status(status) if status == "partial" else None
    who = ", ".join(filter(None, (relation, name, partly)))
    said = [_illness(telling, one) for one in listed(resource.get("condition"))]
    key = "family" if said else "family-none"
    main = words.say_as(key, status, who=who, what=", ".join(said))
    return telling.said(found, main, resource.get("date"), kind="family")


def _unended(text: str) -> str:
    """Return a text without its full stop: the sentence goes on behind it."""
    return text if text.endswith("..") else text.removesuffix(".")


def _illness(telling: Telling, condition: Any) -> str:
    if not isinstance(condition, dict):
        return telling.words.say("nameless")
    outcome = labels(condition.get("outcome"), telling.words)
    return telling.label(condition.get("code")) + in_brackets(*filter(None, [outcome]))


def observation(telling: Telling, found: Found) -> Sentence:
    """Return a result with its value, its parts, and how it was judged."""
    resource, words = found.resource, telling.words
    main = observed(telling, resource)
    then = happened(resource, words, "effective")
    on = None if then else resource.get("issued")
    if not resource.get("focus"):
        return telling.said(found, main, on, then=then)
    named = [telling.people.named(one, resource) for one in listed(resource["focus"])]
    who = ", ".join(one.text for one in named if one) or words.say("nameless")
    sources = tuple(source for one in named if one for source in one.sources)
    main = words.say("focus", who=who, main=main)
    return telling.said(found, main, on, then=then, kind="family", more=sources)


def observed(telling: Telling, resource: Json) -> str:
    """Return what was observed, where, its value, and its status when it is not the final one."""
    words = telling.words
    what = telling.label(resource.get("code")) + in_brackets(*where(telling, resource))
    status = code(resource.get("status"))
    state = [] if status in ("", "final") else [words.status(status)]
    parts = [_part(telling, one) for one in listed(resource.get("component"))]
    told = "; ".join(filter(None, (value_of(resource, words), *parts)))
    if told:
        judged = labels(resource.get("interpretation"), words)
        beside = in_brackets(*filter(None, [judged]), *state)
        return words.say("observation", what=what, value=_unended(told)) + beside
    if has_value(resource):
        return words.say("value-other", what=what) + in_brackets(*state)
    if why := label(resource.get("dataAbsentReason"), words):
        return words.say("absent", what=what, why=why) + in_brackets(*state)
    return words.say("valueless", what=what) + in_brackets(*state)


def _part(telling: Telling, part: Any) -> str:
    """Return a component: its name, its value or why there is none, how it was judged."""
    if not isinstance(part, dict):
        return ""
    words = telling.words
    told = value_of(part, words)
    if told is None:
        why = label(part.get("dataAbsentReason"), words)
        told = words.say("part-absent", why=why) if why else "?"
    judged = labels(part.get("interpretation"), words)
    return f"{telling.label(part.get('code'))} {told}" + in_brackets(*filter(None, [judged]))


def report(telling: Telling, found: Found) -> Sentence:
    """Return a DiagnosticReport with its conclusion, word by word."""
    return reported(telling, found, "report")


def reported(telling: Telling, found: Found, key: str) -> Sentence:
    """Return a DiagnosticReport, finished or open."""
    resource, words = found.resource, telling.words
    conclusion = plain(resource.get("conclusion")) or labels(resource.get("conclusionCode"), words)
    status = code(resource.get("status")) or "unknown"
    main = words.say_as(
        key, status, what=telling.label(resource.get("code")), status=words.status(status)
    )
    then = happened(resource, words, "effective")
    after = words.say("conclusion", text=conclusion.rstrip(".")) if conclusion else ""
    on = None if then else resource.get("issued")
    return telling.said(found, main, on, then=then, after=after)


def document(telling: Telling, found: Found) -> Sentence:
    """Return that there is a document; what is in it is not read."""
    resource, words = found.resource, telling.words
    titles = [resource.get("description"), *at(resource, "content.attachment.title")]
    named = [text for one in titles if (text := plain(one)) and not _OID.fullmatch(text)]
    what = next(iter(named), "")
    what = what or _kind_of_document(telling, resource.get("type"))
    states = [code(resource.get(name)) for name in ("docStatus", "status")]
    told = [words.status(one) for one in states if one not in ("", "current", "final")]
    states_ = in_brackets(*told)
    main = words.say("document", what=what + states_)
    if not what:
        main = words.say("document-only", states=states_)
    return telling.said(found, main, resource.get("date"))


def _kind_of_document(telling: Telling, concept: Any) -> str:
    """Return what kind of document it is, ``""`` where nothing says it.

    A code that is none of table 0270 is told as one: it may be all that a reader knows it by.
    """
    if is_named(concept) or not isinstance(concept, dict):
        return label(concept, telling.words) or ""
    known = (telling.words.document(one) for _, one in sorted(codes(concept)))
    return next(filter(None, known), "") or label(concept, telling.words) or ""


def taken(telling: Telling, found: Found) -> Sentence:
    """Return a MedicationStatement: taken, not taken, meant to be, or no longer."""
    resource, words = found.resource, telling.words
    what, sources = medicine(telling, found)
    status = code(resource.get("status")) or "unknown"
    end = moment((resource.get("effectivePeriod") or {}).get("end"))
    over = status == "active" and end is not None and end < telling.now
    told = words.say_as(
        "statement",
        "listed" if over else status,
        what=what,
        status=words.status(status),
        detail=dosage(telling, resource) + taking(telling, resource),
    )
    cautious = 0 if status == "not-taken" else 1
    on = resource.get("dateAsserted")
    return telling.said(found, told, on, cautious=cautious, more=sources)


def taking(telling: Telling, resource: Json) -> str:
    """Return when a medicine is or was taken, and why it is not, as clauses."""
    words = telling.words
    day = date(resource.get("effectiveDateTime"), words)
    told = day or period(resource.get("effectivePeriod"), words, "began")
    why = labels(resource.get("statusReason"), words)
    return "".join(f", {text}" for text in (told, why) if text)


def immunization(telling: Telling, found: Found) -> Sentence:
    """Return a vaccination, or that it was not done, and why."""
    resource, words = found.resource, telling.words
    why = label(resource.get("statusReason"), words)
    weak = words.say("subpotent") if resource.get("isSubpotent") is True else None
    beside = (*where(telling, resource, "site"), weak, why)
    main = words.say_as(
        "immunization",
        code(resource.get("status")),
        what=telling.label(resource.get("vaccineCode")),
        detail=in_brackets(*filter(None, beside)),
    )
    then = happened(resource, words, "occurrence")
    return telling.said(found, main, resource.get("recorded"), then=then)


def medicine(telling: Telling, found: Found) -> tuple[str, tuple[Source, ...]]:
    """Return what a medicine is called, and where else that was read."""
    resource = found.resource
    if (told := label(resource.get("medicationCodeableConcept"), telling.words)) is not None:
        return told, ()
    named = telling.people.named(resource.get("medicationReference"), resource)
    return (named.text, named.sources) if named else (telling.words.say("nameless"), ())


def dosage(telling: Telling, resource: Json) -> str:
    """Return the dosage as it was written, or as it was coded, as clauses or ``""``."""
    listed_ = [
        one
        for name in ("dosageInstruction", "dosage")
        for one in listed(resource.get(name))
        if isinstance(one, dict)
    ]
    return "".join(f", {text}" for one in listed_ if (text := _dose(telling, one)))


def _dose(telling: Telling, dosage_: Json) -> str:
    """Return the text of one dosage, else its dose, how often and by which route."""
    words = telling.words
    if text := plain(dosage_.get("text")).rstrip("."):
        return text
    dose = quantity(first(dosage_, "doseAndRate.doseQuantity"), words)
    parts = (
        words.say("dose", dose=dose) if dose else None,
        label(first(dosage_, "timing.code"), words),
        label(dosage_.get("route"), words),
    )
    return ", ".join(filter(None, parts))


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
