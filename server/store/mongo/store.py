"""The store for those who outgrow one machine: a MongoDB replica set or sharded cluster.

The layout is in ``layout.py``, what a commit is in ``commit.py``; figures: docs/store.md.
Several processes may use one database: each sees what the others committed at once.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from typing import Any

import pymongo
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from server.access.context import AccessContext
from server.access.narrow import narrow, narrow_sort
from server.fhir.errors import (
    DeadlineExceeded,
    FhirError,
    StoreUnavailable,
    TooLarge,
    VersionConflict,
)
from server.search.catalog import R4, Catalog
from server.search.query import Query, SortKey
from server.store.checks import check_distinct
from server.store.mongo import backup, feed, holders, records, reindex, verify, versions
from server.store.mongo.abandoned import application_name
from server.store.mongo.commit import Definitions
from server.store.mongo.connect import address_of, client_of, explained
from server.store.mongo.layout import UNSURE, fingerprint_hash
from server.store.mongo.opening import Opened, connected
from server.store.mongo.reading import Reading
from server.store.mongo.search import Asked, Searches
from server.store.mongo.texts import Texts
from server.store.mongo.told import Told
from server.store.news import SILENT, News
from server.store.port import (
    CommitConflict,
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

log = logging.getLogger("tellonce")

_PREPARED_S = 30.0  # that a commit may take from making its rows to being applied
_PARTING_S = 1.0  # that the database is told of our end
_CLOSED = "the store is closed"
_READY_S = 3.0
_AWAIT_S = 10.0  # that MongoDB keeps an answer back which holds no news
_AGAIN_S = 2.0  # until one listens again to a database that was away


class MongoStore:
    """Keeps everything in one database, which is made when it is not there.

    Made without connecting; :meth:`start` does, or the first use.

    Args:
        url: ``mongodb://...``, with everything that the connection needs.
        database: its name, when not the one that ``url`` says.
        now: microseconds since 1970-01-01T00:00:00Z.
        index: makes the index rows and compartments of a stored resource anew.
        fingerprint: equal as long as ``index`` makes the same rows of the same resource.
        words: keep the words of resources for ``_text`` and ``_content``.
    """

    def __init__(
        self,
        url: str,
        database: str = "",
        *,
        now: Callable[[], int],
        index: Index,
        fingerprint: str,
        words: bool = True,
    ) -> None:
        self._address = address_of(url)
        self.database = database or self._address.database
        self._now = now
        self._index, self._catalog = index, R4
        self._words = words
        self._fp = self._named(fingerprint)
        self._sure_at = 0.0
        self._searches = Searches()
        self._client: AsyncMongoClient[dict[str, Any]] | None = None
        self._opened: Opened | None = None
        self._starting = asyncio.Lock()
        self._reindexing = reindex.Progress()
        self._closed = False
        self._news = News()
        self._listening: asyncio.Task[None] | None = None
        self._records_told = Told(self._db)
        self._told = ""  # why it is not ready, in the log

    async def start(self) -> None:
        """Connect and bring the database up to date; done at once when it was done before.

        Raises:
            StoreUnavailable: it is away, refuses the login, or is no replica set.
            NewerSchema: a newer server has used it.
        """
        async with self._starting:
            if self._closed:
                raise StoreUnavailable(_CLOSED)
            if self._opened is None:
                with explained(self._address):
                    self._opened = await self._open()

    async def commit(
        self,
        writes: Sequence[Write],
        *,
        expect: Sequence[Expect] = (),
        records: Sequence[RecordWrite] = (),
        outbox: Sequence[OutboxWrite] = (),
    ) -> list[Version]:
        """See :meth:`server.store.port.Store.commit`."""
        check_distinct(writes)
        opened = await self._ready_to_use()
        bodies = opened.reading.bodies
        with explained(self._address):
            sent = await bodies.send(writes)
        try:
            made = await opened.writer.run(writes, expect, records, outbox, sent)
        except (CommitConflict, VersionConflict, TooLarge):
            # Of other errors it is not always known whether the commit happened.
            await bodies.remove(sent.values())
            raise
        self._news.committed(made)
        return made

    async def news(self, after: int, within_s: float) -> int:
        """See :meth:`server.store.port.Store.news`; of others by a change stream, begun now."""
        if self._listening is None and not self._closed:
            self._listening = asyncio.create_task(self._listen(), name="store-news")
        return await self._news.wait(after, within_s)

    async def record_news(self, kind: str, heard: int, within_s: float) -> int:
        """See :meth:`server.store.port.RecordStore.record_news`; of all by a change stream."""
        return await self._records_told.wait(kind, heard, within_s)

    async def read(self, access: AccessContext, type_: str, id_: str) -> Version | None:
        """See :meth:`server.store.port.Store.read`."""
        reading = await self._reading()
        with explained(self._address):
            return await versions.latest(reading, access, type_, id_)

    async def read_many(
        self, access: AccessContext, references: Collection[tuple[str, str]]
    ) -> dict[tuple[str, str], Version]:
        """See :meth:`server.store.port.Store.read_many`."""
        reading = await self._reading()
        with explained(self._address):
            return await versions.many(reading, access, references)

    async def holders(
        self, keys: Collection[str], *, most: int
    ) -> dict[str, tuple[Held, ...] | None]:
        """See :meth:`server.store.port.Store.holders`."""
        reading = await self._reading()
        with explained(self._address):
            return await holders.holders(reading, keys, most)

    async def vread(
        self, access: AccessContext, type_: str, id_: str, number: int
    ) -> Version | None:
        """See :meth:`server.store.port.Store.vread`."""
        reading = await self._reading()
        with explained(self._address):
            return await versions.numbered(reading, access, type_, id_, number)

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
        asked = Asked(narrow(query, access), narrow_sort(sort, access), limit, after)
        reading = await self._reading()
        with self._bounded(deadline_s):
            return await self._searches.search(reading, asked, deadline_s)

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
        asked = Asked(narrow(query, access), narrow_sort(sort, access), limit)
        reading = await self._reading()
        with self._bounded(deadline_s):
            return await self._searches.explain(reading, asked, deadline_s)

    async def count(self, access: AccessContext, query: Query, *, deadline_s: float = 10.0) -> int:
        """See :meth:`server.store.port.Store.count`."""
        reading = await self._reading()
        with self._bounded(deadline_s):
            return await self._searches.count(reading, narrow(query, access), deadline_s)

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
        reading = await self._reading()
        place, bounds = (type_, id_), (since, until, before)
        with explained(self._address):
            return await versions.history(reading, access, place, bounds, limit, without)

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
        reading = await self._reading()
        with explained(self._address):
            return await versions.changes(reading, access, after, limit, type_, without)

    async def watch(self, name: str = "") -> AsyncGenerator[int, None]:
        """Return an endless iterator of the ``seq`` of what is committed, by whichever process.

        It wakes consumers of :meth:`changes` at once; that one says what there is.  ``name``: of a
        consumer whose place outlasts its process, so that the first it gets is what it missed.
        """
        reading = await self._reading()
        async with aclosing(feed.watch(reading.db, name, self._address)) as told:
            async for seq in told:
                yield seq

    async def _listen(self) -> None:
        """Hear of what other processes commit, for ever."""
        while True:
            try:
                reading = await self._reading()
                told = feed.watch(reading.db, "", self._address, without=SILENT, await_s=_AWAIT_S)
                async with aclosing(told):
                    async for seq in told:
                        self._news.tell(seq)
            except FhirError as error:  # who follows the feed looks by itself meanwhile
                log.debug("nothing is heard of other processes: %s", error)
            await asyncio.sleep(_AGAIN_S)

    async def digests(
        self, type_: str, *, after: int = 0, limit: int, anew: bool = False
    ) -> list[Digest]:
        """See :meth:`server.store.port.Store.digests`."""
        reading = await self._reading()
        with explained(self._address):
            return await versions.digests(reading, type_, after, limit, anew=anew)

    async def outbox(self, *, after: int = 0, limit: int = 100) -> list[OutboxRow]:
        """See :meth:`server.store.port.Store.outbox`."""
        reading = await self._reading()
        with explained(self._address):
            return await records.outbox(reading.db, after, limit)

    async def trim_outbox(self, upto: int) -> int:
        """See :meth:`server.store.port.Store.trim_outbox`."""
        reading = await self._reading()
        with explained(self._address):
            return await records.trim(reading.db, upto)

    async def get_record(self, kind: str, key: str) -> Record | None:
        """See :meth:`server.store.port.RecordStore.get_record`."""
        reading = await self._reading()
        with explained(self._address):
            return await records.get(reading.db, kind, key, self._now())

    async def find_records(
        self, kind: str, *, tag: str | None = None, after: str = "", limit: int = 100
    ) -> list[Record]:
        """See :meth:`server.store.port.RecordStore.find_records`."""
        reading = await self._reading()
        with explained(self._address):
            return await records.find(reading.db, kind, tag, after, limit, self._now())

    async def count_records(
        self, kind: str, tags: Collection[str] | None = None
    ) -> Mapping[str, int]:
        """See :meth:`server.store.port.RecordStore.count_records`."""
        reading = await self._reading()
        with explained(self._address):
            return await records.count(reading.db, kind, tags, self._now())

    async def take_record(self, kind: str, key: str) -> Record | None:
        """See :meth:`server.store.port.RecordStore.take_record`."""
        opened = await self._ready_to_use()
        with explained(self._address):
            async with opened.abandoned.ended_meanwhile():
                return await records.take(opened.reading.db, kind, key, self._now())

    async def expire_records(self, now: int) -> int:
        """See :meth:`server.store.port.RecordStore.expire_records`."""
        opened = await self._ready_to_use()
        with explained(self._address):
            await opened.reading.bodies.sweep()  # what failed commits left is removed with it
            async with opened.abandoned.ended_meanwhile():
                return await records.expire(opened.reading.db, now)

    def use_index(self, index: Index, fingerprint: str, catalog: Catalog = R4) -> None:
        """See :meth:`server.store.port.Store.use_index`."""
        self._index, self._catalog = index, catalog
        self._fp = self._named(fingerprint)
        self._sure_at = time.monotonic() + _PREPARED_S
        self._reindexing = reindex.Progress()  # a batch that runs now counts for the one before

    async def reindex(self, *, batch: int = 500) -> int:
        """See :meth:`server.store.port.Store.reindex`."""
        at, made_by = self._reindexing, Definitions(self._fp, self._words)
        texts = Texts((await self._reading()).db)
        with explained(self._address):
            left = await reindex.batch(await self._reading(), texts, made_by, at, batch)
        return left if at is self._reindexing else max(left, 1)

    async def backup(self, target: str) -> None:
        """See :meth:`server.store.port.Store.backup`; a file at ``target`` is replaced."""
        reading = await self._reading()
        with explained(self._address):
            await backup.backup(reading.db, target)

    async def verify(self) -> list[str]:
        """See :meth:`server.store.port.Store.verify`."""
        reading = await self._reading()
        with explained(self._address):
            return await verify.verify(reading, Definitions(self._fp, self._words))

    async def ready(self) -> str | None:
        """See :meth:`server.store.port.Store.ready`; answers within seconds."""
        if self._closed:
            return _CLOSED
        try:
            with pymongo.timeout(_READY_S), self._bounded(_READY_S):
                opened = await self._ready_to_use()
                if opened.writer.fault is None:
                    await opened.reading.db.command("ping")
                else:
                    # It failed last time; only trying tells whether a majority is back.
                    trial = {"$set": {"at": self._now()}}
                    await opened.reading.db.state.update_one({"_id": "ready"}, trial, upsert=True)
        except FhirError as error:
            self._tell(str(error))
            return error.diagnostics
        self._told = ""
        return None

    async def close(self) -> None:
        """See :meth:`server.store.port.Store.close`; may be called again."""
        self._closed = True
        await self._records_told.close()
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait((self._listening,), timeout=_PARTING_S)
        async with self._starting:
            opened, self._opened = self._opened, None
            if opened is not None:
                await opened.writer.close()
            if self._client is not None:
                with pymongo.timeout(_PARTING_S):  # it tells the database of its end
                    await self._client.close()
                self._client = None

    async def _open(self) -> Opened:
        if self._client is None:
            self._client = client_of(self._address, application_name(self.database))
        return await connected(
            self._client,
            self._address,
            self.database,
            self._searches,
            lambda: (self._index, self._catalog),
            self._made_by,
            self._now,
        )

    def _made_by(self) -> Definitions:
        """Return what rows that come with a commit are labelled with."""
        # They may have been made before the definitions changed.
        unsure = time.monotonic() < self._sure_at
        return Definitions(UNSURE if unsure else self._fp, self._words)

    def _named(self, fingerprint: str) -> int:
        return fingerprint_hash(fingerprint if self._words else f"{fingerprint} without words")

    async def _ready_to_use(self) -> Opened:
        if self._opened is None:
            await self.start()
        opened = self._opened
        if opened is None:
            raise StoreUnavailable(_CLOSED)
        return opened

    async def _reading(self) -> Reading:
        had = (await self._ready_to_use()).reading
        return Reading(had.db, had.bodies, self._index, self._catalog)

    async def _db(self) -> AsyncDatabase[dict[str, Any]]:
        return (await self._ready_to_use()).reading.db

    def _tell(self, why: str) -> None:
        """Log why the store is not ready, once: who is asked for it asks every few seconds."""
        if why != self._told:
            log.warning("the store is not ready: %s", why)
        self._told = why

    @contextmanager
    def _bounded(self, deadline_s: float) -> Iterator[None]:
        if deadline_s <= 0:
            raise DeadlineExceeded(f"the search ran longer than {deadline_s:g} s")
        with explained(self._address, deadline_s=deadline_s):
            yield
