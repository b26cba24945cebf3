"""One commit applied to the file.  Runs in the writer thread, inside its transaction."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import apsw

from server.search.query import Query
from server.search.rows import IndexRows
from server.store.checks import check_version
from server.store.port import (
    CommitConflict,
    Expect,
    OutboxWrite,
    RecordWrite,
    Version,
    Write,
)
from server.store.sqlite import pages, records, reindex, rows
from server.store.sqlite.codec import FIRST_DICTIONARY, RAW, TRAIN_AT, ZSTD, Codec, train
from server.store.sqlite.counts import Counts
from server.store.sqlite.plan import plan
from server.store.sqlite.versions import checksum
from server.store.stored import compartment_hashes, next_at, splice, stored_keys

_FIND = "select rid, number, vid, born, d from res where type=? and id=?"
_NEW_RES = "insert into res values (?,?,?,?,?,?,?,?,?,?)"
_NEXT_RES = "update res set number=?, vid=?, at=?, deleted=?, d=?, fp=? where rid=?"
_NEW_VER = "insert into ver values (?,?,?,?,?,?,?,?,?,?)"
_PREPARED_S = 30.0  # that a commit may take from making its rows to being applied
_SAMPLE = "select codec, body from ver where type=? and body is not null order by vid desc limit ?"


@dataclass(frozen=True, slots=True)
class Commit:
    """The arguments of :meth:`server.store.port.Store.commit`."""

    writes: Sequence[Write]
    expect: Sequence[Expect]
    records: Sequence[RecordWrite]
    outbox: Sequence[OutboxWrite]


@dataclass(frozen=True, slots=True)
class _Had:
    """A resource as it is before a write."""

    rid: int
    number: int
    vid: int
    born: int
    d: int


class Tables:
    """The file's content as the writer changes it; counters are kept in memory.

    Args:
        fingerprint: names the definitions that make the index rows now.
    """

    def __init__(
        self, db: apsw.Connection, codec: Codec, *, now: Callable[[], int], fingerprint: str
    ) -> None:
        self.db = db
        self.codec = codec
        self.now = now
        self._fingerprint = fingerprint
        self._sure_at = 0.0
        self._numbered: tuple[str, int] | None = None
        self.untrained: dict[str, int] = {}
        self._counts = Counts(db)
        self.reload()

    def use(self, fingerprint: str) -> None:
        """Label rows with these definitions from now on; called by another thread."""
        self._fingerprint = fingerprint
        self._sure_at = time.monotonic() + _PREPARED_S

    @property
    def fp(self) -> int:
        """The number of the definitions that make the index rows now."""
        named = self._fingerprint
        if self._numbered is None or self._numbered[0] != named:
            self._numbered = (named, reindex.number_of(self.db, named))
        return self._numbered[1]

    @property
    def _made_by(self) -> int:
        """What rows that come with a commit are labelled with."""
        if time.monotonic() < self._sure_at:
            return reindex.UNSURE  # they may have been made before the definitions changed
        return self.fp

    def reload(self) -> None:
        """Read the counters from the file; needed after a change was undone."""
        last = self.db.execute("select vid, at from ver order by vid desc limit 1").fetchone()
        self._vid: int = last[0] if last else 0
        self._at: int = last[1] if last else 0
        self._learnt: list[tuple[str, int]] = []  # dictionaries to use once they are committed
        self._numbered = None
        self._rid: int = self.db.execute("select max(rid) from res").get or 0

    def commit(self, commit: Commit) -> list[Version]:
        """Apply ``commit``; raises what :meth:`server.store.port.Store.commit` says."""
        while self._learnt:
            self.codec.use(*self._learnt.pop())
        now = self.now()
        for expected in commit.expect:
            self._check(expected)
        # Everything is checked before anything is changed: a refusal has nothing to undo.
        had = [self._had(write) for write in commit.writes]
        revs = [records.check(self.db, record, now) for record in commit.records]
        at = self._at = next_at(now, self._at)
        made = [self._write(w, before, at) for w, before in zip(commit.writes, had, strict=True)]
        for record, rev in zip(commit.records, revs, strict=True):
            records.put(self.db, record, rev)
        for row in commit.outbox:
            records.put_outbox(self.db, row)
        return made

    @property
    def improvable(self) -> bool:
        """True when a type has enough bodies to learn from."""
        return any(size >= TRAIN_AT for size in self.untrained.values())

    def improve(self) -> None:
        """Train dictionaries for types that have enough bodies now; 30 ms each, once per type."""
        for type_ in [t for t, size in self.untrained.items() if size >= TRAIN_AT]:
            # Set back first, so that a type with nothing to learn is not tried at every commit.
            self.untrained[type_] = 0
            sample: list[tuple[Any, ...]] = self.db.execute(_SAMPLE, (type_, TRAIN_AT)).fetchall()
            words = train([self.codec.decode(how, kept) for how, kept in sample])
            if words is not None:
                last = self.db.execute("select max(codec) from dict").get or FIRST_DICTIONARY - 1
                self.db.execute("insert into dict values (?,?,?)", (last + 1, type_, words))
                self._learnt.append((type_, last + 1))

    def _check(self, expected: Expect) -> None:
        found = self._ids(expected.query, len(expected.ids) + 1)
        if found != expected.ids:
            raise CommitConflict(f"{len(found)} match instead of {len(expected.ids)}")

    def _ids(self, query: Query, limit: int) -> set[str]:
        planned = plan(query, self._counts.count_now)
        if not planned.size:
            return set()
        sql = pages.ids(planned, limit)
        return {row[0] for row in self.db.execute(sql.text, sql.values)}

    def _had(self, write: Write) -> _Had | None:
        row = self.db.execute(_FIND, (write.type, write.id)).fetchone()
        had = _Had(*row) if row is not None else None
        check_version(write, had.number if had is not None else 0)
        return had

    def _write(self, write: Write, had: _Had | None, at: int) -> Version:
        number = (had.number if had is not None else 0) + 1
        self._vid += 1
        body = None if write.body is None else splice(write.body, number, at)
        version = Version(write.type, write.id, number, self._vid, at, write.method, body)
        if had is None:
            self._rid += 1
        rid = had.rid if had is not None else self._rid
        compartments = self._compartments(write, had)
        self._insert(version, rid, compartments)
        born = had.born if had is not None else at
        was = rows.read(self.db, rid, had.d) if had is not None else rows.empty(at)
        new = _filed(write, rows.unpack(compartments), born) or rows.empty(was.d)
        self._point(version, rid, had, new.d, born)
        rows.change(self.db, rid, was, new)
        return version

    def _compartments(self, write: Write, had: _Had | None) -> bytes:
        if write.body is not None:
            return rows.pack(compartment_hashes(write.compartments))
        if had is None:
            return b""
        kept = self.db.execute("select compartments from ver where vid=?", (had.vid,)).get
        assert isinstance(kept, bytes)
        return kept

    def _insert(self, version: Version, rid: int, compartments: bytes) -> None:
        how, kept = RAW, None
        if version.body is not None:
            how, kept = self.codec.encode(version.type, version.body)
            if how == ZSTD:
                self.untrained[version.type] = self.untrained.get(version.type, 0) + 1
        row = (version.seq, rid, version.number, version.type, version.at, version.method)
        digest = checksum(version, compartments)
        self.db.execute(_NEW_VER, (*row, compartments, digest, how, kept))

    def _point(self, version: Version, rid: int, had: _Had | None, d: int, born: int) -> None:
        """Make the resource's own row say that ``version`` is the latest."""
        deleted = int(version.body is None)
        now = (version.number, version.seq, version.at, deleted)
        if had is None:
            self.db.execute(_NEW_RES, (rid, version.type, version.id, *now, born, d, self._made_by))
        else:
            self.db.execute(_NEXT_RES, (*now, d, self._made_by, rid))


def _filed(write: Write, compartments: Sequence[int], born: int) -> rows.Filed | None:
    if write.body is None:
        return None
    made: IndexRows | None = write.rows
    assert made is not None, "a write with a body has index rows"
    return rows.filed(made, stored_keys(write.type, made, frozenset(compartments)), born)
