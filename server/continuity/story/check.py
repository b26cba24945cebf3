"""Does a rephrased sentence say the same?  Pure; strict on purpose.

A sentence that is refused costs nothing: the one that was there stays.  One that is let through
wrongly can harm somebody.  So not meaning is judged, but words: what is left when words without
content are taken away must be the same words in the same order.  Three things may move: the only
date, the only author, and words that mean the same (``rephrase.yaml``).
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final, Protocol

import yaml

from server.continuity.statement import Source

LONGEST: Final = 3  # times the length of the sentence that was there
_TOKEN: Final = re.compile(
    r"\d+(?:[.,:/]\d+)*|[^\W\d_]+(?:['’-][^\W\d_]+)*|[%°<>≤≥=~±+/−]"
    r"|(?<=\d)-|-(?=\s?\d)|[?!;:.,()]"  # a minus and a range are no hyphens
)
_PAUSES: Final = frozenset(".;:,()")
_QUOTED: Final = re.compile(r"[“\"]([^”\"]*)[”\"]")
_MONTHS: Final = (
    "january|february|march|april|may|june|july|august|september|october|november|december"
)
_DATE: Final = re.compile(
    rf"(?:\b(?:on|in)\s+)?(?:\b(\d{{1,2}}) ({_MONTHS}) (\d{{4}})\b"
    rf"|\b({_MONTHS}) (\d{{1,2}}), (\d{{4}})\b)",
    re.IGNORECASE,
)
_BOUND: Final = re.compile(
    r"\b(since|until|till|before|after|from|to|by|between|and|through|due|born|started|stopped|"
    r"ended|began|died)\s*$",
    re.IGNORECASE,
)
_AUTHOR_FIRST: Final = re.compile(
    r"(?:^|(?<=[;,.] ))((?:Dr|Doctor|Prof|Nurse)\.? [^\W\d_]\S*(?: [A-Z]\S*){0,3}) "
    r"(?:recorded|noted|documented|wrote down)\b( that\b| this\b)?"
)
_AUTHOR_LAST: Final = re.compile(
    r"\b(?:(?:was|is|has been) )?(?:recorded|noted|documented|written down) by "
    r"((?:Dr|Doctor|Prof|Nurse)\.? [^\W\d_][^\s,;.]*(?: [A-Z][^\s,;.]*){0,3})"
)


class _Said(Protocol):
    @property
    def text(self) -> str: ...
    @property
    def sources(self) -> tuple[Source, ...]: ...


def faults(before: _Said, after: _Said) -> list[str]:
    """Return what a rephrased sentence adds, drops or changes; an empty list lets it pass."""
    found = [] if before.sources == after.sources else ["it names other sources"]
    found += _characters(before.text, after.text)
    if found:
        return found
    quotes = [_QUOTED.findall(text) for text in (before.text, after.text)]
    if quotes[0] != quotes[1]:
        found.append("it changes somebody's own words")
    was, now = _Meaning(before.text), _Meaning(after.text)
    if was.date != now.date:
        found.append("it changes a date")
    if was.author != now.author:
        found.append("it changes who said it")
    if _is_past(was.words) != _is_past(now.words):
        found.append("it changes past and present")
    found += _compared(was.content, now.content)
    if not found and not now.pauses <= was.pauses:
        found.append("it changes what belongs together")
    if not found and now.author and now.author_at not in (0, was.author_at, len(now.content)):
        found.append("it changes what the author said")
    for word in _lists()["kept"]:
        if now.kept.count(word) < was.kept.count(word):
            found.append(f"it drops a word ({word})")
    # "No fever. Cough." is not "No fever, cough.": a negation ends where its clause ends.
    if not found and was.negated and _clauses(was.reach) != _clauses(now.reach):
        found.append("it changes how far a negation reaches")
    return found


def _characters(before: str, after: str) -> list[str]:
    """Return what is wrong with the characters: look-alikes, marks that hide, several lines."""
    found = []
    if len(after) > LONGEST * len(before) + 40 or not after.strip():
        return ["it is empty or far too long"]
    strange = {c for c in after if ord(c) > 126 or ord(c) < 32} - set(before) - set("’“”–")
    if strange:
        names = sorted(unicodedata.name(c, f"U+{ord(c):04X}") for c in strange)
        found.append(f"it has characters that were not there: {', '.join(names)}")
    if any(c in after and c not in before for c in "<>&{}[]|\\`"):
        found.append("it has marks that were not there")
    return found


class _Meaning:
    """A sentence taken apart: its only date, its only author, its words, those with content.

    ``pauses``: behind how many of them there is a mark that parts one thing from another;
    ``author_at``: behind how many of them it says who said it.
    """

    def __init__(self, text: str) -> None:
        self.author: str | None = None
        self.author_at = 0
        self.date: str | None = None
        text = self._without_author(self._without_date(text).strip())
        self.words = _words(text)
        every = _content(self.words)
        self.content = [word for word in every if word not in _PAUSES]
        self.pauses = _pauses(every) | {0, len(self.content)}
        self.kept = [word for word in self.words if word in _lists()["kept"]]
        self.reach = " ".join(one for one in every if one not in ",()").strip(" .;:")
        self.negated = any(word in _lists()["kinds"]["a negation"] for word in self.content)

    def _without_author(self, text: str) -> str:
        first, last = list(_AUTHOR_FIRST.finditer(text)), list(_AUTHOR_LAST.finditer(text))
        found = first + last
        if len(found) != 1:
            return text  # none, or several: they stay where they are
        self.author = found[0].group(1).replace(".", "").replace("Doctor", "Dr").strip()
        ahead = _content(_words(text[: found[0].start()]))
        self.author_at = sum(word not in _PAUSES for word in ahead)
        return f"{text[: found[0].start()]} {text[found[0].end() :]}"

    def _without_date(self, text: str) -> str:
        found = list(_DATE.finditer(text))
        # "since", "due", "stopped" bind a date: then it stays where it is.
        if len(found) != 1 or _BOUND.search(text[: found[0].start()]):
            return text
        day, month, year, month_us, day_us, year_us = found[0].groups()
        told = f"{int(day or day_us)} {(month or month_us).lower()} {year or year_us}"
        self.date = told
        return f"{text[: found[0].start()]} {text[found[0].end() :]}"


def _clauses(text: str) -> list[list[str]]:
    """Return the words with content of each clause; empty clauses are none."""
    return [words for part in re.split(r"[.;:]", text) if (words := part.split())]


def _words(text: str) -> list[str]:
    """Return the words and marks of a text; what is written in capitals stays so.

    An "A" that begins no sentence is no article (hepatitis A), and ALL, US and AIDS are names.
    """
    found: list[str] = []
    for word in _TOKEN.findall(text):
        opens = not found or found[-1] in _PAUSES
        named = word.isupper() and (len(word) > 1 or not opens)
        found.append(word if named else _folded(word))
    return found


def _pauses(words: Sequence[str]) -> set[int]:
    found, count = set(), 0
    for word in words:
        if word in _PAUSES:
            found.add(count)
        else:
            count += 1
    return found


def _compared(was: Sequence[str], now: Sequence[str]) -> list[str]:
    """Return how two sequences of words with content differ, by the kind of word."""
    if list(was) == list(now):
        return []
    dropped, added = _minus(was, now), _minus(now, was)
    kinds = _lists()["kinds"]
    found = [f"it drops {_kind(word, kinds)} ({word})" for word in dropped]
    found += [f"it adds {_kind(word, kinds)} ({word})" for word in added]
    return found or ["it changes the order, and with it what belongs to what"]


def _minus(some: Sequence[str], others: Sequence[str]) -> list[str]:
    left = list(others)
    found = []
    for word in some:
        if word in left:
            left.remove(word)
        else:
            found.append(word)
    return found


def _kind(word: str, kinds: dict[str, frozenset[str]]) -> str:
    if word[:1].isdigit():
        return "a number"
    return next((kind for kind, words in kinds.items() if word in words), "a word")


def _content(words: Sequence[str]) -> list[str]:
    lists = _lists()
    text = " ".join(words)
    for phrase, stands_for in lists["same"]:
        text = re.sub(rf"(?<!\S){re.escape(phrase)}(?!\S)", stands_for, text)
    return [word for word in text.split() if word not in lists["empty"]]


def _is_past(words: Sequence[str]) -> bool:
    """Tell whether "was" or "had" says that something is over; "was recorded" does not."""
    past = _lists()["past"]
    return any(
        word in past and not _is_passive(words[at + 1 : at + 3]) for at, word in enumerate(words)
    )


def _is_passive(behind: Sequence[str]) -> bool:
    return any(word in _lists()["participles"] for word in behind)


def _folded(word: str) -> str:
    word = word.replace("’", "'")
    return word if word[:1].isdigit() else word.casefold()


@cache
def _lists() -> dict[str, Any]:
    text = (files("server.continuity.story") / "rephrase.yaml").read_text("utf-8")
    # Texts only: "no" is a word here, and not false.
    read = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - it makes nothing but texts
    same = [(one, group[0]) for group in read["same"] for one in group[1:]]
    return {
        "empty": frozenset((*read["empty"], *read["kept"])),
        "kept": tuple(read["kept"]),
        "same": sorted(same, key=lambda pair: -len(pair[0])),
        "past": frozenset(read["past"]),
        "participles": frozenset(read["participles"]),
        "kinds": {name: frozenset(words) for name, words in read["kinds"].items()},
    }
