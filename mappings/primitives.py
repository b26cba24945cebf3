"""Any HL7v2 type -> FHIR primitive, and the periods made of two of them.

Source: HL7 v2-to-FHIR guide 1.0.0, data type maps; R4 datatypes.html#primitive.  Input: one
repetition, and where its value will stand for the explanation.  ``None``: nothing was sent, or
what was sent is not of the type; then the run has noted it.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from mappings.dates import fhir_date, fhir_date_time, fhir_instant, fhir_time
from mappings.numbers import decimal_of
from mappings.repetition import Repetition
from mappings.source import Run
from server.fhir.dates import interval

Convert = Callable[[Repetition, str], Any]
_DAY = len("2026-07-01")


def string(v: Repetition, to: str) -> str | None:
    """Any type -> string: its first component."""
    return noted(v, to, v.texts[1], "copy")


def code(v: Repetition, to: str) -> str | None:
    """Any type -> code: the first component, inner blanks made single (R4 datatypes.html#code)."""
    return noted(v, to, " ".join(v.texts[1].split()), "copy")


def uri(v: Repetition, to: str) -> str | None:
    """Any type -> uri: the first component, blanks escaped."""
    return noted(v, to, quote(v.text(), safe=":/?#[]@!$&'()*+,;=%~"), "copy")


def boolean(v: Repetition, to: str) -> bool | None:
    """ID of table 0136 -> boolean."""
    text = v.text().upper()
    if not text:
        return None
    found = {"Y": True, "N": False, "YES": True, "NO": False}.get(text)
    if found is None:
        v.run.invalid(to, v.path, "boolean", text)
        return None
    v.run.row(to, v.path, "table 0136", str(found).lower())
    return found


def integer(v: Repetition, to: str) -> int | None:
    """NM -> integer."""
    return _whole(v, to, -(2**31), "integer")


def positive_int(v: Repetition, to: str) -> int | None:
    """NM -> positiveInt."""
    return _whole(v, to, 1, "positiveInt")


def unsigned_int(v: Repetition, to: str) -> int | None:
    """NM -> unsignedInt."""
    return _whole(v, to, 0, "unsignedInt")


def decimal(v: Repetition, to: str) -> Decimal | None:
    """NM -> decimal, its digits kept."""
    text = v.text()
    if not text:
        return None
    found = decimal_of(text)
    if found is None:
        v.run.invalid(to, v.path, "decimal", text)
        return None
    v.run.row(to, v.path, "NM", text)
    return found


def date(v: Repetition, to: str) -> str | None:
    """DT, DTM -> date; a time of day is left out."""
    return _dated(v, to, fhir_date(v.texts[1]), "date")


def date_time(v: Repetition, to: str) -> str | None:
    """DT, DTM -> dateTime of the same precision."""
    return _dated(v, to, fhir_date_time(v.texts[1], v.run.feed.timezone), "dateTime")


def instant(v: Repetition, to: str) -> str | None:
    """DTM -> instant; a date alone is none."""
    return _dated(v, to, fhir_instant(v.texts[1], v.run.feed.timezone), "instant")


def time(v: Repetition, to: str) -> str | None:
    """TM -> time."""
    return _dated(v, to, fhir_time(v.texts[1]), "time")


def put_period(v: Repetition, to: str, made: dict[str, Any], start: str, end: str) -> None:
    """Put a period between two timestamps into ``made``, where any was sent."""
    if not start and not end:
        return
    zone = v.run.feed.timezone
    found: dict[str, str] = {}
    for name, text in (("start", start), ("end", end)):
        if not text:
            continue
        if (value := fhir_date_time(text, zone)) is None:
            v.run.invalid(f"{to}.period.{name}", v.path, "dateTime", text)
        else:
            found[name] = value
            v.run.row(f"{to}.period.{name}", v.path, "dateTime", value)
    if found:
        made["period"] = in_order(v.run, f"{to}.period", found)


def in_order(run: Run, to: str, period: dict[str, Any]) -> dict[str, Any]:
    """Return a Period without an end that is before its start (R4 invariant per-1)."""
    start, end = period.get("start"), period.get("end")
    if start and end and len(start) == len(end) == _DAY and start <= end:
        return period  # two days, as plans have them
    if start and end and interval(start)[0] >= interval(end)[1]:
        run.invalid(f"{to}.end", "", "end of a period (it is before the start)", end)
        return {"start": start}
    return period


def noted(v: Repetition, to: str, text: str, how: str) -> str | None:
    """Return ``text`` and note where it came from; ``None`` for no text."""
    if not text:
        return None
    v.run.note((to, v.path, how, text))
    return text


def _whole(v: Repetition, to: str, least: int, type_: str) -> int | None:
    text = v.text()
    if not text:
        return None
    digits = text.removeprefix("+")
    if not digits.removeprefix("-").isdecimal() or not least <= int(digits) < 2**31:
        v.run.invalid(to, v.path, type_, text)
        return None
    v.run.row(to, v.path, "NM", digits)
    return int(digits)


def _dated(v: Repetition, to: str, found: str | None, type_: str) -> str | None:
    if text := v.texts[1]:
        if found is None:
            v.run.invalid(to, v.path, type_, text)
        else:
            v.run.note((to, v.path, type_, found))
    return found


# Any HL7v2 type -> FHIR primitive.
PRIMITIVES: dict[str, Convert] = {
    "string": string,
    "markdown": string,
    "code": code,
    "id": code,
    "uri": uri,
    "url": uri,
    "canonical": uri,
    "oid": uri,
    "boolean": boolean,
    "integer": integer,
    "positiveInt": positive_int,
    "unsignedInt": unsigned_int,
    "decimal": decimal,
    "date": date,
    "dateTime": date_time,
    "instant": instant,
    "time": time,
    "base64Binary": string,
}
