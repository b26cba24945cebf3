"""Pieces of SQL: text, and the values of its ``?``.  Pure."""

from array import array
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import apsw

MAX_CHAIN = 50  # terms of one OR or AND; SQLite parses long chains as trees, 1,000 deep at most
MAX_MARKS = 50  # values that are bound one by one; longer lists are bound as one array


@dataclass(frozen=True, slots=True)
class Sql:
    """A piece of SQL and the values of its ``?``, in order."""

    text: str
    values: tuple[Any, ...] = ()

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


def all_of(parts: Sequence[Sql]) -> Sql:
    """Return the conjunction; true when there are no parts."""
    return _tree(parts, " and ") if parts else TRUE


def any_of(parts: Sequence[Sql]) -> Sql:
    """Return the disjunction; false when there are no parts."""
    return _tree(parts, " or ") if parts else FALSE


def exists(rows: Sql) -> Sql:
    """Return the condition that there are such rows."""
    return Sql(f"exists(select 1 from {rows.text})", rows.values)


def is_in(column: str, values: Sequence[int] | Sequence[str]) -> Sql:
    """Return the condition that the column has one of the values.

    >>> is_in("h", (1, 2))
    Sql(text='h in (?,?)', values=(1, 2))
    """
    if len(values) <= MAX_MARKS:
        return Sql(f"{column} in ({marks(values)})", tuple(values))
    many = apsw.carray(tuple(values)) if isinstance(values[0], str) else numbers(values)  # type: ignore[arg-type]
    return Sql(f"{column} in (select value from carray(?))", (many,))


def numbers(values: Collection[int]) -> Any:
    """Return 64-bit numbers as one value, sorted; of none NULL, which ``carray`` takes for that."""
    if not values:
        return None
    return apsw.carray(array("q", sorted(values)))


def _tree(parts: Sequence[Sql], between: str) -> Sql:
    if len(parts) == 1:
        return parts[0]
    if len(parts) <= MAX_CHAIN:
        return join(parts, between, "(", ")")
    groups = [parts[at : at + MAX_CHAIN] for at in range(0, len(parts), MAX_CHAIN)]
    return _tree([_tree(group, between) for group in groups], between)
