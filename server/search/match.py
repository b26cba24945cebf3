"""One query over one resource, by its index rows: the oracle of every store.

What a store answers with SQL or with an index must be what this says, row by row.
"""

from typing import Any

from server.search.compare import compare
from server.search.query import (
    AllOf,
    AnyOf,
    DateIs,
    HasKey,
    IdIs,
    Not,
    NumberIs,
    Predicate,
    Query,
    StringIs,
    UpdatedIs,
)
from server.search.rows import IndexRows, hash64, key_hash, param_hash

MILLISECOND = 1000  # µs; the precision of meta.lastUpdated


def matches(query: Query, resource: dict[str, Any], rows: IndexRows, *, updated: int) -> bool:
    """Tell whether the resource is one of ``query``.

    ``rows``: its index rows.  ``updated``: its ``meta.lastUpdated`` in microseconds.
    """
    if resource["resourceType"] not in query.types:
        return False
    return _holds(query.where, resource, rows, updated)


def _holds(where: Predicate, resource: dict[str, Any], rows: IndexRows, updated: int) -> bool:
    match where:
        case AllOf(of):
            return all(_holds(part, resource, rows, updated) for part in of)
        case AnyOf(of):
            return any(_holds(part, resource, rows, updated) for part in of)
        case Not(inner):
            return not _holds(inner, resource, rows, updated)
        case IdIs(ids):
            return resource.get("id") in ids
        case UpdatedIs(op, lo, hi):
            at = updated - updated % MILLISECOND
            return compare(op, at, at + MILLISECOND, lo, hi)
        case _:
            return _has_row(where, rows)


def _has_row(where: HasKey | StringIs | DateIs | NumberIs, rows: IndexRows) -> bool:
    match where:
        case HasKey(keys):
            return any(key_hash(key) in rows.keys for key in keys)
        case StringIs():
            return _has_string(where, rows)
        case DateIs(type_, param, op, lo, hi):
            wanted = param_hash(type_, param)
            return any(p == wanted and compare(op, a, b, lo, hi) for p, a, b in rows.dates)
        case NumberIs(type_, param, op, low, high, unit):
            place = (param_hash(type_, param), hash64(unit))
            return any(
                (p, u) == place and compare(op, a, b, low, high) for p, a, b, u in rows.numbers
            )


def _has_string(where: StringIs, rows: IndexRows) -> bool:
    wanted = param_hash(where.type, where.param)
    texts = [text for hashed, text in rows.strings if hashed == wanted]
    if where.op == "starts":
        return any(text.startswith(where.values) for text in texts)
    return any(value in text for text in texts for value in where.values)
