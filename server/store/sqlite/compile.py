"""Query -> SQL.  Pure: :class:`Sql` is text and values, nothing is executed here.

A predicate becomes a condition on a row ``f`` that has ``f.rid`` and ``f.d``; which rows ``f``
runs over is the business of :mod:`server.store.sqlite.plan`.  Interval comparisons are those of
:mod:`server.search.compare`; ``tests/properties`` holds both against each other.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from server.search.query import (
    AllOf,
    AnyOf,
    Comparator,
    DateIs,
    HasKey,
    IdIs,
    Not,
    NumberIs,
    Predicate,
    StringIs,
    UpdatedIs,
)
from server.search.rows import hash64, key_hash, param_hash
from server.store.port import Scalar
from server.store.stored import MILLISECOND

_MAX_CHAIN = (
    50  # terms of one OR or AND; SQLite parses long chains as deep trees, 1,000 deep at most
)


@dataclass(frozen=True, slots=True)
class Sql:
    """A piece of SQL and the values of its ``?``, in order."""

    text: str
    values: tuple[Scalar, ...] = ()

    def __add__(self, other: "Sql") -> "Sql":
        return Sql(self.text + other.text, self.values + other.values)


TRUE = Sql("1")
FALSE = Sql("0")


def join(parts: Iterable[Sql], between: str, start: str = "", end: str = "") -> Sql:
    """Return the parts with ``between`` between them.

    >>> join([Sql("a=?", (1,)), Sql("b=?", (2,))], " and ", "(", ")")
    Sql(text='(a=? and b=?)', values=(1, 2))
    """
    kept = list(parts)
    text = start + between.join(part.text for part in kept) + end
    return Sql(text, tuple(value for part in kept for value in part.values))


def marks(values: Sequence[object]) -> str:
    """Return as many ``?`` as there are values.

    >>> marks("abc")
    '?,?,?'
    """
    return ",".join("?" * len(values))


def condition(predicate: Predicate) -> Sql:
    """Return the condition under which row ``f`` satisfies the predicate.

    >>> condition(Not(HasKey(("Patient|gender|?",)))).text
    'not exists(select 1 from tok t where t.h in (?) and t.d=f.d and t.rid=f.rid)'
    >>> condition(AnyOf(()))
    Sql(text='0', values=())
    >>> print(condition(DateIs("Patient", "birthdate", "lt", 5, 6)).text)
    exists(select 1 from dat x where x.rid=f.rid and x.p=? and x.lo<?)
    """
    match predicate:
        case HasKey(keys):
            table = f"tok t where t.h in ({marks(keys)}) and t.d=f.d and t.rid=f.rid"
            return _exists(Sql(table, hashes(keys)))
        case StringIs(type_, param):
            table = "str s where s.rid=f.rid and s.p=? and "
            return _exists(Sql(table, (param_hash(type_, param),)) + string_is(predicate))
        case DateIs(type_, param, op, lo, hi):
            table = "dat x where x.rid=f.rid and x.p=? and "
            return _exists(Sql(table, (param_hash(type_, param),)) + compare("x", op, lo, hi))
        case NumberIs(type_, param, op, lo, hi, unit):
            table = "num x where x.rid=f.rid and x.p=? and x.u=? and "
            place = (param_hash(type_, param), hash64(unit))
            return _exists(Sql(table, place) + compare("x", op, lo, hi))
        case IdIs(ids):
            return _exists(Sql(f"res r where r.rid=f.rid and r.id in ({marks(ids)})", ids))
        case UpdatedIs(op, lo, hi):
            return _exists(Sql("res r where r.rid=f.rid and ") + updated("r", op, lo, hi))
        case AllOf(of):
            return all_of([condition(one) for one in of])
        case AnyOf(of):
            return any_of([condition(one) for one in of])
        case Not(of):
            inner = condition(of)
            return Sql(f"not {inner.text}", inner.values)
        case _:
            raise TypeError(f"{type(predicate).__name__} cannot be asked of this store")


def all_of(parts: Sequence[Sql]) -> Sql:
    """Return the conjunction; true when there are no parts."""
    return _tree(parts, " and ") if parts else TRUE


def any_of(parts: Sequence[Sql]) -> Sql:
    """Return the disjunction; false when there are no parts."""
    return _tree(parts, " or ") if parts else FALSE


def hashes(keys: Sequence[str]) -> tuple[int, ...]:
    """Return the stored hashes of key texts."""
    return tuple(key_hash(key) for key in keys)


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


def string_is(predicate: StringIs) -> Sql:
    """Return the condition on ``s.v``: ranges for ``starts``, so that the index is used."""
    if predicate.op == "contains":
        return any_of([Sql("instr(s.v,?)>0", (value,)) for value in predicate.values])
    return any_of([starts_with("s.v", value) for value in predicate.values])


def starts_with(column: str, prefix: str) -> Sql:
    """Return the range of texts that start with ``prefix``, in code point order.

    >>> starts_with("v", "ab")
    Sql(text='(v>=? and v<?)', values=('ab', 'ac'))
    """
    end = _behind(prefix)
    if end is None:
        return Sql(f"{column}>=?", (prefix,))
    return Sql(f"({column}>=? and {column}<?)", (prefix, end))


def _behind(prefix: str) -> str | None:
    """Return the first text behind all that start with ``prefix``; ``None``: there is none."""
    kept = prefix.rstrip("\U0010ffff")
    if not kept:
        return None
    following = ord(kept[-1]) + 1
    # Surrogates are no characters and have no UTF-8 form.
    return kept[:-1] + chr(0xE000 if 0xD800 <= following <= 0xDFFF else following)


def _exists(rows: Sql) -> Sql:
    return Sql(f"exists(select 1 from {rows.text})", rows.values)


def _tree(parts: Sequence[Sql], between: str) -> Sql:
    if len(parts) == 1:
        return parts[0]
    if len(parts) <= _MAX_CHAIN:
        return join(parts, between, "(", ")")
    groups = [parts[at : at + _MAX_CHAIN] for at in range(0, len(parts), _MAX_CHAIN)]
    return _tree([_tree(group, between) for group in groups], between)
