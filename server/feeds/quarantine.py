"""What an interface analyst does with the inbox: look, and apply again.  No HTTP, no terminal."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mappings.feed import Feed
from mappings.maps import Maps
from mappings.plan import Plan
from server.feeds.inbox import (
    HOLD,
    RAW,
    REPLAY,
    STATES,
    WAITING,
    Entry,
    Inbox,
    State,
    body_writes,
    first_id,
)
from server.feeds.making import prepare
from server.feeds.refused import RefusedMessage
from server.feeds.unmapped import unmapped as unmapped_of
from server.feeds.work import plan_message
from server.fhir.errors import Conflict
from server.interactions.services import Services
from server.store.port import CommitConflict, Record, RecordWrite, Store

_AT_ONCE = 500  # replays asked for in one commit
_TRIES = 5
_EARLIER_US = 1_000_000  # that an id may be older than the time of its message


async def reopen(
    store: Store,
    inbox: Inbox,
    entry: Entry,
    edited: bytes = b"",
    *,
    replayed: bool = True,
    asked: Record | None = None,
) -> Entry:
    """Make a finished message one that waits to be applied; return it as stored.

    ``edited`` bytes are kept beside those received.  What ``replayed`` makes goes nowhere outside.
    Nothing of it expires any more, until it is applied.  ``asked``: the record that asked for it,
    which goes in the same commit, so that no crash makes it happen twice.

    Raises:
        CommitConflict: its state changed meanwhile, or it was asked for anew.
    """
    again = replace(entry, state="received", dismissed="", expires_at=None)
    if replayed:
        again = replace(again, mode="replay")
    records = []
    if entry.state == "applied":
        records += body_writes(again, await inbox.bodies(entry))
    if edited:
        again = replace(again, edits=entry.edits + 1)
        records.append(RecordWrite(RAW, f"{entry.id}.{again.edits}", edited))
    if asked is not None:
        records.append(RecordWrite(REPLAY, asked.key, None, if_rev=asked.rev))
    await store.commit([], records=[again.write(), *records])
    return replace(again, rev=again.rev + 1)


async def ask_replay(store: Store, ids: Sequence[str], edited: bytes = b"") -> None:
    """Ask the running server (or the next one to start) to apply messages again.

    A message that waits with an edit already waits with it still: its edit is not lost.

    Raises:
        Conflict: another edit of the message waits to be applied.
    """
    for start in range(0, len(ids), _AT_ONCE):
        await _ask(store, ids[start : start + _AT_ONCE], edited)


async def _ask(store: Store, ids: Sequence[str], edited: bytes) -> None:
    for _ in range(_TRIES):
        found = [await store.get_record(REPLAY, id_) for id_ in ids]
        waiting = {one.key: one for one in found if one is not None}
        if edited and any(one.value not in (b"", edited) for one in waiting.values()):
            raise Conflict("another edit of this message waits to be applied")
        asked = [
            RecordWrite(REPLAY, id_, edited, if_rev=waiting[id_].rev if id_ in waiting else 0)
            for id_ in dict.fromkeys(ids)
            if edited or id_ not in waiting
        ]
        try:
            await store.commit([], records=asked)
        except CommitConflict:
            continue
        return
    raise Conflict("somebody else asks for the same messages all the time")


async def dismiss(store: Store, inbox: Inbox, entry: Entry, reason: str, now: int) -> Entry:
    """Decide that a message in quarantine shall never be applied; return it as stored.

    It is kept with ``reason``.  Lanes that it held go on: the first message of each is asked for.
    One that begins to wait in them at this very moment is seen, or waits for nothing: its commit
    and this one both change the lane's record.

    Raises:
        ValueError: it is not in quarantine.
        CommitConflict: its state changed meanwhile.
    """
    if entry.state != "quarantined":
        raise ValueError(f"message {entry.id} is {entry.state}, not in quarantine")
    gone = replace(entry, state="dismissed", dismissed=reason, updated=now)
    for _ in range(_TRIES):
        try:
            await store.commit([], records=[gone.write(), *await _let_go(store, inbox, entry)])
        except CommitConflict:
            if (await inbox.current(entry)).rev != entry.rev:
                raise
        else:
            return replace(gone, rev=gone.rev + 1)
    raise CommitConflict(f"the lane of message {entry.id} changes all the time")


async def _let_go(store: Store, inbox: Inbox, entry: Entry) -> list[RecordWrite]:
    """Return what lets the lanes that the message holds go on without it."""
    found = [await store.get_record(HOLD, lane) for lane in entry.lanes]
    holds = [one for one in found if one is not None and one.value.decode() == entry.id]
    waiting = await select(inbox, Filter(feed=entry.feed, states=WAITING)) if holds else []
    records = []
    for hold in holds:
        first = next((one for one in waiting if hold.key in one.lanes), None)
        # The lane becomes that message's, so that none that comes now overtakes it.
        following = first.id.encode() if first is not None else None
        records.append(RecordWrite(HOLD, hold.key, following, if_rev=hold.rev))
        if first is not None and first.state == "held":  # else it goes on already
            asked = await store.get_record(REPLAY, first.id)
            edit, rev = (asked.value, asked.rev) if asked is not None else (b"", 0)
            records.append(RecordWrite(REPLAY, first.id, edit, if_rev=rev))
    return list(dict.fromkeys(records))


@dataclass(frozen=True, slots=True)
class UnmappedCode:
    """A code without a row in its table: of how many messages, and of which the last."""

    feed: str
    code: str
    messages: int
    last: Entry


async def unmapped(inbox: Inbox, *, feed: str | None = None) -> list[UnmappedCode]:
    """Return the unmapped codes (``Table code``) of messages in the inbox, the most frequent first.

    An authority without a system is ``AssigningAuthority NAME``.  Each message counts a code once.
    """
    counts: Counter[tuple[str, str]] = Counter()
    last: dict[tuple[str, str], Entry] = {}
    async for entry in inbox.walk(feed=feed):
        for code in dict.fromkeys(entry.unmapped):  # equal counts: in the order they came
            counts[entry.feed, code] += 1
            last[entry.feed, code] = entry
    return [UnmappedCode(*place, n, last[place]) for place, n in counts.most_common()]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which messages are meant; what is ``None`` does not matter.

    ``since`` (inclusive) and ``until`` (exclusive) bound when they were received, in microseconds;
    ``reason`` why they are or were in quarantine; ``type`` is ``ADT^A01``, or ``ADT`` for all
    events; ``map_version`` the maps that they were last read with, or the first letters of it.
    """

    feed: str | None = None
    states: tuple[State, ...] = STATES
    reason: str | None = None
    type: str | None = None
    since: int | None = None
    until: int | None = None
    map_version: str | None = None
    control_id: str | None = None

    def takes(self, entry: Entry) -> bool:
        """Tell whether a message of the feed and the states is meant."""
        return (
            self.reason in (None, entry.reason)
            and self.control_id in (None, entry.control_id)
            and (self.type is None or f"{entry.type}^".startswith(f"{self.type}^"))
            and (self.since is None or entry.received >= self.since)
            and (self.until is None or entry.received < self.until)
            and (self.map_version is None or entry.map_version.startswith(self.map_version))
        )


