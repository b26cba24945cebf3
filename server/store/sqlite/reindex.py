"""Index rows made anew when the definitions that make them have changed: online and resumable.

Every resource remembers which definitions made its rows (``res.fp``).  A batch is a transaction
of the writer, so commits go on between batches, and a killed reindex goes on where it was.
"""

import logging
from typing import Any

import apsw

from server.fhir import json as fhir_json
from server.store.port import Index
from server.store.sqlite import rows
from server.store.sqlite.codec import Codec
from server.store.stored import compartment_hashes, stored_keys

log = logging.getLogger("tellonce")

UNSURE = 0  # number for rows of which is not known which definitions made them

_STALE = (
    "select r.rid, r.type, r.born, r.d, v.codec, v.body from res r cross join ver v on v.vid=r.vid"
    " where r.rid>? and r.fp<>? and r.deleted=0 order by r.rid limit ?"
)


def number_of(db: apsw.Connection, fingerprint: str) -> int:
    """Return the number of these definitions in the file, a new one if they are new."""
    db.execute("insert or ignore into fingerprint (text) values (?)", (fingerprint,))
    number: int = db.execute("select fp from fingerprint where text=?", (fingerprint,)).get
    return number


def known(db: apsw.Connection, fingerprint: str) -> int:
    """Return the number of these definitions in the file, one that nothing has if there is none."""
    number: int | None = db.execute("select fp from fingerprint where text=?", (fingerprint,)).get
    return UNSURE - 1 if number is None else number


def todo(db: apsw.Connection, fp: int) -> int:
    """Return how many live resources have rows of other definitions than ``fp``."""
    total: int = db.execute("select count(*) from res where fp<>? and deleted=0", (fp,)).get
    return total


def batch(
    db: apsw.Connection, codec: Codec, index: Index, fp: int, after: int, limit: int
) -> tuple[int, int]:
    """Make rows anew for at most ``limit`` resources with ``rid > after``.

    What cannot be read or indexed keeps its rows, and is tried again at the next start.

    Returns:
        How many were looked at, and the last ``rid``.
    """
    stale: list[tuple[Any, ...]] = db.execute(_STALE, (after, fp, limit)).fetchall()
    for rid, type_, born, d, how, kept in stale:
        try:
            new = filed(index, codec.decode(how, kept), type_, born)
        except apsw.Error:
            raise
        except Exception as error:  # one resource must not keep all others from being found
            log.error("a %s cannot be indexed anew: %s", type_, type(error).__name__)
            continue
        rows.change(db, rid, rows.read(db, rid, d), new)
        db.execute("update res set fp=?, d=? where rid=?", (fp, new.d, rid))
    return len(stale), stale[-1][0] if stale else after


def filed(index: Index, body: bytes, type_: str, born: int) -> rows.Filed:
    """Return what a stored body is to be filed under by the definitions of ``index``."""
    made, compartments = index(fhir_json.loads(body))
    return rows.filed(made, stored_keys(type_, made, compartment_hashes(compartments)), born)
