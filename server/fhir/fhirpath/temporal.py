"""Dates, dateTimes and times of any precision (hl7.org/fhirpath/N1, sections 4.1 and 6).

A value of less than full precision is the interval of all moments that it may mean: two values
compare when their intervals do not overlap, or are the same; otherwise the answer is unknown.
Nothing here reads a clock.
"""

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

Kind = Literal["date", "dateTime", "time"]

_DATE = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?", re.ASCII)
_TIME = re.compile(r"(\d\d)(?::(\d\d)(?::(\d\d(?:\.\d{1,64})?))?)?", re.ASCII)
_ZONE = re.compile(r"Z|([+-])(\d\d):(\d\d)", re.ASCII)
_LONGEST = 128  # characters
_DAY_S = 86_400
# Offsets that clocks have: a time without one may mean any moment between these.
_EARLIEST_S = -14 * 3600
_LATEST_S = 12 * 3600


@dataclass(frozen=True, slots=True)
class Temporal:
    """A date, dateTime or time.

    ``fields``: year, month, day (a time has none of these), hour, minute, as many as are stated.
    ``second`` and ``offset`` (minutes east of UTC): ``None`` when not stated.
    """

    kind: Kind
    fields: tuple[int, ...]
    second: Decimal | None = None
    offset: int | None = None

    def __str__(self) -> str:
        return text(self)

    @property
    def precision(self) -> int:
        """Number of fields stated; a second with a fraction is no more than a second."""
        return len(self.fields) + (self.second is not None)

    @property
    def digits(self) -> int:
        """Number of digits stated, the offset apart: 4 for a year, 17 for a millisecond."""
        return sum(character.isdigit() for character in text(self, zone=False))


def parse(kind: Kind, text_: str) -> Temporal | None:
    """Return the value that a text is, ``None`` when it is none of that kind.

    >>> parse("date", "2026-02"), parse("date", "2026-02-30")
    (Temporal(kind='date', fields=(2026, 2), second=None, offset=None), None)
    """
    if len(text_) > _LONGEST:
        return None
    if kind == "time":
        found = _TIME.fullmatch(text_)
        return _with_time(kind, (), found, None) if found else None
    day, t, rest = text_.partition("T")
    found = _DATE.fullmatch(day)
    if found is None or (t and kind == "date"):
        return None
    fields = tuple(int(part) for part in found.groups() if part is not None)
    if not _is_day(fields):
        return None
    if not rest:
        return Temporal(kind, fields)
    return _parse_time_of_day(kind, fields, rest) if len(fields) == 3 else None


def _parse_time_of_day(kind: Kind, fields: tuple[int, ...], rest: str) -> Temporal | None:
    found = _TIME.match(rest)
    if found is None:
        return None
    zone = rest[found.end() :]
    if not zone:
        return _with_time(kind, fields, found, None)
    stated = _ZONE.fullmatch(zone)
    if stated is None:
        return None
    if stated[1] is None:
        return _with_time(kind, fields, found, 0)
    hours, minutes = int(stated[2]), int(stated[3])
    if hours > 14 or minutes > 59:
        return None
    offset = hours * 60 + minutes
    return _with_time(kind, fields, found, -offset if stated[1] == "-" else offset)


def _with_time(
    kind: Kind, day: tuple[int, ...], found: re.Match[str], offset: int | None
) -> Temporal | None:
    hour, minute, second = found.groups()
    seconds = Decimal(second) if second is not None else None
    if int(hour) > 23 or int(minute or 0) > 59 or (seconds is not None and seconds > 60):
        return None
    clock = (int(hour),) if minute is None else (int(hour), int(minute))
    return Temporal(kind, day + clock, seconds, offset)


def _is_day(fields: tuple[int, ...]) -> bool:
    year, month, day = (*fields, 1, 1)[:3]
    return year > 0 and 1 <= month <= 12 and 1 <= day <= month_length(year, month)


