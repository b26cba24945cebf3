"""When something is to be done -> Timing: TQ1, and the old TQ of ORC-7, OBR-27 and RXE-1.

Source: HL7 v2-to-FHIR guide 1.0.0, data type maps RPT[Timing], TQ[ServiceRequest], RI[Timing].
A pattern that is not understood stays as its code and words.
"""

import re
from typing import Any

from mappings.dates import fhir_date_time, fhir_time
from mappings.numbers import decimal_of
from mappings.primitives import in_order
from mappings.repetition import Repetition
from mappings.source import Scope

Made = dict[str, Any]

_GTS = "http://terminology.hl7.org/CodeSystem/v3-GTSAbbreviation"
_EVERY = re.compile(r"Q(\d{1,4})([SMHDWL])", re.ASCII)
_A_DAY = re.compile(r"(\d{1,2})X?ID", re.ASCII)
_UNITS = {"S": "s", "M": "min", "H": "h", "D": "d", "W": "wk", "L": "mo"}
_TIMES_A_DAY = {"BID": 2, "TID": 3, "QID": 4, "QD": 1}
_NAMED = frozenset({"BID", "TID", "QID", "AM", "PM", "QD", "QOD", "Q4H", "Q6H"})
_DURATION = re.compile(r"([SMHDWL])(\d{1,5})", re.ASCII)
_SPOKEN = {
    "S": "s",
    "SEC": "s",
    "M": "min",
    "MIN": "min",
    "MN": "min",
    "H": "h",
    "HR": "h",
    "HOUR": "h",
    "D": "d",
    "DAY": "d",
    "W": "wk",
    "WK": "wk",
    "WEEK": "wk",
    "L": "mo",
    "MO": "mo",
    "MON": "mo",
    "MONTH": "mo",
    "A": "a",
    "Y": "a",
    "YR": "a",
    "YEAR": "a",
}
SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400, "wk": 604800}


def spoken_unit(text: str) -> str:
    """Return the UCUM unit of time of a code or word, ``""`` when it is none.

    >>> spoken_unit("Minutes"), spoken_unit("HR"), spoken_unit("fortnight")
    ('min', 'h', '')
    """
    word = text.strip().upper()
    return _SPOKEN.get(word) or _SPOKEN.get(word.removesuffix("S")) or _SPOKEN.get(word[:3], "")


def _repeat(pattern: str) -> Made:
    """Return what a repeat pattern of table 0335 says in numbers; nothing for all others."""
    if found := _EVERY.fullmatch(pattern):
        if int(found[1]) == 0:
            return {}
        return {"frequency": 1, "period": decimal_of(found[1]), "periodUnit": _UNITS[found[2]]}
    times = _TIMES_A_DAY.get(pattern, 0)
    if found := _A_DAY.fullmatch(pattern):
        times = int(found[1])
    if times:
        return {"frequency": times, "period": decimal_of("1"), "periodUnit": "d"}
    if pattern == "QOD":
        return {"frequency": 1, "period": decimal_of("2"), "periodUnit": "d"}
    return {}


def _code(pattern: str, words: str) -> Made | None:
    made: Made = {}
    if pattern in _NAMED:
        made["coding"] = [{"system": _GTS, "code": pattern}]
    if text := words or pattern:
        made["text"] = text
    return made or None


def _bounds(v: Repetition, to: str, start: str, end: str) -> Made:
    zone = v.run.feed.timezone
    sent = {"start": start, "end": end}
    found = {n: made for n, text in sent.items() if text and (made := fhir_date_time(text, zone))}
    return {"boundsPeriod": in_order(v.run, f"{to}.boundsPeriod", found)} if found else {}


def _timing(v: Repetition, to: str, pattern: str, words: str, repeat: Made) -> Made | None:
    made: Made = {}
    repeat = {**repeat, **_repeat(pattern.upper())}
    if repeat:
        made["repeat"] = repeat
    if (code := _code(pattern.upper(), words)) is not None:
        made["code"] = code
    if made:
        v.run.row(to, v.path, "timing", pattern or words)
    return made or None


def TQ(v: Repetition, to: str) -> Made | None:  # noqa: N802
    """Timing/quantity (to v2.4) -> Timing: interval, explicit times, start and end, words."""
    repeat = _bounds(v, f"{to}.repeat", v.text(4), v.text(5))
    times = [made for text in v.text(2, 2).split(",") if (made := fhir_time(text))]
    if times:
        repeat["timeOfDay"] = times
    if (found := _DURATION.fullmatch(v.text(3).upper())) and "boundsPeriod" not in repeat:
        unit = _UNITS[found[1]]
        ucum = {"unit": unit, "system": "http://unitsofmeasure.org", "code": unit}
        repeat["boundsDuration"] = {"value": decimal_of(found[2]), **ucum}
    pattern = v.text(2)
    return _timing(v, to, "" if pattern.upper() == "ONCE" else pattern, v.text(8), repeat)


def timing(scope: Scope, to: str, values: list[Repetition]) -> Made | None:
    """TQ1 -> Timing: pattern, explicit times, start and end, how often in all."""
    sent = [one for n in (3, 4, 7, 8, 11, 14) for one in scope.repetitions("TQ1", n)]
    if not sent:
        return None

    def text(number: int, component: int = 1) -> str:
        found = scope.repetitions("TQ1", number)
        return found[0].text(component) if found else ""

    repeat = _bounds(sent[0], f"{to}.repeat", text(7), text(8))
    times = [made for one in scope.repetitions("TQ1", 4) if (made := fhir_time(one.text()))]
    if times:
        repeat["timeOfDay"] = times
    if (count := text(14)).isdecimal() and int(count) > 0:
        repeat["count"] = int(count)
    pattern = values[0] if values else None
    code = pattern.text() if pattern is not None else ""
    words = (pattern.component(1).text(2) if pattern is not None else "") or text(11)
    return _timing(sent[0], to, code, words, repeat)
