"""The change feed -> commits: their versions, who wrote them, and whether anybody is to be told."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final

from server.access.context import SYSTEM
from server.audit.codes import LOGIN
from server.fhir import json as fhir_json
from server.search.query import HasKey, Query
from server.store.following import Following
from server.store.port import Store, Version

PAGE: Final = 500
SILENT: Final = frozenset(("AuditEvent", "Provenance"))
"""Types of which nobody is told that they were corrected."""
_MOST: Final = 50_000  # versions of one commit
_MOST_ABOUT: Final = 20  # Provenances of one version
MODE_SYSTEM: Final = "urn:tellonce:feed-mode"
"""System of the tag by which a feed's Provenance says its mode, as ``server.feeds`` writes it."""


@dataclass(slots=True)
class Occasion:
    """The versions of one time.  ``silent``: those that a feed wrote outside of mode ``live``;
    ``writers``: the principals that wrote a version; both by versioned reference."""

    versions: list[Version] = field(default_factory=list)
    silent: set[str] = field(default_factory=set)
    writers: dict[str, set[str]] = field(default_factory=dict)


async def next_occasions(
    store: Store, feed: Following, after: int, limit: int = PAGE
) -> list[Occasion]:
    """Return the next whole commits behind ``after``, without ``SILENT``; [] when there are none.

    Raises:
        StoreUnavailable: the record could not be read now.
    """
    while True:
        versions = await feed.changes(after, limit)
        if len(versions) == limit and limit < _MOST:  # the last commit may go on behind the page
            whole = [v for v in versions if v.at != versions[-1].at]
            if not whole:
                limit *= 2
                continue
            versions = whole
        return list(_occasions(versions, await _provenances(store, versions, after)))


async def occasion_of(store: Store, version: Version) -> Occasion:
    """Return a version as an occasion of its own, with what Provenances say of it."""
    made = Occasion([version])
    about = f"{version.type}/{version.id}/_history/{version.number}"
    query = Query(("Provenance",), HasKey((f"Provenance|target|v|{about}",)))
    page = await store.search(SYSTEM, query, limit=_MOST_ABOUT)
    for one in page.versions:
        _read(fhir_json.glance(one.body or b"{}"), made)
    return made


async def _provenances(
    store: Store, versions: Sequence[Version], after: int
) -> dict[int, list[dict[str, Any]]]:
    """Return by their time the Provenances of commits that may correct something."""
    revised = {version.at for version in versions if version.number > 1}
    found: dict[int, list[dict[str, Any]]] = {}
    more = bool(revised)
    while more:
        page = await store.changes(SYSTEM, after=after, limit=PAGE, type_="Provenance")
        for version in page:
            if version.at in revised and version.body is not None:
                found.setdefault(version.at, []).append(fhir_json.glance(version.body))
        more = len(page) == PAGE and page[-1].at <= max(revised)
        after = page[-1].seq if page else after
    return found


def _occasions(
    versions: Sequence[Version], provenances: Mapping[int, Sequence[dict[str, Any]]]
) -> Iterator[Occasion]:
    for at, group in groupby(versions, key=lambda version: version.at):
        made = Occasion(list(group))
        for provenance in provenances.get(at, ()):
            _read(provenance, made)
        yield made


def _read(provenance: dict[str, Any], occasion: Occasion) -> None:
    targets = {str(one.get("reference")) for one in provenance.get("target") or ()}
    tags = (provenance.get("meta") or {}).get("tag") or ()
    mode = next((one.get("code") for one in tags if one.get("system") == MODE_SYSTEM), "live")
    if mode != "live":
        occasion.silent |= targets
    for agent in provenance.get("agent") or ():
        named = (agent.get("who") or {}).get("identifier") or {}
        if named.get("system") == LOGIN:
            for target in targets:
                occasion.writers.setdefault(target, set()).add(str(named.get("value")))