def month_length(year: int, month: int) -> int:
    """Return the number of days of a month of the proleptic Gregorian calendar.

    >>> month_length(2024, 2)
    29
    """
    if month == 2:
        return 28 + (year % 4 == 0 and (year % 100 != 0 or year % 400 == 0))
    return 30 if month in (4, 6, 9, 11) else 31


def text(value: Temporal, *, zone: bool = True) -> str:
    """Return the value as FHIR writes it; with ``zone=False`` without the offset.

    >>> text(Temporal("dateTime", (2026, 1, 2, 3, 4), Decimal("5.60"), -90))
    '2026-01-02T03:04:05.60-01:30'
    """
    split = 0 if value.kind == "time" else 3
    day = [f"{field:0{4 if at == 0 else 2}d}" for at, field in enumerate(value.fields[:split])]
    clock = [f"{field:02d}" for field in value.fields[split:]]
    if value.second is not None:
        clock.append(f"{value.second:f}".zfill(2) if value.second >= 10 else f"0{value.second:f}")
    made = "-".join(day)
    if clock:
        made += ("T" if day else "") + ":".join(clock)
    if zone and value.offset is not None:
        made += _zone(value.offset)
    return made


def _zone(offset: int) -> str:
    if offset == 0:
        return "Z"
    return f"{'-' if offset < 0 else '+'}{abs(offset) // 60:02d}:{abs(offset) % 60:02d}"


def compare(left: Temporal, right: Temporal) -> int | None:
    """Return -1, 0 or 1; ``None`` when what is not stated could decide otherwise.

    Both are times, or neither is.  What has no offset may be at any clock of the world, unless
    both have none.

    >>> compare(parse("date", "2026"), parse("date", "2027-01")), compare(
    ...     parse("date", "2026"), parse("date", "2026-01"))
    (-1, None)
    """
    zoned = left.offset is not None and right.offset is not None
    low, high = _interval(left, zoned)
    other_low, other_high = _interval(right, zoned)
    if not zoned and left.offset != right.offset:
        return _across_zones(left, right)
    if left.precision == right.precision and low == other_low:
        return 0
    if high <= other_low and low < other_low:
        return -1
    if low >= other_high and low > other_low:
        return 1
    return None


def _across_zones(left: Temporal, right: Temporal) -> int | None:
    """Compare two of which one states no offset: it may be off by what offsets there are."""
    low, high = _anywhere(left)
    other_low, other_high = _anywhere(right)
    return -1 if high < other_low else 1 if low > other_high else None


def _anywhere(value: Temporal) -> tuple[Decimal, Decimal]:
    low, high = _interval(value, value.offset is not None)
    return (low, high) if value.offset is not None else (low + _EARLIEST_S, high + _LATEST_S)


def _interval(value: Temporal, zoned: bool) -> tuple[Decimal, Decimal]:
    """Return the seconds since the start of the year 1, or of the day, that it may mean."""
    if value.kind == "time":
        return _clock(0, value.fields, value.second)
    year, month, day = (*value.fields, 1, 1)[:3]
    start = date(year, month, day).toordinal()
    if len(value.fields) > 3:
        shift = (value.offset or 0) * 60 if zoned else 0
        return _clock(start * _DAY_S - shift, value.fields[3:], value.second)
    days = (366 if month_length(year, 2) == 29 else 365, month_length(year, month), 1)
    end = start + days[len(value.fields) - 1]
    return Decimal(start * _DAY_S), Decimal(end * _DAY_S)


def _clock(
    start_s: int, fields: tuple[int, ...], second: Decimal | None
) -> tuple[Decimal, Decimal]:
    start = Decimal(start_s + sum(field * size for field, size in zip(fields, (3600, 60))))  # noqa: B905 - the minute may be missing
    if second is not None:
        return start + second, start + second
    return start, start + (3600, 60)[len(fields) - 1]


def key(value: Temporal) -> tuple[object, ...]:
    """Return what is equal for two values exactly when :func:`compare` says 0."""
    zoned = value.offset is not None
    shown = "time" if value.kind == "time" else "date"
    return (shown, value.precision, zoned, _interval(value, zoned)[0])