async def matching(inbox: Inbox, wanted: Filter, *, after: str = "") -> AsyncIterator[Entry]:
    """Yield the messages that are meant, with ids above ``after``, oldest first."""
    if wanted.since is not None:
        after = max(after, first_id(wanted.since - _EARLIER_US))
    async for entry in inbox.walk(feed=wanted.feed, states=wanted.states, after=after):
        if wanted.takes(entry):
            yield entry


async def select(inbox: Inbox, wanted: Filter) -> list[Entry]:
    """Return the messages that are meant, oldest first."""
    return [entry async for entry in matching(inbox, wanted)]


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a replay would do now: versions it would write, or why it would be refused."""

    plan: Plan | None
    writes: tuple[str, ...] = ()
    resources: tuple[dict[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()
    refused: RefusedMessage | None = None


async def dry_run(
    services: Services, maps: Maps, entry: Entry, body: bytes, feed: Feed | None = None
) -> DryRun:
    """Plan and merge a message against the record of this moment, and write nothing."""
    feed = feed or maps.feed(entry.feed)
    plan, refused = plan_message(maps, body, feed)
    if plan is None or refused is not None:
        return DryRun(plan, refused=refused)
    try:
        prepared = await prepare(services, entry, plan, feed)
    except RefusedMessage as found:
        return DryRun(plan, refused=found)
    resources = tuple(w.resource for w in prepared.changed if w.resource is not None)
    return DryRun(plan, prepared.produced, resources, prepared.warnings)


@dataclass(slots=True)
class Summary:
    """What applying many messages would come to, each alone against the record of this moment.

    ``writes`` counts versions by resource type, ``refused`` messages by reason, ``unmapped``
    messages by code without a row.
    """

    messages: int = 0
    applied: int = 0
    unchanged: int = 0
    writes: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    unmapped: Counter[str] = field(default_factory=Counter)

    def add(self, done: DryRun) -> None:
        """Count one message."""
        self.messages += 1
        if done.plan is not None:
            self.unmapped.update({f"{row.table} {row.code}" for row in unmapped_of(done.plan)})
        if done.refused is not None:
            self.refused[done.refused.reason] += 1
            return
        self.applied += bool(done.writes)
        self.unchanged += not done.writes
        self.writes.update(version.partition("/")[0] for version in done.writes)
