"""Quantity search: ``[parameter]=[prefix][number]|[system]|[code]``.  R4 search.html#quantity.

Numbers mean what they mean in ``number.py``.  A stored value is a point, whatever its digits;
with a comparator (``<5``) or as a Range it is an interval.

Where system and code are those of a UCUM unit, both sides are converted to its base units, the
ends of the asked interval as they are: what 5.4 mg leaves open is left open in g too.  Everything
else is compared as it is written: ``number||unit``, and codes of other systems.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from math import inf, nextafter
from typing import Any

from server.fhir import ucum
from server.search import number
from server.search.asked import Asked, any_of
from server.search.catalog import R4, Catalog
from server.search.gather import Gathered, Indexer
from server.search.number import HIGHEST, LOWEST, Interval
from server.search.query import Comparator, NumberIs, Predicate
from server.search.rows import LONGEST_KEPT, hash64, param_hash
from server.search.value import refused, split, unescape

UCUM = "http://unitsofmeasure.org"
_CURRENCIES = "urn:iso:std:iso:4217"
_LARGEST = nextafter(HIGHEST, 0.0)
_MAX_MAGNITUDE = 400  # powers of ten; beyond it every number is the largest float, or none

Amount = Decimal | int


@dataclass(frozen=True, slots=True, eq=False)  # compared by identity: they are kept, few
class Unit:
    """A stored unit: the hashes under which its numbers stand as they are, and converted."""

    literal: tuple[int, ...]
    convert: Callable[[Amount], float] | None = None
    converted: int = 0


def wanted(raw: str, name: str) -> tuple[Comparator, float, float, str]:
    """Return prefix, interval and unit of one asked quantity, converted where that can be.

    >>> wanted("5.4|http://unitsofmeasure.org|mg", "dose")
    ('eq', 0.00535, 0.00545, 'http://unitsofmeasure.org|g')
    >>> wanted("lt5.4||mg", "dose")
    ('lt', 5.4, 5.400000000000001, '|mg')
    """
    amount, *parts = split(raw, "|")
    op, low, high = number.exactly(amount, name)
    match [unescape(part) for part in parts]:
        case [] | ["", ""]:
            return op, *number.interval(low, high), ""
        case [system, code] if code:
            pass
        case _:
            raise refused(name, "a quantity is number, number||unit or number|system|code")
    known = ucum.canonical(code) if system == UCUM else None
    if known is None:
        return op, *number.interval(low, high), f"{system}|{code}"
    convert = _conversion(known)
    ends = _point(convert(low)) if low == high else (convert(low), convert(high))
    return op, *ends, f"{UCUM}|{known.unit}"


def predicate(asked: Asked) -> Predicate:
    """Return what ``asked`` means; there is no modifier."""
    found = [wanted(raw, asked.name) for raw in asked.values]
    return any_of([NumberIs(type_, asked.param, *one) for one in found for type_ in asked.types])


def indexer(type_: str, param: str, fhir_type: str, _catalog: Catalog = R4) -> Indexer | None:
    """Return what writes the rows of a value of ``fhir_type``; ``None`` if it is no quantity."""
    measure = _MEASURES.get(fhir_type)
    if measure is None:
        return None
    presence = hash64(f"{type_}|{param}|?")
    hashed = param_hash(type_, param)

    def index(value: Any, rows: Gathered) -> None:
        rows.keys.add(presence)
        rows.numbers += [(hashed, *row) for row in _rows(*measure(value))]

    return index


def intervals(fhir_type: str, value: Any) -> list[Interval]:
    """Return the interval of a value as it is written, for sorting; [] if it has none."""
    measure = _MEASURES.get(fhir_type)
    if measure is None:
        return []
    return [(lo, hi) for lo, hi, _ in _rows(*measure(value))[:1]]


def unit_keys(system: str | None, code: str | None, unit: str | None) -> list[str]:
    """Return the texts under which a stored number is found as it is written.

    >>> unit_keys("urn:local", "mg", "milligram")
    ['', 'urn:local|mg', '|mg', '|milligram']
    """
    found = ["", f"{system}|{code}"] if system and code else [""]
    found += [f"|{text}" for text in (code, unit) if text]
    return list(dict.fromkeys(found))


def _unit(system: str | None, code: str | None, unit: str | None) -> Unit:
    if sum(len(text) for text in (system, code, unit) if text) > LONGEST_KEPT:
        return _kept.__wrapped__(system, code, unit)
    return _kept(system, code, unit)


@lru_cache(maxsize=4096)
def _kept(system: str | None, code: str | None, unit: str | None) -> Unit:
    known = ucum.canonical(code) if system == UCUM and code else None
    keys = unit_keys(None if known else system, code, unit)
    literal = tuple(hash64(text) for text in keys)
    if known is None:
        return Unit(literal)
    return Unit(literal, _conversion(known), hash64(f"{UCUM}|{known.unit}"))


def _conversion(known: ucum.Canonical) -> Callable[[Amount], float]:
    """Return what converts a number exactly, and makes a float of it last."""
    # One fraction of integers: dividing those is exact, and a tenth of the work of Fraction.
    below = known.factor.denominator * known.offset.denominator
    times = known.factor.numerator * known.offset.denominator
    plus = known.offset.numerator * known.factor.denominator

    def convert(value: Amount) -> float:
        if isinstance(value, Decimal) and abs(value.adjusted()) > _MAX_MAGNITUDE:
            # A power of ten that large would take all memory, written out.
            tiny = not value or value.adjusted() < 0
            value = 0 if tiny else int(Decimal(10**_MAX_MAGNITUDE).copy_sign(value))
        top, bottom = value.as_integer_ratio()
        above = top * times + plus * bottom
        try:
            return min(max(above / (bottom * below), -_LARGEST), _LARGEST)
        except OverflowError:
            return _LARGEST if above > 0 else -_LARGEST

    return convert


Measure = tuple[Amount | None, Amount | None, str | None, Unit]
"""Lower and upper end (equal for a point), comparator and unit."""


@lru_cache(maxsize=4096)
def _rows(
    low: Amount | None, high: Amount | None, comparator: str | None, unit: Unit
) -> tuple[tuple[float, float, int], ...]:
    """Return (lo, hi, unit) of each row, that without a unit first; ``()`` without a number.

    Kept, because a value is in the rows of several parameters.
    """
    if low is None and high is None:
        return ()
    as_written = _interval(low, high, comparator, number.as_float)
    found = [(*as_written, name) for name in unit.literal]
    if unit.convert is not None:
        found.append((*_interval(low, high, comparator, unit.convert), unit.converted))
    return tuple(found)


def _interval(
    low: Amount | None,
    high: Amount | None,
    comparator: str | None,
    convert: Callable[[Amount], float],
) -> Interval:
    lo = LOWEST if low is None else convert(low)
    hi = HIGHEST if high is None else nextafter(lo if high == low else convert(high), inf)
    match comparator:
        case "<":
            return LOWEST, lo
        case "<=":
            return LOWEST, hi
        case ">":
            return hi, HIGHEST
        case ">=":
            return lo, HIGHEST
        case _:
            return lo, hi


def _point(value: float) -> Interval:
    return value, nextafter(value, inf)


def _quantity(value: Any) -> Measure:
    amount = value.get("value")
    unit = _unit(value.get("system"), value.get("code"), value.get("unit"))
    return amount, amount, value.get("comparator"), unit


def _range(value: Any) -> Measure:
    low, high = value.get("low", {}), value.get("high", {})
    named = low or high
    unit = _unit(named.get("system"), named.get("code"), named.get("unit"))
    return low.get("value"), high.get("value"), None, unit


def _money(value: Any) -> Measure:
    amount = value.get("value")
    return amount, amount, None, _unit(_CURRENCIES, value.get("currency"), None)


_MEASURES: dict[str, Callable[[Any], Measure]] = {
    **dict.fromkeys(("Age", "Count", "Distance", "Duration", "Quantity"), _quantity),
    "Range": _range,
    "Money": _money,
}
