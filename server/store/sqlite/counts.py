"""What planning asks the file: how many rows a driver has, and what little things are.

Counts are bounded, and remembered for a while where they are large.  A remembered count can be
old.  That costs speed, never correctness: every list that is not known to have rows is counted in
the search's own transaction.
"""

import time
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import apsw

from server.fhir.errors import TooCostly
from server.search.conjuncts import conjuncts
from server.search.query import (
    DateIs,
    InCompartmentOf,
    Mentioned,
    NumberIs,
    Predicate,
    Query,
    ReferredBy,
    Refers,
    StringIs,
    TextIs,
    Words,
)
from server.search.rows import MIN_TIME, compartment_key, key_hash, param_hash
from server.store.sqlite import pages
from server.store.sqlite.compile import Inside, Member, Naming, Rids, place, text_place
from server.store.sqlite.drive import Driver
from server.store.sqlite.plan import FEW, MANY, MOST, plan
from server.store.sqlite.settled import Settled
from server.store.sqlite.sql import TRUE, Sql, is_in, numbers

_REMEMBER_S = 60.0
_MAX_REMEMBERED = 50_000
_MAX_LONG = 200  # intervals longer than a day that are looked at for the earliest start
_MAX_COMPARTMENTS = 250_000  # of one limit; each takes 100 bytes for as long as they are kept
_MAX_FOLLOWED = 20_000  # resources whose references are followed to those of a limit
_WALKED_PER_REACHED = 4  # rows that are looked at for each that a chain may reach

Large = dict[int | Predicate, tuple[int, int, float]]
"""Large counts: of a list or of what a predicate finds, how far it was counted, and until when it
is believed.  Several connections share one: what a thread has counted, a brief search need not.
"""


