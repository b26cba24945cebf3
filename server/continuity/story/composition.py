"""Sentences -> a Composition with narrative, and the document Bundle around it.

R4 composition.html, documents.html.  The status is ``preliminary``: no person has verified what a
machine compiled.  It inherits the highest label of its sources (C7).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

from server.continuity.statement import Source
from server.continuity.story.sentence import SECTIONS, Section, Sentence
from server.continuity.story.wording import Json, date
from server.continuity.story.words import Words
from server.fhir.dates import instant_text
from server.search.marks import CONFIDENTIALITY, LEVELS, labels

SENTENCE: Final = "https://tellonce.org/fhir/StructureDefinition/sentence"
AUDIENCE: Final = "https://tellonce.org/fhir/StructureDefinition/audience"
SECTION_CODES: Final = "https://tellonce.org/fhir/CodeSystem/story-section"
_LOINC_TYPE: Final = {
    "system": "http://loinc.org", "code": "60591-5", "display": "Patient summary Document",
}  # fmt: skip
_XHTML: Final = "http://www.w3.org/1999/xhtml"
_AUTHORS: Final = ("Practitioner/", "PractitionerRole/", "Patient/", "RelatedPerson/", "Device/")


@dataclass(frozen=True, slots=True)
class Heading:
    """What a story says of itself.  ``at``, ``since``: microseconds; ``reader``: who asked."""

    id: str
    patient: str
    name: str
    at: int
    reader: str | None = None
    since: int | None = None
    encounter: str | None = None


def composition(
    heading: Heading,
    words: Words,
    told: Mapping[Section, Sequence[Sentence]],
    security: Iterable[str] = (),
) -> Json:
    """Return the Composition; sections without a sentence are left out."""
    made: Json = {"resourceType": "Composition", "id": heading.id}
    if meta := _security(security):
        made["meta"] = {"security": meta}
    title = words.title("composition", name=heading.name or heading.patient)
    parts = [(name, told[name]) for name in SECTIONS if told.get(name)]
    authors: list[Json] = [{"type": "Device", "display": "Tellonce"}]
    if heading.reader and heading.reader.startswith(_AUTHORS):
        authors.append({"reference": heading.reader})
    made |= {
        "language": words.language,
        "text": {"status": "generated", "div": _whole(heading, title, words, parts)},
        "extension": [{"url": AUDIENCE, "valueCode": words.register}],
        "status": "preliminary",
        "type": {"coding": [_LOINC_TYPE]},
        "subject": {"reference": heading.patient},
        "date": instant_text(heading.at),
        "author": authors,
        "title": title,
    }
    if heading.encounter:
        made["encounter"] = {"reference": heading.encounter}
    if parts:
        made["section"] = [_section(heading, words, name, list(of)) for name, of in parts]
    return made


def document(
    composition_: Json, entries: Iterable[tuple[str, Json]], base_url: str, at: int, id_: str
) -> Json:
    """Return a document Bundle: the Composition first, then what it refers to, each once.

    ``entries``: (full URL, resource).  ``id_`` is new with every document.  The
    labels are the highest of all that is inside.
    """
    inside = list(entries)
    first = f"{base_url}/Composition/{composition_['id']}"
    made: Json = {"resourceType": "Bundle"}
    marks = [label for one in (composition_, *(r for _, r in inside)) for label in labels(one)]
    if meta := _security(marks):
        made["meta"] = {"security": meta}
    made |= {
        "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{id_}"},
        "type": "document",
        "timestamp": instant_text(at),
        "entry": [
            {"fullUrl": first, "resource": composition_},
            *({"fullUrl": url, "resource": resource} for url, resource in inside),
        ],
    }
    return made


def highest(marks: Iterable[str]) -> list[str]:
    """Return labels (``system|code``) with only the highest level of confidentiality, sorted.

    >>> base = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
    >>> [one[-1] for one in highest([f"{base}|N", f"{base}|R"])]
    ['R']
    """
    every = set(marks)
    levels = {one for one in every if one.startswith(f"{CONFIDENTIALITY}|")}
    top = max(levels, key=_level, default=None)
    return sorted((every - levels) | ({top} if top else set()))


def _level(label: str) -> int:
    code = label.rpartition("|")[2]
    return LEVELS.index(code) if code in LEVELS else len(LEVELS)


def _security(marks: Iterable[str]) -> list[Json]:
    found = []
    for mark in highest(marks):
        system, _, code = mark.rpartition("|")
        found.append({"system": system, "code": code} if system else {"code": code})
    return found


def _section(heading: Heading, words: Words, name: Section, told: list[Sentence]) -> Json:
    sources = dict.fromkeys(source for one in told for source in one.sources)
    return {
        "extension": [_linked(f"{name}-{at}", one) for at, one in enumerate(told, 1)],
        "title": _title(heading, words, name),
        "code": {"coding": [{"system": SECTION_CODES, "code": name}]},
        "text": {"status": "generated", "div": _div(words, _paragraphs(words, name, told))},
        "entry": [{"reference": source.reference} for source in sources],
    }


def _linked(id_: str, sentence: Sentence) -> Json:
    """Return a sentence for machines: its place in the narrative, its text, each source."""
    parts: list[Json] = [
        {"url": "id", "valueId": id_},
        {"url": "text", "valueString": sentence.text},
        {"url": "kind", "valueCode": sentence.kind},
    ]
    if sentence.language:
        parts.append({"url": "language", "valueCode": sentence.language})
    if sentence.rephrased:
        parts.append({"url": "rephrased", "valueBoolean": True})
    parts += [_source(source) for source in sentence.sources]
    return {"url": SENTENCE, "extension": parts}


def _source(source: Source) -> Json:
    return {"url": "source", "valueReference": {"reference": source.reference}}


def _title(heading: Heading, words: Words, name: Section) -> str:
    since = ""
    if heading.since is not None:
        since = date(instant_text(heading.since), words, time=True) or ""
    return words.title(name, since=since)


def _whole(
    heading: Heading, title: str, words: Words, parts: list[tuple[Section, Sequence[Sentence]]]
) -> str:
    body = [f"<h1>{_xml(title)}</h1>"]
    for name, told in parts:
        body.append(f"<h2>{_xml(_title(heading, words, name))}</h2>")
        body.append(_paragraphs(words, name, told, prefix="all-"))
    return _div(words, "".join(body))


def _div(words: Words, body: str) -> str:
    """Return a narrative that says its language to who reads it aloud.  R4 languages.html."""
    lang = _xml(words.language)
    return f'<div xmlns="{_XHTML}" lang="{lang}" xml:lang="{lang}">{body}</div>'


def _paragraphs(words: Words, name: Section, told: Sequence[Sentence], *, prefix: str = "") -> str:
    return "".join(
        f'<p id="{prefix}{name}-{at}">{_marked(words, one)}</p>' for at, one in enumerate(told, 1)
    )


def _marked(words: Words, sentence: Sentence) -> str:
    """Return a sentence as XHTML; somebody's own words keep their language."""
    text = sentence.text
    if sentence.quote and sentence.language and sentence.quote in text:
        before, _, after = text.rpartition(sentence.quote)
        lang = f'<span lang="{_xml(sentence.language)}" xml:lang="{_xml(sentence.language)}">'
        return f"{_xml(before)}{lang}{_xml(sentence.quote)}</span>{_xml(after)}"
    if sentence.rephrased:
        return f"{_xml(text)} <em>({_xml(words.say('label'))})</em>"
    return _xml(text)


def _xml(text: Any) -> str:
    return escape(str(text), quote=True)
