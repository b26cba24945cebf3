"""Number search: ``[parameter]=[prefix][number]``.  R4 search.html#number.

Asked: a number without prefix (or with ``eq``, ``ne``, ``ap``) is the interval that its digits
leave open; with ``gt lt ge le sa eb`` it is exact.  Stored: a number is a point, a Range an
interval.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from math import inf, nextafter
from sys import float_info
from typing import Any

from server.search.asked import Asked, any_of
from server.search.catalog import R4, Catalog
from server.search.gather import Gathered, Indexer
from server.search.query import Comparator, NumberIs, Predicate
from server.search.rows import hash64, param_hash
from server.search.value import refused, split_prefix, unescape

Interval = tuple[float, float]

NO_UNIT = hash64("")
HIGHEST = float_info.max  # an open end; finite, because cursors and other JSON have no infinity
LOWEST = -HIGHEST
_LARGEST = nextafter(HIGHEST, 0.0)
_NUMBER = re.compile(r"[+-]?\d{1,64}(?:\.\d{1,64})?(?:[eE][+-]?\d{1,4})?", re.ASCII)
_IMPRECISE: frozenset[Comparator] = frozenset(("eq", "ne", "ap"))


def wanted(raw: str, name: str) -> tuple[Comparator, float, float]:
    """Return prefix and interval of one asked number.

    >>> wanted("5.4", "probability")
    ('eq', 5.35, 5.45)
    >>> wanted("lt100", "probability")
    ('lt', 100.0, 100.00000000000001)
    """
    op, low, high = exactly(raw, name)
    return op, *interval(low, high)


def exactly(raw: str, name: str) -> tuple[Comparator, Decimal, Decimal]:
    """Return prefix and ends of one asked number, equal ends where it is meant exactly.

    ``ap`` reaches a tenth of the number further on both sides.

    >>> exactly("ap100", "probability")
    ('ap', Decimal('89.5'), Decimal('110.5'))
    """
    op, text = split_prefix(unescape(raw))
    if _NUMBER.fullmatch(text) is None:
        raise refused(name, f"{text!r} is not a number")
    number = Decimal(text)
    if op not in _IMPRECISE:
        return op, number, number
    margin = half_of_last_digit(text) + (abs(number) / 10 if op == "ap" else 0)
    return op, number - margin, number + margin


def interval(low: Decimal, high: Decimal) -> Interval:
    """Return the half-open interval between two ends, that of a point where they are equal."""
    return point(low) if low == high else (as_float(low), as_float(high))


def half_of_last_digit(text: str) -> Decimal:
    """Return how far a number may be from what is meant by ``text``.

    R4 reads ``1e2`` as 95 to 105, that is, as ``1.0e2``; so is every exponent form without a point.

    >>> [str(half_of_last_digit(text)) for text in ("100", "100.00", "1e2", "5.40e-3")]
    ['0.5', '0.005', '5', '0.000005']
    """
    exponent = int(Decimal(text).as_tuple().exponent)
    finer = 2 if "e" in text.lower() and "." not in text else 1
    return Decimal(5).scaleb(exponent - finer)


def point(number: Decimal | float) -> Interval:
    """Return the narrowest half-open interval that holds the number.

    >>> point(Decimal("5.4"))
    (5.4, 5.400000000000001)
    """
    lo = as_float(number)
    return lo, nextafter(lo, inf)


def limits(low: Any, high: Any) -> Interval | None:
    """Return the interval from ``low`` to ``high`` (both in it); ``None`` is an open end."""
    if low is None and high is None:
        return None
    return LOWEST if low is None else as_float(low), HIGHEST if high is None else point(high)[1]


def predicate(asked: Asked) -> Predicate:
    """Return what ``asked`` means; there is no modifier."""
    numbers = [wanted(raw, asked.name) for raw in asked.values]
    return any_of([NumberIs(t, asked.param, *found) for found in numbers for t in asked.types])


def indexer(type_: str, param: str, fhir_type: str, _catalog: Catalog = R4) -> Indexer | None:
    """Return what writes the rows of a value of ``fhir_type``; ``None`` if it holds no number."""
    interval = _INTERVALS.get(fhir_type)
    if interval is None:
        return None
    presence = hash64(f"{type_}|{param}|?")
    hashed = param_hash(type_, param)

    def index(value: Any, rows: Gathered) -> None:
        rows.keys.add(presence)
        found = interval(value)
        if found is not None:
            rows.numbers.append((hashed, *found, NO_UNIT))

    return index


def intervals(fhir_type: str, value: Any) -> list[Interval]:
    """Return the interval of a value, for sorting; [] if it has none."""
    interval = _INTERVALS.get(fhir_type)
    found = interval(value) if interval else None
    return [found] if found else []


def _range(value: Any) -> Interval | None:
    return limits(value.get("low", {}).get("value"), value.get("high", {}).get("value"))


def as_float(number: Decimal | float) -> float:
    """Return the nearest float; numbers beyond all floats become the largest one."""
    return min(max(float(number), -_LARGEST), _LARGEST)


_INTERVALS: dict[str, Callable[[Any], Interval | None]] = {
    **dict.fromkeys(("decimal", "integer", "positiveInt", "unsignedInt"), point),
    "Range": _range,
}
