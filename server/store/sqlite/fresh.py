"""Many new resources of one commit, written together: a few statements for all their rows.

Each call of SQLite lets the other threads run and waits for its turn again, and rows in the order
of their keys share pages; so a commit of hundreds of AuditEvents costs half of what one by one
would.  What existed before goes the way of ``tables.py``, row by row.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import apsw

from server.store.port import Version
from server.store.sqlite.bags import Bags
from server.store.sqlite.functions import name_of
from server.store.sqlite.rows import Filed

WORTH = 8  # new resources of a commit from which on this costs less

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
_AT_ONCE = (128, 32, 8, 1)  # rows of one statement
_BY_KEY = frozenset(("name", "tok", "edge"))


class Fresh:
    """The rows of new resources, until they are written."""

    def __init__(self) -> None:
        self._rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in _TABLES}
        self._texts: list[tuple[int, str, int]] = []

    def add(
        self,
        version: Version,
        rid: int,
        kept: tuple[Any, ...],
        new: Filed,
        own: tuple[Any, ...],
    ) -> None:
        """Add a resource: ``kept`` is the end of its row of ``ver``, ``own`` that of ``res``."""
        rows, d = self._rows, new.d
        place = (version.number, version.type, version.at, version.method)
        rows["ver"].append((version.seq, rid, *place, *kept))
        now = (version.number, version.seq, version.at, 0, version.at)
        rows["res"].append((rid, version.type, version.id, *now, *own))
        rows["name"].append((name_of(version.type, version.id), rid))
        rows["tok"] += [(h, d, rid) for h in new.keys]
        for table, found in (
            ("str", new.strings),
            ("dat", new.dates),
            ("num", new.numbers),
            ("edge", new.edges),
            ("point", new.points),
        ):
            if found:
                rows[table] += [(rid, *row) for row in found]
        if new.aliases:
            rows["alias"] += [(rid, h) for h in new.aliases]
            rows["name"] += [(h, rid) for h in new.aliases]
        if new.words:
            rows["words"].append((rid, *new.spoken))
        self._texts += new.texts

    def write(self, db: apsw.Connection, bags: Bags) -> None:
        """Write everything that was added."""
        for table, rows in self._rows.items():
            if not rows:
                continue
            if table in _BY_KEY:
                rows.sort()
            for text, values in _statements(table, rows):
                db.execute(text, values)
        for row in self._texts:
            if row not in bags.texts:
                db.execute("insert or ignore into text values (?,?,?)", row)
                bags.remember_text(row)


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
