"""The durable inbox: every message as received, what became of it, and its answer.

It lives in the store's records, so that a message's state changes in the commit of the resources it
made.  Kinds (docs/feeds.md):

===================  ==========================  ================================================
kind                 key                         value
===================  ==========================  ================================================
``feed``             feed name                   empty; which feeds have ever sent
``inbox/FEED``       message id (UUIDv7)         :class:`Entry` as JSON; the tag is its state
``inbox-raw``        message id, ``id.N`` for    the bytes as received, the N-th edited bytes
                     the N-th edit
``inbox-seen``       sender and MSH-10 hash,     message id: the same bytes again are this message
                     then the body's hash
``inbox-explain``    message id                  what the maps did, compressed JSON
``inbox-hold``       lane hash                   id of the message that holds the lane
``inbox-replay``     message id                  a replay that the running server is asked for
===================  ==========================  ================================================

Ids grow within a process, so a list by key is in the order of arrival.  When a message is applied
all its records get a time to expire; until then, and in quarantine, they have none.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from hashlib import sha256
from typing import Any, Literal
from uuid import UUID

import orjson
import zstandard

from mappings.feed import Feed, Mode
from mappings.plan import Plan, told
from server.feeds.arriving import Arriving
from server.feeds.header import Header, read_header
from server.feeds.packed import PackedPlan
from server.store.port import CommitConflict, Record, RecordWrite, Store
from server.uuid7 import uuid7

State = Literal["received", "retrying", "held", "applied", "quarantined", "dismissed"]
STATES: tuple[State, ...] = (
    "received", "retrying", "held", "applied", "quarantined", "dismissed",
)  # fmt: skip
UNFINISHED: tuple[State, ...] = ("received", "retrying")
WAITING: tuple[State, ...] = ("held", *UNFINISHED)

_AHEAD = 20  # messages of others that are read at a time: with their bytes

FEED, RAW, SEEN = "feed", "inbox-raw", "inbox-seen"
_compressor = zstandard.ZstdCompressor(level=1)  # making one costs more than using it

EXPLAIN, HOLD, REPLAY = "inbox-explain", "inbox-hold", "inbox-replay"


@dataclass(frozen=True, slots=True)
class Entry:
    """One message.  Times are microseconds since 1970-01-01T00:00:00Z.

    ``sender`` is ``MSH-3|MSH-4``; ``lanes`` are hashes (identities stay out of lists); ``reason``
    and ``problem`` say why it is in quarantine, ``issues`` name the faults; ``produced`` are the
    versions that it made (``Patient/x/_history/2``); ``ack`` is the application acknowledgement
    that was sent, byte for byte; ``edits`` counts the edited bodies;
    ``reused_id``: another message of this sender had the same MSH-10; ``dismissed``: why somebody
    decided that it shall not be applied; ``expires_at`` is written, and not read.  ``rev`` 0: it is
    not stored yet.
    """

    id: str
    feed: str
    received: int
    sender: str = ""
    control_id: str = ""
    type: str = ""
    sha256: str = ""
    size_bytes: int = 0
    mode: Mode = "live"
    state: State = "received"
    lanes: tuple[str, ...] = ()
    reason: str = ""
    problem: str = ""
    issues: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    unmapped: tuple[str, ...] = ()
    produced: tuple[str, ...] = ()
    map_version: str = ""
    attempts: int = 0
    edits: int = 0
    reused_id: bool = False
    updated: int = 0
    dismissed: str = ""
    ack: bytes = b""
    rev: int = 0
    expires_at: int | None = None

    def write(self) -> RecordWrite:
        """Return the record that stores this entry, guarded against a second worker."""
        row = {name: value for name in _STORED if (value := getattr(self, name))}
        row["ack"] = self.ack.decode("latin-1")
        return RecordWrite(
            f"inbox/{self.feed}",
            self.id,
            orjson.dumps(row),
            tag=self.state,
            if_rev=self.rev,
            expires_at=self.expires_at,
        )


_STORED = tuple(f.name for f in fields(Entry) if f.name not in ("rev", "expires_at"))


def read_entry(record: Record) -> Entry:
    """Return the entry that a record of kind ``inbox/FEED`` holds."""
    row: dict[str, Any] = orjson.loads(record.value)
    values: dict[str, Any] = {
        name: tuple(row[name]) if isinstance(row[name], list) else row[name]
        for name in _STORED
        if name in row
    }
    if lane := row.get("lane"):  # as written before a message could have several
        values["lanes"] = (lane,)
    return Entry(**(values | {"ack": row["ack"].encode("latin-1"), "rev": record.rev}))


@dataclass(frozen=True, slots=True)
class Receipt:
    """A message that is durable.  ``repeated``: the same bytes came before, as this entry."""

    entry: Entry
    repeated: bool = False


class Inbox:
    """Keeps messages and finds them again; writes of later states go with the record's commit.

    ``shared``: other processes keep messages beside this one.  Then the id of a message is above
    those of all that were kept before it came, whatever the clocks of the others say.
    """

    def __init__(
        self,
        store: Store,
        *,
        now: Callable[[], int],
        new_id: Callable[[], str],
        shared: bool = False,
    ) -> None:
        self._store = store
        self._shared = shared
        self._now = now
        self._new_id = new_id
        self._last = 0
        self._feeds: set[str] = set()
        self._arriving = Arriving()
        self._announced: dict[str, str] = {}  # key of the sender's message by id

    async def announce(self, feed: Feed, body: bytes, header: Header) -> Entry | None:
        """Return a message to be stored with what becomes of it; ``None``: :meth:`receive` it.

        ``None`` for one without MSH-10, and for one whose sender used that MSH-10 before.  Whoever
        got one tells :meth:`arrived` when it is stored or given up.

        Raises:
            StoreUnavailable: the inbox cannot be read, or not written for the first of a feed.
        """
        key = _sender_key(feed.name, header)
        if self._shared or not header.control_id or key in self._arriving:
            return None
        self._arriving.begin(key)
        try:
            sent_before = await self._sent_before(key)
            if feed.name not in self._feeds:
                await self._store.commit([], records=[RecordWrite(FEED, feed.name, b"")])
                self._feeds.add(feed.name)
        except BaseException:
            self._arriving.end(key)
            raise
        if sent_before:
            self._arriving.end(key)
            return None
        digest = sha256(body).hexdigest()
        entry = _entry(self.next_id(), feed, self._now(), body, digest, header, reused=False)
        self._announced[entry.id] = key
        return entry

    def arrived(self, entry: Entry) -> None:
        """Note that a message that was announced is stored, or will not be."""
        key = self._announced.pop(entry.id, None)
        if key is not None:
            self._arriving.end(key)

    async def receive(self, feed: Feed, body: bytes, header: Header | None) -> Receipt:
        """Store the message and return it; when this returns its bytes are durable.

        Raises:
            StoreUnavailable: nothing was kept, nothing may be acknowledged positively.
        """
        if header is None or not header.control_id:
            return await self._receive(feed, body, header)
        key = _sender_key(feed.name, header)
        await self._arriving.begin_alone(key)
        try:
            return await self._receive(feed, body, header)
        finally:
            self._arriving.end(key)

    async def _receive(self, feed: Feed, body: bytes, header: Header | None) -> Receipt:
        digest = sha256(body).hexdigest()
        sender_key = _sender_key(feed.name, header)
        reused = bool(header and header.control_id) and await self._sent_before(sender_key)
        if self._shared:
            await self._follow_others()
        entry = _entry(self.next_id(), feed, self._now(), body, digest, header, reused=reused)
        seen = RecordWrite(SEEN, sender_key + digest[:32], _place(entry), if_rev=0)
        records = [entry.write(), RecordWrite(RAW, entry.id, body), seen]
        if feed.name not in self._feeds:
            records.append(RecordWrite(FEED, feed.name, b""))
        try:
            await self._store.commit([], records=records)
        except CommitConflict:
            return Receipt(await self._seen(seen.key), repeated=True)
        self._feeds.add(feed.name)
        return Receipt(replace(entry, rev=1))

    async def resume(self) -> None:
        """Go on above the ids of earlier runs, also when the clock was set back since."""
        now = first_id(self._now())
        for feed in await self.feeds():
            after = now
            while page := await self._store.find_records(f"inbox/{feed}", after=after):
                after = page[-1].key
            if after != now:
                self._last = max(self._last, UUID(after).int)

    async def _follow_others(self) -> None:
        """Go on above the ids that other processes gave, should their clocks be ahead of ours."""
        after = max(first_id(self._now()), str(UUID(int=self._last)))
        while page := await self._store.find_records(RAW, after=after, limit=_AHEAD):
            after = page[-1].key
            self._last = max(self._last, UUID(after[:36]).int)

    def next_id(self) -> str:
        """Return a UUIDv7 above every one this process has made before, or resumed behind."""
        self._last = max(UUID(self._new_id()).int, self._last + 1)
        return str(UUID(int=self._last))

    async def feeds(self) -> list[str]:
        """Return the names of all feeds that ever sent something."""
        return [record.key for record in await self._store.find_records(FEED, limit=10_000)]

    async def counts(self) -> dict[str, dict[str, int]]:
        """Return how many messages there are, by feed and state."""
        return {
            feed: dict(await self._store.count_records(f"inbox/{feed}"))
            for feed in await self.feeds()
        }

    async def get(self, id_: str) -> Entry | None:
        """Return the message, whatever feed it came by."""
        for feed in await self.feeds():
            record = await self._store.get_record(f"inbox/{feed}", id_)
            if record is not None:
                return read_entry(record)
        return None

    async def current(self, entry: Entry) -> Entry:
        """Return the message as it is stored now."""
        record = await self._store.get_record(f"inbox/{entry.feed}", entry.id)
        return read_entry(record) if record is not None else entry

    async def body(self, entry: Entry) -> bytes:
        """Return the bytes to be mapped: as received, or as last edited."""
        key = f"{entry.id}.{entry.edits}" if entry.edits else entry.id
        record = await self._store.get_record(RAW, key)
        return record.value if record is not None else b""

    async def received_body(self, entry: Entry) -> bytes:
        """Return the bytes as received, whatever was edited since."""
        record = await self._store.get_record(RAW, entry.id)
        return record.value if record is not None else b""

    async def bodies(self, entry: Entry) -> dict[str, bytes]:
        """Return the bytes as received and all edited ones, by the key of their record."""
        keys = [entry.id, *(f"{entry.id}.{n}" for n in range(1, entry.edits + 1))]
        found = [await self._store.get_record(RAW, key) for key in keys]
        return {record.key: record.value for record in found if record is not None}

    async def explain(self, id_: str) -> dict[str, Any] | None:
        """Return what the maps did with the message: ``explain``, ``unmapped``, ``warnings``."""
        record = await self._store.get_record(EXPLAIN, id_)
        return orjson.loads(zstandard.decompress(record.value)) if record is not None else None

    async def walk(
        self, *, feed: str | None = None, states: Sequence[State] = STATES, after: str = ""
    ) -> AsyncIterator[Entry]:
        """Yield messages of the states, with ids above ``after``, in the order of arrival."""
        feeds = await self.feeds() if feed is None else [feed]
        rows = [self._of_state(name, state, after) for name in feeds for state in states]
        heads = [(await anext(row, None), row) for row in rows]
        while live := [(head, row) for head, row in heads if head is not None]:
            first, row = min(live, key=lambda pair: pair[0].id)
            yield first
            heads = [(h, r) for h, r in live if r is not row] + [(await anext(row, None), row)]

    async def _of_state(self, feed: str, state: State, after: str) -> AsyncIterator[Entry]:
        while page := await self._store.find_records(f"inbox/{feed}", tag=state, after=after):
            for record in page:
                yield read_entry(record)
            after = page[-1].key
            await asyncio.sleep(0)  # a store may answer without a pause; others must get on

    async def _sent_before(self, sender_key: str) -> bool:
        found = await self._store.find_records(SEEN, after=sender_key, limit=1)
        return bool(found) and found[0].key.startswith(sender_key)

    async def stored(self, entry: Entry, header: Header | None) -> Entry | None:
        """Return what is stored of a message, ``None`` when it is not.

        When somebody else stored the same bytes first it is that, under the id of this one.
        """
        current = await self.current(entry)
        if current.rev or entry.rev:
            return current
        same = await self._same(_seen_key(entry, header))
        return replace(same, id=entry.id) if same is not None else None

    async def _seen(self, key: str) -> Entry:
        same = await self._same(key)
        if same is None:
            raise CommitConflict("another message was stored under the same id")
        return same

    async def _same(self, key: str) -> Entry | None:
        seen = await self._store.get_record(SEEN, key)
        feed, _, id_ = (seen.value if seen is not None else b"").decode().rpartition("/")
        record = await self._store.get_record(f"inbox/{feed}", id_)
        return read_entry(record) if record is not None else None


def explain_write(entry: Entry, plan: Plan) -> RecordWrite:
    """Return the record that keeps how each value came about."""
    packed = plan.explained if isinstance(plan, PackedPlan) else explained(plan)
    return RecordWrite(EXPLAIN, entry.id, packed, expires_at=entry.expires_at)


def explained(plan: Plan) -> bytes:
    """Return how each value of a plan came about, as it is kept."""
    made = {
        "explain": told(plan.explain),
        "unmapped": [[row.table, row.code, row.source] for row in plan.unmapped],
        "warnings": list(plan.warnings),
    }
    return _compressor.compress(orjson.dumps(made))


def body_writes(
    entry: Entry, bodies: Mapping[str, bytes], header: Header | None = None
) -> list[RecordWrite]:
    """Return the records of :meth:`Inbox.bodies`, to expire when ``entry`` does.

    ``header``: of the bytes as received, when it was read already.  Of a message that is not stored
    yet they store it, once: :class:`CommitConflict` then may mean that the same one is there.
    """
    ends = entry.expires_at
    made = [RecordWrite(RAW, key, body, expires_at=ends) for key, body in bodies.items()]
    if (received := bodies.get(entry.id)) is not None:
        seen = _seen_key(entry, header or read_header(received))
        once = None if entry.rev else 0
        made.append(RecordWrite(SEEN, seen, _place(entry), if_rev=once, expires_at=ends))
    return made


def first_id(at: int) -> str:
    """Return the id below every one that was made at ``at`` (microseconds) or later."""
    return uuid7(max(0, at) // 1000, bytes(10))


def lane_hash(lane: str) -> str:
    """Return the text under which a lane is stored: equal for equal lanes, no identity in it."""
    return sha256(lane.encode()).hexdigest()[:32]


def _entry(
    id_: str,
    feed: Feed,
    now: int,
    body: bytes,
    digest: str,
    header: Header | None,
    *,
    reused: bool,
) -> Entry:
    sender = header.field(3) + b"|" + header.field(4) if header is not None else b""
    return Entry(
        id_,
        feed.name,
        now,
        sender=sender.decode("utf-8", "replace"),
        control_id=header.control_id.decode("utf-8", "replace") if header is not None else "",
        type=header.message_type if header is not None else "",
        sha256=digest,
        size_bytes=len(body),
        mode=feed.mode,
        reused_id=reused,
        updated=now,
    )


def _place(entry: Entry) -> bytes:
    return f"{entry.feed}/{entry.id}".encode()


def _seen_key(entry: Entry, header: Header | None) -> str:
    return _sender_key(entry.feed, header) + entry.sha256[:32]


def _sender_key(feed: str, header: Header | None) -> str:
    """Equal for messages of one feed, MSH-3, MSH-4 and MSH-10; without MSH-10 for all of a feed."""
    parts: Iterable[bytes] = (feed.encode(),)
    if header is not None and header.control_id:
        parts = (feed.encode(), header.field(3), header.field(4), header.control_id)
    return sha256(b"\0".join(parts)).hexdigest()[:32]
