"""In-memory store: the executable specification of :class:`server.store.port.Store`.

Everything happens between two awaits, so each method is one indivisible step.  Nothing is fast
and nothing is clever: a search looks at every live resource with :mod:`server.search.match`.
What is live, with its index rows, is in ``live.py``.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from server.access.context import AccessContext, Interaction
from server.access.narrow import decide, limit, narrow, narrow_sort
from server.fhir import json as fhir_json
from server.fhir.errors import StoreUnavailable
from server.search import reach
from server.search.catalog import R4, Catalog
from server.search.match import Candidate, Moment
from server.search.query import Query, SortKey
from server.search.rows import key_hash, whole
from server.store.checks import check_distinct, check_version
from server.store.memory.live import Live, LiveResources, Walk
from server.store.memory.order import Item, behind, in_order
from server.store.memory.records import MemoryRecords
from server.store.news import News, RecordNews
from server.store.past import Image, Judge, by_compartment_only, by_marks
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
    RecordWrite,
    Scalar,
    Step,
    Version,
    Write,
)
from server.store.stored import compartment_hashes, given, next_at, splice, stored_keys

log = logging.getLogger("tellonce")

_SHOWN = 5  # types that an explanation names


@dataclass(frozen=True, slots=True)
class _Kept:
    """A version and the compartments it belonged to."""

    version: Version
    compartments: frozenset[int]


@dataclass(slots=True)
class _Answer:
    """All results of a search, before and after they are put in order."""

    walk: Walk
    found: list[Live]
    items: list[Item]


class MemoryStore(MemoryRecords):
    """Keeps every version in a list; lost at exit."""

    def __init__(self, *, now: Callable[[], int], index: Index, fingerprint: str = "") -> None:
        super().__init__(now)
        self._all: list[_Kept] = []
        self._chains: dict[tuple[str, str], list[_Kept]] = {}
        self._live = LiveResources()
        self._index = index
        self._catalog = R4
        self._fingerprint = fingerprint
        self._outbox: list[OutboxRow] = []
        self._outbox_seq = 0
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
        if self._closed:
            raise StoreUnavailable("the store is closed")
        check_distinct(writes)
        for expected in expect:
            self._check_expectation(expected)
        at = next_at(self._now(), self._all[-1].version.at if self._all else 0)
        made = [self._next(w, at, len(self._all) + n) for n, w in enumerate(writes, start=1)]
        put = [self._next_record(record) for record in records]
        # Nothing above kept anything and nothing below can fail: that is S1.
        for write, kept in zip(writes, made, strict=True):
            self._keep(write, kept)
        for record, made_record in zip(records, put, strict=True):
            self._put(record, made_record)
        for row in outbox:
            self._outbox_seq += 1
            self._outbox.append(OutboxRow(self._outbox_seq, row.topic, row.payload))
        versions = [kept.version for kept in made]
        self._news.committed(versions)
        self._record_news.committed(records)
        return versions

    async def news(self, after: int, within_s: float) -> int:
        """See :meth:`server.store.port.Store.news`."""
        return await self._news.wait(after, within_s)

    async def record_news(self, kind: str, heard: int, within_s: float) -> int:
        """See :meth:`server.store.port.RecordStore.record_news`."""
        return await self._record_news.wait(kind, heard, within_s)

    async def read(self, access: AccessContext, type_: str, id_: str) -> Version | None:
        """See :meth:`server.store.port.Store.read`."""
        chain = self._chains.get((type_, id_), [])
        return next(self._seen(access, "read", chain[-1:]), None)

    async def read_many(
        self, access: AccessContext, references: Collection[tuple[str, str]]
    ) -> dict[tuple[str, str], Version]:
        """See :meth:`server.store.port.Store.read_many`."""
        found = {(t, i): await self.read(access, t, i) for t, i in references}
        return {k: v for k, v in found.items() if v is not None and v.body is not None}

    async def holders(
        self, keys: Collection[str], *, most: int
    ) -> dict[str, tuple[Held, ...] | None]:
        """See :meth:`server.store.port.Store.holders`."""
        found: dict[str, tuple[Held, ...] | None] = {}
        for key in keys:
            has = [one.version for one in self._live if key_hash(key) in one.candidate.rows.keys]
            held = tuple(Held(one.type, one.id, one.seq) for one in has)
            found[key] = held if len(held) <= most else None
        return found

    async def vread(
        self, access: AccessContext, type_: str, id_: str, number: int
    ) -> Version | None:
        """See :meth:`server.store.port.Store.vread`."""
        chain = self._chains.get((type_, id_), [])
        numbered = [kept for kept in chain if kept.version.number == number]
        return next(self._seen(access, "read", numbered), None)

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
        answer = self._answer(access, query, sort, deadline_s)
        items = answer.items
        if after is not None:
            items = behind(items, after, _directions(sort))
        page = items[:limit]
        more = len(items) > limit
        versions = tuple(item.version for item in page if item.version is not None)
        return Page(versions, page[-1].cursor if more and page else None)

    async def explain(
        self,
        access: AccessContext,
        query: Query,
        *,
        sort: Sequence[SortKey] = (),
        limit: int,
        deadline_s: float = 10.0,
    ) -> Explanation:
        """See :meth:`server.store.port.Store.explain`.

        There is one plan: to look at all of the types, so nothing is estimated.
        """
        start = time.perf_counter()
        answer = self._answer(access, query, sort, deadline_s)
        spent = (time.perf_counter() - start) * 1000
        found = len(answer.found)
        types = ", ".join(query.types[:_SHOWN]) + (" ..." if len(query.types) > _SHOWN else "")
        order = ", ".join(_told(key) for key in sort) or "clinical date, newest first"
        return Explanation(
            (
                Step("drive", f"every live {types}, one by one", rows=answer.walk.walked),
                Step("probe", "the whole query, by index rows", rows=found),
                Step("probe", "others that chains lead to", rows=answer.walk.reached),
                Step("sort", order, rows=found),
                Step("fetch", "bodies of the page", limit, min(limit, found)),
            ),
            spent,
        )

    async def count(self, access: AccessContext, query: Query, *, deadline_s: float = 10.0) -> int:
        """See :meth:`server.store.port.Store.count`."""
        return len(_matching(narrow(query, access), Walk(self._live, deadline_s)))

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
        """See :meth:`server.store.port.Store.history`."""
        wanted = (
            kept
            for kept in reversed(self._all)
            if (type_ is None or kept.version.type == type_)
            and (id_ is None or kept.version.id == id_)
            and (since is None or kept.version.at >= since)
            and (until is None or kept.version.at < until)
            and (before is None or kept.version.seq < before)
            and kept.version.type not in without
        )
        return list(self._seen(access, "search" if id_ is None else "read", wanted))[:limit]

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
        wanted = (
            kept
            for kept in self._all[max(after, 0) :]
            if type_ in (None, kept.version.type) and kept.version.type not in without
        )
        return list(self._seen(access, "search", wanted))[:limit]

    async def digests(
        self, type_: str, *, after: int = 0, limit: int, anew: bool = False
    ) -> list[Digest]:
        """See :meth:`server.store.port.Store.digests`; made when it is asked, as nothing ages."""
        wanted = [one for one in self._all[max(after, 0) :] if one.version.type == type_]
        return [_digest(one) for one in wanted[:limit]]

    async def outbox(self, *, after: int = 0, limit: int = 100) -> list[OutboxRow]:
        """See :meth:`server.store.port.Store.outbox`."""
        return [row for row in self._outbox if row.seq > after][:limit]

    async def trim_outbox(self, upto: int) -> int:
        """See :meth:`server.store.port.Store.trim_outbox`."""
        had = len(self._outbox)
        self._outbox = [row for row in self._outbox if row.seq > upto]
        return had - len(self._outbox)

    def use_index(self, index: Index, fingerprint: str, catalog: Catalog = R4) -> None:
        """See :meth:`server.store.port.Store.use_index`."""
        self._catalog = catalog
        self._index = index
        self._fingerprint = fingerprint

    async def reindex(self, *, batch: int = 500) -> int:
        """See :meth:`server.store.port.Store.reindex`."""
        stale = self._live.stale(self._fingerprint)
        for live in stale[:batch]:
            self._index_anew(live)
        return max(len(stale) - batch, 0)

    async def backup(self, target: str) -> None:
        """Refuse: there is no file to restore a copy of this store from."""
        raise StoreUnavailable(f"a memory store cannot be backed up to {Path(target).name}")

    async def verify(self) -> list[str]:
        """Return []: memory keeps nothing that could differ from what was written."""
        return []

    async def ready(self) -> str | None:
        """See :meth:`server.store.port.Store.ready`."""
        return "the store is closed" if self._closed else None

    async def close(self) -> None:
        """See :meth:`server.store.port.Store.close`."""
        self._closed = True

    def _check_expectation(self, expected: Expect) -> None:
        walk = Walk(self._live, deadline_s=60.0)
        found = {live.version.id for live in _matching(expected.query, walk)}
        if found != expected.ids:
            raise CommitConflict(f"{len(found)} match instead of {len(expected.ids)}")

    def _next(self, write: Write, at: int, seq: int) -> _Kept:
        chain = self._chains.get((write.type, write.id), [])
        number = len(chain) + 1
        check_version(write, len(chain))
        body = None if write.body is None else splice(write.body, number, at)
        version = Version(write.type, write.id, number, seq, at, write.method, body)
        if body is None:
            return _Kept(version, chain[-1].compartments if chain else frozenset())
        return _Kept(version, compartment_hashes(write.compartments))

    def _keep(self, write: Write, kept: _Kept) -> None:
        place = (write.type, write.id)
        self._all.append(kept)
        chain = self._chains.setdefault(place, [])
        chain.append(kept)
        self._live.remove(place)
        if kept.version.body is not None and write.rows is not None:
            first = chain[0].version
            rows = whole(write.rows)
            rows = replace(rows, keys=stored_keys(write.type, rows, kept.compartments))
            body = fhir_json.loads(kept.version.body)
            candidate = Candidate(body, rows, kept.version.at)
            date = first.at if rows.date is None else rows.date
            self._live.put(Live(kept.version, candidate, date, first.seq, self._fingerprint))

    def _index_anew(self, live: Live) -> None:
        type_ = live.version.type
        one = live.candidate
        try:
            made, compartments = self._index(one.resource)
        except Exception as error:  # one resource must not keep all others from being found
            log.error("a %s cannot be indexed anew: %s", type_, type(error).__name__)
            self._live.put(replace(live, fingerprint=self._fingerprint))
            return
        marks = given(type_, self._chains[one.place][-1].compartments)
        keys = stored_keys(type_, made, compartment_hashes(compartments) | marks)
        rows = replace(made, keys=keys)
        born = self._chains[one.place][0].version.at
        date = born if rows.date is None else rows.date
        self._live.put(
            replace(
                live,
                candidate=replace(one, rows=rows),
                date=date,
                fingerprint=self._fingerprint,
            )
        )

    def _seen(
        self, access: AccessContext, interaction: Interaction, versions: Iterable[_Kept]
    ) -> Iterator[Version]:
        moment = Moment(self._live)
        judge = Judge(access, interaction, self._index, moment)
        plain = by_compartment_only(access)
        for kept in versions:
            chain = self._chains[kept.version.type, kept.version.id]
            type_, own, last = kept.version.type, kept.compartments, chain[-1].compartments
            if plain or kept is chain[-1]:
                open_ = decide(access, interaction, type_, own)
            else:
                open_ = by_marks(access, interaction, type_, own, last)
            if open_ is None and kept is chain[-1] and kept.version.body is not None:
                asked = Query((type_,), limit(type_, access, interaction))
                open_ = moment.matches(asked, self._live.candidate((type_, kept.version.id)))
            elif open_ is None:
                open_ = judge.holds(type_, _image(chain, kept), _image(chain, chain[-1]))
            if open_:
                yield kept.version

    def _answer(
        self, access: AccessContext, query: Query, sort: Sequence[SortKey], deadline_s: float
    ) -> _Answer:
        walk = Walk(self._live, deadline_s)
        moment = Moment(walk)
        found = _matching(narrow(query, access), walk, moment)
        keys = narrow_sort(sort, access)
        made = [_item(live, keys, moment, self._catalog) for live in found]
        items = in_order(made, _directions(sort))
        return _Answer(walk, found, items)


def _image(chain: Sequence[_Kept], kept: _Kept) -> Image:
    """Return what a version is judged by; a deletion by the content of the version before it."""
    upto = chain[: kept.version.number]
    bodies = [one.version.body for one in upto if one.version.body is not None]
    return Image(kept.compartments, bodies[-1] if bodies else None, kept.version.at)


def _digest(kept: _Kept) -> Digest:
    said = repr((kept.version, sorted(kept.compartments)))
    return Digest(kept.version.seq, kept.version.id, sha256(said.encode()).digest())


def _matching(query: Query, walk: Walk, moment: Moment | None = None) -> list[Live]:
    there = moment or Moment(walk)
    return [live for live in walk.of_types(query.types) if there.matches(query, live.candidate)]


def _item(live: Live, sort: Sequence[SortKey], moment: Moment, catalog: Catalog) -> Item:
    one = live.candidate
    values = tuple(reach.sort_value(one, key, moment, catalog=catalog) for key in sort)
    return Item(live.version, values or (live.date,), live.rid)


def _directions(sort: Sequence[SortKey]) -> tuple[bool, ...]:
    return tuple(key.descending for key in sort) or (True,)


def _told(key: SortKey) -> str:
    chain = ".".join([*(hop.param for hop in key.through), key.param])
    return f"{chain}, {'descending' if key.descending else 'ascending'}"
