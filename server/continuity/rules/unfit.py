"""What the form cannot take is no reason to take something else as known.

A newer "stopped" that is none of the choices, a third allergy where the form lists two, a weight
without a unit: the record says it, the form has no place for it.  What fits is then to be
confirmed.  Part of C4: every value stays.
"""

from collections.abc import Iterable

from server.continuity.rules.case import Case, Said
from server.continuity.rules.conflict import is_list, replaces
from server.continuity.rules.negation import is_said
from server.continuity.rules.subject import speaks_of
from server.continuity.rules.visibility import visible
from server.continuity.statement import Statement

UNFIT = ("C4 does not fit", "The record says something else, too, that the form cannot take.")


def rule(case: Case, beside: Iterable[Statement]) -> Case:
    """Let be confirmed what stands beside something that is no answer in this form."""
    if not case.said or not any(_bears(case, one) for one in beside):
        return case
    return case.each(lambda one: one.only_confirm(*UNFIT))


def _bears(case: Case, one: Statement) -> bool:
    if not (is_said(one) and one.standing in ("current", "unsure") and visible(one, ())):
        return False
    if not speaks_of(one, case.question.topic.about):
        return False
    if case.question.whole:
        answered = one.source.type == "QuestionnaireResponse"
        yes = (one.value or {}).get("valueBoolean") is True
        return not yes and (one.says != "absent" or answered)
    return not any(_took_back(case, said, one) for said in case.said)


def _took_back(case: Case, said: Said, one: Statement) -> bool:
    if is_list(case) or case.question.topic.constant:
        return False
    before = Said(one, {}, ("unfit", None), one.said_at, one.said_until)
    return case.voice(said.statement) == case.voice(one) and replaces(said, before)
