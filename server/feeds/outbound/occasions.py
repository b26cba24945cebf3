"""The change feed -> occasions: what was committed together, and by whom.

All versions of a commit have one ``at`` and follow each other; a feed's commit ends with the
Provenance that names exactly the versions it made (:mod:`server.feeds.provenance`).  Commits of
others in the same millisecond may fall into one occasion; what a feed made never does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from server.feeds.outbound.gather import Occasion
from server.feeds.provenance import FEED_SYSTEM, MODE_SYSTEM
from server.fhir import json as fhir_json
from server.store.following import Following
from server.store.port import Version

UNTOLD = ("AuditEvent",)  # no message tells who looked
FIRST, PAGE = 50, 500  # versions of the change feed read at once: at first, and at most
PAGE_BYTES = 8 * 2**20  # that their bodies should not be above: documents may be scans
MOST = 20_000  # of one occasion; only a clock that was set back makes more


@dataclass(frozen=True, slots=True)
class Page:
    """Occasions in commit order; ``upto`` is where the next page begins, ``at`` its time.

    ``size_bytes``: of the bodies of one version, on average.
    """

    occasions: tuple[Occasion, ...]
    upto: int
    at: int
    size_bytes: int = 0


async def read_page(feed: Following, after: int, *, limit: int = PAGE) -> Page | None:
    """Return the next occasions behind ``after``, whole ones only; ``None``: there are none.

    Raises:
        StoreUnavailable: the record could not be read now.
    """
    while True:
        versions = await feed.changes(after, limit)
        if not versions:
            return None
        if len(versions) == limit and limit < MOST:  # the last commit may go on behind the page
            whole = [v for v in versions if v.at != versions[-1].at]
            if not whole:
                limit *= 2
                continue
            versions = whole
        made = tuple(one for group in _groups(versions) for one in _occasions(group))
        size = sum(len(version.body or b"") for version in versions) // len(versions)
        return Page(made, versions[-1].seq, versions[-1].at, size)


def next_limit(page: Page, *, most_bytes: int = PAGE_BYTES) -> int:
    """Return how many versions to read next, if they are as large as those of ``page``.

    >>> [next_limit(Page((), 1, 1, size)) for size in (900, 100_000, 9_000_000)]
    [500, 83, 2]
    """
    return max(2, min(PAGE, most_bytes // max(page.size_bytes, 1)))


def _groups(versions: Sequence[Version]) -> Iterator[list[Version]]:
    """Yield versions that may be of one commit: one ``at``, no resource twice."""
    group: list[Version] = []
    seen: set[tuple[str, str]] = set()
    for version in versions:
        key = version.type, version.id
        if group and (group[-1].at != version.at or key in seen):
            yield group
            group, seen = [], set()
        group.append(version)
        seen.add(key)
    if group:
        yield group


def _occasions(group: Sequence[Version]) -> Iterator[Occasion]:
    """Yield what each feed made, and the rest, in commit order."""
    owned: dict[str, Occasion] = {}
    for version in group:
        if version.type == "Provenance" and version.body is not None:
            owned |= _by_feed(fhir_json.loads(version.body), group)
    taken: list[Occasion] = []
    rest: list[Version] = []
    for version in group:
        origin = owned.get(f"{version.type}/{version.id}/_history/{version.number}")
        if origin is None:
            rest.append(version)
        elif origin not in taken:
            taken.append(origin)
    if told := tuple(v for v in rest if v.type != "Provenance"):
        taken.append(Occasion(told))
    yield from sorted(taken, key=lambda occasion: occasion.versions[0].seq)


def _by_feed(provenance: Any, group: Sequence[Version]) -> dict[str, Occasion]:
    """Return the occasion that a feed's Provenance tells of, by the versions it names."""
    agent = (provenance.get("agent") or [{}])[0].get("who", {}).get("identifier", {})
    if agent.get("system") != FEED_SYSTEM:
        return {}
    named = {str(one.get("reference")) for one in provenance.get("target", ())}
    versions = tuple(v for v in group if f"{v.type}/{v.id}/_history/{v.number}" in named)
    if not versions:
        return {}
    tags = provenance.get("meta", {}).get("tag", ())
    mode = next((t["code"] for t in tags if t.get("system") == MODE_SYSTEM), "live")
    events = provenance.get("activity", {}).get("coding") or [{}]
    made = Occasion(versions, str(agent.get("value", "")), mode, str(events[0].get("code", "")))
    return {f"{v.type}/{v.id}/_history/{v.number}": made for v in versions}
