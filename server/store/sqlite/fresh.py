"""What the commits of one transaction add, written together: each table by few statements.

Each call of SQLite lets the other threads run and waits for its turn again, and rows in the order
of their keys share pages; so a commit of hundreds of AuditEvents costs half of what one by one
would.  What existed before is taken out at once, and what it becomes is added here
(:mod:`.change`).  The words of what is there already go in the order of their numbers: otherwise
FTS5 begins a segment with each.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import apsw

from server.store.port import OutboxWrite, RecordWrite, Version
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
    "rec": 6,
    "outbox": 2,
}
_COLUMNS = {
    "str": "(rid,p,v)",
    "dat": "(rid,p,lo,hi)",
    "num": "(rid,s,lo,hi)",
    "edge": "(rid,s,dst)",
    "point": "(rid,p,lat,lon)",
    "alias": "(rid,h)",
    "words": "(rowid,narrative,content)",
    "outbox": "(topic,payload)",
}
_SHARE = (
    "insert or fail into tok select k.value,r.d,r.rid from carray(?) k cross join carray(?) c"
    " cross join res r on r.rid=c.value"
)
_AT_ONCE = (128, 32, 8, 5, 3, 2, 1)  # rows of one statement
_FORGET_TEXTS = (
    "delete from text where h in (select value from carray(?))"
    " and not exists(select 1 from tok where tok.h=text.h)"
)
_BY_KEY = frozenset(("name", "tok", "edge", "rec"))


class Fresh:
    """Rows until they are written.

    ``names``: the hashes of ``Type/id`` of what they belong to; ``keys``: those of postings;
    ``records``: by kind and key.
    """

    def __init__(self) -> None:
        self.names: set[int] = set()
        self.keys: set[int] = set()
        self.records: dict[tuple[str, str], tuple[Any, ...]] = {}
        self._rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in _TABLES}
        self._said: dict[int, tuple[str, str] | None] = {}
        self._texts: list[tuple[int, str, int]] = []
        self._gone: set[int] = set()
        self._framed: dict[Prepared, array[int]] = {}

    @property
    def size(self) -> int:
        """How many resources and records have rows here."""
        return len(self.names) + len(self.records) + len(self._rows["outbox"])

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
        self._add_new(version, rid, kept, own)
        self.add_own(rid, new.d, new.keys, new.dates, new.edges)
        for table, found in (("str", new.strings), ("num", new.numbers), ("point", new.points)):
            self.add_rows(table, rid, found)
        self.add_aliases(rid, new.aliases)
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
        self._add_new(version, rid, kept, own)
        there = self._framed.get(frame)
        if there is None:
            there = self._framed[frame] = array("q")
            self.keys.update(frame.keys)
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
        self.add_keys(rid, d, keys)
        self.add_rows("dat", rid, dates)
        self.add_rows("edge", rid, edges)

    def add_keys(self, rid: int, d: int, keys: Iterable[int]) -> None:
        """Add postings of a resource."""
        rows = [(h, d, rid) for h in keys]
        self._rows["tok"] += rows
        self.keys.update([row[0] for row in rows])

    def add_rows(self, table: str, rid: int, rows: Iterable[tuple[Any, ...]]) -> None:
        """Add rows of a table that begins with the resource's number."""
        self._rows[table] += [(rid, *row) for row in rows]

    def add_aliases(self, rid: int, aliases: Iterable[int]) -> None:
        """Add hashes of addresses by which a resource is named as well."""
        for h in aliases:
            self._rows["alias"].append((rid, h))
            self._rows["name"].append((h, rid))

    def add_version(self, version: Version, rid: int, kept: tuple[Any, ...]) -> int:
        """Add a version; return the hash of its resource's name."""
        seq, number, at, type_ = version.seq, version.number, version.at, version.type
        self._rows["ver"].append((seq, rid, number, type_, at, version.method, *kept))
        name = name_of(type_, version.id)
        self.names.add(name)
        return name

    def say_anew(self, rid: int, spoken: tuple[str, str] | None) -> None:
        """Put words (narrative, content) in the place of those that a resource may have."""
        self._said[rid] = spoken

    def keep_texts(self, texts: Iterable[tuple[int, str, int]], gone: Iterable[int]) -> None:
        """Keep texts of a resource, and forget those of keys that no resource has any more."""
        self._texts += texts
        self._gone.update(gone)

    def _add_new(
        self, version: Version, rid: int, kept: tuple[Any, ...], own: tuple[Any, ...]
    ) -> None:
        name = self.add_version(version, rid, kept)
        seq, at, type_, id_ = version.seq, version.at, version.type, version.id
        self._rows["res"].append((rid, type_, id_, 1, seq, at, 0, at, *own))
        self._rows["name"].append((name, rid))

    def add_record(self, write: RecordWrite, rev: int) -> None:
        """Add a record with a value, whose revision is ``rev``."""
        place = write.kind, write.key
        self.records[place] = (*place, write.value, write.tag, rev + 1, write.expires_at)

    def add_outbox(self, write: OutboxWrite) -> None:
        """Append a row to the outbox."""
        self._rows["outbox"].append((write.topic, write.payload))

    def write(self, db: apsw.Connection, bags: Bags) -> None:
        """Write everything that was added."""
        self._rows["rec"] = list(self.records.values())
        for rid in sorted(self._said):
            _say_anew(db, rid, self._said[rid])
        for table, rows in self._rows.items():
            if not rows:
                continue
            if table in _BY_KEY:
                rows.sort()
            for text, values in _statements(table, rows):
                db.execute(text, values)
        for frame, rids in self._framed.items():
            _write_frame(db, frame, apsw.carray(rids))
        self._write_texts(db, bags)

    def _write_texts(self, db: apsw.Connection, bags: Bags) -> None:
        """Behind all postings: by them a text is known to be in use."""
        if self._gone:
            db.execute(_FORGET_TEXTS, (numbers(self._gone),))
            if db.changes():
                bags.texts.clear()
        for row in self._texts:
            if row not in bags.texts:
                db.execute("insert or ignore into text values (?,?,?)", row)
                bags.remember_text(row)


def _say_anew(db: apsw.Connection, rid: int, spoken: tuple[str, str] | None) -> None:
    db.execute("delete from words where rowid=?", (rid,))
    if spoken is not None:
        db.execute("insert into words (rowid, narrative, content) values (?,?,?)", (rid, *spoken))


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
    verb = "insert or replace" if table == "rec" else "insert or fail"
    return f"{verb} into {table} {columns} values {','.join([row] * size)}"


_INSERTS = {
    (table, size): _insert(table, width, size)
    for table, width in _TABLES.items()
    for size in _AT_ONCE
}