class Counts:
    """Counts for one connection; not for two threads at once.

    ``large=None`` remembers none, for the writer: its rows change under it.  ``settled``: what is
    kept from one transaction to the next.
    """

    def __init__(
        self, db: apsw.Connection, large: Large | None = None, settled: Settled | None = None
    ) -> None:
        self._db = db
        self._large = large
        self._settled = settled
        self._generation = 0

    def begin(self) -> None:
        """Say that a transaction is about to begin."""
        if self._settled is not None:
            self._generation = self._settled.generation

    def count(self, driver: Driver, limit: int, bound: Sql = TRUE) -> tuple[int, tuple[int, ...]]:
        """See :meth:`server.store.sqlite.drive.Look.count`."""
        if driver.rows is not None:
            return self._rows(driver.rows, driver.of, limit), ()
        if isinstance(driver.of, Inside) and driver.keys:
            return self._inside(driver.of, limit), driver.keys
        if len(driver.keys) > pages.MAX_MERGED:
            return self._many(driver.keys, limit, bound)
        total, keys = 0, []
        for key in driver.keys:
            # Beyond the limit only emptiness counts, so that every list with rows is walked.
            size = self._list(key, limit if total < limit else 1, bound)
            if size:
                keys.append(key)
            total += size
        return min(total, limit), tuple(keys)

    def bags(self, key: int) -> tuple[int, ...]:
        """See :meth:`server.store.sqlite.drive.Look.bags`."""
        text = "select b.h from member m cross join bag b on b.n=m.n where m.h=?"
        return tuple(h for (h,) in self._db.execute(text, (key,)))

    def texts(self, asked: TextIs, limit: int) -> tuple[int, ...] | None:
        """See :meth:`server.store.sqlite.drive.Look.texts`."""
        found = Sql("select distinct w.h from text w where w.p") + text_place(asked)
        return self._up_to(found, limit)

    def referring(self, asked: Refers, limit: int) -> tuple[int, ...] | None:
        """See :meth:`server.store.sqlite.drive.Look.referring`."""
        rids = self._few(asked, asked.to, limit)
        if rids is None:
            return None
        of, wanted = param_hash(asked.type, asked.param), numbers(rids)
        names = (
            "select name_of(r.type,r.id) from carray(?) c cross join res r on r.rid=c.value"
            " union select a.h from carray(?) c cross join alias a on a.rid=c.value"
        )
        return tuple(of ^ h for (h,) in self._db.execute(names, (wanted, wanted)))

    def referred(self, asked: ReferredBy, limit: int) -> tuple[int, ...] | None:
        """See :meth:`server.store.sqlite.drive.Look.referred`."""
        rids = self._few(asked, asked.by, limit)
        if rids is None:
            return None
        of = param_hash(asked.by.types[0], asked.param)
        named = (
            "select distinct n.rid from carray(?) c cross join edge e on e.rid=c.value"
            " cross join member m on m.h=? and m.n=e.s cross join name n on n.h=e.dst"
        )
        return tuple(rid for (rid,) in self._db.execute(named, (numbers(rids), of)))

    def mentioned(self, asked: Mentioned, limit: int) -> tuple[int, ...] | None:
        """See :meth:`server.store.sqlite.drive.Look.mentioned`."""
        if self._settled is not None:
            kept = self._settled.get(self._db, asked, self._generation)
            if kept is not None:
                return tuple(kept)
        rids = self._reached(asked.by, limit)
        if rids is None:
            return None
        targets = "select distinct e.dst from carray(?) c cross join edge e on e.rid=c.value"
        names = frozenset(h for (h,) in self._db.execute(targets, (numbers(rids),)))
        named = "select distinct n.rid from carray(?) c cross join name n on n.h=c.value"
        found = frozenset(rid for (rid,) in self._db.execute(named, (numbers(names),)))
        if self._settled is not None:
            self._settled.put(self._db, asked, self._generation, found, names)
        return tuple(found)

    def compartments_of(self, asked: InCompartmentOf) -> frozenset[int]:
        """See :meth:`server.store.sqlite.drive.Look.compartments_of`."""
        if self._settled is not None:
            kept = self._settled.get(self._db, asked, self._generation)
            if kept is not None:
                return kept
        found = frozenset(self._compartments_of(asked.to))
        if self._settled is not None:
            self._settled.put(self._db, asked, self._generation, found)
        return found

    def _compartments_of(self, to: Query) -> Iterator[int]:
        planned = plan(to, self, also=self._followed(to))
        if not planned.size:
            return
        found = Sql("select r.type, r.id from (") + pages.rids(planned, _MAX_COMPARTMENTS + 1)
        found = found + Sql(") k cross join res r on r.rid=k.rid")
        for number, (type_, id_) in enumerate(self._db.execute(found.text, found.values)):
            if number == _MAX_COMPARTMENTS:
                raise TooCostly(f"access is limited to over {_MAX_COMPARTMENTS} {type_} resources")
            yield key_hash(compartment_key(f"{type_}/{id_}"))

    def _followed(self, to: Query) -> tuple[Member, ...]:
        """Return what is found by following references from where they stand, as it will be kept.

        A plan for one page would rather ask each row.
        """
        found: list[Member] = []
        for member in conjuncts(to):
            if isinstance(member, ReferredBy):
                rids = self.referred(member, _MAX_FOLLOWED)
                found += [] if rids is None else [Rids(rids, member)]
        return tuple(found)

    def _inside(self, asked: Inside, limit: int) -> int:
        """Return how many rows the lists of compartments have, at most ``limit``."""
        rows = Sql("select 1 from carray(?) c cross join tok t on t.h=c.value limit ?")
        rows = Sql(rows.text, (numbers(asked.marks), limit))
        return self._counted(asked.of, limit, rows)

    def mentioned_of(self, asked: Mentioned, driver: Driver) -> tuple[int, ...]:
        """See :meth:`server.store.sqlite.drive.Look.mentioned_of`."""
        rows = driver.rows or Sql("select rid from tok where ") + is_in("h", driver.keys)
        names = Sql("select r.rid, name_of(r.type,r.id) from res r where r.rid in (") + rows
        names = names + Sql(") union select a.rid, a.h from alias a where a.rid in (") + rows
        by_rid: dict[int, list[int]] = {}
        for rid, name in self._db.execute(names.text + ")", names.values):
            by_rid.setdefault(rid, []).append(name)
        return tuple(rid for rid, some in by_rid.items() if self.is_named(asked.by, some))

    def is_named(self, by: Query, names: Collection[int]) -> bool:
        """Tell whether a resource of ``by`` refers to one of the names."""
        planned = plan(by, self, also=(Naming(tuple(names)),))
        if not planned.size:
            return False
        return self._one(pages.rids(planned, 1)) is not None

    def earliest(self, asked: DateIs) -> int | None:
        """See :meth:`server.store.sqlite.drive.Look.earliest`."""
        long = Sql("select x.lo from dat x where x.p") + place(asked.type, asked.param)
        # The literal, not a value, so that the index over long intervals alone is used.
        long = long + Sql(" and x.hi-x.lo>86400000000 and x.hi>? limit ?", (asked.lo, _MAX_LONG))
        starts = [lo for (lo,) in self._db.execute(long.text, long.values)]
        return None if len(starts) == _MAX_LONG else min(starts, default=asked.lo)

    def resources(self) -> int:
        """See :meth:`server.store.sqlite.drive.Look.resources`."""
        return self._one(Sql("select max(rid) from res")) or 0

    def any_open(self, type_: str, param: str) -> bool:
        """See :meth:`server.store.sqlite.drive.Look.any_open`."""
        found = Sql("select exists(select 1 from dat x where x.p") + place(type_, param)
        return bool(self._one(found + Sql(" and x.lo=?)", (MIN_TIME,))))

    def _few(self, chain: Predicate, query: Query, limit: int) -> tuple[int, ...] | None:
        """Return what a chain reaches; that it is more than ``limit`` is remembered."""
        if self._large is None:
            return self._reached(query, limit)
        least, _, until = self._large.get(chain, (0, 0, 0.0))
        if least > limit and until > time.monotonic():
            return None
        found = self._reached(query, limit)
        if found is None:
            self._remember(chain, limit + 1, limit)
        return found

    def _reached(self, query: Query, limit: int) -> tuple[int, ...] | None:
        """Return the rids that match, at most ``limit`` and found soon, else ``None``."""
        planned = plan(query, self)
        if not planned.size:
            return ()
        most = _WALKED_PER_REACHED * limit + 1
        size = planned.size
        if MANY <= size < most:
            size, _ = self.count(planned.driver, most, planned.bound)
        if size >= most or (not planned.members and size > limit):
            return None
        return self._up_to(pages.rids(planned, limit + 1), limit)

    def _up_to(self, found: Sql, limit: int) -> tuple[int, ...] | None:
        text = f"select * from ({found.text}) limit ?"
        values = [value for (value,) in self._db.execute(text, (*found.values, limit + 1))]
        return None if len(values) > limit else tuple(values)

    def _list(self, key: int, limit: int, bound: Sql) -> int:
        if bound != TRUE:
            found = Sql("select count(*) from (select 1 from tok f where f.h=? and ", (key,))
            bounded: int = self._one(found + bound + Sql(" limit ?)", (limit,)))
            return bounded
        return self._counted(key, limit, Sql("select 1 from tok where h=? limit ?", (key, limit)))

    def _rows(self, rows: Sql, of: Member | None, limit: int) -> int:
        if isinstance(of, NumberIs | StringIs | Words):
            return self._counted(of, limit, rows + Sql(" limit ?", (limit,)))
        size: int = self._one(Sql("select count(*) from (") + rows + Sql(" limit ?)", (limit,)))
        return size

    def _counted(self, key: int | Predicate, limit: int, rows: Sql) -> int:
        """Count rows, at most ``limit``, or remember what a large count was."""
        size: int
        size, counted_to, until = (self._large or {}).get(key, (0, 0, 0.0))
        if limit <= max(counted_to, size) and until > time.monotonic():
            return min(size, limit)
        size = self._one(Sql("select count(*) from (") + rows + Sql(")"))
        if size > FEW:
            exact = size < limit
            self._remember(key, size, MOST if exact else limit)
        return size

    def _remember(self, key: int | Predicate, size: int, counted_to: int) -> None:
        if self._large is not None:
            if len(self._large) >= _MAX_REMEMBERED:
                self._large.clear()
            self._large[key] = (size, counted_to, time.monotonic() + _REMEMBER_S)

    def _many(self, keys: Sequence[int], limit: int, bound: Sql) -> tuple[int, tuple[int, ...]]:
        """Count the rows of thousands of lists, and leave out those that have none."""
        each = Sql("select c.value from carray(?) c where exists(", (numbers(keys),))
        each = each + Sql("select 1 from tok f where f.h=c.value and ") + bound + Sql(")")
        full = tuple(key for (key,) in self._db.execute(each.text, each.values))
        if not full:
            return 0, ()
        rows = Sql(
            "select count(*) from (select 1 from carray(?) c cross join tok f", (numbers(full),)
        )
        size = self._one(rows + Sql(" on f.h=c.value where ") + bound + Sql(" limit ?)", (limit,)))
        return size, full

    def _one(self, sql: Sql) -> Any:
        return self._db.execute(sql.text, sql.values).get
