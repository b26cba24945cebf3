"""Dates and times plus durations, and the earliest and latest moment that they may mean.

hl7.org/fhirpath/N1, section 6.6.8; boundaries as in hl7.org/fhirpath (2.1), section 5.6.
"""

from datetime import MAXYEAR, date
from decimal import ROUND_DOWN, Decimal

from server.fhir.fhirpath.errors import FhirPathError
from server.fhir.fhirpath.temporal import Temporal, month_length

# What a quoted unit means here; a UCUM year (a) or month (mo) is no calendar one.
_UNITS = {
    **{unit: unit for unit in ("year", "month", "week", "day", "hour", "minute", "second")},
    "millisecond": "millisecond",
    "wk": "week",
    "d": "day",
    "h": "hour",
    "min": "minute",
    "s": "second",
    "ms": "millisecond",
}
_ORDER = ("year", "month", "day", "hour", "minute", "second")
# A duration finer than the value is cut to the value's precision by these.
_COARSER = {
    "millisecond": ("second", 1000),
    "second": ("minute", 60),
    "minute": ("hour", 60),
    "hour": ("day", 24),
    "day": ("month", 30),
    "month": ("year", 12),
}
_SECONDS = {"day": 86_400, "hour": 3_600, "minute": 60, "second": 1}
_DAYS_OF_YEAR = 365
_MAX_AMOUNT = Decimal(10) ** 15  # in any unit; beyond is outside of the calendar
_MILLISECOND = Decimal("0.001")
_LAST_SECOND = Decimal("59.999")
_FIRST_SECOND = Decimal("0.000")


def unit_of(unit: str) -> str | None:
    """Return the calendar unit, in the singular, that a unit of a duration means.

    >>> unit_of("days"), unit_of("wk"), unit_of("mo")
    ('day', 'week', None)
    """
    return _UNITS.get(unit) or (_UNITS.get(unit[:-1]) if unit[-1:] == "s" else None)


def add(value: Temporal, amount: Decimal, unit: str) -> Temporal | None:
    """Return ``value`` later by a duration, of the same precision.

    ``None`` outside of the calendar.  A fraction counts for seconds and finer only.  Times wrap
    round midnight.  Raises :class:`FhirPathError` for a unit that is none of the calendar.
    """
    known = unit_of(unit)
    if known is None:
        raise FhirPathError(f"the unit {unit!r} cannot be added to a date or time")
    if abs(amount) > _MAX_AMOUNT:
        return None
    if known == "week":
        known, amount = "day", amount.to_integral_value(ROUND_DOWN) * 7
    if value.kind == "time":
        return _add_to_time(value, amount, known)
    amount, known = _at_precision(amount, known, value.precision)
    if known in ("year", "month"):
        return _add_months(value, int(amount) * (12 if known == "year" else 1))
    return _add_seconds(value, amount, known)


def _at_precision(amount: Decimal, unit: str, precision: int) -> tuple[Decimal, str]:
    finest = _ORDER[precision - 1]
    if unit == "day" and finest == "year":
        return amount // _DAYS_OF_YEAR, "year"
    while unit == "millisecond" or _ORDER.index(unit) > precision - 1:
        unit, size = _COARSER[unit]
        amount = amount / size
    if unit != "second":
        amount = amount.to_integral_value(ROUND_DOWN)
    return amount, unit


def _add_months(value: Temporal, months: int) -> Temporal | None:
    year, month = value.fields[0], (*value.fields, 1)[1]
    total = year * 12 + month - 1 + months
    year, month = total // 12, total % 12 + 1
    if not 1 <= year <= MAXYEAR:
        return None
    day = value.fields[2:3]
    if day:
        day = (min(day[0], month_length(year, month)),)
    fields = (year, month, *day)[: len(value.fields)] + value.fields[3:]
    return Temporal(value.kind, fields, value.second, value.offset)


