"""C4 Conflict: every value stays, the more cautious one stands first; rank decides display only.

A voice that says something newer takes back what it said before, where the topic can change.  What
is left and differs is a conflict: two voices, or one whose words have no order in time.  Of a list,
several things go together; "none" beside one of them does not, nor the same thing present and
absent.  The same said twice is said once.
"""

from itertools import combinations

from server.continuity.fit import same
from server.continuity.rules.case import Case, Said

SEVERAL = ("C4 several", "The record has several, and the form takes one.")
DIFFER = ("C4 different answers", "Different answers were given.")
NONE_AND_ONE = ("C4 none and some", 'One says "none", another names some.')


def replaces(newer: Said, older: Said) -> bool:
    """Tell whether one says later, in the same voice, something else than the other."""
    if newer.voice != older.voice or same(newer.key, older.key):
        return False
    if newer.said_at is None or older.said_at is None:
        return False
    return newer.said_at >= (older.until or older.said_at + 1)


def is_list(case: Case) -> bool:
    """Tell whether several answers go together."""
    return case.question.whole or case.question.item.repeats


def rule(case: Case) -> Case:
    """Take back what its own voice took back, then tell of what differs."""
    if is_list(case):
        return _of_list(case)
    if not case.question.topic.constant:
        gone = [o for o in case.said if any(replaces(n, o) for n in case.said)]
        case = case.without(gone, "", "")
    return _conflict(case, *DIFFER) if _differ(case.said) else case


def _differ(said: tuple[Said, ...]) -> bool:
    return any(not same(a.key, b.key) for a, b in combinations(said, 2))


def _of_list(case: Case) -> Case:
    """Some things and none of them; too many for the form."""
    some = [o for o in case.said if o.statement.says == "present"]
    none = [o for o in case.said if o.statement.says == "none-known" or _said_no(o)]
    gone = [o for o in none if any(_took_back(s, o) for s in some)]
    gone += [s for s in some if any(_took_back(o, s) for o in none)]
    case = case.without(gone, "", "")
    some, none = [o for o in some if o in case.said], [o for o in none if o in case.said]
    if some and none:
        return _conflict(case, *NONE_AND_ONE)
    if not case.question.item.repeats and _differ(case.said):
        return _conflict(case, *SEVERAL)
    return case


def _took_back(newer: Said, older: Said) -> bool:
    """A list is taken back only by the same kind of words: an answer to the same form."""
    kinds = {newer.statement.source.type, older.statement.source.type}
    return kinds == {"QuestionnaireResponse"} and replaces(newer, older)


def _said_no(one: Said) -> bool:
    return one.answer.get("valueBoolean") is False or one.statement.says == "absent"


def _conflict(case: Case, rule_: str, reason: str) -> Case:
    return Case(
        case.question, case.policy, case.now, case.visit, case.said, "conflict", rule_, reason
    )
