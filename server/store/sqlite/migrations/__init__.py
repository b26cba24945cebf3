"""Schema history of the SQLite store.  Append only: never edit a released step.

The number of applied steps lives in ``PRAGMA user_version``.  A server refuses a file that is
newer than itself (:class:`~server.store.port.NewerSchema`) and upgrades an older one at start,
each step in a transaction of its own, so that a killed upgrade resumes.
Every table's reason: docs/store.md.
"""

import apsw

from server.store.port import NewerSchema
from server.store.sqlite import functions

_PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
# Words are cut and folded before they come here: only the blank between them separates them.
_QUOTED = _PUNCTUATION.replace("'", "''''")  # twice: in a text in a text
TOKENIZER = f"'ascii tokenchars ''{_QUOTED}'''"

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
    (
        "names and references, texts, points and words; short numbers for what many rows hold",
        """
        CREATE TABLE sym (
            n INTEGER PRIMARY KEY, h INTEGER NOT NULL UNIQUE -- parameters, and keys often met
        ) STRICT;
        CREATE TABLE bag (
            n INTEGER PRIMARY KEY, h INTEGER NOT NULL UNIQUE, members BLOB NOT NULL
        ) STRICT;
        CREATE TABLE member (
            h INTEGER NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (h, n)
        ) STRICT, WITHOUT ROWID;
        INSERT INTO sym (h)
            SELECT p FROM str UNION SELECT p FROM dat ORDER BY 1;
        INSERT INTO bag (h, members) SELECT DISTINCT bag_of((p|u)-(p&u)), x'' FROM num;
        INSERT INTO member
            SELECT DISTINCT (p|u)-(p&u), n FROM num CROSS JOIN bag ON h=bag_of((p|u)-(p&u));

        CREATE TABLE res_4 (
            rid INTEGER PRIMARY KEY,      -- order of first storing
            type TEXT NOT NULL, id TEXT NOT NULL,
            number INTEGER NOT NULL,      -- of the latest version
            vid INTEGER NOT NULL,         -- the latest version
            at INTEGER NOT NULL,          -- meta.lastUpdated of the latest version
            deleted INTEGER NOT NULL,
            born INTEGER NOT NULL,        -- time of first storing
            d INTEGER NOT NULL,           -- date in every posting of the resource
            fp INTEGER NOT NULL,          -- definitions that made the index rows; 0 unknown
            shape INTEGER NOT NULL,       -- bag of the presence keys; 0 none
            words INTEGER NOT NULL,       -- checksum of what is in words; 0 none
            postings INTEGER NOT NULL,    -- how many it has
            keys BLOB NOT NULL            -- of them, those that do not follow from other rows
        ) STRICT;
        INSERT INTO res_4
            SELECT r.rid, r.type, r.id, number, vid, at, deleted, born, d, 0, 0, 0,
                   coalesce(length(hashes)/8, 0), CAST(x'000000' || coalesce(hashes, x'') AS BLOB)
            FROM res r LEFT JOIN keys k ON k.rid=r.rid;
        DROP TABLE res;
        DROP TABLE keys;
        ALTER TABLE res_4 RENAME TO res;
        CREATE INDEX res_at ON res (at);
        CREATE TABLE name (               -- hash64 of Type/id and of canonical addresses
            h INTEGER NOT NULL, rid INTEGER NOT NULL, PRIMARY KEY (h, rid)
        ) STRICT, WITHOUT ROWID;
        INSERT INTO name SELECT name_of(type, id), rid FROM res ORDER BY 1;
        CREATE TABLE alias (              -- the canonical ones by resource
            rid INTEGER NOT NULL, h INTEGER NOT NULL, PRIMARY KEY (rid, h)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE edge (               -- s: bag of parameters, dst: the name referred to
            rid INTEGER NOT NULL, s INTEGER NOT NULL, dst INTEGER NOT NULL,
            PRIMARY KEY (rid, s, dst)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE str_4 (
            rid INTEGER NOT NULL, p INTEGER NOT NULL, v TEXT NOT NULL, PRIMARY KEY (rid, p, v)
        ) STRICT, WITHOUT ROWID;
        INSERT INTO str_4 SELECT rid, n, v FROM str CROSS JOIN sym ON h=p;
        DROP TABLE str;
        ALTER TABLE str_4 RENAME TO str;
        CREATE INDEX str_value ON str (p, v);
        CREATE TABLE dat_4 (
            rid INTEGER NOT NULL, p INTEGER NOT NULL, lo INTEGER NOT NULL, hi INTEGER NOT NULL,
            PRIMARY KEY (rid, p, lo, hi)
        ) STRICT, WITHOUT ROWID;
        INSERT INTO dat_4 SELECT rid, n, lo, hi FROM dat CROSS JOIN sym ON h=p;
        DROP TABLE dat;
        ALTER TABLE dat_4 RENAME TO dat;
        CREATE INDEX dat_from ON dat (p, lo, rid, hi);
        CREATE INDEX dat_long ON dat (p, hi) WHERE hi-lo>86400000000; -- a day
        CREATE TABLE num_4 (              -- s: bag of parameter XOR unit
            rid INTEGER NOT NULL, s INTEGER NOT NULL, lo REAL NOT NULL, hi REAL NOT NULL,
            PRIMARY KEY (rid, s, lo, hi)
        ) STRICT, WITHOUT ROWID;
        INSERT INTO num_4
            SELECT rid, n, lo, hi FROM num CROSS JOIN bag ON h=bag_of((p|u)-(p&u));
        DROP TABLE num;
        ALTER TABLE num_4 RENAME TO num;
        CREATE INDEX num_from ON num (s, lo, hi);
        CREATE INDEX num_wide ON num (s, hi) WHERE hi-lo>=abs(lo)*0.1+1;

        CREATE TABLE point (
            rid INTEGER NOT NULL, p INTEGER NOT NULL, lat REAL NOT NULL, lon REAL NOT NULL,
            PRIMARY KEY (rid, p, lat, lon)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX point_place ON point (p, lat, lon);
        CREATE TABLE text (               -- each text once; its key is in tok
            p INTEGER NOT NULL, v TEXT NOT NULL, h INTEGER NOT NULL, PRIMARY KEY (p, v, h)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX text_key ON text (h);
        CREATE VIRTUAL TABLE words USING fts5(
            narrative, content, content='', contentless_delete=1,
            tokenize={TOKENIZER}
        );
        """,
    ),
    (
        "numbers by their high end, for those above a value; words in fewer segments, to be asked",
        """
        CREATE INDEX num_to ON num (s, hi);
        INSERT INTO words (words, rank) VALUES ('automerge', 2);
        INSERT INTO words (words) VALUES ('optimize');
        """,
    ),
    (
        "records by tag, of those that have one: most have none, and none is looked for",
        """
        DROP INDEX rec_tag;
        CREATE INDEX rec_tag ON rec (kind, tag, key) WHERE tag<>'';
        """,
    ),
)


def migrate(db: apsw.Connection, *, upto: int = len(STEPS)) -> int:
    """Apply the missing steps; return how many were applied.

    Raises:
        NewerSchema: the file has steps that this server does not know.
    """
    have = check_version(db)
    functions.register(db)
    for number, (_why, sql) in enumerate(STEPS[have:upto], start=have + 1):
        with db:
            db.execute(sql.replace("{TOKENIZER}", TOKENIZER))
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
