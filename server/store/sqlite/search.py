"""Searches on one reading connection: plan, walk, resume."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import apsw

from server.fhir.errors import TooCostly
from server.search.clinical import CLINICAL_PARAM
from server.search.query import Query, SortKey
from server.search.rows import MIN_TIME, param_hash
from server.store.port import Explanation, Page, Scalar, Step
from server.store.sqlite import pages
from server.store.sqlite.brief import TooLong
from server.store.sqlite.codec import Codec
from server.store.sqlite.compile import Sql
from server.store.sqlite.counts import Counts
from server.store.sqlite.pages import BY_DATE, MAX_VALUES, Cursor, Order
from server.store.sqlite.plan import Plan, plan
from server.store.sqlite.versions import version_of


@dataclass(frozen=True, slots=True)
class Asked:
    """A query that access has narrowed, its order and its page."""

    query: Query
    sort: tuple[SortKey, ...]
    limit: int
    after: Cursor | None


def search(
    db: apsw.Connection, codec: Codec, counts: Counts, asked: Asked, *, most: int | None = None
) -> Page:
    """Return one page; see :meth:`server.store.port.Store.search`.

    Raises :class:`TooLong` when ``most`` is given and more are found: unpacking them takes long.
    """
    planned = plan(asked.query, counts.count)
    if not planned.size or asked.limit <= 0:
        return Page((), None)
    param = _clinical(asked)
    # One row more than asked for tells whether there is another page.
    wanted = replace(asked, limit=asked.limit + 1)
    if not asked.sort:
        found = _by_date(db, planned, wanted)
    elif param is not None and planned.broad:
        found = _by_clinical_date(db, planned, wanted, param)
    elif planned.broad and len(asked.sort) == 1 and asked.sort[0].kind == "updated":
        descending = asked.sort[0].descending
        found = _rows(db, pages.by_update(planned, descending, asked.after, wanted.limit))
    else:
        types = asked.query.types
        found = _rows(db, pages.sorted_page(planned, types, asked.sort, asked.after, wanted.limit))
    if most is not None and len(found) > most + 1:
        raise TooLong
    return _page(found, len(asked.sort) or 1, asked.limit, codec)


def explain(db: apsw.Connection, codec: Codec, counts: Counts, asked: Asked) -> Explanation:
    """Run the page and return how it was found."""
    begun = time.perf_counter()
    planned = plan(asked.query, counts.count)
    page = search(db, codec, counts, asked)
    steps = (
        Step("drive", str(planned.driver.says), planned.size),
        *[Step("probe", probe.text) for probe in planned.probes],
        Step("fetch", "bodies", rows=len(page.versions)),
    )
    return Explanation(steps, (time.perf_counter() - begun) * 1000)


def count(db: apsw.Connection, counts: Counts, query: Query) -> int:
    """Return how many resources match."""
    planned = plan(query, counts.count)
    if not planned.size:
        return 0
    sql = pages.count(planned)
    total: int = _rows(db, sql)[0][0]
    return total


def _by_date(db: apsw.Connection, planned: Plan, asked: Asked) -> list[tuple[Any, ...]]:
    after = BY_DATE.behind(asked.after) if asked.after is not None else None
    return _rows(db, pages.in_posting_order(planned, BY_DATE, (), after, asked.limit))


def _by_clinical_date(
    db: apsw.Connection, planned: Plan, asked: Asked, param: int
) -> list[tuple[Any, ...]]:
    """Walk the postings, whose date is the sort value, then those whose date is not known.

    A resource without the value, or with a period open at its start, stands in the postings at
    the time of its first storing, so ``rid`` puts these in order.
    """
    descending = asked.sort[0].descending
    order = Order(("f.d", "f.rid"), descending)
    found: list[tuple[Any, ...]] = []
    for value, condition in _phases(db, param, descending, asked.after):
        after = None
        if asked.after is not None and _phase_of(asked.after) == value:
            rid = asked.after[1]
            place = asked.after if value == "known" else (_born(db, rid), rid)
            after = order.behind(place)
        sql = pages.in_posting_order(planned, order, (condition,), after, asked.limit - len(found))
        fixed = {"open": MIN_TIME, "missing": None}
        rows = _rows(db, sql)
        found += rows if value == "known" else [(fixed[value], *row[1:]) for row in rows]
        if len(found) >= asked.limit:
            break
    return found


def _phases(
    db: apsw.Connection, param: int, descending: bool, after: Cursor | None
) -> list[tuple[str, Sql]]:
    """Return the groups of the order, from the one that ``after`` is in."""
    here = "exists(select 1 from dat x where x.rid=f.rid and x.p=?"
    known = ("known", Sql(f"{here} and x.lo=f.d)", (param,)))
    open_start = ("open", Sql(f"{here} and x.lo=?)", (param, MIN_TIME)))
    missing = ("missing", Sql(f"not {here})", (param,)))
    # The literal, not a value, so that the index over open starts alone is used.
    any_open = db.execute(f"select exists(select 1 from dat where p=? and lo={MIN_TIME})", (param,))
    middle = [open_start] if any_open.get else []
    phases = [known, *middle, missing] if descending else [*middle, known, missing]
    if after is None:
        return phases
    names = [name for name, _ in phases]
    return phases[names.index(_phase_of(after)) if _phase_of(after) in names else 0 :]


def _phase_of(after: Cursor) -> str:
    if after[0] is None:
        return "missing"
    return "open" if after[0] == MIN_TIME else "known"


def _born(db: apsw.Connection, rid: Scalar) -> int:
    born: int | None = db.execute("select born from res where rid=?", (rid,)).get
    return born or 0


def _clinical(asked: Asked) -> int | None:
    """Return the parameter when the postings' date is what is sorted by."""
    if len(asked.sort) != 1 or len(asked.query.types) != 1:
        return None
    (key,), (type_,) = asked.sort, asked.query.types
    if key.kind != "date" or CLINICAL_PARAM.get(type_) != key.param:
        return None
    return param_hash(type_, key.param)


def _rows(db: apsw.Connection, sql: Sql) -> list[tuple[Any, ...]]:
    if len(sql.values) > MAX_VALUES:
        raise TooCostly(f"the search holds {len(sql.values)} values; at most {MAX_VALUES}")
    return db.execute(sql.text, sql.values).fetchall()


def _page(found: Sequence[tuple[Any, ...]], width: int, limit: int, codec: Codec) -> Page:
    versions = tuple(version_of(row[width + 1 :], codec) for row in found[:limit])
    more = len(found) > limit
    return Page(versions, tuple(found[limit - 1][: width + 1]) if more else None)
