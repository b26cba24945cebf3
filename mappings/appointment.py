"""Start and end of an Appointment, and the end of what lasts some minutes.

Source: HL7 v2-to-FHIR guide 1.0.0, SCH, AIS, AIG, AIL, AIP and TQ[Appointment]: the start is stated
in one of many places, the end often only as a duration.  R4 invariant app-3 wants both.
"""

from datetime import datetime, timedelta
from typing import Any

from mappings.dates import fhir_date_time, fhir_instant
from mappings.numbers import decimal_of
from mappings.repetition import Repetition
from mappings.source import Scope
from mappings.timing import SECONDS, spoken_unit

# segment, field of the start, of the duration and of its units
_RESOURCES = (("AIS", 4, 7, 8), ("AIP", 6, 9, 10), ("AIL", 6, 9, 10), ("AIG", 8, 11, 12))
_FIELDS = tuple(f"{segment}-{n}" for segment, *fields in _RESOURCES for n in fields)
READS = (*_FIELDS, "SCH-9", "SCH-10", "SCH-11", "TQ1-7", "TQ1-8")


def _text(scope: Scope, segment: str, field: int, component: int = 1) -> tuple[str, str]:
    found = scope.repetitions(segment, field)
    if not found:
        return "", ""
    return found[0].text(component), found[0].path


def _start(scope: Scope) -> tuple[str, str]:
    """Return the first instant that is stated, and where."""
    places = [("SCH", 11, 4), ("TQ1", 7, 1)]
    places += [(segment, field, 1) for segment, field, *_ in _RESOURCES]
    for segment, field, component in places:
        text, path = _text(scope, segment, field, component)
        if text and (made := fhir_instant(text, scope.run.feed.timezone)):
            return made, path
    return "", ""


def _minutes(scope: Scope) -> tuple[timedelta | None, str]:
    """Return how long it lasts, and where that is stated."""
    for segment, value, units in (("SCH", 9, 10), *((s, d, u) for s, _, d, u in _RESOURCES)):
        text, path = _text(scope, segment, value)
        number = decimal_of(text)
        unit = spoken_unit(_text(scope, segment, units)[0] or "min")
        if text and number is not None and 0 < number < 10_000 and unit in SECONDS:
            return timedelta(seconds=float(number) * SECONDS[unit]), path
    return None, ""


def appointment_start(scope: Scope, to: str, _values: list[Repetition]) -> str | None:
    """The first of SCH-11.4, TQ1-7 and the starts of the resources."""
    made, path = _start(scope)
    if made:
        scope.run.row(to, path, "instant", made)
    return made or None


def appointment_end(scope: Scope, to: str, _values: list[Repetition]) -> str | None:
    """SCH-11.5 or TQ1-8, else the start and the stated duration, else the start."""
    start, _ = _start(scope)
    if not start:
        return None
    for segment, field, component in (("SCH", 11, 5), ("TQ1", 8, 1)):
        text, path = _text(scope, segment, field, component)
        made = fhir_instant(text, scope.run.feed.timezone) if text else None
        if made and datetime.fromisoformat(made) >= datetime.fromisoformat(start):
            scope.run.row(to, path, "instant", made)
            return made
    lasts, path = _minutes(scope)
    if lasts is None:
        scope.run.row(to, "", "no end and no duration was sent: the start", start)
        return start
    made = _later(start, lasts)
    scope.run.row(to, path, "start and duration", made)
    return made


def appointment_minutes(scope: Scope, to: str, _values: list[Repetition]) -> int | None:
    """The duration in minutes, of SCH-9 or a resource."""
    lasts, path = _minutes(scope)
    whole = int(lasts.total_seconds() // 60) if lasts is not None else 0
    if whole < 1:
        return None
    scope.run.row(to, path, "duration", str(whole))
    return whole


def procedure_period(scope: Scope, to: str, values: list[Repetition]) -> dict[str, Any] | None:
    """PR1-5 and PR1-7, the minutes."""
    start = fhir_date_time(values[0].text(), scope.run.feed.timezone) if values else None
    minutes = decimal_of(_text(scope, "PR1", 7)[0])
    if start is None or minutes is None or "T" not in start or not 0 < minutes < 10_000:
        return None
    made = {"start": start, "end": _later(start, timedelta(minutes=float(minutes)))}
    scope.run.row(to, values[0].path, "start and minutes", made["end"])
    return made


def _later(start: str, lasts: timedelta) -> str:
    return (datetime.fromisoformat(start) + lasts).isoformat()
