"""The explanation of a message as it is shown: whole, where the maps that planned it are at hand.

What was kept with the message is what only its mapping knew; see :mod:`mappings.explain`.
"""

from collections.abc import Sequence

from mappings.maps import Maps
from mappings.parse import Message, Unparsable, parse
from mappings.plan import ExplainRow, Plan
from server.feeds.inbox import Entry, Inbox

LARGEST = 1024 * 1024  # bytes of a message that is planned anew to be explained


def of_plan(maps: Maps, plan: Plan | None, body: bytes, feed: str) -> Sequence[ExplainRow]:
    """Return all rows of a plan that these maps made of the message."""
    if plan is None:
        return ()
    message = _read(body)
    return plan.explain if message is None else maps.explain(plan, message, feed)


async def of_message(inbox: Inbox, maps: Maps, entry: Entry) -> Sequence[ExplainRow]:
    """Return the rows of a message in the inbox; those that were kept, if the maps are others now
    or the message is larger than :data:`LARGEST`.
    """
    told = await inbox.explain(entry.id) or {}
    kept = [ExplainRow(*row) for row in told.get("explain", ())]
    if not kept or entry.map_version != maps.version:
        return kept
    message = _read(await inbox.body(entry))
    if message is None:
        return kept
    return maps.explain(maps.plan(message, maps.feed(entry.feed)), message, entry.feed)


def _read(body: bytes) -> Message | None:
    if len(body) > LARGEST:
        return None
    try:
        return parse(body)
    except Unparsable:
        return None
