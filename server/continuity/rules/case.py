"""What the rules work on: one question, and what was said that may answer it.

A rule takes a case and returns one: with statements left out, or with what each of them is good
for lowered.  No rule raises what another lowered, so their order changes no state.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from server.continuity.fit import Answer, Key
from server.continuity.known import State
from server.continuity.questions import Question
from server.continuity.statement import Statement
from server.continuity.validity import Validity

Good = Literal["known", "confirm"]
"""What a statement is good for."""


@dataclass(frozen=True, slots=True)
class Visit:
    """The encounter in which it is asked: ``Encounter/x``, and when it began (microseconds)."""

    reference: str
    start: int | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """A statement as an answer to the question.

    ``said_at`` is its time as the rules see it, ``until`` where its precision ends; ``good`` what
    it is good for, and by which rule and reason it is no better.
    """

    statement: Statement
    answer: Answer
    key: Key
    said_at: int | None
    until: int | None = None
    good: Good = "known"
    rule: str = ""
    reason: str = ""

    def only_confirm(self, rule: str, reason: str) -> "Said":
        """Return this, good for no more than to be confirmed; the first reason stays."""
        if self.good == "confirm":
            return self
        return Said(  # not dataclasses.replace: this is done for each statement of each item
            self.statement, self.answer, self.key, self.said_at, self.until, "confirm", rule, reason
        )


@dataclass(frozen=True, slots=True)
class Case:
    """One question and what was said.  ``now`` in microseconds; ``visit`` is ``None`` outside of
    any encounter.  ``voice`` tells whose words a statement is (C6); all of one voice until then.
    ``state`` and its reason are set when a rule decides all of it at once."""

    question: Question
    policy: Validity
    now: int
    visit: Visit | None
    said: tuple[Said, ...]
    voice: Callable[[Statement], str] = lambda _: ""
    state: State | None = None
    rule: str = ""
    reason: str = ""

    def without(self, gone: Iterable[Said], rule: str, reason: str) -> "Case":
        """Return the case without some; ``rule`` is told when nothing is left to answer with."""
        left_out = {id(one) for one in gone}
        if not left_out:
            return self
        kept = tuple(one for one in self.said if id(one) not in left_out)
        if kept or self.rule:
            return replace(self, said=kept)
        return replace(self, said=kept, rule=rule, reason=reason)

    def each(self, change: Callable[[Said], Said]) -> "Case":
        """Return the case with each of what was said changed."""
        return replace(self, said=tuple(change(one) for one in self.said))


Rule = Callable[[Case], Case]
