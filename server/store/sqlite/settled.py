"""What limits lead to, kept for as long as no commit has changed it.

A caller's limits are asked with every request: whose patients a department has, what a record
refers to.  What was found is kept under the whole predicate, so callers with different rights share
nothing.  Versions that were committed since are looked through: one that may change what was found
makes an end of it; a new resource that the record refers to already is added.

Index rows made anew leave no version: nothing is kept or used while they are made.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

import apsw

from server.search.query import (
    AllOf,
    AnyOf,
    InCompartmentOf,
    Mentioned,
    Not,
    Query,
    ReferredBy,
    Refers,
)
from server.store.sqlite.compile import Inside, Lists, Rids, hashes, reads_others
from server.store.sqlite.functions import name_of
from server.store.sqlite.mentioned import compartments
from server.store.sqlite.rows import unpack

MAX_CHANGES = 300  # versions that are looked through; finding anew costs no more than these
MAX_VALUES = 500_000  # numbers that are kept, 100 bytes each in sets
_CHANGED = (
    "select v.rid, v.type, v.compartments, p.compartments from ver v"
    " left join ver p on p.rid=v.rid and p.number=v.number-1 where v.vid>? order by v.vid limit ?"
)
_LAST = "select max(vid) from ver"

Asked = Mentioned | InCompartmentOf


@dataclass(frozen=True, slots=True)
class Kept:
    """What was found: marks of compartments; or rids, with the names that were referred to.

    It holds for all commits from ``first`` to ``upto`` (``ver.vid``).
    """

    found: frozenset[int]
    names: frozenset[int]
    first: int
    upto: int


class Settled:
    """Shared by all reading connections of a store."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: dict[Asked, Kept] = {}
        self._values = 0
        self._generation = 0

    @property
    def generation(self) -> int:
        """To be read before a transaction begins; odd while rows are made anew."""
        return self._generation

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Keep and use nothing while index rows are made anew."""
        self._generation += 1
        try:
            yield
        finally:
            with self._lock:
                self._kept.clear()
                self._values = 0
                self._generation += 1

    def get(self, db: apsw.Connection, asked: Asked, generation: int) -> frozenset[int] | None:
        """Return what was found, if it is still so in the transaction of ``db``."""
        with self._lock:
            kept = self._kept.get(asked) if self._is_current(generation) else None
        if kept is None:
            return None
        last: int = db.execute(_LAST).get or 0
        if not kept.first <= last <= kept.upto:
            now = _still(db, asked, kept, last) if last > kept.upto else None
            if now is None:
                return None
            kept = now
            self._put(asked, kept, generation)
        return kept.found

    def put(
        self,
        db: apsw.Connection,
        asked: Asked,
        generation: int,
        found: frozenset[int],
        names: frozenset[int] = frozenset(),
    ) -> None:
        """Keep what was found in the transaction of ``db``."""
        last: int = db.execute(_LAST).get or 0
        self._put(asked, Kept(found, names, last, last), generation)

    def _is_current(self, generation: int) -> bool:
        return generation == self._generation and generation % 2 == 0

    def _put(self, asked: Asked, kept: Kept, generation: int) -> None:
        with self._lock:
            had = self._kept.get(asked)
            if not self._is_current(generation) or (had is not None and had.upto > kept.upto):
                return
            self._forget(asked)
            size = _size(kept)
            while self._kept and self._values + size > MAX_VALUES:
                self._forget(next(iter(self._kept)))
            if size <= MAX_VALUES:
                self._kept[asked] = kept
                self._values += size

    def _forget(self, asked: Asked) -> None:
        had = self._kept.pop(asked, None)
        if had is not None:
            self._values -= _size(had)


def _size(kept: Kept) -> int:
    return len(kept.found) + len(kept.names) + 100  # of the predicate itself


def _still(db: apsw.Connection, asked: Asked, kept: Kept, last: int) -> Kept | None:
    """Return what was found as it is behind later commits; ``None``: it is to be found anew."""
    changed: list[tuple[Any, ...]] = db.execute(_CHANGED, (kept.upto, MAX_CHANGES + 1)).fetchall()
    if len(changed) > MAX_CHANGES:
        return None
    query = asked.by if isinstance(asked, Mentioned) else asked.to
    types = _types(query)
    marks = () if reads_others(query.where) else hashes(compartments(query.where))
    for _, type_, own, before in changed:
        # Of a version without marks, rows made anew may say more than is kept beside it.
        if type_ in types and (
            not marks or before == b"" or not _both(own, before).isdisjoint(marks)
        ):
            return None
    found = kept.found
    if isinstance(asked, Mentioned):
        found = _named_now(db, kept, {rid for rid, *_ in changed})
    return replace(kept, found=found, first=last if found != kept.found else kept.first, upto=last)


def _both(own: bytes, before: bytes | None) -> set[int]:
    return {*unpack(own), *unpack(before or b"")}


def _named_now(db: apsw.Connection, kept: Kept, changed: set[int]) -> frozenset[int]:
    """Return the rids of what is referred to, those of new resources and new addresses too."""
    added: set[int] = set()
    gone: set[int] = set()
    for rid in changed:
        names: set[Any] = {h for (h,) in db.execute("select h from alias where rid=?", (rid,))}
        place: tuple[Any, ...] | None = db.execute(
            "select type, id from res where rid=?", (rid,)
        ).fetchone()
        if place is not None:
            names.add(name_of(*place))
        (gone if names.isdisjoint(kept.names) else added).add(rid)
    return (kept.found | added) - gone if added or gone else kept.found


def _types(query: Query) -> frozenset[str]:
    """Return the types that a query looks at, at every hop."""
    found = set(query.types)
    todo: list[Any] = [query.where]
    while todo:
        match todo.pop():
            case AllOf(of) | AnyOf(of):
                todo += of
            case Not(of):
                todo.append(of)
            case Inside(of=of) | Lists(of=of) | Rids(of=of):
                todo.append(of)
            case Refers(type_, _, to):
                found.update((type_, *to.types))
                todo.append(to.where)
            case ReferredBy(to, _) | Mentioned(to) | InCompartmentOf(to):
                found.update(to.types)
                todo.append(to.where)
            case _:
                pass
    return frozenset(found)
