"""A plan, an order and a cursor -> the SQL of one page.  Pure.

Every statement returns the sort values of a row, its ``rid`` and what :data:`COLUMNS` names, in
order, ``limit`` rows at most; bodies are fetched last, for the page's rows only.

Missing values come last in both directions; ties end with ``rid`` in the direction of the last
key.  ``server.store.memory.order`` says the same in Python.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from server.search.query import SortKey
from server.search.rows import hash64, param_hash
from server.store.port import Scalar
from server.store.sqlite.compile import Sql, all_of, any_of, join, marks
from server.store.sqlite.plan import MAX_PARTS, Plan

COLUMNS = "r.type, r.id, v.number, v.vid, v.at, v.method, v.compartments, v.codec, v.body"
_FETCH = " k cross join res r on r.rid=k.rid cross join ver v on v.vid=r.vid"

MAX_VALUES = 30_000  # of one statement; SQLite binds 32,766 at most

Cursor = tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """``columns`` of ``f`` in one direction, when ``f`` is already walked in that order."""

    columns: tuple[str, str]
    descending: bool

    def behind(self, place: tuple[Scalar, ...]) -> Sql:
        """Return the condition that a row comes behind ``place``."""
        sign = "<" if self.descending else ">"
        return Sql(f"({','.join(self.columns)}){sign}(?,?)", place)

    @property
    def by(self) -> str:
        """The ORDER BY."""
        way = "desc" if self.descending else "asc"
        return f" order by {self.columns[0]} {way}, {self.columns[1]} {way}"


BY_DATE = Order(("f.d", "f.rid"), descending=True)


def in_posting_order(
    plan: Plan, order: Order, conditions: Sequence[Sql], after: Sql | None, limit: int
) -> Sql:
    """Return the page of a walk over posting lists: values are ``f.d``."""
    wanted = all_of([*plan.probes, *conditions, *([after] if after else [])])
    end = Sql(f" where {wanted.text}{order.by} limit ?", (*wanted.values, limit))
    if plan.broad and 1 < len(plan.keys) <= min(MAX_PARTS, MAX_VALUES // (len(end.values) + 1)):
        # Each list is walked in order up to a page; the pages are merged.
        parts = [
            Sql("select * from (select f.d, f.rid from tok f where f.h=? and ", (key,))
            + Sql(f"{wanted.text}{order.by} limit ?)", (*wanted.values, limit))
            for key in plan.keys
        ]
        merged = join(parts, " union ", "select d, rid from (", f") f{order.by} limit ?")
        return _fetched(Sql(merged.text, (*merged.values, limit)), ("d",))
    return _fetched(Sql("select f.d, f.rid from ") + source(plan) + _and(end), ("d",))


def by_update(plan: Plan, descending: bool, after: Cursor | None, limit: int) -> Sql:
    """Return the page of a walk over all live resources by ``meta.lastUpdated``."""
    order = Order(("f.at", "f.rid"), descending)
    conditions = [*plan.probes, *([order.behind(after)] if after else [])]
    if plan.driver.keys:
        keys = plan.driver.keys
        held = (
            f"exists(select 1 from tok t where t.h in ({marks(keys)}) and t.d=f.d and t.rid=f.rid)"
        )
        conditions.append(Sql(held, keys))
    elif plan.driver.rows is not None:
        conditions.append(Sql("f.rid in (") + plan.driver.rows + Sql(")"))
    wanted = all_of([Sql("f.deleted=0"), *conditions])
    text = f"select f.at, f.rid from res f where {wanted.text}{order.by} limit ?"
    return _fetched(Sql(text, (*wanted.values, limit)), ("at",))


def sorted_page(
    plan: Plan, types: tuple[str, ...], sort: Sequence[SortKey], after: Cursor | None, limit: int
) -> Sql:
    """Return the page in any other order: all matches are sorted by values looked up for each."""
    values = [sort_value(key, types) for key in sort]
    names = tuple(f"s{place}" for place in range(len(values)))
    columns = join(
        [
            Sql(f"{value.text} as {name}", value.values)
            for name, value in zip(names, values, strict=True)
        ],
        ", ",
    )
    found = Sql("with k as materialized (select f.rid as rid, ") + columns + Sql(" from ")
    found = found + source(plan) + _and(Sql(" where ") + all_of(plan.probes)) + Sql(")")
    order = ", ".join(
        f"k.{name} {'desc' if key.descending else 'asc'} nulls last"
        for name, key in zip(names, sort, strict=True)
    )
    tie = f"k.rid {'desc' if sort[-1].descending else 'asc'}"
    listed = ", ".join(f"k.{name}" for name in names)
    where = Sql(" where ") + behind(names, sort, after) if after else Sql("")
    chosen = Sql(f" select {listed}, k.rid from k") + where
    end = Sql(f" order by {order}, {tie} limit ?", (limit,))
    return _fetched(found + chosen + end, names)


def behind(names: Sequence[str], sort: Sequence[SortKey], after: Cursor) -> Sql:
    """Return the condition that a row of ``k`` comes behind the cursor.

    >>> behind(["s0"], [SortKey("family", "string")], ("a", 7)).text
    '((k.s0>? or k.s0 is null) or (k.s0 is ? and k.rid>?))'
    >>> behind(["s0"], [SortKey("family", "string", descending=True)], (None, 7)).text
    '(0 or (k.s0 is ? and k.rid<?))'
    """
    ways: list[Sql] = []
    same: list[Sql] = []
    for name, key, value in zip(names, sort, after, strict=False):
        sign = "<" if key.descending else ">"
        further = Sql(f"(k.{name}{sign}? or k.{name} is null)", (value,))
        ways.append(all_of([*same, further if value is not None else Sql("0")]))
        same.append(Sql(f"k.{name} is ?", (value,)))
    sign = "<" if sort[-1].descending else ">"
    ways.append(all_of([*same, Sql(f"k.rid{sign}?", (after[-1],))]))
    return any_of(ways)


def count(plan: Plan) -> Sql:
    """Return the statement that counts the matches."""
    if not plan.probes and len(plan.keys) == 1:
        return Sql("select count(*) from tok where h=?", plan.keys)
    return Sql("select count(*) from ") + source(plan) + _and(Sql(" where ") + all_of(plan.probes))


def ids(plan: Plan, limit: int) -> Sql:
    """Return the statement that lists logical ids of matches."""
    found = Sql("select f.rid from ") + source(plan) + _and(Sql(" where ") + all_of(plan.probes))
    inner = Sql("select r.id from (") + found
    return inner + Sql(" limit ?) k cross join res r on r.rid=k.rid", (limit,))


def source(plan: Plan) -> Sql:
    """Return the FROM of row ``f``: each resource once; a single posting list keeps its order."""
    if len(plan.keys) == 1:
        return Sql("tok f where f.h=?", plan.keys)
    if plan.driver.keys:
        lists = f"(select distinct d, rid from tok where h in ({marks(plan.keys)})) f where 1"
        return Sql(lists, plan.keys)
    assert plan.driver.rows is not None
    return Sql("res f where f.rid in (") + plan.driver.rows + Sql(")")


def reads_body(key: SortKey) -> bool:
    """Tell whether sorting by the key reads the body of every match: it has no ordered rows."""
    return key.kind in ("token", "reference", "uri")


def sort_value(key: SortKey, types: tuple[str, ...]) -> Sql:
    """Return the expression over ``f`` that is :func:`server.search.sorting.sort_value`."""
    pick = "max" if key.descending else "min"
    params = tuple(param_hash(type_, key.param) for type_ in types)
    match key.kind:
        case "id":
            return Sql("(select r.id from res r where r.rid=f.rid)")
        case "updated":
            return Sql("(select r.at from res r where r.rid=f.rid)")
        case "string":
            table = f"str s where s.rid=f.rid and s.p in ({marks(params)})"
            return Sql(f"(select {pick}(s.v) from {table})", params)
        case "date":
            table = f"dat x where x.rid=f.rid and x.p in ({marks(params)})"
            return Sql(f"(select {pick}(x.lo) from {table})", params)
        case "number" | "quantity":
            table = f"num x where x.rid=f.rid and x.p in ({marks(params)}) and x.u=?"
            return Sql(f"(select {pick}(x.lo) from {table})", (*params, hash64("")))
        case _:
            # Codes and references are kept as hashes, which have no order: read the body.
            named = (key.param, key.kind, int(key.descending))
            latest = "res r cross join ver v on v.vid=r.vid where r.rid=f.rid"
            return Sql(f"(select sort_value(v.codec,v.body,v.at,?,?,?) from {latest})", named)


def _and(end: Sql) -> Sql:
    """Return ``end``, a WHERE, as the rest of the WHERE that :func:`source` began."""
    return Sql(end.text.replace(" where ", " and ", 1), end.values)


def _fetched(page: Sql, names: tuple[str, ...]) -> Sql:
    listed = ", ".join(f"k.{name}" for name in names)
    return Sql(f"select {listed}, k.rid, {COLUMNS} from (") + page + Sql(f"){_FETCH}")
