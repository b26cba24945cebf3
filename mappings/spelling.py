"""A hint for a word that is not known: the known one that looks like it."""

from collections.abc import Iterable
from difflib import get_close_matches


def hint(word: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"``, or ``""`` when nothing looks alike.

    >>> hint("gendr", ["gender", "name"])
    "; did you mean 'gender'?"
    >>> hint("zzz", ["gender", "name"])
    ''
    """
    options = sorted(set(known))
    lower = {option.lower(): option for option in options}
    found = get_close_matches(word.lower(), lower, n=1, cutoff=0.6)
    return f"; did you mean {lower[found[0]]!r}?" if found else ""
