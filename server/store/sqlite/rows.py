"""The index rows of resources in the file: written whole, changed by difference, read back.

A resource's postings carry its clinical date ``d``; when that moves, all of them move.  Otherwise
an update touches only the rows that differ: ``keys`` remembers what a resource is filed under.
"""

import struct
from array import array
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import apsw

from server.search.rows import IndexRows

_UNPOST = "delete from tok where h=? and d=? and rid=?"
# One statement for all keys: each call of SQLite lets the other threads run, and waits for its turn
# again.  OR FAIL, because undoing one statement alone copies every page; the writer undoes the job.
_POST = "insert or fail into tok select value,?,? from carray(?)"


@dataclass(frozen=True, slots=True)
class Filed:
    """Everything a resource is filed under."""

    d: int
    keys: frozenset[int]
    strings: frozenset[tuple[int, str]]
    dates: frozenset[tuple[int, int, int]]
    numbers: frozenset[tuple[int, float, float, int]]


def filed(rows: IndexRows, keys: frozenset[int], born: int) -> Filed:
    """Return what a resource first stored at ``born`` is to be filed under."""
    return Filed(
        born if rows.date is None else rows.date,
        keys,
        frozenset(rows.strings),
        frozenset(rows.dates),
        frozenset(rows.numbers),
    )


def empty(d: int) -> Filed:
    """Return what a resource is filed under that has no rows."""
    return Filed(d, frozenset(), frozenset(), frozenset(), frozenset())


def pack(hashes: Collection[int]) -> bytes:
    """Return hashes as bytes: sorted, 8 each, little endian.

    >>> unpack(pack({3, -1}))
    (-1, 3)
    """
    return struct.pack(f"<{len(hashes)}q", *sorted(hashes))


def unpack(packed: bytes) -> tuple[int, ...]:
    """Return the hashes that :func:`pack` packed."""
    return struct.unpack(f"<{len(packed) // 8}q", packed)


def change(db: apsw.Connection, rid: int, old: Filed, new: Filed) -> None:
    """Turn the rows of ``rid`` from ``old`` to ``new``, touching only what differs."""
    moved = old.d != new.d
    gone_keys = old.keys if moved else old.keys - new.keys
    made_keys = new.keys if moved else new.keys - old.keys
    if gone_keys:
        _many(db, _UNPOST, [(h, old.d, rid) for h in gone_keys])
    if made_keys:
        db.execute(_POST, (new.d, rid, apsw.carray(array("q", sorted(made_keys)))))
    _change(db, "str", ("p", "v"), rid, old.strings, new.strings)
    _change(db, "dat", ("p", "lo", "hi"), rid, old.dates, new.dates)
    _change(db, "num", ("p", "lo", "hi", "u"), rid, old.numbers, new.numbers)
    if not new.keys:
        db.execute("delete from keys where rid=?", (rid,))
    elif old.keys != new.keys:
        db.execute("insert or replace into keys values (?,?)", (rid, pack(new.keys)))


def read(db: apsw.Connection, rid: int, d: int) -> Filed:
    """Return what the resource is filed under, as remembered in ``keys`` and in its own rows."""
    packed = db.execute("select hashes from keys where rid=?", (rid,)).get
    return Filed(
        d,
        frozenset(unpack(packed or b"")),
        frozenset(db.execute("select p, v from str where rid=?", (rid,))),
        frozenset(db.execute("select p, lo, hi from dat where rid=?", (rid,))),
        frozenset(db.execute("select p, lo, hi, u from num where rid=?", (rid,))),
    )


def _change(
    db: apsw.Connection,
    table: str,
    columns: tuple[str, ...],
    rid: int,
    old: frozenset[tuple[object, ...]],
    new: frozenset[tuple[object, ...]],
) -> None:
    if old == new:
        return
    same = " and ".join([f"{column}=?" for column in columns])
    names, marks = ",".join(columns), ",?" * len(columns)
    if gone := [(rid, *row) for row in old - new]:
        _many(db, f"delete from {table} where rid=? and {same}", gone)
    if made := [(rid, *row) for row in new - old]:
        _many(db, f"insert into {table} (rid,{names}) values (?{marks})", made)


def _many(db: apsw.Connection, sql: str, rows: Iterable[tuple[object, ...]]) -> None:
    db.executemany(sql, rows)
