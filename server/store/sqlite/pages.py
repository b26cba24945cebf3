"""A plan, an order and a cursor -> the SQL of one page.  Pure.

Every statement returns the sort values of a row, its ``rid`` and what :data:`COLUMNS` names, in
order, ``limit`` rows at most; bodies are fetched last, for the page's rows only.

Missing values come last in both directions; ties end with ``rid`` in the direction of the last
key.  ``server.store.memory.order`` says the same in Python.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from server.search.query import SortKey
from server.search.rows import param_hash
from server.store.port import Scalar
from server.store.sqlite.compile import Inside, condition
from server.store.sqlite.plan import MAX_PARTS, Plan
from server.store.sqlite.sorts import INDEXED, param_is, sort_value
from server.store.sqlite.sql import TRUE, Sql, all_of, any_of, exists, is_in, join, numbers

COLUMNS = "r.type, r.id, v.number, v.vid, v.at, v.method, v.compartments, v.codec, v.body"
_FETCH = " k cross join res r on r.rid=k.rid cross join ver v on v.vid=r.vid"

MAX_VALUES = 30_000  # of one statement; SQLite binds 32,766 at most
MAX_MERGED = 50  # lists that are counted one by one

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
    plan: Plan, order: Order, probes: Sequence[Sql], after: Sql | None, limit: int
) -> Sql:
    """Return the page of a walk over posting lists: values are ``f.d``."""
    wanted = all_of([plan.bound, *([after] if after else []), *probes])
    end = Sql(f" where {wanted.text}{order.by} limit ?", (*wanted.values, limit))
    if plan.broad and 1 < len(plan.keys) <= min(MAX_PARTS, MAX_VALUES // (len(end.values) + 1)):
        # Each list is walked in order up to a page; the pages are merged.
        parts = [
            Sql("select * from (select f.d, f.rid from tok f where f.h=? and ", (key,))
            + Sql(f"{wanted.text}{order.by} limit ?)", (*wanted.values, limit))
            for key in plan.keys
        ]
        merged = join(parts, " union ", "select d, rid from (", f") f{order.by} limit ?")
        return fetched(Sql(merged.text, (*merged.values, limit)), ("d",))
    return fetched(Sql("select f.d, f.rid from ") + source(plan) + _and(end), ("d",))


def heads(plan: Plan, order: Order, probes: Sequence[Sql], after: Sql | None) -> Sql:
    """Return the statement that lists posting lists, with their first rows, in order.

    The first rows of many lists are in the lists with the best first rows, and none of them comes
    behind the worst of these.  A row may stand first in several lists.
    """
    wanted = all_of([plan.bound, *([after] if after else []), *probes])
    first = Sql("(select f.d from tok f where f.h=c.value and ") + wanted
    first = first + Sql(f"{order.by} limit 1) as d from carray(?) c", (numbers(plan.keys),))
    way = "desc" if order.descending else "asc"
    dates = Sql("select h, d from (select c.value as h, ") + first
    dates = dates + Sql(f" limit -1) where d is not null order by d {way} limit -1")
    # Which row it is is looked up only for the lists that are taken.
    row = Sql("(select f.rid from tok f where f.h=k.h and f.d=k.d and ") + wanted
    row = row + Sql(f"{order.by} limit 1)")
    return Sql("select k.h, k.d, ") + row + Sql(" from (") + dates + Sql(") k")


def near_heads(
    keys: Sequence[int],
    worst: int | None,
    order: Order,
    conditions: Sequence[Sql],
    limit: int,
) -> Sql:
    """Return the page of the rows of lists that do not come behind the date ``worst``."""
    sign = ">=" if order.descending else "<="
    bounded = Sql(f" and f.d{sign}?", (worst,)) if worst is not None else Sql("")
    rows = Sql("select distinct f.d, f.rid from carray(?) c cross join tok f", (numbers(keys),))
    rows = rows + Sql(" where f.h=c.value") + bounded + Sql(" and ") + all_of(conditions)
    return fetched(rows + Sql(f"{order.by} limit ?", (limit,)), ("d",))


def by_update(plan: Plan, descending: bool, after: Cursor | None, limit: int, walked: int) -> Sql:
    """Return the page of a walk over the newest ``walked`` resources by ``meta.lastUpdated``."""
    order = Order(("f.at", "f.rid"), descending)
    begin = all_of([Sql("f.deleted=0"), *([order.behind(after)] if after else [])])
    rows = Sql("select f.at as v, f.rid, f.d from res f where ") + begin
    return _walked(plan, rows + Sql(f"{order.by} limit ?", (walked,)), descending, limit)


def by_index(
    plan: Plan, key: SortKey, types: tuple[str, ...], after: Cursor | None, limit: int, walked: int
) -> Sql:
    """Return the page of a walk along the index of a date or a text, for rows that have a value.

    Of several values of a resource the one that it is sorted by counts.
    """
    table, column = INDEXED[key.kind]
    order = Order((f"x.{column}", "x.rid"), key.descending)
    sign = ">" if key.descending else "<"
    params = param_is([param_hash(type_, key.param) for type_ in types])
    place = order.behind(after) if after else TRUE
    better = f"y.rid=x.rid and y.p=x.p and y.{column}{sign}x.{column}"
    best = Sql(f"not exists(select 1 from {table} y where {better})")
    rows = Sql(f"select distinct x.{column} as v, x.rid, r.d from {table} x")
    rows = rows + Sql(" cross join res r on r.rid=x.rid where x.p") + params
    rows = rows + Sql(" and ") + all_of([place, best]) + Sql(f"{order.by} limit ?", (walked,))
    return _walked(plan, rows, key.descending, limit)


def by_missing(
    plan: Plan, key: SortKey, types: tuple[str, ...], after: Cursor, limit: int, walked: int
) -> Sql:
    """Return the page of a walk over ``walked`` resources for those that have no value.

    They stand behind all others, in the order of first storing.
    """
    table, _ = INDEXED[key.kind]
    way, sign = ("desc", "<") if key.descending else ("asc", ">")
    rows = Sql(
        f"select null as v, r.rid, r.d from res r where r.deleted=0 and r.rid{sign}?"
        f" order by r.rid {way} limit ?",
        (after[-1], walked),
    )
    params = param_is([param_hash(type_, key.param) for type_ in types])
    value = exists(Sql(f"{table} x where x.rid=f.rid and x.p") + params)
    return _walked(plan, rows, key.descending, limit, (Sql("not ") + value,))


def _walked(
    plan: Plan, rows: Sql, descending: bool, limit: int, conditions: tuple[Sql, ...] = ()
) -> Sql:
    way = "desc" if descending else "asc"
    held = all_of([*conditions, *_driven(plan), *plan.probes])
    page = Sql("select f.v, f.rid from (") + rows + Sql(") f where ") + held
    return fetched(page + Sql(f" order by f.v {way}, f.rid {way} limit ?", (limit,)), ("v",))


def _driven(plan: Plan) -> list[Sql]:
    """Return the driver as a condition, for walks along something else."""
    if isinstance(plan.driver.of, Inside):
        return [condition(plan.driver.of)]
    if plan.driver.keys:
        held = Sql("tok t where ") + is_in("t.h", plan.keys) + Sql(" and t.d=f.d and t.rid=f.rid")
        return [exists(held)]
    assert plan.driver.rows is not None
    return [Sql("f.rid in (") + plan.driver.rows + Sql(")")]


def sorted_page(
    plan: Plan, types: tuple[str, ...], sort: Sequence[SortKey], after: Cursor | None, limit: int
) -> Sql:
    """Return the page in any other order: values are looked up for every match.

    Only the page is kept while they come: ``limit -1`` makes a routine of the inner rows, which
    looks each value up once, and an ORDER BY with a LIMIT remembers no more than that.
    """
    values = [sort_value(key, types) for key in sort]
    names = tuple(f"s{place}" for place in range(len(values)))
    columns = join(
        [
            Sql(f"{value.text} as {name}", value.values)
            for name, value in zip(names, values, strict=True)
        ],
        ", ",
    )
    found = Sql("(select f.rid as rid, ") + columns + Sql(" from ") + source(plan)
    found = found + _and(Sql(" where ") + all_of([plan.bound, *plan.thorough])) + Sql(" limit -1)")
    order = ", ".join(
        f"k.{name} {'desc' if key.descending else 'asc'} nulls last"
        for name, key in zip(names, sort, strict=True)
    )
    tie = f"k.rid {'desc' if sort[-1].descending else 'asc'}"
    listed = ", ".join(f"k.{name}" for name in names)
    where = Sql(" k where ") + behind(names, sort, after) if after else Sql(" k")
    chosen = Sql(f"select {listed}, k.rid from ") + found + where
    return fetched(chosen + Sql(f" order by {order}, {tie} limit ?", (limit,)), names)


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
    if not plan.members and len(plan.keys) == 1 and plan.bound == TRUE:
        return Sql("select count(*) from tok where h=?", plan.keys)
    return Sql("select count(*) from ") + _matches(plan)


def rids(plan: Plan, limit: int) -> Sql:
    """Return the statement that lists rids of matches."""
    return Sql("select f.rid from ") + _matches(plan) + Sql(" limit ?", (limit,))


def ids(plan: Plan, limit: int) -> Sql:
    """Return the statement that lists logical ids of matches."""
    inner = Sql("select r.id from (") + rids(plan, limit)
    return inner + Sql(") k cross join res r on r.rid=k.rid")


def source(plan: Plan) -> Sql:
    """Return the FROM of row ``f``: each resource once; a single posting list keeps its order."""
    if len(plan.keys) == 1:
        return Sql("tok f where f.h=?", plan.keys)
    if plan.driver.keys:
        lists = Sql("(select distinct d, rid from tok where ") + is_in("h", plan.keys)
        return lists + Sql(") f where 1")
    assert plan.driver.rows is not None
    return Sql("res f where f.rid in (") + plan.driver.rows + Sql(")")


def fetched(page: Sql, names: tuple[str, ...]) -> Sql:
    """Return the statement that fetches what :data:`COLUMNS` names for the rows of a page."""
    listed = ", ".join(f"k.{name}" for name in names)
    return Sql(f"select {listed}, k.rid, {COLUMNS} from (") + page + Sql(f"){_FETCH}")


def _matches(plan: Plan) -> Sql:
    return source(plan) + _and(Sql(" where ") + all_of([plan.bound, *plan.thorough]))


def _and(end: Sql) -> Sql:
    """Return ``end``, a WHERE, as the rest of the WHERE that :func:`source` began."""
    return Sql(end.text.replace(" where ", " and ", 1), end.values)
