"""The embedded store: one SQLite file.  Layout, limits and figures: docs/store.md.

Writes go to the one writer thread, long searches to reading threads.  Point reads and searches
that end soon run where they are asked for, on the event loop: they cost less than the way to a
thread and back.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import apsw

from server.access.context import AccessContext, Interaction
from server.access.narrow import narrow, narrow_sort
from server.fhir.errors import StoreUnavailable
from server.search.catalog import R4, Catalog
from server.search.query import Query, SortKey
from server.search.size import size
from server.store.checks import check_distinct
from server.store.news import News, RecordNews
from server.store.port import (
    Digest,
    Expect,
    Explanation,
    Held,
    Index,
    OutboxRow,
    OutboxWrite,
    Page,
    Record,
    RecordWrite,
    Scalar,
    Version,
    Write,
)
from server.store.sqlite import (
    backup,
    holders,
    opening,
    records,
    reindex,
    search,
    sorts,
    trial,
    verify,
    versions,
)
from server.store.sqlite.brief import ROWS, SHORTEST_S, VALUES, TooLong, briefly
from server.store.sqlite.connect import (
    POINT_CACHE_KIB,
    READER_CACHE_KIB,
    connect,
    explained,
    unavailable,
)
from server.store.sqlite.counts import Large
from server.store.sqlite.lock import FileLock
from server.store.sqlite.readers import Reader, Readers
from server.store.sqlite.reindexing import Reindexing
from server.store.sqlite.settled import Settled
from server.store.sqlite.sight import Sight, sight
from server.store.sqlite.tables import Commit, Tables
from server.store.sqlite.writer import Writer

T = TypeVar("T")

_HISTORY_DEADLINE_S = 10.0


class SqliteStore:
    """Keeps everything in the file ``path``, which is made when it is not there.

    Args:
        now: microseconds since 1970-01-01T00:00:00Z.
        index: makes the index rows and compartments of a stored resource anew.
        fingerprint: equal as long as ``index`` makes the same rows of the same resource.
        beside: next to the server that has the file: reads, records and backups only.
        readers: threads that search.
        words: keep the words of resources for ``_text`` and ``_content``, a tenth of the file.

    Raises:
        CorruptStore, NewerSchema: the file cannot be used; the text says why and what to do.
        StoreUnavailable: another server has it, or it cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        *,
        now: Callable[[], int],
        index: Index,
        fingerprint: str,
        beside: bool = False,
        readers: int = 2,
        words: bool = True,
    ) -> None:
        self._path = Path(path)
        self._now = now
        self._index = index
        self._catalog = R4
        self._words = words
        self._fingerprint = self._named(fingerprint)
        self._beside = beside
        self._large: Large = {}
        self._settled = Settled()
        self._lock = FileLock(self._path)
        opening.open_file(self._path, self._lock, beside=beside)
        try:
            with explained(self._path):
                self._open_connections(readers)
        except BaseException:
            self._lock.release()
            raise
        self._reindexing = Reindexing()
        self._closed = False
        self._news = News()
        self._record_news = RecordNews()

    async def commit(
        self,
        writes: Sequence[Write],
        *,
        expect: Sequence[Expect] = (),
        records: Sequence[RecordWrite] = (),
        outbox: Sequence[OutboxWrite] = (),
    ) -> list[Version]:
        """See :meth:`server.store.port.Store.commit`."""
        if self._beside and (writes or expect or outbox):
            raise StoreUnavailable("only the server that has the data can write resources")
        check_distinct(writes)
        asked = Commit(tuple(writes), tuple(expect), tuple(records), tuple(outbox))
        made: list[Version] = await self._writer.run(lambda tables: tables.commit(asked))
        self._news.committed(made)
        self._record_news.committed(records)
        return made

    async def news(self, after: int, within_s: float) -> int:
        """See :meth:`server.store.port.Store.news`; a command beside hears of its own only."""
        return await self._news.wait(after, within_s)

    async def record_news(self, kind: str, heard: int, within_s: float) -> int:
        """See :meth:`server.store.port.RecordStore.record_news`."""
        return await self._record_news.wait(kind, heard, within_s)

    async def read(self, access: AccessContext, type_: str, id_: str) -> Version | None:
        """See :meth:`server.store.port.Store.read`."""
        try:
            return self._inline(versions.latest, access, type_, id_)
        except versions.Undecided:
            return await self._one(access, type_, id_)

    async def read_many(
        self, access: AccessContext, references: Collection[tuple[str, str]]
    ) -> dict[tuple[str, str], Version]:
        """See :meth:`server.store.port.Store.read_many`."""
        return await self._look(
            lambda reader: versions.many(
                reader.db, self._sight(reader, access, "read"), references
            ),
            _HISTORY_DEADLINE_S,
            brief=len(references) <= ROWS,
        )

    async def holders(
        self, keys: Collection[str], *, most: int
    ) -> dict[str, tuple[Held, ...] | None]:
        """See :meth:`server.store.port.Store.holders`."""
        return self._own(holders.holders, keys, most)

    async def vread(
        self, access: AccessContext, type_: str, id_: str, number: int
    ) -> Version | None:
        """See :meth:`server.store.port.Store.vread`."""
        try:
            return self._inline(versions.numbered, access, type_, id_, number)
        except versions.Undecided:
            return await self._one(access, type_, id_, number)

    async def search(
        self,
        access: AccessContext,
        query: Query,
        *,
        sort: Sequence[SortKey] = (),
        limit: int,
        after: tuple[Scalar, ...] | None = None,
        deadline_s: float = 10.0,
    ) -> Page:
        """See :meth:`server.store.port.Store.search`."""
        asked = search.Asked(narrow(query, access), narrow_sort(sort, access), limit, after)

        def work(reader: Reader) -> Page:
            most = ROWS if reader is self._point else None
            return search.search(reader.db, reader.codec, reader.counts, asked, most=most)

        brief = _is_small(query) and not any(sorts.reads_body(key) for key in sort)
        return await self._look(work, deadline_s, brief=brief)

    async def explain(
        self,
        access: AccessContext,
        query: Query,
        *,
        sort: Sequence[SortKey] = (),
        limit: int,
        deadline_s: float = 10.0,
    ) -> Explanation:
        """See :meth:`server.store.port.Store.explain`."""
        asked = search.Asked(narrow(query, access), narrow_sort(sort, access), limit, None)

        def work(reader: Reader) -> Explanation:
            return search.explain(reader.db, reader.codec, reader.counts, asked)

        return await self._readers.run(work, deadline_s)

    async def count(self, access: AccessContext, query: Query, *, deadline_s: float = 10.0) -> int:
        """See :meth:`server.store.port.Store.count`."""
        narrowed = narrow(query, access)
        return await self._look(
            lambda reader: search.count(reader.db, reader.counts, narrowed),
            deadline_s,
            brief=_is_small(query),
        )

    async def history(
        self,
        access: AccessContext,
        type_: str | None = None,
        id_: str | None = None,
        *,
        since: int | None = None,
        until: int | None = None,
        before: int | None = None,
        without: Collection[str] = (),
        limit: int,
    ) -> list[Version]:
        """See :meth:`server.store.port.Store.history`; ends after 10 s as a search does."""
        place, bounds = (type_, id_), (since, until, before)
        return await self._look(
            lambda reader: versions.history(
                reader.db,
                self._sight(reader, access, "search" if id_ is None else "read"),
                place,
                bounds,
                limit,
                without,
            ),
            _HISTORY_DEADLINE_S,
            brief=limit <= ROWS,
        )

    async def changes(
        self,
        access: AccessContext,
        *,
        after: int = 0,
        limit: int,
        type_: str | None = None,
        without: Collection[str] = (),
    ) -> list[Version]:
        """See :meth:`server.store.port.Store.changes`."""
        return await self._readers.run(
            lambda reader: versions.changes(
                reader.db, self._sight(reader, access, "search"), after, limit, type_, without
            ),
            _HISTORY_DEADLINE_S,
        )

    async def digests(
        self, type_: str, *, after: int = 0, limit: int, anew: bool = False
    ) -> list[Digest]:
        """See :meth:`server.store.port.Store.digests`."""
        return await self._readers.run(
            lambda reader: versions.digests(
                reader.db, reader.codec, type_, after, limit, anew=anew
            ),
            _HISTORY_DEADLINE_S,
        )

    async def outbox(self, *, after: int = 0, limit: int = 100) -> list[OutboxRow]:
        """See :meth:`server.store.port.Store.outbox`."""
        return self._own(records.outbox, after, limit)

    async def trim_outbox(self, upto: int) -> int:
        """See :meth:`server.store.port.Store.trim_outbox`."""
        return await self._writer.run(lambda tables: records.trim(tables.db, upto))

    async def get_record(self, kind: str, key: str) -> Record | None:
        """See :meth:`server.store.port.RecordStore.get_record`."""
        return self._own(records.get, kind, key, self._now())

    async def find_records(
        self, kind: str, *, tag: str | None = None, after: str = "", limit: int = 100
    ) -> list[Record]:
        """See :meth:`server.store.port.RecordStore.find_records`."""
        return self._own(records.find, kind, tag, after, limit, self._now())

    async def count_records(
        self, kind: str, tags: Collection[str] | None = None
    ) -> Mapping[str, int]:
        """See :meth:`server.store.port.RecordStore.count_records`."""
        now = self._now()
        return await self._readers.run(
            lambda reader: records.count(reader.db, kind, tags, now), _HISTORY_DEADLINE_S
        )

    async def take_record(self, kind: str, key: str) -> Record | None:
        """See :meth:`server.store.port.RecordStore.take_record`."""
        return await self._writer.run(
            lambda tables: records.take(tables.db, kind, key, tables.now())
        )

    async def expire_records(self, now: int) -> int:
        """See :meth:`server.store.port.RecordStore.expire_records`."""
        return await self._writer.run(lambda tables: records.expire(tables.db, now))

    def use_index(self, index: Index, fingerprint: str, catalog: Catalog = R4) -> None:
        """See :meth:`server.store.port.Store.use_index`."""
        self._catalog = catalog
        self._index, self._fingerprint = index, self._named(fingerprint)
        self._tables.use(self._fingerprint)
        self._reindexing.superseded = True
        self._reindexing = Reindexing()  # a batch that runs now counts for the one before

    async def reindex(self, *, batch: int = 500) -> int:
        """See :meth:`server.store.port.Store.reindex`."""
        with self._settled.suspended():
            at = self._reindexing
            left = await at.go_on(self._writer, lambda: self._index, batch)
            return left if at is self._reindexing else max(left, 1)

    async def backup(self, target: str) -> None:
        """See :meth:`server.store.port.Store.backup`; a file at ``target`` is replaced."""
        await asyncio.to_thread(backup.backup, self._path, Path(target))

    async def verify(self) -> list[str]:
        """See :meth:`server.store.port.Store.verify`."""
        return await asyncio.to_thread(self._verify)

    async def ready(self) -> str | None:
        """See :meth:`server.store.port.Store.ready`."""
        try:
            self._own(trial.look)
            if self._writer.fault is not None:
                # It failed last time; only trying tells whether the disk is back.
                await self._writer.run(lambda tables: trial.try_to_write(tables.db))
                await self._writer.run(lambda tables: trial.forget(tables.db))
        except StoreUnavailable as error:
            return error.diagnostics
        return None

    async def close(self) -> None:
        """See :meth:`server.store.port.Store.close`; may be called again."""
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self._close)

    def _open_connections(self, readers: int) -> None:
        db = connect(self._path)
        self._tables = Tables(
            db,
            opening.codec_of(db),
            now=self._now,
            fingerprint=self._fingerprint,
            words=self._words,
        )
        self._point = self._open_reader(POINT_CACHE_KIB)
        self._readers = Readers(self._open_reader, readers)
        self._writer = Writer(db, self._tables, checkpoints=not self._beside)

    def _named(self, fingerprint: str) -> str:
        return fingerprint if self._words else f"{fingerprint} without words"

    def _open_reader(self, cache_kib: int = READER_CACHE_KIB) -> Reader:
        counted = (self._large, self._settled)
        return opening.open_reader(self._path, cache_kib, counted, lambda: self._catalog)

    async def _look(self, work: Callable[[Reader], T], deadline_s: float, *, brief: bool) -> T:
        """Run ``work`` here when it is ``brief`` and stays so, else in a reading thread."""
        if brief and deadline_s >= SHORTEST_S:
            with suppress(TooLong):
                return self._own(lambda _: briefly(self._point, work))
        return await self._readers.run(work, deadline_s)

    def _sight(self, reader: Reader, access: AccessContext, interaction: Interaction) -> Sight:
        return sight(reader.db, reader.codec, reader.counts, self._index, access, interaction)

    async def _one(
        self, access: AccessContext, type_: str, id_: str, number: int | None = None
    ) -> Version | None:
        """Return a version that marks alone do not open, in a transaction of its own."""
        return await self._look(
            lambda reader: versions.one(
                reader.db, self._sight(reader, access, "read"), type_, id_, number
            ),
            _HISTORY_DEADLINE_S,
            brief=True,
        )

    def _inline(self, work: Callable[..., T], *args: Any) -> T:
        return self._own(work, self._point.codec, *args)

    def _own(self, work: Callable[..., T], *args: Any) -> T:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        try:
            return work(self._point.db, *args)
        except apsw.Error as error:
            raise unavailable(error) from error

    def _verify(self) -> list[str]:
        reader = self._open_reader()
        try:
            fp = reindex.known(reader.db, self._fingerprint)
            return verify.verify(reader.db, reader.codec, self._index, fp, words=self._words)
        finally:
            reader.db.close()

    def _close(self) -> None:
        self._readers.close()
        self._point.db.close()
        self._writer.close()
        self._lock.release()


def _is_small(query: Query) -> bool:
    """Tell whether the query is planned soon, whatever it finds."""
    return size(query.where) <= VALUES
