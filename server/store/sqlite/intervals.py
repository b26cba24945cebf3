"""How stored intervals compare to the asked one, in SQL: :mod:`server.search.compare`.  Pure.

``tests/properties`` holds both against each other.
"""

from server.search.query import Comparator
from server.store.sqlite.sql import Sql
from server.store.stored import MILLISECOND

DAY = 86_400_000_000  # as in the index ``dat_long``


def compare(row: str, op: Comparator, lo: float, hi: float) -> Sql:
    """Return how the half-open interval ``row.lo..row.hi`` compares to ``lo..hi``.

    R4 search.html#prefix: ``eq`` is "contained in", ``gt``/``lt`` look above/below the value,
    ``sa``/``eb`` are wholly behind/before it, ``ap`` overlaps.

    >>> compare("x", "eq", 5, 6)
    Sql(text='(x.lo>=? and x.hi<=?)', values=(5, 6))
    """
    text, values = _COMPARE[op]
    return Sql(text.replace("~", row), tuple({"lo": lo, "hi": hi}[name] for name in values))


_COMPARE: dict[Comparator, tuple[str, tuple[str, ...]]] = {
    "eq": ("(~.lo>=? and ~.hi<=?)", ("lo", "hi")),
    "ne": ("(~.lo<? or ~.hi>?)", ("lo", "hi")),
    "gt": ("~.hi>?", ("hi",)),
    "lt": ("~.lo<?", ("lo",)),
    "ge": ("(~.hi>? or (~.lo>=? and ~.hi<=?))", ("hi", "lo", "hi")),
    "le": ("(~.lo<? or (~.lo>=? and ~.hi<=?))", ("lo", "lo", "hi")),
    "sa": ("~.lo>=?", ("hi",)),
    "eb": ("~.hi<=?", ("lo",)),
    "ap": ("(~.lo<? and ~.hi>?)", ("hi", "lo")),
}


def updated(row: str, op: Comparator, lo: int, hi: int) -> Sql:
    """Return how ``row.at``, an interval of one millisecond, compares; ranges of ``at`` alone.

    >>> updated("r", "gt", 5_000, 6_000)
    Sql(text='r.at>?', values=(5000,))
    """
    text, values = _UPDATED[op]
    end = {"lo": lo, "hi": hi, "lo-": lo - MILLISECOND, "hi-": hi - MILLISECOND}
    return Sql(text.replace("~", row), tuple(end[name] for name in values))


_UPDATED: dict[Comparator, tuple[str, tuple[str, ...]]] = {
    "eq": ("(~.at>=? and ~.at<=?)", ("lo", "hi-")),
    "ne": ("(~.at<? or ~.at>?)", ("lo", "hi-")),
    "gt": ("~.at>?", ("hi-",)),
    "lt": ("~.at<?", ("lo",)),
    "ge": ("(~.at>? or (~.at>=? and ~.at<=?))", ("hi-", "lo", "hi-")),
    "le": ("(~.at<? or (~.at>=? and ~.at<=?))", ("lo", "lo", "hi-")),
    "sa": ("~.at>=?", ("hi",)),
    "eb": ("~.at<=?", ("lo-",)),
    "ap": ("(~.at<? and ~.at>?)", ("hi", "lo-")),
}
