"""Who was shown what was made of which versions, so that a correction finds its readers (C11)."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["story", "known-answers", "populate", "extract", "document", "summary"]


@dataclass(frozen=True, slots=True)
class Cited:
    """One showing.  ``sources`` are versioned references; ``reader`` the principal, ``person`` the
    FHIR resource that stands for them; ``document`` what was stored of it, if anything; ``at`` in
    microseconds since 1970-01-01T00:00:00Z."""

    kind: Kind
    patient: str
    sources: frozenset[str]
    at: int
    reader: str
    person: str | None = None
    document: str | None = None