def _add_seconds(value: Temporal, amount: Decimal, unit: str) -> Temporal | None:
    hour, minute = (*value.fields[3:], 0, 0)[:2]
    second = value.second or Decimal(0)
    start = date(*value.fields[:3]).toordinal()
    total = hour * 3600 + minute * 60 + second + amount * _SECONDS[unit]
    days, of_day = divmod_floor(total, 86_400)
    if not 1 <= start + days <= date.max.toordinal():
        return None
    day = date.fromordinal(start + days)
    clock, seconds = _clock(of_day, len(value.fields) - 3, value.second, amount)
    return Temporal(value.kind, (day.year, day.month, day.day, *clock), seconds, value.offset)


def _add_to_time(value: Temporal, amount: Decimal, unit: str) -> Temporal:
    if unit in ("year", "month", "day"):
        raise FhirPathError(f"a {unit} cannot be added to a time")
    amount, unit = _at_precision(amount, unit, value.precision + 3)
    hour, minute = (*value.fields, 0)[:2]
    total = hour * 3600 + minute * 60 + (value.second or Decimal(0)) + amount * _SECONDS[unit]
    clock, seconds = _clock(divmod_floor(total, 86_400)[1], len(value.fields), value.second, amount)
    return Temporal("time", clock, seconds)


def divmod_floor(total: Decimal, size: int) -> tuple[int, Decimal]:
    """Return quotient and remainder, the remainder never below 0 (Decimal's own follows the sign).

    >>> divmod_floor(Decimal(-1), 60)
    (-1, Decimal('59'))
    """
    quotient, rest = divmod(total, size)
    return (int(quotient) - 1, rest + size) if rest < 0 else (int(quotient), abs(rest))


def _clock(
    of_day: Decimal, fields: int, second: Decimal | None, amount: Decimal
) -> tuple[tuple[int, ...], Decimal | None]:
    """Return hour, minute, second of seconds, as many as were there before."""
    whole = int(of_day)
    hour, minute = whole // 3600, whole // 60 % 60
    if second is None:
        return (hour, minute)[:fields], None
    seconds = of_day - hour * 3600 - minute * 60
    places = max(_places(second), min(3, _places(amount)))
    return (hour, minute), seconds.quantize(Decimal(1).scaleb(-places), ROUND_DOWN)


def _places(number: Decimal) -> int:
    return max(0, -int(number.as_tuple().exponent))


_DIGITS = {"date": (4, 6, 8), "dateTime": (4, 6, 8, 10, 12, 14, 17), "time": (2, 4, 6, 9)}


def boundary(value: Temporal, digits: int | None, *, high: bool) -> Temporal | None:
    """Return the earliest or latest that it may mean, with so many digits.

    ``digits``: 4 is a year, 17 a millisecond; of a time 2 to 9; ``None`` for all there are.
    ``None`` is returned when a value of that kind cannot have so many digits.
    """
    known = _DIGITS[value.kind]
    digits = known[-1] if digits is None else digits
    if digits not in known:
        return None
    at = known.index(digits) + 1
    fields = _filled(value, high)
    skip = 3 if value.kind == "time" else 0
    count = min(at, 5 - skip)
    second = _second(value.second, digits - (6 if skip else 14), high) if at > 5 - skip else None
    offset = value.offset
    if value.kind == "dateTime" and at > 3:
        offset = offset if offset is not None else (-720 if high else 840)
    else:
        offset = None
    return Temporal(value.kind, fields[:count], second, offset)


def _filled(value: Temporal, high: bool) -> tuple[int, ...]:
    """Return all fields down to the minute, what is not stated at its first or last."""
    if value.kind == "time":
        return (value.fields + ((23, 59) if high else (0, 0))[len(value.fields) :])[:2]
    fields = value.fields
    if not high:
        return fields + (1, 1, 1, 0, 0)[len(fields) :]
    if len(fields) == 1:
        fields += (12,)
    if len(fields) == 2:
        fields += (month_length(*fields),)
    return fields + (1, 1, 1, 23, 59)[len(fields) :]


def _second(second: Decimal | None, places: int, high: bool) -> Decimal:
    if second is None:
        second = _LAST_SECOND if high else _FIRST_SECOND
    elif places > 0 and high and -int(second.as_tuple().exponent) < 3:
        stated = -int(second.as_tuple().exponent)
        second += Decimal(1).scaleb(-stated) - _MILLISECOND
    return second.quantize(Decimal(1).scaleb(-max(places, 0)), ROUND_DOWN)
