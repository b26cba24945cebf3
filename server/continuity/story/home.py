"""Measurements from home as trends: statistics with stated windows, and no verdict.

The last 14 days are compared with the 28 days before them, by the mean.  How many of the days with
a reading lie on the side of the change says whether it lasts.  R4 observation.html.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

from server.continuity.statement import Source
from server.continuity.story.findings import observed
from server.continuity.story.sentence import Sentence
from server.continuity.story.states import in_brackets, where
from server.continuity.story.telling import Found, Telling
from server.continuity.story.wording import Json, at, codes, is_number, moment, plain
from server.fhir.dates import DAY

RECENT_DAYS: Final = 14
BEFORE_DAYS: Final = 28
FEWEST: Final = 5  # readings in a window for a mean to be told


@dataclass(frozen=True, slots=True)
class Reading:
    """One measured value; ``at`` in microseconds."""

    at: int
    value: Decimal
    source: Source


@dataclass(frozen=True, slots=True)
class Trend:
    """Readings of one kind in one unit, newest first; ``found`` is the newest resource."""

    found: Found
    unit: str
    recent: tuple[Reading, ...]
    before: tuple[Reading, ...]


def trends(found: Iterable[Found], now: int) -> list[Trend]:
    """Return what was measured, by kind and unit, the kind with the newest reading first.

    Readings of another unit or site are another trend: nothing is converted.  Those of the future
    are a wrong clock's and left to the sentence of the newest reading.
    """
    kinds: dict[tuple[Any, ...], list[tuple[Found, Reading]]] = defaultdict(list)
    for one in found:
        if (reading := _reading(one)) is not None:
            quantity = one.resource["valueQuantity"]
            unit = plain(quantity.get("unit")) or plain(quantity.get("code"))
            kinds[(unit, _kind(one.resource), _site(one.resource))].append((one, reading))
    made = []
    for (unit, *_), readings in kinds.items():
        newest = max(readings, key=lambda pair: pair[1].at)[0]
        recent = [r for _, r in readings if now - RECENT_DAYS * DAY < r.at <= now]
        first = now - (RECENT_DAYS + BEFORE_DAYS) * DAY
        before = [r for _, r in readings if first < r.at <= now - RECENT_DAYS * DAY]
        made.append(Trend(newest, unit, tuple(recent), tuple(before)))
    return made


def trend(telling: Telling, of: Trend) -> Sentence:
    """Return one trend as a sentence; with too few readings the newest value alone."""
    words = telling.words
    site = in_brackets(*where(telling, of.found.resource))
    what = telling.label(of.found.resource.get("code")) + site
    unit = words.unit(of.unit, of.found.resource["valueQuantity"].get("code"))
    if len(of.recent) < FEWEST:
        return telling.said(of.found, observed(telling, of.found.resource), _on(of.found.resource))
    sources = tuple(reading.source for reading in (*of.recent, *of.before))
    recent = mean(of.recent)
    texts = {"what": what, "unit": unit, "days": RECENT_DAYS, "n": len(of.recent)}
    texts["recent"] = _written(recent)
    if len(of.before) < FEWEST or mean(of.before) == 0:
        text = words.say("trend-first", **texts)
        return telling.sentence(text, sources, "computed")
    before = mean(of.before)
    percent = ((recent - before) / abs(before) * 100).quantize(Decimal(1), ROUND_HALF_EVEN)
    key = "same" if percent == 0 else ("higher" if percent > 0 else "lower")
    side, measured = beyond(of.recent, before, above=recent >= before)
    text = words.say(
        "trend",
        **texts,
        change=words.say(key, percent=abs(percent)),
        before=_written(before),
        m=len(of.before),
        direction=words.say("above" if recent >= before else "below"),
        beyond=side,
        measured=measured,
    )
    return telling.sentence(text, sources, "computed")


def is_measured(found: Found) -> bool:
    """Tell whether an Observation has measured parts, as a blood pressure has."""
    return any(isinstance(one, dict) for one in at(found.resource, "component.valueQuantity"))


def mean(readings: Sequence[Reading]) -> Decimal:
    """Return the arithmetic mean of one reading or more."""
    return sum((one.value for one in readings), Decimal(0)) / len(readings)


def beyond(readings: Iterable[Reading], limit: Decimal, *, above: bool) -> tuple[int, int]:
    """Return on how many days (UTC) the day's mean lies beyond a limit, and the days with any."""
    days: dict[int, list[Reading]] = defaultdict(list)
    for one in readings:
        days[one.at // DAY].append(one)
    means = [mean(of_day) for of_day in days.values()]
    return sum(one > limit if above else one < limit for one in means), len(means)


def _written(value: Decimal) -> str:
    """Return a mean to one decimal place, without a zero at its end."""
    rounded = value.quantize(Decimal("0.1"), ROUND_HALF_EVEN)
    return f"{rounded.normalize():f}" if rounded == rounded.to_integral() else f"{rounded:f}"


def _reading(found: Found) -> Reading | None:
    resource = found.resource
    quantity = resource.get("valueQuantity")
    value = quantity.get("value") if isinstance(quantity, dict) else None
    at = moment(_on(resource))
    # "<0.5" is no value to take a mean of.
    if quantity is None or not is_number(value) or at is None or "comparator" in quantity:
        return None
    number = Decimal(str(value))
    return Reading(at, number, found.source) if abs(number) < Decimal(10) ** 12 else None


def _on(resource: Json) -> Any:
    return resource.get("effectiveDateTime") or resource.get("effectiveInstant")


def _site(resource: Json) -> object:
    """Return where it was measured: the left arm's pressure is not the right one's."""
    concept = resource.get("bodySite") or {}
    return codes(concept) or plain(concept.get("text"))


def _kind(resource: Json) -> object:
    concept = resource.get("code") or {}
    return codes(concept) or plain(concept.get("text"))
