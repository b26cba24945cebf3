"""What a row is sorted by, in SQL: :func:`server.search.sorting.sort_value`.  Pure."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from server.search.query import SortKey
from server.search.rows import hash64, param_hash
from server.store.sqlite.compile import condition
from server.store.sqlite.sql import Sql, marks

INDEXED: Mapping[str, tuple[str, str]] = MappingProxyType(
    {"date": ("dat", "lo"), "string": ("str", "v")}
)
"""Kinds of keys whose values stand in an index in their order: its table and column."""


def reads_body(key: SortKey) -> bool:
    """Tell whether sorting by the key reads the body of every match: it has no ordered rows."""
    return key.kind in ("token", "reference", "uri")


def sort_value(key: SortKey, types: tuple[str, ...]) -> Sql:
    """Return the expression over ``f``; behind a chain the best of all values that are reached."""
    if not key.through:
        return _value(key, types, "f")
    hops, conditions = Sql(""), Sql("")
    at = "f.rid"
    row = "f"
    for depth, hop in enumerate(key.through, start=1):
        row = f"f{depth}"
        params = tuple(param_hash(type_, hop.param) for type_ in types)
        # The bag of a reference holds its parameters; it is found once, whichever they are.
        held = f"exists(select 1 from member m where m.h in ({marks(params)}) and m.n=e{depth}.s)"
        begin = "from" if depth == 1 else "cross join"
        hops = hops + Sql(
            f" {begin} edge e{depth} cross join name n{depth} on n{depth}.h=e{depth}.dst"
            f" cross join res {row} on {row}.rid=n{depth}.rid"
        )
        types = hop.to.types
        where = Sql(
            f"e{depth}.rid={at} and {held} and {row}.deleted=0"
            f" and {row}.type in ({marks(types)}) and ",
            (*params, *types),
        )
        conditions = where if depth == 1 else conditions + Sql(" and ") + where
        conditions = conditions + condition(hop.to.where, depth)
        at = f"{row}.rid"
    pick = "max" if key.descending else "min"
    value = _value(key, types, row)
    return (
        Sql(f"(select {pick}(") + value + Sql(")") + hops + Sql(" where ") + conditions + Sql(")")
    )


def param_is(params: Sequence[int]) -> Sql:
    """Return what a column ``p`` equals in the rows of one of the parameters.

    >>> param_is((7,)).text
    '=(select n from sym where h=?)'
    """
    if len(params) == 1:
        return Sql("=(select n from sym where h=?)", tuple(params))
    return Sql(f" in (select n from sym where h in ({marks(params)}))", tuple(params))


def _value(key: SortKey, types: tuple[str, ...], row: str) -> Sql:
    pick = "max" if key.descending else "min"
    params = tuple(param_hash(type_, key.param) for type_ in types)
    match key.kind:
        case "id":
            return Sql(f"(select r.id from res r where r.rid={row}.rid)")
        case "updated":
            return Sql(f"(select r.at from res r where r.rid={row}.rid)")
        case "string" | "date":
            table, column = INDEXED[key.kind]
            found = Sql(f"(select {pick}(x.{column}) from {table} x where x.rid={row}.rid and x.p")
            return found + param_is(params) + Sql(")")
        case "number" | "quantity":
            bags = tuple(param ^ hash64("") for param in params)
            held = f"exists(select 1 from member m where m.h in ({marks(bags)}) and m.n=x.s)"
            return Sql(f"(select {pick}(x.lo) from num x where x.rid={row}.rid and {held})", bags)
        case _:
            # Codes and references are kept as hashes, which have no order: read the body.
            named = (key.param, key.kind, int(key.descending))
            latest = f"res r cross join ver v on v.vid=r.vid where r.rid={row}.rid"
            return Sql(f"(select sort_value(v.codec,v.body,v.at,?,?,?) from {latest})", named)
