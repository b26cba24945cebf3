"""A sentence of a story, and where it comes from.  Pure values."""

from dataclasses import dataclass
from typing import Literal

from server.continuity.statement import Source

Kind = Literal[
    "recorded",
    "quoted",
    "family",
    "conflict",
    "counted",
    "computed",
    "missing",
    "withheld",
]
"""``recorded``: what one version says.  ``quoted``: somebody's own words, untouched.  ``family``:
about somebody else than the patient (C5).  ``conflict``: versions that disagree (C4).  ``counted``:
how much more there is.  ``computed``: statistics over its sources.  ``missing``: nothing is
recorded; its source is the Patient, whose record was looked through.  ``withheld``: something is
hidden from a reader who may know that (C7); its source is the Patient, too."""

Section = Literal[
    "patient", "reason", "voice", "goals", "findings", "decisions", "pending", "changes", "home"
]
SECTIONS: tuple[Section, ...] = (
    "patient", "reason", "changes", "voice", "goals", "findings", "decisions", "pending", "home",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sentence:
    """``text`` is complete; ``quote`` is the part of it that is somebody's own words, in
    ``language`` (BCP 47) where that is known.  ``cautious``: what must be read first has the
    smaller number.  ``rephrased``: a language model wrote ``text``.
    """

    text: str
    sources: tuple[Source, ...]
    kind: Kind = "recorded"
    quote: str | None = None
    language: str | None = None
    cautious: int = 1
    rephrased: bool = False

    def __post_init__(self) -> None:
        if not self.sources:
            raise ValueError("no source, no sentence")
