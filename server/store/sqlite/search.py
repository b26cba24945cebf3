"""Searches on one reading connection: plan, walk, resume, explain."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import apsw

from server.fhir.errors import TooCostly
from server.search.clinical import CLINICAL_PARAM
from server.search.query import Query, SortKey
from server.search.rows import MIN_TIME, param_hash
from server.store.codec import Codec
from server.store.port import Explanation, Page, Scalar, Step
from server.store.sqlite import describe, pages
from server.store.sqlite.brief import TooLong
from server.store.sqlite.counts import Counts
from server.store.sqlite.inside import inside
from server.store.sqlite.pages import BY_DATE, MAX_VALUES, Cursor, Order
from server.store.sqlite.plan import Plan, plan
from server.store.sqlite.sight import version_of
from server.store.sqlite.sorts import INDEXED
from server.store.sqlite.sql import TRUE, Sql

WALKED = 20_000  # rows that are walked in the order of the answer before all matches are sorted


@dataclass(frozen=True, slots=True)
class Asked:
    """A query that access has narrowed, its order and its page."""

    query: Query
    sort: tuple[SortKey, ...]
    limit: int
    after: Cursor | None


Row = tuple[Any, ...]


def search(
    db: apsw.Connection, codec: Codec, counts: Counts, asked: Asked, *, most: int | None = None
) -> Page:
    """Return one page; see :meth:`server.store.port.Store.search`.

    Raises :class:`TooLong` when ``most`` is given and more are found: unpacking them takes long.
    An ``InterruptError`` has the plan as a note.
    """
    with _noted(asked.query) as note:
        planned = plan(asked.query, counts, paged=_in_list_order(asked))
        note.append(partial(describe.told, planned))
        if not planned.size or asked.limit <= 0:
            return Page((), None)
        asked = _settled(asked, counts)
        found, _ = _found(db, counts, planned, asked)
    if most is not None and len(found) > most + 1:
        raise TooLong
    return _page(found, len(asked.sort) or 1, asked.limit, codec)


def count(db: apsw.Connection, counts: Counts, query: Query) -> int:
    """Return how many resources match."""
    with _noted(query) as note:
        planned = plan(query, counts)
        note.append(partial(describe.told, planned))
        if not planned.size:
            return 0
        total: int = _rows(db, pages.count(planned))[0][0]
    return total


@contextmanager
def _noted(query: Query) -> Iterator[list[Callable[[], str]]]:
    """Tell an interrupted search what it was doing, for its caller: the last of the notes."""
    notes: list[Callable[[], str]] = [lambda: f"planning {describe.query(query)}"]
    try:
        yield notes
    except apsw.InterruptError as error:
        error.add_note(notes[-1]())
        raise


def explain(db: apsw.Connection, codec: Codec, counts: Counts, asked: Asked) -> Explanation:
    """Run the first page, counting the rows that each step lets through."""
    begun = time.perf_counter()
    planned = plan(asked.query, counts, paged=_in_list_order(asked))
    seen: Counter[int] = Counter()

    def see(*steps: Any) -> int:
        seen.update(steps)
        return 1

    db.create_scalar_function("seen", see, 1)
    found: list[Row] = []
    how = "nothing to sort"
    if planned.size and asked.limit > 0:
        asked = _settled(asked, counts)
        found, how = _found(db, counts, replace(planned, counted=True), asked)
    page = _page(found, len(asked.sort) or 1, asked.limit, codec)
    steps = [Step("drive", describe.settled(planned.driver.of), planned.size, seen[0])]
    for place, member in enumerate(planned.members):
        guess = planned.others[place]
        steps.append(Step("probe", describe.settled(member), guess, seen[place + 1]))
    steps.append(Step("sort", f"by {describe.order(asked.sort)}: {how}", None, len(found)))
    steps.append(Step("fetch", "bodies of the page", asked.limit, len(page.versions)))
    return Explanation(tuple(steps), (time.perf_counter() - begun) * 1000)


def _in_list_order(asked: Asked) -> bool:
    return not asked.sort or _clinical(asked) is not None


def _settled(asked: Asked, counts: Counts) -> Asked:
    """Return what is asked with the limits of a chained sort settled, as the plan's are."""
    if not any(key.through for key in asked.sort):
        return asked
    return replace(
        asked,
        sort=tuple(
            replace(key, through=tuple(replace(h, to=inside(h.to, counts)) for h in key.through))
            for key in asked.sort
        ),
    )


def _found(
    db: apsw.Connection, counts: Counts, planned: Plan, asked: Asked
) -> tuple[list[Row], str]:
    """Return the rows of a page and one more, which tells of another page, and how it was done."""
    wanted = replace(asked, limit=asked.limit + 1)
    param = _clinical(asked)
    if not asked.sort:
        walked = (planned.broad and planned.driver.keys) or len(planned.keys) == 1
        how = "as the lists are kept" if walked else "of every match"
        return _by_date(db, planned, wanted), how
    if param is not None and (planned.broad or _ends_soon(planned, wanted.limit)):
        return _by_clinical_date(db, planned, wanted, param), "as the lists are kept"
    walk = _walk(counts, planned, wanted)
    if walk is not None:
        found = _rows(db, walk)
        if len(found) == wanted.limit:
            return found, "along the index of the order"
    sorted_ = pages.sorted_page(planned, asked.query.types, asked.sort, asked.after, wanted.limit)
    return _rows(db, sorted_), "of every match"


