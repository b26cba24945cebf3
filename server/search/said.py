"""A query in words: the caller's own words and key texts, nothing that the record holds.  Pure."""

from collections.abc import Callable, Sequence

from server.fhir.dates import instant_text
from server.search.query import (
    AllOf,
    AnyOf,
    DateIs,
    HasKey,
    IdIs,
    InCompartmentOf,
    Mentioned,
    Near,
    Not,
    NumberIs,
    Predicate,
    Query,
    ReferredBy,
    Refers,
    SortKey,
    StringIs,
    TextIs,
    UpdatedIs,
    Words,
)
from server.search.rows import MAX_TIME

_LISTED = 3  # of a long list
_SAID = 8  # of what is joined: every search is described before it runs, and may ask for thousands


class Saying:
    """Says predicates, and what a store has made of them.

    ``as_asked`` returns the predicate that a part of a plan stands for; of a predicate itself.
    """

    def __init__(self, as_asked: Callable[[object], Predicate]) -> None:
        self._as_asked = as_asked

    def said(self, part: object) -> str:
        """Return a part in words.

        >>> Saying(lambda part: part).said(AnyOf((HasKey(("Patient|gender|c|male",)),
        ...     Not(IdIs(("a", "b"))))))
        '(Patient|gender|c|male or not (id a or b))'
        """
        match member := self._as_asked(part):
            case HasKey(keys):
                return _any(keys)
            case AllOf(of):
                return f"({self._joined(of, ' and ') or 'everything'})"
            case AnyOf(of):
                return f"({self._joined(of, ' or ') or 'nothing'})"
            case Not(of):
                return f"not ({self.said(of)})"
            case Refers(type_, param, to):
                return f"{type_}|{param} -> {self.query(to)}"
            case ReferredBy(by, param):
                return f"{param} <- {self.query(by)}"
            case Mentioned(by):
                return f"mentioned by {self.query(by)}"
            case InCompartmentOf(to):
                return f"in the compartment of {self.query(to)}"
            case _:
                return _value(member)

    def query(self, asked: Query) -> str:
        """Return types and predicate in words."""
        return f"{'/'.join(asked.types[:_LISTED])} {self.said(asked.where)}"

    def _joined(self, of: Sequence[object], word: str) -> str:
        more = [f"{len(of) - _SAID} more"] if len(of) > _SAID else []
        return word.join([*map(self.said, of[:_SAID]), *more])


def order(sort: Sequence[SortKey]) -> str:
    """Return the order of the answer."""
    return ", ".join(_key(key) for key in sort) or "clinical date, newest first"


def _value(member: Predicate) -> str:
    match member:
        case StringIs(type_, param, op, values) | TextIs(type_, param, op, values):
            return f"{type_}|{param} {op} {_any(values)}"
        case DateIs(type_, param, op, lo, hi):
            return f"{type_}|{param} {op} {_span(lo, hi)}"
        case UpdatedIs(op, lo, hi):
            return f"_lastUpdated {op} {_span(lo, hi)}"
        case NumberIs(type_, param, op, low, high, unit):
            return f"{type_}|{param} {op} {low:g}..{high:g}" + (f" {unit}" if unit else "")
        case Near(type_, param, latitude, longitude, metres):
            return f"{type_}|{param} within {metres:g} m of {latitude:g},{longitude:g}"
        case Words(of, asked):
            return f"_{of} " + " and ".join(repr(" ".join(phrase)) for phrase in asked)
        case IdIs(ids):
            return f"id {_any(ids)}"
        case _:
            return type(member).__name__


def _any(values: tuple[str, ...]) -> str:
    more = f" or {len(values) - _LISTED} more" if len(values) > _LISTED else ""
    return " or ".join(values[:_LISTED]) + more


_FIRST = -62_135_596_800_000_000  # 0001-01-01, in microseconds


def _span(lo: int, hi: int) -> str:
    return " to ".join(
        instant_text(at) if _FIRST <= at < MAX_TIME // 16 else "..." for at in (lo, hi)
    )


def _key(key: SortKey) -> str:
    chain = "".join(f"{hop.param}:{hop.to.types[0]}." for hop in key.through)
    return f"{'-' if key.descending else ''}{chain}{key.param}"
