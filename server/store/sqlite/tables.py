"""One commit applied to the file.  Runs in the writer thread, inside its transaction.

What commits add is put off until the last of the transaction, or one that may look for it: what
many commits add is written by few statements.
"""

import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import apsw

from server.search.query import Query
from server.search.rows import Framed, whole
from server.store.checks import check_version
from server.store.codec import FIRST_DICTIONARY, RAW, TRAIN_AT, ZSTD, Codec
from server.store.port import (
    CommitConflict,
    Expect,
    OutboxWrite,
    RecordWrite,
    Version,
    Write,
)
from server.store.sqlite import absent, functions, pages, records, reindex, rows
from server.store.sqlite.bags import Bags
from server.store.sqlite.change import change
from server.store.sqlite.counts import Counts
from server.store.sqlite.framed import Frames, is_framed
from server.store.sqlite.fresh import Fresh
from server.store.sqlite.functions import name_of
from server.store.sqlite.plan import plan
from server.store.sqlite.sql import numbers
from server.store.sqlite.training import Training
from server.store.sqlite.versions import checksum
from server.store.stored import compartment_hashes, next_at, splice

_FIND = (
    f"select r.rid, r.number, r.born, {rows.KEPT} from name n"
    " cross join res r on r.rid=n.rid and r.type=? and r.id=? cross join ver v on v.vid=r.vid"
    " where n.h=?"
)
_KNOWN = "select n.h from carray(?) c cross join name n on n.h=c.value"
_NEW_RES = "insert into res values (?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
_NEXT_RES = (
    "update res set number=?, vid=?, at=?, deleted=?, d=?, fp=?, shape=?, words=?, postings=?,"
    " keys=? where rid=?"
)
_NEW_VER = "insert into ver values (?,?,?,?,?,?,?,?,?,?)"
_PREPARED_S = 30.0  # that a commit may take from making its rows to being applied
_TOGETHER = 3  # writes of a commit from which on one question for all of them costs less
_MOST_PUT_OFF = 1000  # resources; more are written in between
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
    born: int
    kept: rows.Kept


