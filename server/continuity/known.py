"""What is known of each item of a form: ``Patient/[id]/$known-answers``, ``$populate``."""

from dataclasses import dataclass
from typing import Any, Literal

from server.continuity.form import Item
from server.continuity.statement import Author, Source

State = Literal["known", "confirm", "conflict", "ask"]
"""``known``: shown as answered.  ``confirm``: shown, one tap.  ``conflict``: all shown, the more
cautious one first.  ``ask``: nothing is shown."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One answer that the record has, ``value`` as in ``QuestionnaireResponse.item.answer``.

    ``said_at``: microseconds since 1970-01-01T00:00:00Z, ``None`` if unknown.
    """

    value: dict[str, Any]
    sources: tuple[Source, ...]
    said_at: int | None
    author: Author


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one item.

    ``candidates``: none in ``ask``; one of several values in ``conflict``, the cautious one first;
    a repeating item may have several in every other state.  ``rule`` names what decided
    (``C1 expired``, ``C2 undated``, ``no source``), ``reason`` says it in plain words without
    naming what is hidden (C7).
    """

    item: Item
    state: State
    candidates: tuple[Candidate, ...] = ()
    rule: str = ""
    reason: str = ""
