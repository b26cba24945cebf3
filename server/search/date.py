"""Date search: ``[parameter]=[prefix][date]``.  R4 search.html#date.

A date without a time zone is in that of the catalog, asked as well as stored.  Stored values are
intervals: a Period that is open at an end reaches to the end of time there, a Timing is the one
interval from its first to its last known moment.
"""

from collections.abc import Callable
from datetime import UTC, tzinfo
from typing import Any

from server.fhir import dates
from server.search.asked import Asked, any_of
from server.search.catalog import R4, Catalog
from server.search.gather import Gathered, Indexer
from server.search.query import Comparator, DateIs, Predicate, UpdatedIs
from server.search.rows import MAX_TIME, MIN_TIME, hash64, param_hash
from server.search.value import refused, split_prefix, unescape

Interval = tuple[int, int]


def wanted(raw: str, name: str, zone: tzinfo = UTC) -> tuple[Comparator, int, int]:
    """Return prefix and interval of one asked value.

    ``ap`` reaches a tenth of the interval's own length further on both sides: R4 suggests a tenth
    of the distance to now, but then an answer would depend on when it is asked for.

    >>> wanted("ge1970-01-02", "date")
    ('ge', 86400000000, 172800000000)
    """
    op, text = split_prefix(unescape(raw))
    try:
        # A "+" that the client forgot to escape arrives as a blank.
        lo, hi = dates.interval(text.replace(" ", "+"), zone)
    except dates.InvalidDate as error:
        raise refused(name, str(error)) from None
    if op == "ap":
        margin = (hi - lo + 9) // 10
        return op, lo - margin, hi + margin
    return op, lo, hi


def predicate(asked: Asked) -> Predicate:
    """Return what ``asked`` means; there is no modifier."""
    intervals = [wanted(raw, asked.name, asked.catalog.tzinfo) for raw in asked.values]
    return any_of([DateIs(t, asked.param, *found) for found in intervals for t in asked.types])


def updated(asked: Asked) -> Predicate:
    """Return what ``_lastUpdated=...`` means."""
    zone = asked.catalog.tzinfo
    return any_of([UpdatedIs(*wanted(raw, asked.name, zone)) for raw in asked.values])


def indexer(type_: str, param: str, fhir_type: str, catalog: Catalog = R4) -> Indexer | None:
    """Return what writes the rows of a value of ``fhir_type``; ``None`` if it holds no date."""
    interval = _INTERVALS.get(fhir_type)
    if interval is None:
        return None
    presence = hash64(f"{type_}|{param}|?")
    hashed, zone = param_hash(type_, param), catalog.tzinfo

    def index(value: Any, rows: Gathered) -> None:
        rows.keys.add(presence)
        found = interval(value, zone)
        if found is not None:
            rows.dates.append((hashed, *found))

    return index


def intervals(fhir_type: str, value: Any, zone: tzinfo = UTC) -> list[Interval]:
    """Return the interval of a value, for sorting; [] if it has none."""
    interval = _INTERVALS.get(fhir_type)
    found = interval(value, zone) if interval else None
    return [found] if found else []


def _point(text: str, zone: tzinfo) -> Interval | None:
    try:
        return dates.interval(text, zone)
    except dates.InvalidDate:
        # Formats are checked before; a day such as 02-30 is none that a search could find.
        return None


def _period(value: Any, zone: tzinfo) -> Interval | None:
    start, end = value.get("start"), value.get("end")
    first = _point(start, zone) if start else None
    last = _point(end, zone) if end else None
    if first is None and last is None:
        return None
    lo = first[0] if first else MIN_TIME
    return lo, max(last[1], lo + 1) if last else MAX_TIME


def _timing(value: Any, zone: tzinfo) -> Interval | None:
    found = [_point(event, zone) for event in value.get("event", ()) if event]
    if bounds := value.get("repeat", {}).get("boundsPeriod"):
        found.append(_period(bounds, zone))
    known = [interval for interval in found if interval]
    if not known:
        return None
    return min(lo for lo, _ in known), max(hi for _, hi in known)


_INTERVALS: dict[str, Callable[[Any, tzinfo], Interval | None]] = {
    "date": _point,
    "dateTime": _point,
    "instant": _point,
    "Period": _period,
    "Timing": _timing,
}
