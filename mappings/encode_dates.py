"""FHIR dates, times and periods -> HL7v2; the other way of ``dates``.  HL7 v2.9 2A.3.22."""

import re
from datetime import datetime
from typing import Any

from mappings.emit_destination import Destination
from mappings.emit_run import Run
from mappings.encode import Component, Repetition

V25 = (2, 5)


def timestamp(destination: Destination, text: Any) -> str:
    """Return a FHIR date, dateTime or instant as DTM, of the same precision.

    In the destination's zone where it has one; without an offset where it wants none.
    """
    day, _, time = str(text).partition("T")
    if not time:
        return day.replace("-", "")
    zone = destination.timezone
    if zone is not None and (moment := _moment(str(text))) is not None:
        local = moment.astimezone(zone).isoformat()
        fraction = re.search(r"\.\d+", time)
        day, _, time = local.partition("T")
        time = re.sub(r"\.\d+", "", time)
        time = time[:8] + (fraction[0] if fraction else "") + time[8:]
    found = re.fullmatch(r"(\d\d):(\d\d)(?::(\d\d))?(\.\d+)?(Z|[+-]\d\d:\d\d)?", time)
    if found is None:
        return day.replace("-", "")
    offset = (found[5] or "").replace("Z", "+00:00").replace(":", "")
    made = f"{day.replace('-', '')}{found[1]}{found[2]}{found[3] or ''}{(found[4] or '')[:5]}"
    return made + (offset if destination.offset else "")


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:  # a leap second, more than six digits of a fraction
        return None


def DTM(run: Run, text: Any) -> Repetition | None:  # noqa: N802
    """date, dateTime, instant -> date/time."""
    made = timestamp(run.destination, text)
    return [made] if made else None


def DT(run: Run, text: Any) -> Repetition | None:  # noqa: N802
    """date, dateTime, instant -> date."""
    made = timestamp(run.destination, text)
    return [made[:8]] if made else None


def TM(_run: Run, text: Any) -> Repetition | None:  # noqa: N802
    """time -> time."""
    return [str(text).replace(":", "")]


def DR(run: Run, value: Any) -> Repetition | None:  # noqa: N802
    """Period -> date range."""
    made: Repetition = [timestamp(run.destination, value.get(key, "")) for key in ("start", "end")]
    return made if any(made) else None


def period(
    run: Run,
    value: Any,
    made: Repetition,
    *,
    start: int,
    end: int,
    range_: int,
    dates: bool = False,
) -> None:
    """Put ``value.period`` into two components, before v2.5 into one (``range_``, 0: nowhere)."""
    found = value.get("period")
    if not found:
        return
    ends = [timestamp(run.destination, found.get(key, "")) for key in ("start", "end")]
    if dates:
        ends = [one[:8] for one in ends]
    if run.version >= V25:
        put_component(made, start, ends[0])
        put_component(made, end, ends[1])
    elif range_:
        put_component(made, range_, ends)


def put_component(made: Repetition, at: int, value: Component) -> None:
    """Put a component where it belongs; an empty one makes the repetition no longer."""
    if not value:
        return
    made += [""] * (at - len(made))
    made[at - 1] = value
