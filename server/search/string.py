"""String search: starts with, ``:contains``, ``:exact``.  R4 search.html#string.

Case, accents, punctuation and the width of blanks do not count, except for ``:exact``.
"""

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal

from server.search.asked import Asked, any_of
from server.search.catalog import R4, Catalog
from server.search.gather import Gathered, Indexer
from server.search.query import Predicate, StringIs
from server.search.rows import LONGEST_KEPT, hash64, param_hash
from server.search.value import refused, unescape

# Letters that Unicode does not take apart, though readers see two letters, or one with a stroke.
_TAKEN_APART = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"}
)
_APOSTROPHES = str.maketrans("", "", "'’‘ʼ`´′ʹ")
_ASCII_APART = re.compile(r"[^0-9a-z$+<=>^|~]+")

SEARCHED = 10_000  # characters of a text that are compared; the rest only counts for :exact

_NAME_PARTS = ("text", "family", "given", "prefix", "suffix")
_ADDRESS_PARTS = ("text", "line", "city", "district", "state", "postalCode", "country")


def fold(text: str) -> str:
    """Return the text as strings are compared.  Folding twice changes nothing.

    NFKD, without combining marks, casefolded; apostrophes vanish, other punctuation and blanks
    become one blank; none at the ends.

    >>> fold("  MÜLLER-Łukasz,  O'Brien ")
    'muller lukasz obrien'
    """
    if text.isascii():
        return _ASCII_APART.sub(" ", text.lower().translate(_APOSTROPHES)).strip()
    return " ".join("".join(map(_folded_character, _spread(text))).split())


def predicate(asked: Asked) -> Predicate:
    """Return what ``asked`` means; modifiers: none, ``contains``, ``exact``."""
    if asked.modifier == "exact":
        return asked.has_key([f"x|{unescape(raw)}" for raw in asked.values])
    folded = tuple(dict.fromkeys(fold(unescape(raw)) for raw in asked.values))
    if "" in folded:
        raise refused(asked.name, "a value holds no letter or digit to look for")
    op: Literal["starts", "contains"] = "contains" if asked.modifier == "contains" else "starts"
    return any_of([StringIs(type_, asked.param, op, folded) for type_ in asked.types])


def indexer(type_: str, param: str, fhir_type: str, _catalog: Catalog = R4) -> Indexer | None:
    """Return what writes the rows of a value of ``fhir_type``; ``None`` if it holds no string."""
    parts = _PARTS.get(fhir_type)
    if parts is None:
        return None
    prefix = f"{type_}|{param}|"
    presence = hash64(f"{prefix}?")
    hashed = param_hash(type_, param)

    def index(value: Any, rows: Gathered) -> None:
        rows.keys.add(presence)
        for text in parts(value):
            row = _row if len(text) <= LONGEST_KEPT else _row.__wrapped__
            exact, folded = row(prefix, text)
            rows.keys.add(exact)
            if folded:
                rows.strings.append((hashed, folded))

    return index


def texts(fhir_type: str, value: Any) -> list[str]:
    """Return the folded strings of a value, for sorting."""
    parts = _PARTS.get(fhir_type)
    return [folded for text in parts(value) if (folded := _searched(text))] if parts else []


@lru_cache(maxsize=16384)
def _row(prefix: str, text: str) -> tuple[int, str]:
    return hash64(f"{prefix}x|{text}"), _searched(text)


def _searched(text: str) -> str:
    return fold(text[:SEARCHED])


def _spread(text: str) -> str:
    """Return the text with its marks apart; again after casefolding, which makes new ones."""
    bare = unicodedata.normalize("NFKD", text.translate(_APOSTROPHES))
    folded = unicodedata.normalize("NFKD", bare.casefold()).translate(_TAKEN_APART)
    return folded.translate(_APOSTROPHES)


@lru_cache(maxsize=4096)
def _folded_character(character: str) -> str:
    category = unicodedata.category(character)
    if category in ("Mn", "Me", "Cf"):
        return ""
    return " " if category[0] in "PZC" else character


def _strings(*names: str) -> Callable[[Any], list[str]]:
    def parts(value: Any) -> list[str]:
        found: list[str] = []
        for name in names:
            part = value.get(name)
            if part is not None:
                found += [p for p in part if p] if type(part) is list else [part]
        return found

    return parts


def _itself(value: Any) -> list[str]:
    return [value]


_PARTS: dict[str, Callable[[Any], list[str]]] = {
    "string": _itself,
    "markdown": _itself,
    "HumanName": _strings(*_NAME_PARTS),
    "Address": _strings(*_ADDRESS_PARTS),
}
