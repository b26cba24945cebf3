"""What an interface analyst does with the inbox: look, and apply again.  No HTTP, no terminal."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mappings.feed import Feed
from mappings.maps import Maps
from mappings.plan import Plan
from server.feeds.apply import prepare
from server.feeds.inbox import RAW, REPLAY, Entry, Inbox, State
from server.feeds.refused import RefusedMessage
from server.feeds.work import plan_message
from server.interactions.services import Services
from server.store.port import RecordWrite, Store


async def reopen(
    store: Store, inbox: Inbox, entry: Entry, edited: bytes = b"", *, replayed: bool = True
) -> Entry:
    """Make a finished message one that waits to be applied; return it as stored.

    ``edited`` bytes are kept beside those received.  What ``replayed`` makes goes nowhere outside.

    Raises:
        CommitConflict: its state changed meanwhile.
    """
    again = replace(entry, state="received", updated=entry.updated)
    if replayed:
        again = replace(again, mode="replay")
    records = []
    if edited:
        again = replace(again, edits=entry.edits + 1)
        records.append(RecordWrite(RAW, f"{entry.id}.{again.edits}", edited))
    await store.commit([], records=[again.write(), *records])
    return replace(again, rev=again.rev + 1)


async def ask_replay(store: Store, ids: Sequence[str], edited: bytes = b"") -> None:
    """Ask the running server (or the next one to start) to apply messages again."""
    await store.commit([], records=[RecordWrite(REPLAY, id_, edited) for id_ in ids])


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
