"""Words of the narrative and of all texts: ``_text`` and ``_content``.  R4 search.html#content.

R4 leaves the syntax to the server.  Here: blanks are AND; ``or`` and a comma are OR, which binds
less; ``not`` before a word; quotes hold words together; a ``*`` at the end stands for any ending.
Words are compared as strings are (``string.fold``), and nothing but letters and digits counts.
"""

import re
from typing import Literal

from server.search import string
from server.search.asked import any_of
from server.search.query import AllOf, Not, Predicate, Words
from server.search.value import refused, split, unescape

MAX_TERMS = 100  # in one value

Of = Literal["text", "content"]
Phrase = tuple[str, ...]

_TERM = re.compile(r'"([^"]*)"|([^\s"]+)')
_APOSTROPHES = str.maketrans("", "", "'`")  # as string.fold takes them out
_BETWEEN_ASCII_WORDS = re.compile(r"[^0-9a-z]+")
_BETWEEN_WORDS = re.compile(r"[\W_]+")


def fold(text: str) -> str:
    """Return the words of a text as they are compared, one blank between them.

    >>> fold("Herz-Infarkt (li.), SpO₂ > 90 %")
    'herz infarkt li spo2 90'
    """
    if text.isascii():
        return _BETWEEN_ASCII_WORDS.sub(" ", text.lower().translate(_APOSTROPHES)).strip()
    return _BETWEEN_WORDS.sub(" ", string.fold(text)).strip()


def predicate(of: Of, text: str) -> Predicate:
    """Return what ``_text=...`` (``of="text"``) or ``_content=...`` asks.

    >>> predicate("text", 'heart "left arm*"')
    Words(of='text', asked=(('heart',), ('left', 'arm*')))
    """
    name = f"_{of}"
    if text.count('"') % 2:
        raise refused(name, "a quotation is not closed")
    ways = [way for part in split(text, ",") for way in _ways(unescape(part), name)]
    if sum(map(len, ways)) > MAX_TERMS:
        raise refused(name, f"more than {MAX_TERMS} words and phrases")
    return any_of([_all_of(of, way) for way in ways])


def _ways(text: str, name: str) -> list[list[tuple[bool, Phrase]]]:
    """Return the alternatives; each is a list of (is wanted, phrase)."""
    ways: list[list[tuple[bool, Phrase]]] = [[]]
    wanted = True
    for quoted, bare in _TERM.findall(text):
        match bare.lower():
            case "or":
                if not ways[-1] or not wanted:
                    raise refused(name, "there is nothing before or")
                ways.append([])
            case "and":
                if not ways[-1] or not wanted:
                    raise refused(name, "there is nothing before and")
            case "not":
                wanted = not wanted
            case _:
                ways[-1].append((wanted, _phrase(quoted or bare, name)))
                wanted = True
    if not ways[-1] or not wanted:
        raise refused(name, "a word is missing")
    return ways


def _phrase(text: str, name: str) -> Phrase:
    words = fold(text).split(" ")
    if words == [""]:
        raise refused(name, f"{text!r} holds no letter or digit to look for")
    return (*words[:-1], f"{words[-1]}*") if text.endswith("*") else tuple(words)


def _all_of(of: Of, way: list[tuple[bool, Phrase]]) -> Predicate:
    wanted = tuple(phrase for is_wanted, phrase in way if is_wanted)
    parts: list[Predicate] = [Words(of, wanted)] if wanted else []
    parts += [Not(Words(of, (phrase,))) for is_wanted, phrase in way if not is_wanted]
    return parts[0] if len(parts) == 1 else AllOf(tuple(parts))
