"""Messages newest first, of a store that lists by key upwards.

Ids begin with their time, so the last messages before one are found by looking at ever longer
spans of time; a span that holds too many is cut in half.
"""

from collections.abc import AsyncIterator
from uuid import UUID

from server.feeds.inbox import Entry, Inbox, State, first_id, read_entry
from server.feeds.quarantine import Filter
from server.store.port import Store

PAGE = 100
_FIRST_SPAN_US = 1_000_000
_ALL_US = 100 * 366 * 24 * 3600 * 1_000_000
_AHEAD_US = 1000


async def newest(
    store: Store, inbox: Inbox, wanted: Filter, *, before: str = ""
) -> AsyncIterator[Entry]:
    """Yield the messages that are meant, with ids below ``before``, newest first."""
    feeds = [wanted.feed] if wanted.feed is not None else await inbox.feeds()
    rows = [_downwards(store, feed, state, before) for feed in feeds for state in wanted.states]
    heads = [(await anext(row, None), row) for row in rows]
    while live := [(head, row) for head, row in heads if head is not None]:
        first, row = max(live, key=lambda pair: pair[0].id)
        if wanted.takes(first):
            yield first
        heads = [(h, r) for h, r in live if r is not row] + [(await anext(row, None), row)]


async def _downwards(store: Store, feed: str, state: State, before: str) -> AsyncIterator[Entry]:
    """Yield one feed's messages of a state, newest first."""
    end = before or "~"
    while page := await _last(store, feed, state, end):
        for entry in reversed(page):
            yield entry
        end = page[0].id


async def _last(store: Store, feed: str, state: State, end: str) -> list[Entry]:
    """Return the last messages before ``end``, in the order of their ids; [] if there are none."""
    upto = _ALL_US if end == "~" else _time(end) + _AHEAD_US
    upto = min(upto, await _latest(store, feed, state, end))
    span, short = _FIRST_SPAN_US, upto
    while True:
        found = await _between(store, feed, state, max(0, upto - span), end)
        if found is None:
            break
        if found or span > upto:
            return found
        short, span = upto - span, span * 8
    low, high = max(0, upto - span), short
    while high - low > 1000:  # too many from ``low`` on, none from ``high`` on
        middle = (low + high) // 2
        found = await _between(store, feed, state, middle, end)
        if found:
            return found
        low, high = (middle, high) if found is None else (low, middle)
    return await _walked(store, feed, state, low, end)


async def _between(
    store: Store, feed: str, state: State, since: int, end: str
) -> list[Entry] | None:
    """Return the messages from a time until ``end``; ``None`` when they are more than a page."""
    after = first_id(since)
    page = await store.find_records(f"inbox/{feed}", tag=state, after=after, limit=PAGE + 1)
    found = [read_entry(record) for record in page if record.key < end]
    return None if len(found) > PAGE else found


async def _walked(store: Store, feed: str, state: State, since: int, end: str) -> list[Entry]:
    """Return the last page of very many that came in one millisecond."""
    after, found = first_id(since), list[Entry]()
    while page := await store.find_records(f"inbox/{feed}", tag=state, after=after):
        found = [*found, *(read_entry(one) for one in page if one.key < end)][-PAGE:]
        after = page[-1].key
        if after >= end:
            break
    return found


async def _latest(store: Store, feed: str, state: State, end: str) -> int:
    """Return a time that is not before the last message's, near it when there is one at all."""
    low, high = 0, _ALL_US if end == "~" else _time(end) + _AHEAD_US
    while high - low > _FIRST_SPAN_US:
        middle = (low + high) // 2
        page = await store.find_records(f"inbox/{feed}", tag=state, after=first_id(middle), limit=1)
        if page and page[0].key < end:
            low = middle
        else:
            high = middle
    return high


def _time(id_: str) -> int:
    """Return the time in an id, microseconds, rounded up to the millisecond."""
    return (UUID(id_).int >> 80) * 1000 + 1000
