"""Which of two words counts: the later one, and of results the one that is further on.  Pure.

The time of a word is an integer, microseconds since 1970.  That of a word on a result holds the
result's status above its time, so that what a status says stays in force against later words with
a lower one, element by element, in whatever order they come.
"""

RESULTS = ("Observation", "DiagnosticReport")
_RANK = {
    "registered": 0,
    "unknown": 0,
    "preliminary": 1,
    "partial": 1,
    "final": 2,
    "amended": 3,
    "appended": 3,
    "corrected": 3,
}
_CORRECTED, _WITHDRAWN = 3, 9
_WITHDRAWALS = ("cancelled", "entered-in-error")  # OBX-11 X, D, W
_SCALE = 10**16  # microseconds: the year 2286


def ranked(type_: str, status: str | None, at: int) -> int:
    """Return the time of a word with the rank of its status; of other types the time alone."""
    if type_ not in RESULTS or status is None:
        return at
    return rank(status) * _SCALE + at


def rank(status: str | None) -> int:
    """Return how far on a result is.

    >>> rank("preliminary") < rank("final") < rank("corrected") < rank("cancelled")
    True
    """
    return _WITHDRAWN if status in _WITHDRAWALS else _RANK.get(status or "", 0)


def is_withdrawn(status: str | None) -> bool:
    """Tell whether a result was taken back."""
    return status in _WITHDRAWALS


def loses(new: int, held: int) -> bool:
    """Tell whether a word does not count against one that is held.

    Preliminary < final < corrected whatever their times.  A withdrawal takes back what is not
    newer, and only what is newer follows it; a correction also of the same time.

    >>> f5, p9, x5, f6 = (ranked("Observation", s, t) for s, t in (
    ...     ("final", 5), ("preliminary", 9), ("cancelled", 5), ("final", 6)))
    >>> loses(p9, f5), loses(x5, f5), loses(f5, x5), loses(f6, x5), loses(x5, f6)
    (True, False, True, False, True)
    """
    (now, at), (had, last) = divmod(new, _SCALE), divmod(held, _SCALE)
    if _WITHDRAWN not in (now, had):
        return new < held
    if now in (_WITHDRAWN, _CORRECTED):
        return at < last
    return at <= last


def is_further(one: int, other: int) -> bool:
    """Tell whether a word has a higher status than another."""
    return one // _SCALE > other // _SCALE


def time_of(word: int) -> int:
    """Return the time of a word without its rank, microseconds."""
    return word % _SCALE
