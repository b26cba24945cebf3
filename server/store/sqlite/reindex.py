"""Index rows made anew when the definitions that make them have changed: online and resumable.

Every resource remembers which definitions made its rows (``res.fp``).  A batch is a transaction
of the writer, so commits go on between batches, and a killed reindex goes on where it was.
"""

import logging
from typing import Any, Protocol

import apsw

from server.fhir import json as fhir_json
from server.store.codec import Codec
from server.store.port import Index
from server.store.sqlite import rows
from server.store.sqlite.bags import Bags
from server.store.sqlite.change import change
from server.store.sqlite.fresh import Fresh
from server.store.stored import compartment_hashes, given

log = logging.getLogger("tellonce")

UNSURE = 0  # number for rows of which is not known which definitions made them

_STALE = (
    f"select r.rid, r.born, v.codec, v.body, {rows.KEPT}"
    " from res r cross join ver v on v.vid=r.vid where r.rid>? and r.fp<>?"
    " and r.deleted=0 order by r.rid limit ?"
)

_FILED = "update res set fp=?, d=?, shape=?, words=?, postings=?, keys=? where rid=?"


class Tables(Protocol):
    """What of the writer's state a batch needs; see :class:`server.store.sqlite.tables.Tables`."""

    codec: Codec
    bags: Bags
    words: bool

    @property
    def db(self) -> apsw.Connection:
        """The file."""

    @property
    def fp(self) -> int:
        """The number of the definitions that make the index rows now."""


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


def batch(tables: Tables, fp: int, index: Index, after: int, limit: int) -> tuple[int, int]:
    """Make rows anew for at most ``limit`` resources with ``rid > after``; ``fp`` labels them.

    What cannot be read or indexed keeps its rows, and is tried again at the next start.

    Returns:
        How many were looked at, and the last ``rid``.
    """
    db, bags, fresh = tables.db, tables.bags, Fresh()
    stale: list[tuple[Any, ...]] = db.execute(_STALE, (after, fp, limit)).fetchall()
    for rid, born, how, body, *row in stale:
        kept = rows.Kept(*row)
        try:
            resource = tables.codec.decode(how, body)
            new = filed(index, resource, kept, born, bags, words=tables.words)
        except apsw.Error:
            raise
        except Exception as error:  # one resource must not keep all others from being found
            log.error("a %s cannot be indexed anew: %s", kept.type, type(error).__name__)
            continue
        change(db, rid, rows.read(db, bags, rid, kept), new, fresh)
        keys = rows.remembered(new, kept.type, rows.unpack(kept.compartments), bags)
        db.execute(_FILED, (fp, new.d, new.shape, new.words, len(new.keys), keys, rid))
    fresh.write(db, bags)
    return len(stale), stale[-1][0] if stale else after


def filed(
    index: Index, body: bytes, kept: rows.Kept, born: int, bags: Bags, *, words: bool
) -> rows.Filed:
    """Return what a stored body is to be filed under by the definitions of ``index``."""
    made, compartments = index(fhir_json.loads(body))
    hashes = compartment_hashes(compartments)
    hashes |= given(kept.type, frozenset(rows.unpack(kept.compartments)))
    return rows.filed(made, kept.type, hashes, born, bags, words=words)
