"""C3 Negation: absent is not none.

An empty list says nothing.  That there is none takes a coded statement with an author and a date,
and covers what its code covers: 409137002 speaks of drugs only.  That one thing is not there says
nothing of others.  What was withdrawn was never said.
"""

from server.continuity.fit import same
from server.continuity.rules.case import Case, Said
from server.continuity.statement import Statement

WITHDRAWN = ("C3 withdrawn", "What the record had was withdrawn.")
NO_ANSWER = ("C3 absent is not none", "Nobody said that there is none.")
UNSIGNED = ("C3 none without author or date", "That there is none takes an author and a date.")
PARTIAL = ("C3 none of a part", "That there is none was said of a part only.")
ENDED = ("C3 ended", "What the record has is marked as over.")
UNSURE = ("C3 unsure", "What the record has is not confirmed, or in words only.")


def is_said(statement: Statement) -> bool:
    """Tell whether the statement stands at all: not withdrawn, and with something to say."""
    return statement.standing != "withdrawn" and statement.says != "unknown"


def is_signed(statement: Statement) -> bool:
    """Tell whether somebody said it at some time: what a "none" needs."""
    return statement.author.kind not in ("unknown", "feed") and statement.said_at is not None


def covers(case: Case, statement: Statement) -> bool:
    """Tell whether a "none known" covers all that is asked."""
    none = case.question.topic.none or case.policy.topic(statement.topic).none
    return not none or bool(statement.codes & none) or "valueBoolean" in (statement.value or {})


def rule(case: Case) -> Case:
    """Leave out what says nothing of the question, and what says "none" without right to."""
    case = case.without([o for o in case.said if not is_said(o.statement)], *WITHDRAWN)
    case = case.without([o for o in case.said if _says_nothing(case, o)], *NO_ANSWER)
    case = case.without([o for o in case.said if _unsigned_none(case, o)], *UNSIGNED)
    case = case.without([o for o in case.said if _too_much(case, o)], *PARTIAL)
    ended = [o for o in case.said if o.statement.standing == "ended"]
    case = case.without(ended, *ENDED)
    case = case.each(lambda one: _of_a_part(case, one))
    return case.each(lambda one: _weighed(one, ended))


def _of_a_part(case: Case, one: Said) -> Said:
    """Let "no known drug allergy" be confirmed where all allergies are asked for."""
    partial = one.statement.says == "none-known" and not covers(case, one.statement)
    return one.only_confirm(*PARTIAL) if partial else one


def _says_nothing(case: Case, one: Said) -> bool:
    """One thing that is not there does not answer what there is, or whether there is any.

    What was not done on one day was perhaps done on another.
    """
    absent, type_ = one.statement.says == "absent", one.statement.source.type
    once = type_ in ("Procedure", "Immunization")
    other = type_ != "QuestionnaireResponse" or not one.answer
    return absent and (once or (case.question.whole and other))


def _unsigned_none(case: Case, one: Said) -> bool:
    """A "no" to "is there any?" is a "none", too."""
    says_none = one.statement.says == "none-known" or (
        case.question.whole and one.statement.says == "absent"
    )
    return says_none and not is_signed(one.statement)


def _too_much(case: Case, one: Said) -> bool:
    """A "none" of a part answers "is there any?" with no more than its own words."""
    return (
        one.statement.says == "none-known"
        and "valueBoolean" in one.answer
        and not covers(case, one.statement)
    )


def _weighed(one: Said, ended: list[Said]) -> Said:
    """Let be confirmed what is unsure, and what another source says is over."""
    if one.statement.standing == "unsure":
        return one.only_confirm(*UNSURE)
    return one.only_confirm(*ENDED) if any(same(one.key, gone.key) for gone in ended) else one
