"""Apply a plan: commit everything that it comes to at once.

One commit holds the new versions, their Provenance, the message's new state, what the feed said
(ownership), and the outbox row; so a message is applied wholly, or not at all, and once.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace

import orjson

from mappings.feed import Feed
from mappings.plan import Plan
from server.feeds.audit import audit_events
from server.feeds.inbox import Entry, explain_write
from server.feeds.making import Made, Maker, make
from server.feeds.unmapped import unmapped
from server.fhir.errors import Conflict, VersionConflict
from server.interactions.services import Services
from server.store.port import CommitConflict, OutboxWrite, RecordWrite

TRIES = 20  # plans; each failed one means that somebody else's commit came first
OUTBOX_TOPIC = "feed"


async def apply(
    services: Services,
    entry: Entry,
    plan: Plan,
    feed: Feed,
    *,
    finish: Callable[[Entry], Entry],
    also: Callable[[Entry], list[RecordWrite]] = lambda _entry: [],
    maker: Maker = make,
) -> Entry:
    """Apply the plan and return the message as it is now stored.

    Args:
        finish: puts the acknowledgement into the finished message, and the revision that is stored.
        also: further records for the same commit.
        maker: makes what is to be committed, here or elsewhere.

    Raises:
        RefusedMessage: it belongs in quarantine; nothing was written.
        Conflict: others' commits came first :data:`TRIES` times; nothing was written.
        StoreUnavailable, DeadlineExceeded: try again later; nothing was written.
    """
    packed: RecordWrite | None = None
    for attempt in range(TRIES):
        made = await maker(services, entry, plan, feed)
        done = finish(_finished(services, entry, plan, made))
        packed = packed or explain_write(done, plan)
        try:
            await _commit(services, entry, done, made, [packed, *also(done)])
        except (CommitConflict, VersionConflict):
            await asyncio.sleep(random.random() * 0.002 * attempt)  # noqa: S311 - only a pause
            continue
        return replace(done, rev=done.rev + 1)
    raise Conflict(f"the record changed under this message {TRIES} times")


def _finished(services: Services, entry: Entry, plan: Plan, made: Made) -> Entry:
    return replace(
        entry,
        state="applied",
        reason="",
        problem="",
        issues=(),
        warnings=made.warnings,
        unmapped=tuple(f"{row.table} {row.code}" for row in unmapped(plan)),
        produced=made.produced,
        map_version=plan.map_version,
        attempts=entry.attempts + 1,
        updated=services.now(),
    )


async def _commit(
    services: Services, entry: Entry, done: Entry, made: Made, also: list[RecordWrite]
) -> None:
    writes = list(made.writes)
    if made.provenance is not None:
        writes += [made.provenance, *audit_events(services, entry, made.writes, made.produced)]
    await services.store.commit(
        writes,
        expect=made.expects,
        records=[done.write(), *also, *made.records],
        outbox=[_outbox_row(done)] if made.writes else [],
    )


def _outbox_row(done: Entry) -> OutboxWrite:
    row = {"message": done.id, "feed": done.feed, "mode": done.mode, "written": done.produced}
    return OutboxWrite(OUTBOX_TOPIC, orjson.dumps(row))
