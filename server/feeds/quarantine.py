"""What an interface analyst does with the inbox: look, and apply again.  No HTTP, no terminal."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mappings.feed import Feed
from mappings.maps import Maps
from mappings.plan import Plan
from server.feeds.apply import prepare
from server.feeds.inbox import HOLD, RAW, REPLAY, Entry, Inbox, State, body_writes
from server.feeds.refused import RefusedMessage
from server.feeds.work import plan_message
from server.interactions.services import Services
from server.store.port import RecordWrite, Store


async def reopen(
    store: Store, inbox: Inbox, entry: Entry, edited: bytes = b"", *, replayed: bool = True
) -> Entry:
    """Make a finished message one that waits to be applied; return it as stored.

    ``edited`` bytes are kept beside those received.  What ``replayed`` makes goes nowhere outside.
    Nothing of it expires any more, until it is applied.

    Raises:
        CommitConflict: its state changed meanwhile.
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
    await store.commit([], records=[again.write(), *records])
    return replace(again, rev=again.rev + 1)


async def ask_replay(store: Store, ids: Sequence[str], edited: bytes = b"") -> None:
    """Ask the running server (or the next one to start) to apply messages again."""
    await store.commit([], records=[RecordWrite(REPLAY, id_, edited) for id_ in ids])


async def dismiss(store: Store, inbox: Inbox, entry: Entry, reason: str, now: int) -> Entry:
    """Decide that a message in quarantine shall never be applied; return it as stored.

    It is kept with ``reason``.  A lane that it held goes on: its first message is asked for.

    Raises:
        ValueError: it is not in quarantine.
        CommitConflict: its state changed meanwhile.
    """
    if entry.state != "quarantined":
        raise ValueError(f"message {entry.id} is {entry.state}, not in quarantine")
    gone = replace(entry, state="dismissed", dismissed=reason, updated=now)
    records = [gone.write()]
    hold = await store.get_record(HOLD, entry.lane) if entry.lane else None
    if hold is not None and hold.value.decode() == entry.id:
        waiting = await select(inbox, feed=entry.feed, states=("held",))
        first = [one.id for one in waiting if one.lane == entry.lane][:1]
        # The lane becomes that message's, so that none that comes now overtakes it.
        following = first[0].encode() if first else None
        records.append(RecordWrite(HOLD, entry.lane, following, if_rev=hold.rev))
        records += [RecordWrite(REPLAY, id_, b"") for id_ in first]
    await store.commit([], records=records)
    return replace(gone, rev=gone.rev + 1)


@dataclass(frozen=True, slots=True)
class UnmappedCode:
    """A code without a row in its table: of how many messages, and of which the last."""

    feed: str
    code: str
    messages: int
    last: Entry


async def unmapped(inbox: Inbox, *, feed: str | None = None) -> list[UnmappedCode]:
    """Return the unmapped codes (``Table code``) of messages in the inbox, the most frequent first.

    Each message counts a code once.
    """
    counts: Counter[tuple[str, str]] = Counter()
    last: dict[tuple[str, str], Entry] = {}
    async for entry in inbox.walk(feed=feed):
        for code in set(entry.unmapped):
            counts[entry.feed, code] += 1
            last[entry.feed, code] = entry
    return [UnmappedCode(*place, n, last[place]) for place, n in counts.most_common()]


async def select(
    inbox: Inbox, *, feed: str | None = None, states: Sequence[State], reason: str | None = None
) -> list[Entry]:
    """Return the messages of the states, oldest first, of one feed and reason if stated."""
    return [
        entry
        async for entry in inbox.walk(feed=feed, states=states)
        if reason in (None, entry.reason)
    ]


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
