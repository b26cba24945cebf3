"""Many new resources of one transaction, written together: a few statements for all their rows.

Each call of SQLite lets the other threads run and waits for its turn again, and rows in the order
of their keys share pages; so a commit of hundreds of AuditEvents costs half of what one by one
would.  What existed before goes the way of ``tables.py``, row by row.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import apsw

from server.store.port import Version
from server.store.sqlite.bags import Bags
from server.store.sqlite.framed import Prepared
from server.store.sqlite.functions import name_of
from server.store.sqlite.rows import Filed
from server.store.sqlite.sql import numbers

# "or fail", because undoing one statement alone would copy every page; the writer undoes the job.
_TABLES = {
    "ver": 10,
    "res": 14,
    "name": 2,
    "tok": 3,
    "str": 3,
    "dat": 4,
    "num": 4,
    "edge": 3,
    "point": 4,
    "alias": 2,
    "words": 3,
}
_COLUMNS = {
    "str": "(rid,p,v)",
    "dat": "(rid,p,lo,hi)",
    "num": "(rid,s,lo,hi)",
    "edge": "(rid,s,dst)",
    "point": "(rid,p,lat,lon)",
    "alias": "(rid,h)",
    "words": "(rowid,narrative,content)",
}
_SHARE = (
    "insert or fail into tok select k.value,r.d,r.rid from carray(?) k cross join carray(?) c"
    " cross join res r on r.rid=c.value"
)
_AT_ONCE = (128, 32, 8, 5, 3, 2, 1)  # rows of one statement
_BY_KEY = frozenset(("name", "tok", "edge"))


class Fresh:
    """The rows of new resources until they are written; ``names``: the hashes of ``Type/id``."""

    def __init__(self) -> None:
        self.names: set[int] = set()
        self._rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in _TABLES}
        self._texts: list[tuple[int, str, int]] = []
        self._framed: dict[Prepared, array[int]] = {}

    @property
    def size(self) -> int:
        """How many resources are to be written."""
        return len(self.names)

    def add(
        self,
        version: Version,
        rid: int,
        kept: tuple[Any, ...],
        new: Filed,
        own: tuple[Any, ...],
    ) -> None:
        """Add a resource: ``kept`` is the end of its row of ``ver``, ``own`` that of ``res``."""
        rows = self._rows
        self._add_version(version, rid, kept, own)
        self.add_own(rid, new.d, new.keys, new.dates, new.edges)
        for table, found in (("str", new.strings), ("num", new.numbers), ("point", new.points)):
            if found:
                rows[table] += [(rid, *row) for row in found]
        if new.aliases:
            rows["alias"] += [(rid, h) for h in new.aliases]
            rows["name"] += [(h, rid) for h in new.aliases]
        if new.words:
            rows["words"].append((rid, *new.spoken))
        self._texts += new.texts

    def add_framed(
        self,
        version: Version,
        rid: int,
        kept: tuple[Any, ...],
        frame: Prepared,
        own: tuple[Any, ...],
    ) -> None:
        """Add a resource with the rows of its frame; those of its own are added beside."""
        self._add_version(version, rid, kept, own)
        there = self._framed.get(frame)
        if there is None:
            there = self._framed[frame] = array("q")
        there.append(rid)

    def add_own(
        self,
        rid: int,
        d: int,
        keys: Iterable[int],
        dates: Iterable[tuple[int, int, int]],
        edges: Iterable[tuple[int, int]],
    ) -> None:
        """Add postings, dates and references of a resource."""
        self._rows["tok"] += [(h, d, rid) for h in keys]
        self._rows["dat"] += [(rid, *row) for row in dates]
        self._rows["edge"] += [(rid, *row) for row in edges]

    def _add_version(
        self, version: Version, rid: int, kept: tuple[Any, ...], own: tuple[Any, ...]
    ) -> None:
        seq, at, type_, id_ = version.seq, version.at, version.type, version.id
        self._rows["ver"].append((seq, rid, 1, type_, at, version.method, *kept))
        self._rows["res"].append((rid, type_, id_, 1, seq, at, 0, at, *own))
        name = name_of(type_, id_)
        self.names.add(name)
        self._rows["name"].append((name, rid))

    def write(self, db: apsw.Connection, bags: Bags) -> None:
        """Write everything that was added."""
        for table, rows in self._rows.items():
            if not rows:
                continue
            if table in _BY_KEY:
                rows.sort()
            for text, values in _statements(table, rows):
                db.execute(text, values)
        for frame, rids in self._framed.items():
            _write_frame(db, frame, apsw.carray(rids))
        for row in self._texts:
            if row not in bags.texts:
                db.execute("insert or ignore into text values (?,?,?)", row)
                bags.remember_text(row)


def _write_frame(db: apsw.Connection, frame: Prepared, rids: Any) -> None:
    """Write what resources share, whose own rows are there."""
    db.execute(_SHARE, (numbers(frame.keys), rids))
    for row in frame.strings:
        db.execute(
            "insert or fail into str (p,v,rid) select ?,?,value from carray(?)", (*row, rids)
        )
    for edge in frame.edges:
        text = "insert or fail into edge (s,dst,rid) select ?,?,value from carray(?)"
        db.execute(text, (*edge, rids))


def _statements(
    table: str, rows: Sequence[tuple[Any, ...]]
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    at = 0
    for size in _AT_ONCE:
        while len(rows) - at >= size:
            yield _INSERTS[table, size], tuple(chain.from_iterable(rows[at : at + size]))
            at += size


def _insert(table: str, width: int, size: int) -> str:
    row = f"({','.join('?' * width)})"
    columns = _COLUMNS.get(table, "")
    return f"insert or fail into {table} {columns} values {','.join([row] * size)}"


_INSERTS = {
    (table, size): _insert(table, width, size)
    for table, width in _TABLES.items()
    for size in _AT_ONCE
}
