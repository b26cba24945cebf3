"""Versions in the file: their checksum, and the reads of them."""

from array import array
from collections.abc import Collection
from hashlib import sha256
from typing import Any

import apsw

from server.access.context import AccessContext
from server.access.narrow import decide
from server.store.codec import Codec
from server.store.past import by_compartment_only, by_marks
from server.store.port import Digest, Version
from server.store.sqlite.functions import name_of
from server.store.sqlite.pages import COLUMNS
from server.store.sqlite.rows import unpack
from server.store.sqlite.sight import Sight, version_of
from server.store.sqlite.sql import Sql, all_of

_NAME = "name n cross join res r on r.rid=n.rid and r.type=? and r.id=?"
_LATEST = f"select {COLUMNS} from {_NAME} cross join ver v on v.vid=r.vid where n.h=?"
_BY_NUMBER = "cross join ver v on v.rid=r.rid and v.number=?"
_NUMBERED = f"select v.vid, x'', {COLUMNS} from {_NAME} {_BY_NUMBER} where n.h=?"
_BESIDE_LATEST = (
    f"select r.vid, w.compartments, {COLUMNS} from {_NAME} {_BY_NUMBER}"
    " cross join ver w on w.vid=r.vid where n.h=?"
)
_NAMED = (
    "from carray(?) c cross join name n on n.h=c.value"
    " cross join res r on r.rid=n.rid cross join ver v on v.vid=r.vid"
)
_OF_TYPE = (
    "from ver v indexed by ver_type cross join res r on r.rid=v.rid"
    " where v.type=? and v.vid>? order by v.vid limit ?"
)
_DIGESTS = f"select v.vid, r.id, v.sha256 {_OF_TYPE}"
_DIGESTED = f"select {COLUMNS} {_OF_TYPE}"
_BATCH = 200
_VID = -6  # of a row: counted from its end, where the columns are those of every sight


class Undecided(Exception):
    """Whether the version is open does not follow from what is kept beside it."""


def checksum(version: Version, compartments: bytes) -> bytes:
    """Return the SHA-256 over everything that a version's row says."""
    line = (
        f"{version.type}/{version.id}/{version.number}/{version.seq}/{version.at}"
        f"/{version.method}/{version.body is not None}\n"
    )
    return sha256(line.encode() + compartments + (version.body or b"")).digest()


def latest(
    db: apsw.Connection, codec: Codec, access: AccessContext, type_: str, id_: str
) -> Version | None:
    """See :meth:`server.store.port.Store.read`; most reads end here.

    Raises :class:`Undecided`.
    """
    row = db.execute(_LATEST, (type_, id_, name_of(type_, id_))).fetchone()
    if row is None:
        return None
    open_ = access.unrestricted or decide(access, "read", type_, unpack(row[6]))
    if open_ is None:
        raise Undecided
    return version_of(row, codec) if open_ else None


def numbered(
    db: apsw.Connection, codec: Codec, access: AccessContext, type_: str, id_: str, number: int
) -> Version | None:
    """See :meth:`server.store.port.Store.vread`.

    Raises :class:`Undecided`.
    """
    if number.bit_length() > 63:  # a client's reference may say any
        return None
    place = (type_, id_, number, name_of(type_, id_))
    own_only = access.unrestricted or by_compartment_only(access)
    row = db.execute(_NUMBERED if own_only else _BESIDE_LATEST, place).fetchone()
    if row is None:
        return None
    vid, marks, *version = row
    own = unpack(version[6])
    if own_only or vid == version[3]:
        open_ = access.unrestricted or decide(access, "read", type_, own)
    else:
        open_ = by_marks(access, "read", type_, own, unpack(marks))
    if open_ is None:
        raise Undecided
    return version_of(version, codec) if open_ else None


def one(
    db: apsw.Connection, sight: Sight, type_: str, id_: str, number: int | None = None
) -> Version | None:
    """Return the version of that number, or the latest, deletions included."""
    which = "v.vid=r.vid" if number is None else "v.rid=r.rid and v.number=?"
    text = f"select {sight.columns} from {_NAME} cross join ver v on {which}{sight.join}"
    numbered = () if number is None else (number,)
    place = (type_, id_, *numbered, name_of(type_, id_))
    rows = db.execute(f"{text} where n.h=?", place).fetchall()
    return next(sight.seen(rows), None)


def many(
    db: apsw.Connection, sight: Sight, references: Collection[tuple[str, str]]
) -> dict[tuple[str, str], Version]:
    """See :meth:`server.store.port.Store.read_many`."""
    if not references:
        return {}
    names = array("q", [name_of(type_, id_) for type_, id_ in references])
    text = f"select {sight.columns} {_NAMED}{sight.join} where v.body is not null"
    rows = db.execute(text, (apsw.carray(names),)).fetchall()
    found = {(v.type, v.id): v for v in sight.seen(rows)}
    # An address of a canonical resource may be hashed to the same number.
    return {place: found[place] for place in references if place in found}


def history(
    db: apsw.Connection,
    sight: Sight,
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
        rows = _versions(db, sight, all_of([*conditions, *upto]), f"{order} desc", size)
        seen += sight.seen(rows)
        if len(rows) < size:
            break
        below = rows[-1][_VID]
    return seen


def changes(
    db: apsw.Connection,
    sight: Sight,
    after: int,
    limit: int,
    type_: str | None = None,
    without: Collection[str] = (),
) -> list[Version]:
    """See :meth:`server.store.port.Store.changes`."""
    of_type = [Sql("v.type=?", (type_,))] if type_ is not None else []
    of_type += [Sql("v.type<>?", (type_left_out,)) for type_left_out in without]
    seen: list[Version] = []
    while len(seen) < limit:
        size = max(min(limit - len(seen), _BATCH), 1)
        where = all_of([*of_type, Sql("v.vid>?", (after,))])
        rows = _versions(db, sight, where, "v.vid", size)
        seen += sight.seen(rows)
        if len(rows) < size:
            break
        after = rows[-1][_VID]
    return seen


def digests(
    db: apsw.Connection, codec: Codec, type_: str, after: int, limit: int, *, anew: bool
) -> list[Digest]:
    """See :meth:`server.store.port.Store.digests`."""
    if not anew:
        kept = db.execute(_DIGESTS, (type_, after, limit))
        return [Digest(*row) for row in kept]
    rows = db.execute(_DIGESTED, (type_, after, limit))
    found = [(version_of(row, codec), row[6]) for row in rows]
    return [Digest(one.seq, one.id, checksum(one, marks)) for one, marks in found]


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


def _versions(
    db: apsw.Connection, sight: Sight, where: Sql, order: str, limit: int
) -> list[tuple[Any, ...]]:
    wanted = all_of([where, sight.perhaps])
    text = (
        f"select {sight.columns} from ver v cross join res r on r.rid=v.rid{sight.join}"
        f" where {wanted.text} order by {order} limit ?"
    )
    return db.execute(text, (*wanted.values, limit)).fetchall()
