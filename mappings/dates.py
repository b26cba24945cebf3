"""HL7v2 timestamps -> FHIR dates.  HL7 v2.9 chapter 2A.3.22 (DTM); R4 datatypes.html#dateTime.

The precision is that of the sender: a date stays a date.  A time without an offset is a time of
the feed's zone, with its daylight saving; ``Z`` is never invented.
"""

import re
from datetime import date, datetime
from zoneinfo import ZoneInfo

from server.fhir.dates import SECOND, InvalidDate, interval

_DTM = re.compile(
    r"(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:\.(\d{1,9}))?)?)?)?)?)?"
    r"(?:([+-])(\d\d)(\d\d))?",
    re.ASCII,
)
_TM = re.compile(r"(\d\d)(?:(\d\d)(?:(\d\d)(?:\.(\d{1,9}))?)?)?(?:[+-]\d{4})?", re.ASCII)


def fhir_date(text: str) -> str | None:
    """Return a FHIR date of the same precision, the time of day left out; ``None``: no date.

    >>> fhir_date("198503"), fhir_date("19850230")
    ('1985-03', None)
    """
    if len(text) == 8 and text.isascii() and text.isdigit():
        try:
            return date.fromisoformat(text).isoformat()
        except ValueError:
            return None
    found = _DTM.fullmatch(text)
    return _day(found) if found else None


def fhir_date_time(text: str, zone: ZoneInfo) -> str | None:
    """Return a FHIR dateTime of the same precision; ``None`` when it is no date.

    R4 has no hour without minutes and no minute without seconds: both are filled with zeros.  An
    impossible time of day leaves the date.

    >>> fhir_date_time("202607011030", ZoneInfo("Europe/Berlin"))
    '2026-07-01T10:30:00+02:00'
    >>> fhir_date_time("20260701", ZoneInfo("Europe/Berlin"))
    '2026-07-01'
    """
    if len(text) == 8:  # a day, or no date at all
        return fhir_date(text)
    if (usual := _to_the_second(text, zone)) is not None:
        return usual.isoformat()[:25]
    found = _DTM.fullmatch(text)
    if found is None or (day := _day(found)) is None:
        return None
    year, month, day_, hour, minute, second, fraction, sign, *offset = found.groups()
    if hour is None:
        return day
    if int(hour) > 23 or int(minute or 0) > 59 or int(second or 0) > 59:
        return day
    time = f"{hour}:{minute or '00'}:{second or '00'}{f'.{fraction}' if fraction else ''}"
    if sign:
        if int(offset[0]) > 14 or int(offset[1]) > 59:
            return day
        return f"{day}T{time}{sign}{offset[0]}:{offset[1]}"
    local = datetime(
        int(year), int(month), int(day_), int(hour), int(minute or 0), int(second or 0), tzinfo=zone
    )
    return f"{day}T{time}{local.isoformat()[19:25]}"


def fhir_instant(text: str, zone: ZoneInfo) -> str | None:
    """Return a FHIR instant; ``None`` when no time of day was sent."""
    found = fhir_date_time(text, zone)
    return found if found and "T" in found else None


def fhir_time(text: str) -> str | None:
    """Return a FHIR time ``hh:mm:ss``; an offset is left out, for R4 has none.

    >>> fhir_time("0830")
    '08:30:00'
    """
    found = _TM.fullmatch(text)
    if found is None:
        return None
    hour, minute, second, fraction = found.groups()
    if int(hour) > 23 or int(minute or 0) > 59 or int(second or 0) > 59:
        return None
    return f"{hour}:{minute or '00'}:{second or '00'}{f'.{fraction}' if fraction else ''}"


def moment(text: str, zone: ZoneInfo) -> int | None:
    """Return the first moment of a timestamp in microseconds UTC; ``None`` when it is no date."""
    if (usual := _to_the_second(text, zone)) is not None:
        return int(usual.timestamp()) * SECOND
    made = fhir_date_time(text, zone)
    if made is None:
        return None
    try:
        return interval(made, zone)[0]
    except InvalidDate:  # a year such as 0000
        return None


def _to_the_second(text: str, zone: ZoneInfo) -> datetime | None:
    """Return the time that most senders write, 14 digits; ``None`` for all others."""
    if len(text) != 14 or not (text.isascii() and text.isdigit()):
        return None
    try:
        return datetime.fromisoformat(f"{text[:8]}T{text[8:]}").replace(tzinfo=zone)
    except ValueError:  # an impossible time leaves the date, an impossible date nothing
        return None


def _day(found: re.Match[str]) -> str | None:
    year, month, day = found[1], found[2], found[3]
    try:
        date(int(year), int(month or 1), int(day or 1))
    except ValueError:
        return None
    return f"{year}-{month}-{day}" if day else f"{year}-{month}" if month else year
