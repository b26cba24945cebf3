"""Elements of a resource in words: dates, quantities, codes, names.  Pure.

What is written is taken over: a number keeps its digits, a date its precision and its zone.
"""

import re
from decimal import Decimal
from typing import Any, Final, Literal

from server.continuity.story.words import Words
from server.fhir.dates import InvalidDate, interval

Json = dict[str, Any]
OpenEnd = Literal["since", "began", "starting"]

_DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d:\d\d)(?::[\d.]+)?(Z|[+-]\d\d:\d\d)?)?)?)?"
)
_CONTROL = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]|[\ud800-\udfff]"
    # What is not seen and turns round, hides or breaks what stands beside it (UAX #9).
    r"|[\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]"
)
_TAG = re.compile(  # SNOMED CT's fully specified names say in brackets what kind of thing it is
    r" \((?:disorder|finding|procedure|situation|event|product|substance|physical object"
    r"|qualifier value|record artifact|regime/therapy|morphologic abnormality|medicinal product"
    r"|observable entity|body structure|person|organism|clinical drug|social concept)\)$"
)
LONGEST: Final = (
    2_000  # characters of one text that is taken over; longer ones show that they go on
)


def date(text: Any, words: Words, *, time: bool = False) -> str | None:
    """Return a date in words, ``None`` for what is none; ``time``: with the time of day.

    >>> from server.continuity.story.words import words
    >>> date("2026-03-03T14:05:00Z", words("patient"), time=True)
    '3 March 2026 at 14:05 UTC'
    >>> date("2026-03", words("patient"))
    'March 2026'
    """
    found = _DATE.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return None
    year, month, day, clock, zone = found.groups()
    if month is None:
        return year
    if not 1 <= int(month) <= 12:
        return None
    told = f"{words.months[int(month) - 1]} {year}"
    if day is None:
        return told
    told = f"{int(day)} {told}"
    if not time or clock is None:
        return told
    zoned = {None: "", "Z": " UTC"}.get(zone, f" (UTC{zone})")
    return f"{told} at {clock}{zoned}"


def moment(text: Any) -> int | None:
    """Return the start of a date in microseconds, ``None`` for what is none."""
    try:
        return interval(text)[0] if isinstance(text, str) else None
    except InvalidDate:
        return None


def plain(text: Any) -> str:
    """Return a text of the record on one line, without what no narrative can hold.

    >>> plain(" a\\x00\\n b ")
    'a b'
    """
    if not isinstance(text, str):
        return ""
    told = " ".join(_CONTROL.sub("", text).split())
    return told if len(told) <= LONGEST else told[:LONGEST] + " […]"


def verbatim(text: Any) -> str:
    """Return somebody's own words as they were written, but for characters that XML has not."""
    if not isinstance(text, str):
        return ""
    told = _CONTROL.sub("", text).strip()
    return told if len(told) <= LONGEST else told[:LONGEST] + " […]"


def inside_quotes(text: str) -> str:
    """Return a text whose own quotation marks cannot end the quotation that it stands in.

    >>> inside_quotes("ok.” Dr Roe recorded: “none")
    'ok.’ Dr Roe recorded: ‘none'
    """
    return text.replace("“", "‘").replace("”", "’").replace("„", "‚")


def label(concept: Any, words: Words) -> str | None:
    """Return what a CodeableConcept is called; ``None`` when it says nothing at all.

    Codes are no names: a patient reads that there is only one, a clinician reads which.
    """
    if not isinstance(concept, dict):
        return None
    if text := plain(concept.get("text")):
        return called(text, words)
    codings = [one for one in listed(concept.get("coding")) if isinstance(one, dict)]
    chosen = sorted(codings, key=lambda one: one.get("userSelected") is not True)
    if known := next(filter(None, map(words.code, chosen)), None):
        return known  # "normal", and not "Normal (applies to non-numeric results)"
    for coding in chosen:
        if text := plain(coding.get("display")):
            return called(text, words)
    code = next((one["code"] for one in chosen if isinstance(one.get("code"), str)), None)
    return words.say("unnamed", code=plain(code)) if code else None


def called(text: str, words: Words) -> str:
    """Return a name as the register has it: a patient reads "Sepsis", not "Sepsis (disorder)"."""
    return _TAG.sub("", text) if words.register == "patient" else text


def is_named(concept: Any) -> bool:
    """Tell whether a CodeableConcept has a name, and not only a code."""
    named = [concept, *listed(concept.get("coding"))] if isinstance(concept, dict) else []
    return any(
        plain(one.get("text")) or plain(one.get("display"))
        for one in named
        if isinstance(one, dict)
    )


def labels(concepts: Any, words: Words) -> str | None:
    """Return what a list of CodeableConcepts says, ``None`` for nothing.

    Bare codes are left out beside those that have a name.
    """
    every = [one for one in listed(concepts) if isinstance(one, dict)]
    named = [one for one in every if is_named(one)] or every
    told = [text for one in named if (text := label(one, words))]
    return ", ".join(dict.fromkeys(told)) or None


def person(name: Any) -> str | None:
    """Return a HumanName as it is spoken: its text, or prefix, given and family."""
    names = [one for one in listed(name) if isinstance(one, dict) and one.get("use") != "old"]
    order = {"official": 0, "usual": 1}
    for one in sorted(names, key=lambda one: order.get(str(one.get("use")), 2)):
        parts = [*listed(one.get("prefix")), *listed(one.get("given")), one.get("family")]
        joined = plain(" ".join(part for part in parts if isinstance(part, str)))
        if told := plain(one.get("text")) or joined:
            return told
    return None


