"""The server's own records and the outbox in the file."""

from collections.abc import Mapping

import apsw

from server.store.checks import check_record
from server.store.port import OutboxRow, OutboxWrite, Record, RecordWrite

_COLUMNS = "kind, key, value, tag, rev, expires_at"
_LIVE = "(expires_at is null or expires_at>?)"


def get(db: apsw.Connection, kind: str, key: str, now: int) -> Record | None:
    """See :meth:`server.store.port.RecordStore.get_record`."""
    where = f"kind=? and key=? and {_LIVE}"
    row = db.execute(f"select {_COLUMNS} from rec where {where}", (kind, key, now)).fetchone()
    return None if row is None else Record(*row)


def find(
    db: apsw.Connection, kind: str, tag: str | None, after: str, limit: int, now: int
) -> list[Record]:
    """See :meth:`server.store.port.RecordStore.find_records`."""
    # SQLite would rather walk all of the kind, which are in the order that is asked for.
    which = "rec where kind=?" if tag is None else "rec indexed by rec_tag where kind=? and tag=?"
    values = () if tag is None else (tag,)
    text = f"select {_COLUMNS} from {which} and key>? and {_LIVE} order by key limit ?"
    return [Record(*row) for row in db.execute(text, (kind, *values, after, now, limit))]


def count(db: apsw.Connection, kind: str, now: int) -> Mapping[str, int]:
    """See :meth:`server.store.port.RecordStore.count_records`."""
    text = f"select tag, count(*) from rec where kind=? and {_LIVE} group by tag"
    return {str(tag): int(size) for tag, size in db.execute(text, (kind, now))}


def check(db: apsw.Connection, write: RecordWrite, now: int) -> int:
    """Return the record's revision, ``0`` if there is none; refuse when ``if_rev`` differs."""
    had = get(db, write.kind, write.key, now)
    rev = had.rev if had is not None else 0
    check_record(write, rev)
    return rev


def put(db: apsw.Connection, write: RecordWrite, rev: int) -> None:
    """Put or remove a record whose revision is ``rev``."""
    if write.value is None:
        db.execute("delete from rec where kind=? and key=?", (write.kind, write.key))
        return
    row = (write.kind, write.key, write.value, write.tag, rev + 1, write.expires_at)
    db.execute("insert or replace into rec values (?,?,?,?,?,?)", row)


def take(db: apsw.Connection, kind: str, key: str, now: int) -> Record | None:
    """See :meth:`server.store.port.RecordStore.take_record`."""
    found = get(db, kind, key, now)
    if found is not None:
        db.execute("delete from rec where kind=? and key=?", (kind, key))
    return found


def expire(db: apsw.Connection, now: int) -> int:
    """See :meth:`server.store.port.RecordStore.expire_records`."""
    db.execute("delete from rec where expires_at<=?", (now,))
    return db.changes()


def put_outbox(db: apsw.Connection, write: OutboxWrite) -> None:
    """Append a row."""
    db.execute("insert into outbox (topic, payload) values (?,?)", (write.topic, write.payload))


def outbox(db: apsw.Connection, after: int, limit: int) -> list[OutboxRow]:
    """See :meth:`server.store.port.Store.outbox`."""
    text = "select seq, topic, payload from outbox where seq>? order by seq limit ?"
    return [OutboxRow(*row) for row in db.execute(text, (after, limit))]


def trim(db: apsw.Connection, upto: int) -> int:
    """See :meth:`server.store.port.Store.trim_outbox`."""
    db.execute("delete from outbox where seq<=?", (upto,))
    return db.changes()