def _ends_soon(planned: Plan, limit: int) -> bool:
    """Tell whether a walk of the driver in its order finds a page before its end."""
    return len(planned.keys) == 1 and not planned.members and planned.size > limit


def _walk(counts: Counts, planned: Plan, asked: Asked) -> Sql | None:
    """Return a walk along an index of the order, where its page is likely found soon."""
    if not planned.broad or len(asked.sort) != 1:
        return None
    (key,) = asked.sort
    if key.through:
        return None
    if key.kind == "updated":
        return pages.by_update(planned, key.descending, asked.after, asked.limit, WALKED)
    if key.kind in INDEXED and len(asked.query.types) == 1:
        types = asked.query.types
        if asked.after is not None and asked.after[0] is None:
            return pages.by_missing(planned, key, types, asked.after, asked.limit, WALKED)
        return pages.by_index(planned, key, types, asked.after, asked.limit, WALKED)
    return None


def _by_date(db: apsw.Connection, planned: Plan, asked: Asked) -> list[Row]:
    after = BY_DATE.behind(asked.after) if asked.after is not None else None
    return _in_posting_order(db, planned, BY_DATE, planned.probes, after, asked.limit)


def _in_posting_order(
    db: apsw.Connection,
    planned: Plan,
    order: Order,
    probes: Sequence[Sql],
    after: Sql | None,
    limit: int,
) -> list[Row]:
    if planned.broad and len(planned.keys) > limit:
        # Of more lists than rows are wanted, most have none of them.
        keys, worst = _nearest(db, pages.heads(planned, order, probes, after), limit)
        wanted = [planned.bound, *([after] if after else []), *probes]
        return _rows(db, pages.near_heads(keys, worst, order, wanted, limit)) if keys else []
    return _rows(db, pages.in_posting_order(planned, order, probes, after, limit))


def _nearest(db: apsw.Connection, heads: Sql, limit: int) -> tuple[list[int], int | None]:
    """Return the lists that hold the first ``limit`` rows, and the date of the last of these."""
    keys: list[int] = []
    first: set[int] = set()
    worst: int | None = None
    for key, date, rid in _begun(db, heads):
        if worst is not None and date != worst:
            break
        keys.append(key)
        first.add(rid)
        if worst is None and len(first) >= limit:
            worst = date
    return keys, worst


def _by_clinical_date(db: apsw.Connection, planned: Plan, asked: Asked, param: int) -> list[Row]:
    """Walk the postings, whose date is the sort value, then those whose date is not known.

    A resource without the value, or with a period open at its start, stands in the postings at
    the time of its first storing, so ``rid`` puts these in order.
    """
    order = Order(("f.d", "f.rid"), asked.sort[0].descending)
    found: list[Row] = []
    probes = planned.probes
    for value, condition in _phases(db, planned, param, asked):
        after = None
        if asked.after is not None and _phase_of(asked.after) == value:
            rid = asked.after[1]
            place = asked.after if value == "known" else (_born(db, rid), rid)
            after = order.behind(place)
        left = asked.limit - len(found)
        rows = _in_posting_order(db, planned, order, [*probes, condition], after, left)
        fixed = {"open": MIN_TIME, "missing": None}
        found += rows if value == "known" else [(fixed[value], *row[1:]) for row in rows]
        if len(found) >= asked.limit:
            break
    return found


def _phases(db: apsw.Connection, planned: Plan, param: int, asked: Asked) -> list[tuple[str, Sql]]:
    """Return the groups of the order, from the one that ``after`` is in."""
    descending, after = asked.sort[0].descending, asked.after
    place = "=(select n from sym where h=?)"
    here = f"exists(select 1 from dat x where x.rid=f.rid and x.p{place}"
    known = ("known", Sql(f"{here} and x.lo=f.d)", (param,)))
    if planned.bound != TRUE:
        # The date is asked for and no start is open, so none is missing either.
        return [known]
    open_start = ("open", Sql(f"{here} and x.lo=?)", (param, MIN_TIME)))
    missing = ("missing", Sql(f"not {here})", (param,)))
    any_open = db.execute(
        f"select exists(select 1 from dat where p{place} and lo=?)", (param, MIN_TIME)
    )
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
    if key.kind != "date" or key.through or CLINICAL_PARAM.get(type_) != key.param:
        return None
    return param_hash(type_, key.param)


def _rows(db: apsw.Connection, sql: Sql) -> list[Row]:
    return _begun(db, sql).fetchall()


def _begun(db: apsw.Connection, sql: Sql) -> apsw.Cursor:
    if len(sql.values) > MAX_VALUES:
        raise TooCostly(f"the search holds {len(sql.values)} values; at most {MAX_VALUES}")
    return db.execute(sql.text, sql.values)


def _page(found: Sequence[Row], width: int, limit: int, codec: Codec) -> Page:
    versions = tuple(version_of(row[width + 1 :], codec) for row in found[:limit])
    more = len(found) > limit
    return Page(versions, tuple(found[limit - 1][: width + 1]) if more else None)