class Tables:
    """The file's content as the writer changes it; counters are kept in memory.

    Args:
        fingerprint: names the definitions that make the index rows now.
        words: whether the words of resources are indexed.
    """

    def __init__(
        self,
        db: apsw.Connection,
        codec: Codec,
        *,
        now: Callable[[], int],
        fingerprint: str,
        words: bool = True,
    ) -> None:
        self._db = db
        self.codec = codec
        self.now = now
        self._fingerprint = fingerprint
        self._sure_at = 0.0
        self._numbered: tuple[str, int] | None = None
        self._fresh = Fresh()
        self._added = self._put_off_before = 0  # versions put off, changes of writing them
        self.untrained: dict[str, int] = {}
        self._training = Training()
        self.words = words
        self.bags = Bags(db, writes=True)
        self._frames = Frames(self.bags)
        self._counts = Counts(db)
        functions.register(db)
        functions.register_keys(db, self.bags)
        self.reload()

    @property
    def db(self) -> apsw.Connection:
        """The file, with all in it that was put off."""
        self.flush()
        return self._db

    @property
    def changes(self) -> int:
        """A number that grows with whatever the transaction's jobs change or put off."""
        return self._db.total_changes() - self._put_off_before + self._added

    def flush(self) -> None:
        """Write what was put off."""
        if self._fresh.size:
            before = self._db.total_changes()
            self._fresh.write(self._db, self.bags)
            self._put_off_before += self._db.total_changes() - before
            self._fresh = Fresh()

    def use(self, fingerprint: str) -> None:
        """Label rows with these definitions from now on; called by another thread."""
        self._fingerprint = fingerprint
        self._sure_at = time.monotonic() + _PREPARED_S

    @property
    def fp(self) -> int:
        """The number of the definitions that make the index rows now."""
        named = self._fingerprint
        if self._numbered is None or self._numbered[0] != named:
            self._numbered = (named, reindex.number_of(self._db, named))
        return self._numbered[1]

    @property
    def _made_by(self) -> int:
        """What rows that come with a commit are labelled with."""
        if time.monotonic() < self._sure_at:
            return reindex.UNSURE  # they may have been made before the definitions changed
        return self.fp

    def reload(self) -> None:
        """Read the counters from the file; needed after a change was undone."""
        self._fresh = Fresh()
        self._added = self._put_off_before = 0
        last = self._db.execute("select vid, at from ver order by vid desc limit 1").fetchone()
        self._vid: int = last[0] if last else 0
        self._at: int = last[1] if last else 0
        self._learnt: list[tuple[str, int]] = []  # dictionaries to use once they are committed
        self._numbered = None
        self.bags.forget()
        self._frames.forget()
        self._rid: int = self._db.execute("select max(rid) from res").get or 0

    def commit(self, commit: Commit) -> list[Version]:
        """Apply ``commit``; raises what :meth:`server.store.port.Store.commit` says."""
        while self._learnt:
            self.codec.use(*self._learnt.pop())
        now = self.now()
        self._check(commit.expect)
        # Everything is checked before anything is changed: a refusal has nothing to undo.
        had = self._had_of(commit.writes)
        revs = self._revisions(commit.records, now)
        at = self._at = next_at(now, self._at)
        made = self._written(commit.writes, had, at)
        for record, rev in zip(commit.records, revs, strict=True):
            self._put(record, rev)
        for row in commit.outbox:
            self._added += 1
            self._fresh.add_outbox(row)
        return made

    def adopt(self, version: Version, marks: Sequence[int]) -> None:
        """Keep a version as another store kept it; :meth:`reload` is to follow.

        Nothing finds it until the index is made anew.
        """
        if self.db.execute("select 1 from ver where vid=?", (version.seq,)).fetchone():
            return
        place = (version.type, version.id, name_of(version.type, version.id))
        row: tuple[Any, ...] | None = self._db.execute(_FIND, place).fetchone()
        had = None
        if row is None:
            self._rid += 1
        else:
            rid, latest, born, *kept = row
            had = _Had(rid, latest, born, rows.Kept(*kept))
        rid = had.rid if had is not None else self._rid
        row = (version.seq, rid, version.number, version.type, version.at, version.method)
        self._db.execute(_NEW_VER, (*row, *self._kept(version, rows.pack(marks))))
        new = rows.Filed(had.kept.d if had is not None else version.at)
        self._point(version, rid, had, new, marks)
        self._db.execute("update res set fp=? where rid=?", (reindex.UNSURE, rid))

    @property
    def improvable(self) -> bool:
        """True when a type has enough bodies to learn from, or what was learnt can be kept."""
        if self._training.done:
            return True
        due = any(size >= TRAIN_AT for size in self.untrained.values())
        return due and not self._training.busy

    def improve(self) -> None:
        """Keep dictionaries that were learnt; begin to learn that of a type with enough bodies."""
        for type_, words in self._training.take():
            last = self._db.execute("select max(codec) from dict").get or FIRST_DICTIONARY - 1
            self._db.execute("insert into dict values (?,?,?)", (last + 1, type_, words))
            self._learnt.append((type_, last + 1))
        if self._training.busy:
            return
        due = next((t for t, size in self.untrained.items() if size >= TRAIN_AT), None)
        if due is not None:
            # Set back first, so that a type with nothing to learn is not tried at every commit.
            self.untrained[due] = 0
            rows: list[tuple[Any, ...]] = self._db.execute(_SAMPLE, (due, TRAIN_AT)).fetchall()
            self._training.begin(due, [self.codec.decode(how, kept) for how, kept in rows])

    def _check(self, expected: Sequence[Expect]) -> None:
        for one in absent.undecided(self._db, expected, self._fresh.keys):
            self.flush()
            found = self._ids(one.query, len(one.ids) + 1)
            if found != one.ids:
                raise CommitConflict(f"{len(found)} match instead of {len(one.ids)}")

    def _revisions(self, written: Sequence[RecordWrite], now: int) -> list[int]:
        if not self._fresh.records.keys().isdisjoint([(one.kind, one.key) for one in written]):
            self.flush()
        return records.revisions(self._db, written, now)

    def _put(self, write: RecordWrite, rev: int) -> None:
        if write.value is not None:
            self._added += 1
            self._fresh.add_record(write, rev)
            return
        self._fresh.records.pop((write.kind, write.key), None)
        records.remove(self._db, write.kind, write.key)

    def _ids(self, query: Query, limit: int) -> set[str]:
        planned = plan(query, self._counts)
        if not planned.size:
            return set()
        sql = pages.ids(planned, limit)
        return {row[0] for row in self._db.execute(sql.text, sql.values)}

    def _had_of(self, writes: Sequence[Write]) -> list[_Had | None]:
        """Return what each write replaces; those of which there is nothing are asked together."""
        names = [name_of(write.type, write.id) for write in writes]
        if not self._fresh.names.isdisjoint(names):
            self.flush()
        if len(writes) < _TOGETHER:
            return [self._had(write) for write in writes]
        there = {h for (h,) in self._db.execute(_KNOWN, (numbers(names),))}
        found: list[_Had | None] = []
        for write, name in zip(writes, names, strict=True):
            if name not in there:
                check_version(write, 0)
            found.append(self._had(write) if name in there else None)
        return found

    def _had(self, write: Write) -> _Had | None:
        place = (write.type, write.id, name_of(write.type, write.id))
        row: tuple[Any, ...] | None = self._db.execute(_FIND, place).fetchone()
        had = None
        if row is not None:
            rid, latest, born, *kept = row
            had = _Had(rid, latest, born, rows.Kept(*kept))
        check_version(write, had.number if had is not None else 0)
        return had

    def _written(
        self, writes: Sequence[Write], had: Sequence[_Had | None], at: int
    ) -> list[Version]:
        made_by, made = self._made_by, []
        for write, before in zip(writes, had, strict=True):
            if before is None and write.body is not None:
                made.append(self._add(write, at, made_by))
            else:
                made.append(self._write(write, before, at))
        if self._fresh.size > _MOST_PUT_OFF:
            self.flush()
        return made

    def _add(self, write: Write, at: int, made_by: int) -> Version:
        """Make a new resource's rows, labelled ``made_by``, to be written with those of others."""
        assert write.body is not None
        self._added += 1
        self._vid += 1
        self._rid += 1
        rid, body = self._rid, splice(write.body, 1, at)
        version = Version(write.type, write.id, 1, self._vid, at, write.method, body)
        if isinstance(write.rows, Framed) and is_framed(write.rows):
            self._add_framed(version, write.rows, made_by)
            return version
        compartments = _compartments(write, None)
        kept = self._kept(version, rows.pack(compartments))
        new = self._filed(write, compartments, at) or rows.Filed(at)
        keys = rows.remembered(new, version.type, compartments, self.bags)
        own = (new.d, made_by, new.shape, new.words, len(new.keys), keys)
        self._fresh.add(version, rid, kept, new, own)
        return version

    def _add_framed(self, version: Version, made: Framed, made_by: int) -> None:
        """Make the rows of one that shares most of them; the same that :meth:`_add` makes."""
        frame = self._frames.of(made.frame, version.type)
        kept = self._kept(version, rows.pack(made.within))
        own = [*made.own, *[param ^ target for param, target in made.others], *made.within]
        keys = frame.packed + struct.pack(f"<{len(made.own)}q", *made.own)
        row = (made.date, made_by, frame.shape, 0, len(frame.keys) + len(own), keys)
        self._fresh.add_framed(version, self._rid, kept, frame, row)
        number = self.bags.number
        dates = [(number(param), low, high) for param, low, high in made.dates]
        self._fresh.add_own(self._rid, made.date, own, dates, self._frames.edges(made.others))

    def _kept(
        self, version: Version, compartments: bytes
    ) -> tuple[bytes, bytes, int, bytes | None]:
        """Return what a version's row ends with: compartments, checksum, codec, body."""
        digest = checksum(version, compartments)
        if version.body is None:
            return compartments, digest, RAW, None
        how, kept = self.codec.encode(version.type, version.body)
        if how == ZSTD:
            self.untrained[version.type] = self.untrained.get(version.type, 0) + 1
        return compartments, digest, how, kept

    def _write(self, write: Write, had: _Had | None, at: int) -> Version:
        number = (had.number if had is not None else 0) + 1
        self._added += 1
        self._vid += 1
        body = None if write.body is None else splice(write.body, number, at)
        version = Version(write.type, write.id, number, self._vid, at, write.method, body)
        if had is None:
            self._rid += 1
        rid = had.rid if had is not None else self._rid
        compartments = _compartments(write, had)
        self._fresh.add_version(version, rid, self._kept(version, rows.pack(compartments)))
        born = had.born if had is not None else at
        was = rows.read(self._db, self.bags, rid, had.kept) if had is not None else rows.Filed(at)
        new = self._filed(write, compartments, born) or rows.Filed(was.d)
        self._point(version, rid, had, new, compartments)
        change(self._db, rid, was, new, self._fresh)
        return version

    def _filed(self, write: Write, compartments: Sequence[int], born: int) -> rows.Filed | None:
        if write.body is None:
            return None
        assert write.rows is not None, "a write with a body has index rows"
        return rows.filed(
            whole(write.rows), write.type, compartments, born, self.bags, words=self.words
        )

    def _point(
        self,
        version: Version,
        rid: int,
        had: _Had | None,
        new: rows.Filed,
        compartments: Sequence[int],
    ) -> None:
        """Make the resource's own row say that ``version`` is the latest."""
        deleted = int(version.body is None)
        now = (version.number, version.seq, version.at, deleted)
        keys = rows.remembered(new, version.type, compartments, self.bags)
        row = (new.d, self._made_by, new.shape, new.words, len(new.keys), keys)
        if had is None:
            self._db.execute(_NEW_RES, (rid, version.type, version.id, *now, version.at, *row))
            name = (name_of(version.type, version.id), rid)
            self._db.execute("insert into name values (?,?)", name)
        else:
            self._db.execute(_NEXT_RES, (*now, *row, rid))


def _compartments(write: Write, had: _Had | None) -> tuple[int, ...]:
    if write.body is not None:
        return tuple(compartment_hashes(write.compartments))
    return rows.unpack(had.kept.compartments) if had is not None else ()
