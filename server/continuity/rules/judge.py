"""All rules, in one place: what is known of one question, from what was said."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from server.continuity.fit import fitted, key_of
from server.continuity.known import Candidate, Known, State
from server.continuity.questions import Question
from server.continuity.rules import (
    author,
    clock,
    conflict,
    negation,
    subject,
    unfit,
    validity,
    visibility,
)
from server.continuity.rules.case import Case, Rule, Said, Visit
from server.continuity.statement import Statement
from server.continuity.validity import Validity

RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        "C7": visibility.rule,
        "C5": subject.rule,
        "C3": negation.rule,
        "C2": clock.rule,
        "C6": author.rule,
        "C4": conflict.rule,
        "C1": validity.rule,
    }
)
"""The rules, in the order in which they speak."""

NOTHING = ("no source", "The record has no answer that you can see.")
LIMITED = "limit"
UNMAPPED = ("limit", "More concept maps are stored than are looked through.")
UNLISTED = ("limit", "The form's choices cannot be listed here.")


def judge(
    question: Question,
    statements: Iterable[Statement],
    policy: Validity,
    now: int,
    visit: Visit | None = None,
    rules: Mapping[str, Rule] = RULES,
) -> Known:
    """Return what is known of the question.

    ``statements`` are those that may answer it; ``now`` in microseconds.
    """
    beside: list[Statement] = []
    case = Case(question, policy, now, visit, tuple(_said(question, statements, beside)))
    for rule in rules.values():
        case = rule(case)
    case = unfit.rule(case, beside)
    if not case.said:
        told = (case.rule, case.reason) if case.rule else NOTHING
        return Known(question.item, "ask", (), *told)
    return _known(case)


def _said(
    question: Question, statements: Iterable[Statement], beside: list[Statement]
) -> Iterable[Said]:
    """Yield what fits; ``beside`` is given what does not."""
    for one in statements:
        answer = fitted(question, one)
        if answer is None:
            beside.append(one)
            if one.says != "unknown" and not (question.whole and one.says == "absent"):
                continue
            answer = {}
        key = key_of(question, one, answer) if answer else ("nothing", None)
        made = Said(one, answer, key, one.said_at, one.said_until)
        if not question.listed and "valueCoding" in answer:
            made = made.only_confirm(*UNLISTED)
        if not question.mapped:
            made = made.only_confirm(*UNMAPPED)
        yield made.only_confirm(LIMITED, one.note) if one.note else made


def _known(case: Case) -> Known:
    groups = conflict.alike(case.said)
    best = [min(group, key=lambda one: one.good == "confirm") for group in groups]
    weakest = next((one for one in best if one.good == "confirm"), None)
    state: State = case.state or ("confirm" if weakest is not None else "known")
    rule, reason = case.rule, case.reason
    if state == "confirm" and weakest is not None:
        rule, reason = weakest.rule, weakest.reason
    groups = sorted(groups, key=lambda group: _order(case, group))
    if state != "conflict" and not conflict.is_list(case):
        groups = groups[:1]
    told = rule or "C1 holds"
    why = reason or _holds(case, groups[0][0])
    return Known(case.question.item, state, tuple(_candidate(case, g) for g in groups), told, why)


def _holds(case: Case, one: Said) -> str:
    return validity.topic_of(case, one).why


def _order(case: Case, group: list[Said]) -> tuple[int, int, int, int]:
    """Cautious first, then by rank of the author, then the newest."""
    cautious = min(_caution(case, one) for one in group)
    critical = min(0 if one.statement.critical else 1 for one in group)
    rank = min(case.policy.place(one.statement.author.kind) for one in group)
    return cautious, critical, rank, -max(one.said_at or 0 for one in group)


def _caution(case: Case, one: Said) -> int:
    topic = validity.topic_of(case, one)
    order = topic.cautious
    said = one.key[1] if one.key[0] == "codes" else frozenset()
    no = one.statement.says in ("absent", "none-known") or one.answer.get("valueBoolean") is False
    words = ("", "absent") if no else ("", "present")
    places = [place for place, code in enumerate(order) if code in said or code == words]
    return min(places, default=len(order))


def _candidate(case: Case, group: list[Said]) -> Candidate:
    """Return the answer of what was said alike: dated and signed by who said it last."""
    ranked = sorted(group, key=lambda one: (-(one.said_at or 0), case.policy.place(
        one.statement.author.kind)))  # fmt: skip
    good = [one for one in ranked if one.good == "known"] or ranked
    first = good[0]
    sources = tuple(dict.fromkeys(one.statement.source for one in (first, *ranked)))
    return Candidate(first.answer, sources, first.said_at, first.statement.author)
