"""The server's own records and the outbox in the file."""

from collections.abc import Collection, Mapping, Sequence
from functools import cache

import apsw

from server.store.checks import check_record
from server.store.port import OutboxRow, Record, RecordWrite
from server.store.sqlite.sql import marks

_COLUMNS = "kind, key, value, tag, rev, expires_at"
_LIVE = "(expires_at is null or expires_at>?)"
_AT_ONCE = 32  # records of one question


def get(db: apsw.Connection, kind: str, key: str, now: int) -> Record | None:
    """See :meth:`server.store.port.RecordStore.get_record`."""
    where = f"kind=? and key=? and {_LIVE}"
    row = db.execute(f"select {_COLUMNS} from rec where {where}", (kind, key, now)).fetchone()
    return None if row is None else Record(*row)


def find(
    db: apsw.Connection, kind: str, tag: str | None, after: str, limit: int, now: int
) -> list[Record]:
    """See :meth:`server.store.port.RecordStore.find_records`."""
    tags = None if tag is None else (tag,)
    text = f"select {_COLUMNS} from {_which(tags)} and key>? and {_LIVE} order by key limit ?"
    return [Record(*row) for row in db.execute(text, (kind, *(tags or ()), after, now, limit))]


def count(
    db: apsw.Connection, kind: str, tags: Collection[str] | None, now: int
) -> Mapping[str, int]:
    """See :meth:`server.store.port.RecordStore.count_records`."""
    text = f"select tag, count(*) from {_which(tags)} and {_LIVE} group by tag"
    return {str(tag): int(size) for tag, size in db.execute(text, (kind, *(tags or ()), now))}


def _which(tags: Collection[str] | None) -> str:
    """Return the records of a kind, or those of some of its tags."""
    if tags is None:
        return "rec where kind=?"
    wanted = f"kind=? and tag in ({marks(tuple(tags))})"
    if not tags or "" in tags:  # records without a tag stand in no index of tags
        return f"rec where {wanted}"
    # SQLite would rather walk all of the kind, which are in the order that is asked for.
    return f"rec indexed by rec_tag where {wanted} and tag<>''"


def revisions(db: apsw.Connection, writes: Sequence[RecordWrite], now: int) -> list[int]:
    """Return each record's revision, ``0`` if there is none; refuse when an ``if_rev`` differs."""
    found: dict[tuple[str, str], int] = {}
    for start in range(0, len(writes), _AT_ONCE):
        some = writes[start : start + _AT_ONCE]
        named = [text for write in some for text in (write.kind, write.key)]
        for kind, key, rev in db.execute(_revisions(len(some)), (*named, now)):
            found[kind, key] = rev
    revs = [found.get((write.kind, write.key), 0) for write in writes]
    for write, rev in zip(writes, revs, strict=True):
        check_record(write, rev)
    return revs


@cache
def _revisions(count: int) -> str:
    """Ask for all at once: each call of SQLite lets the other threads run, and waits its turn."""
    asked = ",".join(["(?,?)"] * count)
    return (
        f"with w(kind, key) as (values {asked}) select r.kind, r.key, r.rev from w"
        f" cross join rec r on r.kind=w.kind and r.key=w.key where {_LIVE}"
    )


def remove(db: apsw.Connection, kind: str, key: str) -> None:
    """Remove a record, if there is one."""
    db.execute("delete from rec where kind=? and key=?", (kind, key))


def take(db: apsw.Connection, kind: str, key: str, now: int) -> Record | None:
    """See :meth:`server.store.port.RecordStore.take_record`."""
    found = get(db, kind, key, now)
    if found is not None:
        remove(db, kind, key)
    return found


def expire(db: apsw.Connection, now: int) -> int:
    """See :meth:`server.store.port.RecordStore.expire_records`."""
    db.execute("delete from rec where expires_at<=?", (now,))
    return db.changes()


def outbox(db: apsw.Connection, after: int, limit: int) -> list[OutboxRow]:
    """See :meth:`server.store.port.Store.outbox`."""
    text = "select seq, topic, payload from outbox where seq>? order by seq limit ?"
    return [OutboxRow(*row) for row in db.execute(text, (after, limit))]


def trim(db: apsw.Connection, upto: int) -> int:
    """See :meth:`server.store.port.Store.trim_outbox`."""
    db.execute("delete from outbox where seq<=?", (upto,))
    return db.changes()
