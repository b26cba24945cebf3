"""The live resources of the file, as hops inside of an access limit see them.

A past version is judged in Python, by rows made anew (:mod:`server.store.past`).  Where its limits
lead on to other resources, these are asked by a search each.
"""

from collections.abc import Collection, Iterable
from typing import Any

import apsw

from server.search.match import Candidate, Moment, names_of
from server.search.query import AllOf, IdIs, InCompartmentOf, Predicate, Query, ReferredBy
from server.search.rows import IndexRows, param_hash
from server.store.sqlite import pages
from server.store.sqlite.compile import Lists
from server.store.sqlite.counts import Counts
from server.store.sqlite.plan import plan

_NAMED = (
    "select r.type, r.id, r.at from name n cross join res r on r.rid=n.rid and r.deleted=0"
    " where n.h=?"
)
_NO_ROWS = IndexRows(frozenset())


class LiveRecord(Moment):
    """What one connection sees, for as long as its transaction lasts."""

    def __init__(self, db: apsw.Connection, counts: Counts) -> None:
        super().__init__(None)
        self._db, self._counts = db, counts

    def named(self, target: int) -> Iterable[Candidate]:
        """Return what a reference with that target hash names; type, id and time only."""
        found: list[tuple[Any, ...]] = self._db.execute(_NAMED, (target,)).fetchall()
        for type_, id_, at in found:
            yield Candidate({"resourceType": type_, "id": id_}, _NO_ROWS, at)

    def matches(self, query: Query, one: Candidate) -> bool:
        """Tell whether a live resource is one of ``query``."""
        type_, id_ = one.place
        return type_ in query.types and bool(self.open(type_, query.where, (id_,)))

    def is_referred(self, where: ReferredBy, one: Candidate) -> bool:
        """See :meth:`server.search.match.Moment.is_referred`."""
        place = param_hash(where.by.types[0], where.param)
        lists = tuple(place ^ name for name in names_of(one.resource, one.rows))
        planned = plan(where.by, self._counts, also=(Lists(lists, where),))
        if not planned.size:
            return False
        found = pages.rids(planned, 1)
        return self._db.execute(found.text, found.values).get is not None

    def is_mentioned(self, by: Query, one: Candidate) -> bool:
        """See :meth:`server.search.match.Moment.is_mentioned`."""
        return self._counts.is_named(by, names_of(one.resource, one.rows))

    def is_in_compartment(self, to: Query, one: Candidate) -> bool:
        """See :meth:`server.search.match.Moment.is_in_compartment`."""
        found = self._counts.compartments_of(InCompartmentOf(to))
        return not found.isdisjoint(one.rows.keys)

    def open(self, type_: str, limit: Predicate, ids: Collection[str]) -> set[str]:
        """Return those of the ids of a type that are live and for which ``limit`` holds."""
        planned = plan(Query((type_,), AllOf((IdIs(tuple(ids)), limit))), self._counts)
        if not planned.size:
            return set()
        found = pages.ids(planned, len(ids))
        return {id_ for (id_,) in self._db.execute(found.text, found.values)}
