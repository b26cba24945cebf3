"""Is it the same person?  The check against overlays: another person's data under a known number.

Pure.  An identifier that matches is believed, unless the birth date disagrees *and* the name or the
sex does too: a typing error changes one of them, another person several.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

_NO_EVIDENCE = ("unknown", "other", None)


def disagreement(said: Mapping[str, Any], held: Mapping[str, Any]) -> str | None:
    """Return what disagrees between two Patients, ``None`` when they may be one person.

    What one of them does not state is no evidence.

    >>> he = {"birthDate": "1970", "gender": "male"}
    >>> disagreement(he, {"birthDate": "1980", "gender": "female"})
    'birth date and sex'
    >>> disagreement({"birthDate": "1970"}, {"birthDate": "1970-05-01"}) is None
    True
    """
    if not _dates_differ(said.get("birthDate"), held.get("birthDate")):
        return None
    others = [
        what
        for what, differs in (
            ("name", _names_differ(said.get("name", ()), held.get("name", ()))),
            ("sex", _sexes_differ(said.get("gender"), held.get("gender"))),
        )
        if differs
    ]
    return " and ".join(["birth date", *others]) if others else None


def _dates_differ(one: str | None, other: str | None) -> bool:
    if not one or not other:
        return False
    known = min(len(one), len(other))  # 1970 and 1970-05-01 do not disagree
    return one[:known] != other[:known]


def _sexes_differ(one: str | None, other: str | None) -> bool:
    return one not in _NO_EVIDENCE and other not in _NO_EVIDENCE and one != other


def _names_differ(said: Iterable[Any], held: Iterable[Any]) -> bool:
    """True when no name of one is, family and first given name, a name of the other."""
    ours, theirs = [_name(n) for n in said], [_name(n) for n in held]
    known = [(a, b) for a in ours for b in theirs if a[0] and b[0]]
    return bool(known) and not any(_agree(a, b) for a, b in known)


def _agree(one: tuple[str, str], other: tuple[str, str]) -> bool:
    if one[0] != other[0]:
        return False
    known = min(len(one[1]), len(other[1]))  # an initial, or no given name at all
    return one[1][:known] == other[1][:known]


def _name(name: Mapping[str, Any]) -> tuple[str, str]:
    given = name.get("given") or [""]
    return _folded(name.get("family") or ""), _folded(given[0] or "")


def _folded(text: str) -> str:
    """Return letters and digits only, without accents and case."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in parts if c.isalnum())
