"""Versions in the file: their checksum, and the reads of them."""

from array import array
from collections.abc import Collection, Iterator
from hashlib import sha256
from typing import Any

import apsw

from server.access.context import AccessContext, Interaction
from server.access.narrow import decide
from server.store.port import Version
from server.store.sqlite.codec import Codec
from server.store.sqlite.functions import name_of
from server.store.sqlite.pages import COLUMNS
from server.store.sqlite.rows import unpack
from server.store.sqlite.sql import Sql, all_of

_NAME = "name n cross join res r on r.rid=n.rid and r.type=? and r.id=?"
_LATEST = f"select {COLUMNS} from {_NAME} cross join ver v on v.vid=r.vid where n.h=?"
_NAMED = (
    f"select {COLUMNS} from carray(?) c cross join name n on n.h=c.value"
    " cross join res r on r.rid=n.rid cross join ver v on v.vid=r.vid where v.body is not null"
)
_NUMBERED = (
    f"select {COLUMNS} from {_NAME} cross join ver v on v.rid=r.rid and v.number=? where n.h=?"
)
_BATCH = 200


def checksum(version: Version, compartments: bytes) -> bytes:
    """Return the SHA-256 over everything that a version's row says."""
    line = (
        f"{version.type}/{version.id}/{version.number}/{version.seq}/{version.at}"
        f"/{version.method}/{version.body is not None}\n"
    )
    return sha256(line.encode() + compartments + (version.body or b"")).digest()


def version_of(row: tuple[Any, ...], codec: Codec) -> Version:
    """Return the version of a row of :data:`~server.store.sqlite.pages.COLUMNS`."""
    type_, id_, number, vid, at, method, _compartments, how, kept = row
    body = None if kept is None else codec.decode(how, kept)
    return Version(type_, id_, number, vid, at, method, body)


def latest(
    db: apsw.Connection, codec: Codec, access: AccessContext, type_: str, id_: str
) -> Version | None:
    """See :meth:`server.store.port.Store.read`."""
    return _one(db.execute(_LATEST, (type_, id_, name_of(type_, id_))).fetchone(), codec, access)


def numbered(
    db: apsw.Connection, codec: Codec, access: AccessContext, type_: str, id_: str, number: int
) -> Version | None:
    """See :meth:`server.store.port.Store.vread`."""
    place = (type_, id_, number, name_of(type_, id_))
    return _one(db.execute(_NUMBERED, place).fetchone(), codec, access)


def many(
    db: apsw.Connection,
    codec: Codec,
    access: AccessContext,
    references: Collection[tuple[str, str]],
) -> dict[tuple[str, str], Version]:
    """See :meth:`server.store.port.Store.read_many`."""
    names = array("q", [name_of(type_, id_) for type_, id_ in references])
    rows = db.execute(_NAMED, (apsw.carray(names),)).fetchall() if names else []
    wanted = set(references)
    # An address of a canonical resource may be hashed to the same number.
    named = [row for row in rows if (row[0], row[1]) in wanted]
    return {(v.type, v.id): v for v in _seen(named, codec, access, "read")}


def history(
    db: apsw.Connection,
    codec: Codec,
    access: AccessContext,
    place: tuple[str | None, str | None],
    bounds: tuple[int | None, int | None, int | None],
    limit: int,
    without: Collection[str] = (),
) -> list[Version]:
    """See :meth:`server.store.port.Store.history`; ``bounds`` are since, until, before."""
    type_, id_ = place
    since, until, before = bounds
    end = first_at(db, until) if until is not None else None
    below = min((bound for bound in (before, end) if bound is not None), default=None)
    conditions = []
    if id_ is not None:
        named = (type_, id_, name_of(type_ or "", id_))
        found = db.execute(f"select r.rid from {_NAME} where n.h=?", named).get
        conditions.append(Sql("v.rid=?", (found,)))
    elif type_ is not None:
        conditions.append(Sql("v.type=?", (type_,)))
    conditions += [Sql("v.type<>?", (type_left_out,)) for type_left_out in without]
    if since is not None:
        conditions.append(Sql("v.vid>=?", (first_at(db, since),)))
    # Of one resource the chain is in the order of vid, and has an index of its own.
    order = "v.number" if id_ is not None else "v.vid"
    seen: list[Version] = []
    while len(seen) < limit:
        upto = [Sql("v.vid<?", (below,))] if below is not None else []
        size = max(min(limit - len(seen), _BATCH), 1)
        rows = _versions(db, all_of([*conditions, *upto]), f"{order} desc", size)
        seen += _seen(rows, codec, access, "search" if id_ is None else "read")
        if len(rows) < size:
            break
        below = rows[-1][3]
    return seen


def changes(
    db: apsw.Connection,
    codec: Codec,
    access: AccessContext,
    after: int,
    limit: int,
    type_: str | None = None,
) -> list[Version]:
    """See :meth:`server.store.port.Store.changes`."""
    of_type = [Sql("v.type=?", (type_,))] if type_ is not None else []
    seen: list[Version] = []
    while len(seen) < limit:
        size = max(min(limit - len(seen), _BATCH), 1)
        where = all_of([*of_type, Sql("v.vid>?", (after,))])
        rows = _versions(db, where, "v.vid", size)
        seen += _seen(rows, codec, access, "search")
        if len(rows) < size:
            break
        after = rows[-1][3]
    return seen


def first_at(db: apsw.Connection, at: int) -> int:
    """Return the smallest ``vid`` whose ``at`` is not before ``at``; one behind the last if none.

    ``at`` never goes back along ``vid`` (S10), so halving finds it without an index.
    """
    low, high = 1, (db.execute("select max(vid) from ver").get or 0) + 1
    while low < high:
        middle = (low + high) // 2
        if db.execute("select at from ver where vid>=? order by vid limit 1", (middle,)).get < at:
            low = middle + 1
        else:
            high = middle
    return low


def _one(row: tuple[Any, ...] | None, codec: Codec, access: AccessContext) -> Version | None:
    return next(_seen([row] if row else [], codec, access, "read"), None)


def _seen(
    rows: list[tuple[Any, ...]], codec: Codec, access: AccessContext, interaction: Interaction
) -> Iterator[Version]:
    everything = access.unrestricted
    for row in rows:
        if everything or decide(access, interaction, row[0], unpack(row[6])):
            yield version_of(row, codec)


def _versions(db: apsw.Connection, where: Sql, order: str, limit: int) -> list[tuple[Any, ...]]:
    text = (
        f"select {COLUMNS} from ver v cross join res r on r.rid=v.rid"
        f" where {where.text} order by {order} limit ?"
    )
    return db.execute(text, (*where.values, limit)).fetchall()