def quantity(value: Any, words: Words) -> str | None:
    """Return a Quantity with its number as written."""
    if not isinstance(value, dict) or not is_number(value.get("value")):
        return None
    unit = words.unit(value.get("unit"), value.get("code"), one=value["value"] == 1)
    told = f"{plain(value.get('comparator'))}{value['value']}"
    return f"{told} {plain(unit)}".strip()


def is_number(value: Any) -> bool:
    """Tell whether a value is a JSON number."""
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def listed(value: Any) -> list[Any]:
    """Return a list, whatever was there: FHIR's ``0..*``, a single value, nothing."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def at(resource: Json, path: str) -> list[Any]:
    """Return the values at a path of names, through lists."""
    found: list[Any] = [resource]
    for name in path.split("."):
        found = [v for one in found if isinstance(one, dict) for v in listed(one.get(name))]
    return found


def first(resource: Json, path: str) -> Any:
    """Return the first value at a path of names, ``None`` without one."""
    return next(iter(at(resource, path)), None)


def codes(concept: Any) -> frozenset[tuple[str, str]]:
    """Return (system, code) of each coding of a CodeableConcept."""
    codings = listed(concept.get("coding")) if isinstance(concept, dict) else []
    return frozenset(
        (str(one.get("system", "")), one["code"])
        for one in codings
        if isinstance(one, dict) and isinstance(one.get("code"), str)
    )


def code(value: Any) -> str:
    """Return a plain code, or the first code of a CodeableConcept; ``""`` for none."""
    if isinstance(value, str):
        return value
    return next((one for _, one in sorted(codes(value))), "")


def value_of(element: Json, words: Words, choice: str = "value") -> str | None:
    """Return ``value[x]`` of an Observation, a component or an answer in words."""
    for name, value in element.items():
        if not name.startswith(choice):
            continue
        told = _VALUES.get(name.removeprefix(choice), _unknown)(value, words)
        if told:
            return told
    return None


def has_value(element: Json) -> bool:
    """Tell whether there is a ``value[x]``, of whatever kind."""
    return any(re.match("value[A-Z]", name) for name in element)


def _truth(value: Any, words: Words) -> str | None:
    return words.say("yes" if value else "no") if isinstance(value, bool) else None


def _number(value: Any, _words: Words) -> str | None:
    return str(value) if is_number(value) else None


def _text(value: Any, _words: Words) -> str | None:
    return plain(value) or None


def _day(value: Any, words: Words) -> str | None:
    return date(value, words, time=True) or _text(value, words)


def _coding(value: Any, words: Words) -> str | None:
    return label({"coding": [value]}, words)


def _range(value: Any, words: Words) -> str | None:
    return _pair(value, ("low", "high"), " - ", words)


def _ratio(value: Any, words: Words) -> str | None:
    return _pair(value, ("numerator", "denominator"), " / ", words)


def _pair(value: Any, names: tuple[str, str], between: str, words: Words) -> str | None:
    ends = [quantity(value.get(end), words) for end in names] if isinstance(value, dict) else []
    return between.join(end or "?" for end in ends) if any(ends) else None


def _period(value: Any, words: Words) -> str | None:
    return period(value, words)


def _reference(value: Any, _words: Words) -> str | None:
    return (plain(value.get("display")) or None) if isinstance(value, dict) else None


def _attachment(value: Any, _words: Words) -> str | None:
    return (plain(value.get("title")) or None) if isinstance(value, dict) else None


def _unknown(_value: Any, _words: Words) -> str | None:
    return None


def period(value: Any, words: Words, open_end: OpenEnd = "since") -> str | None:
    """Return a Period in words, ``None`` when it says neither start nor end.

    ``open_end``: what is said without an end: it goes on, it began then, or is to begin then.
    """
    if not isinstance(value, dict):
        return None
    start, end = date(value.get("start"), words), date(value.get("end"), words)
    if start and end:
        return start if start == end else words.say("between", start=start, end=end)
    if start:
        return words.say(open_end, date=start)
    return words.say("until", date=end) if end else None


def dated(written: Any, words: Words, key: Literal["then", "when"] = "then") -> str:
    """Return a date as a clause, ``""`` for none: when it happened, or when it was said.

    >>> from server.continuity.story.words import words
    >>> dated("2026-03-03", words("patient")), dated("2026", words("patient"), "when")
    (', on 3 March 2026', ' in 2026')
    """
    day = date(written, words)
    return words.say(key if len(str(written)) >= 10 else f"{key}-in", date=day) if day else ""


def on_or_in(written: Any) -> str:
    """Return which words a date takes: on a day, in a month or a year."""
    return "" if len(str(written)) >= 10 else "in"


def happened(resource: Json, words: Words, *names: str) -> str:
    """Return when something happened as a clause, ``""`` where that is not said.

    ``names``: the elements before ``DateTime``, ``Period`` and the like.
    """
    for name in names:
        span = resource.get(f"{name}Period")
        start, end = (at(span, end)[:1] for end in ("start", "end")) if span else ([], [])
        days = [date(one, words) for one in (*start, *end)]
        day = resource.get(f"{name}DateTime") or resource.get(f"{name}Instant")
        if len(days) == 2 and days[0] == days[1]:
            day = start[0]
        if told := dated(day, words):
            return told
        if told := period(span, words, "began") or plain(resource.get(f"{name}String")):
            return words.say("during", period=told)
    return ""


_VALUES = {
    "Quantity": quantity, "CodeableConcept": label, "Coding": _coding, "String": _text,
    "Boolean": _truth, "Integer": _number, "Decimal": _number, "Range": _range, "Ratio": _ratio,
    "Date": _day, "DateTime": _day, "Time": _text, "Period": _period, "Uri": _text,
    "Reference": _reference, "Attachment": _attachment,
}  # fmt: skip
