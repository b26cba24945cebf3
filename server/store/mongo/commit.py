"""A batch of commits as one transaction.  Reasons and measurements: docs/decisions/0011.

Every transaction that numbers versions, or that rests on an expectation, changes the one counter
document (its *claim*).  Two of them that overlap therefore conflict, and one is tried anew after
the other: commits are serial over all processes, which plain snapshots are not (of 8 racing
conditional creates 8 succeed), and numbers are without gaps and in the order of commit.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bson.errors import InvalidDocument
from bson.raw_bson import RawBSONDocument
from pymongo import DeleteOne, ReplaceOne, ReturnDocument
from pymongo.asynchronous.client_session import AsyncClientSession

from server.fhir.errors import FhirError, TooLarge, VersionConflict
from server.search.rows import whole
from server.store.checks import check_record, check_version
from server.store.mongo import records
from server.store.mongo.layout import (
    Birth,
    Document,
    index_fields,
    resource_document,
    text_documents,
    version_document,
)
from server.store.mongo.limits import check_size, kept_out, raw
from server.store.mongo.reading import Reading
from server.store.mongo.search import Searches
from server.store.mongo.texts import Texts
from server.store.mongo.writer import Job
from server.store.port import CommitConflict, Expect, Record, RecordWrite, Version, Write
from server.store.stored import compartment_hashes, next_at, splice

_HEAD = {"v": 1, "born": 1, "first": 1, "m": 1}


class Refused(Exception):
    """A job cannot be in the batch; what was begun is void, the others are to be tried without."""

    def __init__(self, job: Job, error: Exception) -> None:
        super().__init__(str(error))
        self.job, self.error = job, error


@dataclass(slots=True)
class Head:
    """The latest version of a resource, as the transaction sees it.

    ``birth`` is ``None`` until the first version has its number; ``kept``: there is a document.
    """

    number: int = 0
    birth: Birth | None = None
    marks: frozenset[int] = frozenset()
    kept: bool = False


@dataclass(slots=True)
class _Made:
    """A write that was judged, and waits for its number in the feed."""

    job: Job
    write: Write
    head: Head
    number: int
    marks: frozenset[int]


@dataclass(slots=True)
class _Pending:
    """What was judged and is not written yet."""

    writes: list[_Made] = field(default_factory=list)
    records: dict[str, Record | None] = field(default_factory=dict)
    outbox: list[tuple[str, bytes]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Definitions:
    """How index fields are made of the rows that come with a write: ``fp`` labels them."""

    fp: int
    words: bool


class Transaction:
    """One attempt at a batch.  ``reading`` has its session; ``now`` is in microseconds."""

    def __init__(
        self,
        reading: Reading,
        searches: Searches,
        texts: Texts,
        made_by: Definitions,
        now: Callable[[], int],
    ) -> None:
        assert reading.session is not None, "a transaction has a session"
        self._reading, self._searches, self._texts = reading, searches, texts
        self._session: AsyncClientSession = reading.session
        self._db = reading.db
        self._made_by = made_by
        self._now = now()
        self._heads: dict[str, Head] = {}
        self._records: dict[str, Record | None] = {}
        self._pending = _Pending()
        self._claimed = False
        self.last: Document | None = None  # the last version that was written

    async def run(self, jobs: Sequence[Job], *, claim: bool) -> None:
        """Judge and write the jobs; set ``made`` or ``error`` of each.

        ``claim``: before anything is read, because another process is writing as well.
        """
        if claim:
            await self._claim(0, 0)
        await self._look(jobs)
        for job in jobs:
            try:
                await self._judge(job)
            except (CommitConflict, VersionConflict, TooLarge) as error:
                job.error = error
        await self._flush()

    async def _look(self, jobs: Sequence[Job]) -> None:
        """Read what the batch names, all at once."""
        names = {f"{w.type}/{w.id}" for job in jobs for w in job.writes}
        self._heads = {name: Head() for name in names}
        for one in await self._read(self._db.resources, names, _HEAD):
            birth = Birth(int(one["born"]), int(one["first"]))
            self._heads[one["_id"]] = Head(one["v"], birth, frozenset(one["m"]), kept=True)
        places = {records.place_of(r.kind, r.key) for job in jobs for r in job.records}
        self._records = dict.fromkeys(places)
        for one in await self._read(self._db.records, places, None):
            record = records.record_of(one)
            if record.expires_at is None or record.expires_at > self._now:
                self._records[one["_id"]] = record

    async def _read(
        self, collection: Any, ids: Collection[str], fields: Document | None
    ) -> list[Document]:
        if not ids:
            return []
        found = collection.find({"_id": {"$in": list(ids)}}, fields, session=self._session)
        return list(await found.to_list())

    async def _judge(self, job: Job) -> None:
        """Check everything, then note everything; raises CommitConflict and VersionConflict."""
        if job.expect:
            await self._flush()  # it sees what was judged before it
            for expected in job.expect:
                await self._check(job, expected)
        for write in job.writes:
            check_version(write, self._heads[f"{write.type}/{write.id}"].number)
        put = [self._next_record(record) for record in job.records]
        for row in job.outbox:
            check_size(f"a row of the outbox for {row.topic}", len(row.payload))
        for write in job.writes:
            self._note(job, write)
        for place, record in put:
            self._records[place] = self._pending.records[place] = record
        self._pending.outbox += [(row.topic, row.payload) for row in job.outbox]

    async def _check(self, job: Job, expected: Expect) -> None:
        try:
            found = await self._searches.matching_ids(
                self._reading, expected.query, len(expected.ids) + 1
            )
        except FhirError as error:  # too costly, too slow: its caller's alone
            raise Refused(job, error) from error
        if not self._claimed:
            # Nothing may be added meanwhile by a process that does not write what we write.
            await self._claim(0, 0)
        if found != expected.ids:
            raise CommitConflict(f"{len(found)} match instead of {len(expected.ids)}")

    def _next_record(self, write: RecordWrite) -> tuple[str, Record | None]:
        place = records.place_of(write.kind, write.key)
        had = self._records[place]
        rev = had.rev if had is not None else 0
        check_record(write, rev)
        if write.value is None:
            return place, None
        check_size(f"a record of kind {write.kind!r}", len(write.value))
        made = Record(write.kind, write.key, write.value, write.tag, rev + 1, write.expires_at)
        return place, made

    def _note(self, job: Job, write: Write) -> None:
        head = self._heads[f"{write.type}/{write.id}"]
        if write.body is not None:
            head.marks = compartment_hashes(write.compartments)
        head.number += 1
        self._pending.writes.append(_Made(job, write, head, head.number, head.marks))

    async def _claim(self, versions: int, rows: int) -> tuple[int, int, int]:
        """Take so many numbers; return the first ``seq``, ``at``, and the first of the outbox."""
        counted: Document = {
            "claims": {"$add": [{"$ifNull": ["$claims", 0]}, 1]},
            "seq": {"$add": ["$seq", versions]},
            "outbox": {"$add": ["$outbox", rows]},
        }
        if versions:
            counted["at"] = {"$max": ["$at", next_at(self._now, 0)]}
        found = await self._db.state.find_one_and_update(
            {"_id": "commit"},
            [{"$set": counted}],
            return_document=ReturnDocument.AFTER,
            session=self._session,
        )
        self._claimed = True
        assert found is not None, "the first migration made the counters"
        first, row = int(found["seq"]) - versions + 1, int(found["outbox"]) - rows + 1
        return first, int(found["at"]), row

    async def _flush(self) -> None:
        """Write what was judged."""
        pending, self._pending = self._pending, _Pending()
        if pending.writes or pending.outbox:
            seq, at, row = await self._claim(len(pending.writes), len(pending.outbox))
            await self._write(pending.writes, seq, at)
            rows = [{"_id": row + n, "topic": t, "payload": p} for n, (t, p) in _numbered(pending)]
            if rows:
                await self._db.outbox.insert_many(rows, session=self._session)
        if pending.records:
            changes = [_record_change(place, made) for place, made in pending.records.items()]
            await self._db.records.bulk_write(changes, session=self._session)

    async def _write(self, writes: Sequence[_Made], seq: int, at: int) -> None:
        versions: list[RawBSONDocument] = []
        latest: dict[str, tuple[bool, RawBSONDocument]] = {}
        texts: list[Document] = []
        for number, one in enumerate(writes, start=seq):
            try:
                version, document, resource = self._documents(one, number, at, texts)
            except (TooLarge, InvalidDocument, OverflowError, UnicodeError) as error:
                raise Refused(one.job, kept_out(one.write, error)) from None
            one.job.made.append(version)
            versions.append(document)
            place = f"{version.type}/{version.id}"
            latest[place] = (latest[place][0] if place in latest else one.head.kept, resource)
            one.head.kept = True
        await self._texts.keep(texts)
        if not versions:
            return
        self.last = {"_id": versions[-1]["_id"], "sum": versions[-1]["sum"]}
        await self._db.versions.insert_many(versions, session=self._session)
        new = [document for had, document in latest.values() if not had]
        if new:
            await self._db.resources.insert_many(new, session=self._session)
        changed: list[Any] = [
            ReplaceOne({"_id": place}, document) for place, (had, document) in latest.items() if had
        ]
        if changed:
            await self._db.resources.bulk_write(changed, session=self._session)

    def _documents(
        self, one: _Made, seq: int, at: int, texts: list[Document]
    ) -> tuple[Version, RawBSONDocument, RawBSONDocument]:
        write = one.write
        body = None if write.body is None else splice(write.body, one.number, at)
        version = Version(write.type, write.id, one.number, seq, at, write.method, body)
        if one.head.birth is None:
            one.head.birth = Birth(seq, at)
        sent = one.job.sent.get(f"{write.type}/{write.id}")
        if sent is not None:
            stored = sent.stored(one.number, at)
        else:
            stored = self._reading.bodies.compressed(write.type, body)
        indexed = self._indexed(write, one, texts)
        resource = resource_document(version, one.head.birth, one.marks, stored, indexed)
        return version, raw(version_document(version, one.marks, stored)), raw(resource)

    def _indexed(self, write: Write, one: _Made, texts: list[Document]) -> Document:
        if write.body is None:
            return {}
        assert write.rows is not None, "a write with a body has index rows"
        assert one.head.birth is not None, "a version that is written has a number"
        rows = whole(write.rows)
        if rows.texts:
            texts += text_documents(rows)
        fields = index_fields(
            rows, write.type, write.id, one.marks, one.head.birth, words=self._made_by.words
        )
        return {"fp": self._made_by.fp, **fields}


def _numbered(pending: _Pending) -> Iterable[tuple[int, tuple[str, bytes]]]:
    return enumerate(pending.outbox)


def _record_change(place: str, made: Record | None) -> Any:
    if made is None:
        return DeleteOne({"_id": place})
    return ReplaceOne({"_id": place}, records.document_of(made), upsert=True)
