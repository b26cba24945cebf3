"""What all sentences have in common: who says it, when, and which version says so."""

from dataclasses import dataclass
from typing import Any, Final

from server.continuity.statement import Source
from server.continuity.story.people import Named, People, is_of
from server.continuity.story.sentence import Kind, Sentence
from server.continuity.story.wording import (
    Json,
    at,
    called,
    dated,
    label,
    labels,
    listed,
    plain,
)
from server.continuity.story.words import Words

WITHDRAWN: Final = "entered-in-error"
SNOMED: Final = "http://snomed.info/sct"


@dataclass(frozen=True, slots=True)
class Found:
    """A resource that was read for the story, and its version."""

    resource: Json
    source: Source

    @property
    def type(self) -> str:
        """The resource type."""
        return self.source.type


@dataclass(frozen=True, slots=True)
class Telling:
    """``patient``: ``Patient/x``; ``now``: microseconds, for what is still to come."""

    patient: str
    people: People
    now: int

    @property
    def words(self) -> Words:
        """The texts that are used."""
        return self.people.words

    def said(
        self,
        found: Found,
        main: str,
        on: Any = None,
        *,
        then: str = "",
        after: str = "",
        kind: Kind = "recorded",
        cautious: int = 1,
        more: tuple[Source, ...] = (),
        did: str = "",
    ) -> Sentence:
        """Return a sentence with who said it and when (C2, C6).

        ``then``: a clause that says when it happened; ``on``: when it was said, as written.  What
        happened once is seldom said on the same day: one never stands for the other.  ``after``
        stands behind ``then``.  ``did``: what a clinician did, if not recording ("ordered").
        """
        words = self.words
        main += then + after
        when = dated(on, words, "when") or ("" if then else words.say("undated"))
        author = self.people.author(found.resource)
        who = author.text if author else ""
        kind_ = _by(author) if when or author else "unknown-then"
        if did and kind_ == "clinician":
            kind_ = f"clinician-{did}"
        text = words.by(kind_, main=main, who=who, Who=opening(who), when=when)
        sources = (found.source, *more, *(author.sources if author else ()))
        if (writer := self.people.writer(found.resource)) is not None:
            by = writer.text
            text = words.say("also", said=text, who=by, Who=opening(by))
            sources += writer.sources
        return self.sentence(text, sources, kind, cautious=cautious)

    def plainly(
        self, found: Found, main: str, *more: Source, kind: Kind = "recorded", cautious: int = 1
    ) -> Sentence:
        """Return a sentence without an author, of what the resource itself is."""
        text = self.words.say("plain", main=main)
        return self.sentence(text, (found.source, *more), kind, cautious=cautious)

    def sentence(
        self, text: str, sources: tuple[Source, ...], kind: Kind = "recorded", *, cautious: int = 1
    ) -> Sentence:
        """Return the sentence, its first letter a capital one, each source once."""
        return Sentence(opening(text), tuple(dict.fromkeys(sources)), kind, cautious=cautious)

    def label(self, concept: Any) -> str:
        """Return what a concept is called, or that it has no name."""
        return label(concept, self.words) or self.words.say("nameless")

    def reason(self, found: Found) -> tuple[str, tuple[Source, ...]]:
        """Return why, as a clause or ``""``: reasonCode and reasonReference."""
        told = [text for text in [labels(found.resource.get("reasonCode"), self.words)] if text]
        sources: tuple[Source, ...] = ()
        for reference in at(found.resource, "reasonReference"):
            named = self.people.named(reference, found.resource)
            text = named.text if named else plain(reference.get("display"))
            if text:
                told.append(called(text, self.words))
                sources += named.sources if named else ()
        if not told:
            return "", ()
        return self.words.say("because", reason=", ".join(dict.fromkeys(told))), sources

    def is_about_patient(self, resource: Json) -> bool:
        """Tell whether the subject is this patient (C5); a subject that is missing is not."""
        for name in ("subject", "patient", "for"):
            if name in resource:
                return is_of(resource[name], self.patient, self.people.base_url)
        return False


def opening(text: str) -> str:
    """Return a text with a capital first letter, unless its first word has its own (pH, mRNA).

    >>> opening("a device"), opening("pH: 7.4")
    ('A device', 'pH: 7.4')
    """
    first = text.split(" ", 1)[0]
    return text[:1].upper() + text[1:] if first.islower() else text


def _by(author: Named | None) -> str:
    """Return which words say whose a statement is; a bare name is told as a name."""
    if author is None:
        return "unknown"
    return "clinician" if author.kind == "unknown" else author.kind


def is_withdrawn(resource: Json) -> bool:
    """Tell whether a resource was entered in error: it is never told."""
    if WITHDRAWN in [resource.get(name) for name in ("status", "lifecycleStatus", "docStatus")]:
        return True
    return WITHDRAWN in {code for _, code in _codes(resource.get("verificationStatus"))}


def _codes(concept: Any) -> set[tuple[str, str]]:
    codings = listed(concept.get("coding")) if isinstance(concept, dict) else []
    return {
        (str(one.get("system", "")), str(one.get("code")))
        for one in codings
        if isinstance(one, dict)
    }
