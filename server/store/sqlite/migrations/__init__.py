"""Schema history of the SQLite store.  Append only: never edit a released step.

The number of applied steps lives in ``PRAGMA user_version``.  A server refuses a file that is
newer than itself (:class:`~server.store.port.NewerSchema`) and upgrades an older one at start,
each step in a transaction of its own, so that a killed upgrade resumes.
Every table's reason: docs/store.md.
"""

import apsw

from server.store.port import NewerSchema

STEPS: tuple[tuple[str, str], ...] = (
    (
        "resources and their versions: history, change feed and checksums",
        """
        CREATE TABLE res (
            rid INTEGER PRIMARY KEY,      -- order of first storing
            type TEXT NOT NULL, id TEXT NOT NULL,
            number INTEGER NOT NULL,      -- of the latest version
            vid INTEGER NOT NULL,         -- the latest version
            at INTEGER NOT NULL,          -- meta.lastUpdated of the latest version
            deleted INTEGER NOT NULL,
            born INTEGER NOT NULL,        -- time of first storing
            d INTEGER NOT NULL,           -- date in every posting of the resource
            fp INTEGER NOT NULL,          -- definitions that made the index rows
            UNIQUE (type, id)
        ) STRICT;
        CREATE INDEX res_at ON res (at);
        CREATE TABLE ver (
            vid INTEGER PRIMARY KEY,      -- order of commit over the whole store
            rid INTEGER NOT NULL, number INTEGER NOT NULL, type TEXT NOT NULL,
            at INTEGER NOT NULL,          -- microseconds, cut to milliseconds; grows with vid
            method TEXT NOT NULL,
            compartments BLOB NOT NULL,   -- 64-bit hashes, little endian, sorted
            sha256 BLOB NOT NULL,
            codec INTEGER NOT NULL,
            body BLOB                     -- NULL marks a deletion
        ) STRICT;
        CREATE UNIQUE INDEX ver_chain ON ver (rid, number);
        CREATE INDEX ver_type ON ver (type, vid);
        CREATE TABLE dict (
            codec INTEGER PRIMARY KEY, type TEXT NOT NULL, body BLOB NOT NULL
        ) STRICT;
        """,
    ),
    (
        "index rows: postings in order of the clinical date, and ordered values",
        """
        CREATE TABLE tok (
            h INTEGER NOT NULL, d INTEGER NOT NULL, rid INTEGER NOT NULL, PRIMARY KEY (h, d, rid)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE keys (
            rid INTEGER PRIMARY KEY, hashes BLOB NOT NULL -- as in ver.compartments
        ) STRICT;
        CREATE TABLE str (
            rid INTEGER NOT NULL, p INTEGER NOT NULL, v TEXT NOT NULL, PRIMARY KEY (rid, p, v)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX str_value ON str (p, v);
        CREATE TABLE dat (
            rid INTEGER NOT NULL, p INTEGER NOT NULL, lo INTEGER NOT NULL, hi INTEGER NOT NULL,
            PRIMARY KEY (rid, p, lo, hi)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX dat_to ON dat (p, hi);
        CREATE INDEX dat_open ON dat (p) WHERE lo = -4611686018427387904; -- MIN_TIME
        CREATE TABLE num (
            rid INTEGER NOT NULL, p INTEGER NOT NULL, u INTEGER NOT NULL,
            lo REAL NOT NULL, hi REAL NOT NULL, PRIMARY KEY (rid, p, u, lo, hi)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE fingerprint (fp INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;
        """,
    ),
    (
        "the server's own records, and the notification outbox",
        """
        CREATE TABLE rec (
            kind TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, tag TEXT NOT NULL,
            rev INTEGER NOT NULL, expires_at INTEGER, PRIMARY KEY (kind, key)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX rec_tag ON rec (kind, tag, key);
        CREATE INDEX rec_expiry ON rec (expires_at) WHERE expires_at IS NOT NULL;
        CREATE TABLE outbox (
            seq INTEGER PRIMARY KEY AUTOINCREMENT, -- never used twice, also after trimming
            topic TEXT NOT NULL, payload BLOB NOT NULL
        ) STRICT;
        """,
    ),
)


def migrate(db: apsw.Connection, *, upto: int = len(STEPS)) -> int:
    """Apply the missing steps; return how many were applied.

    Raises:
        NewerSchema: the file has steps that this server does not know.
    """
    have = check_version(db)
    for number, (_why, sql) in enumerate(STEPS[have:upto], start=have + 1):
        with db:
            db.execute(sql)
            db.execute(f"PRAGMA user_version = {number}")
    return max(0, upto - have)


def check_version(db: apsw.Connection) -> int:
    """Return how many steps the file has; refuse a newer one."""
    have = int(db.pragma("user_version"))
    if have > len(STEPS):
        raise NewerSchema(
            f"the data has schema {have}, this server knows {len(STEPS)}: use a newer server"
        )
    return have
