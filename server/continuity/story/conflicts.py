"""What one entry says and another one does not bear out (C4)."""

from collections.abc import Iterable, Sequence
from typing import Final

from server.continuity.story.allergies import IPS
from server.continuity.story.findings import medicine
from server.continuity.story.sentence import Sentence
from server.continuity.story.states import is_refuted
from server.continuity.story.telling import SNOMED, Found, Telling
from server.continuity.story.wording import code, codes

NO_PROBLEMS: Final = frozenset(((SNOMED, "160245001"), (IPS, "no-known-problems")))


def disagreements(telling: Telling, found: Sequence[Found]) -> list[Sentence]:
    """Return what one entry says and another one refutes (C4), for entries with the same code, and
    what is there beside "no problems"."""
    sound = [one for one in found if not is_refuted(one.resource)]
    nones = [one for one in sound if _says_no_problems(one)]
    made = [
        telling.sentence(
            telling.words.say(
                "disagree-none",
                what=telling.label(one.resource.get("code")),
                none=telling.label(none.resource.get("code")),
            ),
            (one.source, none.source),
            "conflict",
            cautious=-1,
        )
        for none in nones
        for one in sound
        if not _says_no_problems(one)
    ]
    return [*made, *_refutations(telling, found)]


def contradicted(telling: Telling, found: Sequence[Found]) -> list[Sentence]:
    """Return which medicines one entry says are taken, and another one that they are not (C4)."""
    told = [(one, code(one.resource.get("status")), _medicine(telling, one)) for one in found]
    return [
        telling.sentence(
            telling.words.say("disagree-taken", what=what),
            (yes.source, no.source),
            "conflict",
            cautious=-1,
        )
        for no, denied, name in told
        for yes, status, what in told
        if denied == "not-taken" and status in ("active", "intended") and what == name
    ]


def _medicine(telling: Telling, found: Found) -> str:
    return medicine(telling, found)[0]


def _says_no_problems(one: Found) -> bool:
    return not codes(one.resource.get("code")).isdisjoint(NO_PROBLEMS)


def _refutations(telling: Telling, found: Iterable[Found]) -> list[Sentence]:
    entries = [(one, codes(one.resource.get("code"))) for one in found]
    refuted = [(one, of) for one, of in entries if is_refuted(one.resource)]
    made = []
    for no, of in refuted:
        for yes, same in entries:
            if is_refuted(yes.resource) or of.isdisjoint(same):
                continue
            text = telling.words.say("disagree", what=telling.label(yes.resource.get("code")))
            sources = (yes.source, no.source)
            made.append(telling.sentence(text, sources, "conflict", cautious=-1))
    return made
