"""C4 Conflict: every value stays, the more cautious one stands first; rank decides display only.

A voice that says something newer takes back what it said before, where the topic can change.  What
is left and differs is a conflict: two voices, or one whose words have no order in time.  Of a list,
several things go together; "none" beside one of them does not, nor the same thing present and
absent.  The same said twice is said once.
"""

from collections.abc import Iterable
from dataclasses import replace

from server.continuity.fit import Key, same
from server.continuity.questions import OF_ELEMENTS
from server.continuity.rules.case import Case, Said

SEVERAL = ("C4 several", "The record has several, and the form takes one.")
DIFFER = ("C4 different answers", "Different answers were given.")
NONE_AND_ONE = ("C4 none and some", 'One says "none", another names some.')


def replaces(newer: Said, older: Said) -> bool:
    """Tell whether one voice, in these two, says something else later."""
    if newer.said_at is None or older.said_at is None:
        return False
    later = newer.said_at >= (older.until or older.said_at + 1)
    return later and not same(newer.key, older.key) and not _beside(newer, older)


def _beside(one: Said, other: Said) -> bool:
    """Tell whether both hold: of two covers, or two relatives, neither takes the other back."""
    first, second = one.statement.source, other.statement.source
    return first.type == second.type in OF_ELEMENTS and first.id != second.id


def is_list(case: Case) -> bool:
    """Tell whether several answers go together."""
    return case.question.whole or case.question.item.repeats


def rule(case: Case) -> Case:
    """Take back what its own voice took back, then tell of what differs."""
    if is_list(case):
        return _of_list(case)
    if not case.question.topic.constant:
        last = _last_words(case)
        gone = [
            one
            for one in case.said
            if (word := last.get(case.voice(one.statement))) is not None
            and replaces(word, one)
            and not _only_none(word, one)
        ]
        case = case.without(gone, "", "")
    return _conflict(case, *DIFFER) if len(alike(case.said)) > 1 else case


def _only_none(newer: Said, older: Said) -> bool:
    """Tell whether "none" is all that speaks against one thing, which stands in an entry still.

    Who writes that there is none may not have seen the entry; who doubts it says so in the entry.
    """
    kinds = {newer.statement.source.type, older.statement.source.type}
    none = newer.statement.says == "none-known" and older.statement.says == "present"
    return none and kinds != {"QuestionnaireResponse"}


def _last_words(case: Case) -> dict[str, Said]:
    """Return what each voice said last."""
    last: dict[str, Said] = {}
    for one in case.said:
        if one.said_at is not None:
            had = last.setdefault(case.voice(one.statement), one)
            if one.said_at > (had.said_at or 0):
                last[case.voice(one.statement)] = one
    return last


def alike(said: Iterable[Said]) -> list[list[Said]]:
    """Put together what is the same; synonyms of synonyms are the same."""
    equal: dict[Key, list[Said]] = {}
    for one in said:
        equal.setdefault(one.key, []).append(one)
    groups: list[list[Said]] = []
    for key, some in equal.items():
        near = [group for group in groups if any(same(key, one.key) for one in group)]
        groups = [group for group in groups if group not in near]
        groups.append([*(one for group in near for one in group), *some])
    return groups


def _of_list(case: Case) -> Case:
    """Some things and none of them; too many for the form."""
    some = [o for o in case.said if o.statement.says == "present"]
    none = [o for o in case.said if o.statement.says == "none-known" or _said_no(o)]
    gone = [o for o in none if any(_took_back(case, s, o) for s in some)]
    gone += [s for s in some if any(_took_back(case, o, s) for o in none)]
    case = case.without(gone, "", "")
    if _both(case, some, none):
        return _conflict(case, *NONE_AND_ONE)
    if not case.question.item.repeats and len(alike(case.said)) > 1:
        return _conflict(case, *SEVERAL)
    return case


def _both(case: Case, some: list[Said], none: list[Said]) -> bool:
    kept = {id(one) for one in case.said}
    return any(id(one) in kept for one in some) and any(id(one) in kept for one in none)


def _took_back(case: Case, newer: Said, older: Said) -> bool:
    """A list is taken back only by the same kind of words: an answer to the same form."""
    kinds = {newer.statement.source.type, older.statement.source.type}
    one_voice = case.voice(newer.statement) == case.voice(older.statement)
    return kinds == {"QuestionnaireResponse"} and one_voice and replaces(newer, older)


def _said_no(one: Said) -> bool:
    return one.answer.get("valueBoolean") is False or one.statement.says == "absent"


def _conflict(case: Case, rule_: str, reason: str) -> Case:
    return replace(case, state="conflict", rule=rule_, reason=reason)
