"""From what a resource was filed under to what it is: what differs.

What is gone goes at once, what is new is put off with what other commits add (:mod:`.fresh`).
"""

import apsw

from server.store.sqlite.fresh import Fresh
from server.store.sqlite.rows import Filed
from server.store.sqlite.sql import numbers

# One statement for all keys: each call of SQLite lets the other threads run, and waits for its turn
# again.
_UNPOST = "delete from tok where h in (select value from carray(?)) and d=? and rid=?"
_COLUMNS = {
    "str": ("p", "v"),
    "dat": ("p", "lo", "hi"),
    "num": ("s", "lo", "hi"),
    "edge": ("s", "dst"),
    "point": ("p", "lat", "lon"),
}
_GONE = {
    table: f"delete from {table} where rid=? and {' and '.join(f'{one}=?' for one in columns)}"
    for table, columns in _COLUMNS.items()
}


def change(db: apsw.Connection, rid: int, old: Filed, new: Filed, fresh: Fresh) -> None:
    """Turn the rows of ``rid`` from ``old`` to ``new``; what is to be added is put in ``fresh``."""
    moved = old.d != new.d
    gone = old.keys if moved else old.keys - new.keys
    if gone:
        db.execute(_UNPOST, (numbers(gone), old.d, rid))
    fresh.add_keys(rid, new.d, new.keys if moved else new.keys - old.keys)
    for table, was, now in (
        ("str", old.strings, new.strings),
        ("dat", old.dates, new.dates),
        ("num", old.numbers, new.numbers),
        ("edge", old.edges, new.edges),
        ("point", old.points, new.points),
    ):
        if was != now:
            _change(db, table, rid, was, now, fresh)
    if old.aliases != new.aliases:
        for h in old.aliases - new.aliases:
            db.execute("delete from alias where rid=? and h=?", (rid, h))
            db.execute("delete from name where h=? and rid=?", (h, rid))
        fresh.add_aliases(rid, new.aliases - old.aliases)
    if old.words != new.words:
        fresh.say_anew(rid, new.spoken if new.words else None)
    fresh.keep_texts(new.texts, old.keys - new.keys)


def _change(
    db: apsw.Connection,
    table: str,
    rid: int,
    old: frozenset[tuple[object, ...]],
    new: frozenset[tuple[object, ...]],
    fresh: Fresh,
) -> None:
    if gone := [(rid, *row) for row in old - new]:
        db.executemany(_GONE[table], gone)
    fresh.add_rows(table, rid, new - old)
