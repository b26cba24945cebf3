"""FHIR date, dateTime and instant texts -> half-open intervals of microseconds, and back.

R4 datatypes.html#dateTime and search.html#date: a date of less precision than a microsecond is the
interval of all moments that it may mean.  Times are integers, microseconds since
1970-01-01T00:00:00Z.  Nothing here reads a clock.
"""

import re
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_EPOCH = 719_163  # proleptic Gregorian ordinal of 1970-01-01
_DATE_TIME = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,64}))?)?"
    r"(Z|[+-]\d\d:\d\d)?)?)?)?",
    re.ASCII,
)
_DAYS_IN_MONTH = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_DAYS_BEFORE_MONTH = (0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class InvalidDate(ValueError):
    """The text is no FHIR date, dateTime or instant; the message says what is wrong."""


def interval(text: str, zone: tzinfo = UTC) -> tuple[int, int]:
    """Return ``(lo, hi)``, microseconds, half open, of a date of any precision.

    ``zone`` counts for texts that name no offset.  Digits beyond the microsecond are cut off; the
    interval is never empty.  A leap second ``:60`` is the first second of the next minute, as
    POSIX time has it.  Years 0001 to 9999; raises :class:`InvalidDate` (``24:00`` is none).

    >>> interval("1970")
    (0, 31536000000000)
    >>> interval("1970-01-01T00:00:00.5+01:00")
    (-3599500000, -3599400000)
    """
    found = _DATE_TIME.fullmatch(text)
    if found is None:
        raise InvalidDate(f"{text!r} is not a date, as in 2026, 2026-01-31 or 2026-01-31T08:30:00Z")
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    if day is None:
        return _months(text, int(year), month, zone)
    lo = _day(text, int(year), int(month), int(day)) * DAY
    if hour is None:
        return _zoned(lo, zone), _zoned(lo + DAY, zone)
    hours, minutes = int(hour), int(minute)
    if hours > 23 or minutes > 59:
        raise InvalidDate(f"{text!r} has a time of day beyond 23:59")
    lo += hours * HOUR + minutes * MINUTE
    width = MINUTE
    if second is not None:
        if (seconds := int(second)) > 60:
            raise InvalidDate(f"{text!r} has a second beyond 60")
        lo += seconds * SECOND
        width = SECOND
        if fraction is not None:
            digits = fraction[:6]
            width = int(10 ** (6 - len(digits)))
            lo += int(digits) * width
    lo = _zoned(lo, zone) if offset is None else lo - _offset(text, offset)
    return lo, lo + width


@lru_cache(maxsize=1024)  # what is written together is written at one moment
def instant_text(us: int) -> str:
    """Return the instant in UTC, cut to milliseconds.

    >>> instant_text(1767323045678901)
    '2026-01-02T03:04:05.678Z'
    """
    days, rest = divmod(us, DAY)
    day = datetime.fromordinal(days + _EPOCH)
    seconds, micro = divmod(rest, SECOND)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return (
        f"{day.year:04d}-{day.month:02d}-{day.day:02d}"
        f"T{hour:02d}:{minute:02d}:{second:02d}.{micro // 1000:03d}Z"
    )


def http_date(us: int) -> str:
    """Return the time as HTTP headers have it, cut to seconds (RFC 9110 section 5.6.7).

    >>> http_date(1767323045678901)
    'Fri, 02 Jan 2026 03:04:05 GMT'
    """
    days, rest = divmod(us, DAY)
    day = datetime.fromordinal(days + _EPOCH)
    minutes, second = divmod(rest // SECOND, 60)
    hour, minute = divmod(minutes, 60)
    return (
        f"{_WEEKDAYS[day.weekday()]}, {day.day:02d} {_MONTHS[day.month - 1]} {day.year:04d}"
        f" {hour:02d}:{minute:02d}:{second:02d} GMT"
    )


def _months(text: str, year: int, month: str | None, zone: tzinfo) -> tuple[int, int]:
    first = int(month or 1)
    lo = _day(text, year, first, 1)
    length = (365 + _is_leap(year)) if month is None else _month_length(year, first)
    return _zoned(lo * DAY, zone), _zoned((lo + length) * DAY, zone)


def _day(text: str, year: int, month: int, day: int) -> int:
    """Return the days since 1970-01-01; without ``date`` because year 10000 may be the end."""
    if year == 0 or not 1 <= month <= 12 or not 1 <= day <= _month_length(year, month):
        raise InvalidDate(f"{text!r} is not a day of the calendar")
    before = year - 1
    leap_days = before // 4 - before // 100 + before // 400
    in_year = _DAYS_BEFORE_MONTH[month] + (month > 2 and _is_leap(year)) + day
    return before * 365 + leap_days + in_year - _EPOCH


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _month_length(year: int, month: int) -> int:
    return _DAYS_IN_MONTH[month] + (month == 2 and _is_leap(year))


def _offset(text: str, offset: str) -> int:
    if offset == "Z":
        return 0
    hours, minutes = int(offset[1:3]), int(offset[4:])
    if hours > 14 or minutes > 59:
        raise InvalidDate(f"{text!r} has an offset beyond 14:00")
    size = hours * HOUR + minutes * MINUTE
    return -size if offset[0] == "-" else size


def _zoned(local: int, zone: tzinfo) -> int:
    """Return the moment at which clocks of ``zone`` show ``local``."""
    if zone is UTC or zone is timezone.utc:  # noqa: UP017 - the same object in CPython, not by law
        return local
    days, rest = divmod(local, DAY)
    # The last offset of the calendar also counts for its end, the start of year 10000.
    wall = datetime.fromordinal(min(days + _EPOCH, date.max.toordinal()))
    wall = wall + timedelta(microseconds=rest)
    offset = wall.replace(tzinfo=zone).utcoffset() or timedelta()
    return local - offset // timedelta(microseconds=1)
