"""Who the patient is, as far as the story needs it.  R4 patient.html."""

from server.continuity.statement import Source
from server.continuity.story.sentence import Sentence
from server.continuity.story.telling import Found, Telling
from server.continuity.story.wording import (
    Json,
    at,
    date,
    label,
    listed,
    on_or_in,
    person,
    plain,
)

_INTERPRETER = "http://hl7.org/fhir/StructureDefinition/patient-interpreterRequired"


def about(telling: Telling, found: Found) -> list[Sentence]:
    """Return name, birth, death, language, and whether another record replaces this one."""
    texts = [_identity(telling, found.resource), *_death(telling, found.resource)]
    texts += _merged(telling, found.resource)
    texts += _language(telling, found.resource)
    sources: tuple[Source, ...] = (found.source,)
    return [telling.sentence(text, sources) for text in texts if text]


def language(patient: Json) -> str | None:
    """Return the language that the patient speaks best (BCP 47), ``None`` if it is not said."""
    spoken = [one for one in listed(patient.get("communication")) if isinstance(one, dict)]
    preferred = sorted(spoken, key=lambda one: one.get("preferred") is not True)
    for one in preferred:
        for coding in at(one, "language.coding"):
            if isinstance(coding, dict) and isinstance(coding.get("code"), str):
                return str(coding["code"])
    return None


def _identity(telling: Telling, patient: Json) -> str:
    words = telling.words
    name, born = person(patient.get("name")), date(patient.get("birthDate"), words)
    code = plain(patient.get("gender"))
    gender = words.say_as("gender", code, gender=code) if code else ""
    if name and born and gender:
        variant = on_or_in(patient.get("birthDate"))
        return words.say_as("name", variant, name=name, gender=gender, date=born)
    told = [words.say("name-only", name=name)] if name else []
    variant = on_or_in(patient.get("birthDate"))
    told += [words.say_as("birth-only", variant, date=born)] if born else []
    told += [words.say("gender-only", gender=gender)] if gender else []
    return " ".join(told)


def _death(telling: Telling, patient: Json) -> list[str]:
    if on := date(patient.get("deceasedDateTime"), telling.words):
        variant = on_or_in(patient["deceasedDateTime"])
        return [telling.words.say_as("deceased", variant, date=on)]
    if patient.get("deceasedBoolean") is True:
        return [telling.words.say("deceased-undated")]
    return []


def _merged(telling: Telling, patient: Json) -> list[str]:
    # The link is told, not followed: who may see one record may not thereby see the other.
    for link in listed(patient.get("link")):
        if isinstance(link, dict) and link.get("type") == "replaced-by":
            other = plain((link.get("other") or {}).get("reference"))
            return [telling.words.say("replaced", other=other)]
    return []


def _language(telling: Telling, patient: Json) -> list[str]:
    words = telling.words
    spoken = language(patient)
    if spoken is None:
        return []
    concepts = [one for one in at(patient, "communication.language") if isinstance(one, dict)]
    named = {c.get("code"): label(one, words) for one in concepts for c in at(one, "coding")}
    name = named.get(spoken) or spoken
    told = []
    if spoken.partition("-")[0].lower() != words.language:
        told.append(words.say("language", language=name))
    if {"url": _INTERPRETER, "valueBoolean": True} in listed(patient.get("extension")):
        told.append(words.say("interpreter", language=name))
    return told
