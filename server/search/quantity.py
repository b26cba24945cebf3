"""Quantity search: ``[parameter]=[prefix][number]|[system]|[code]``.  R4 search.html#quantity.

Numbers mean what they mean in ``number.py``.  A stored value is a point, whatever its digits;
with a comparator (``<5``) or as a Range it is an interval.  Units are compared as texts.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from server.search import number
from server.search.asked import Asked, any_of
from server.search.catalog import R4, Catalog
from server.search.gather import Gathered, Indexer
from server.search.number import HIGHEST, LOWEST, Interval
from server.search.query import NumberIs, Predicate
from server.search.rows import LONGEST_KEPT, hash64, param_hash
from server.search.value import refused, split, unescape

_CURRENCIES = "urn:iso:std:iso:4217"


def wanted_unit(parts: list[str], name: str) -> str:
    """Return the unit asked for, as in :class:`server.search.query.NumberIs`.

    >>> wanted_unit(["http://unitsofmeasure.org", "mg"], "q"), wanted_unit(["", "mg"], "q")
    ('http://unitsofmeasure.org|mg', '|mg')
    """
    match [unescape(part) for part in parts]:
        case [] | ["", ""]:
            return ""
        case [system, code] if code:
            return f"{system}|{code}"
        case _:
            raise refused(name, "a quantity is number, number||unit or number|system|code")


def predicate(asked: Asked) -> Predicate:
    """Return what ``asked`` means; there is no modifier."""
    found: list[Predicate] = []
    for raw in asked.values:
        amount, *parts = split(raw, "|")
        unit = wanted_unit(parts, asked.name)
        op, lo, hi = number.wanted(amount, asked.name)
        found += [NumberIs(type_, asked.param, op, lo, hi, unit) for type_ in asked.types]
    return any_of(found)


def indexer(type_: str, param: str, fhir_type: str, _catalog: Catalog = R4) -> Indexer | None:
    """Return what writes the rows of a value of ``fhir_type``; ``None`` if it is no quantity."""
    measure = _MEASURES.get(fhir_type)
    if measure is None:
        return None
    presence = hash64(f"{type_}|{param}|?")
    hashed = param_hash(type_, param)

    def index(value: Any, rows: Gathered) -> None:
        rows.keys.add(presence)
        found, (system, code, unit) = measure(value)
        if found is not None:
            lo, hi = found
            rows.numbers += [(hashed, lo, hi, hash_) for hash_ in _units(system, code, unit)]

    return index


def intervals(fhir_type: str, value: Any) -> list[Interval]:
    """Return the interval of a value, for sorting; [] if it has none."""
    measure = _MEASURES.get(fhir_type)
    found = measure(value)[0] if measure else None
    return [found] if found else []


def unit_keys(system: str | None, code: str | None, unit: str | None) -> list[str]:
    """Return the texts under which one stored unit is found.

    >>> unit_keys("http://unitsofmeasure.org", "mg", "milligram")
    ['', 'http://unitsofmeasure.org|mg', '|mg', '|milligram']
    """
    found = ["", f"{system}|{code}"] if system and code else [""]
    found += [f"|{text}" for text in (code, unit) if text]
    return list(dict.fromkeys(found))


def _units(system: str | None, code: str | None, unit: str | None) -> tuple[int, ...]:
    if sum(len(text) for text in (system, code, unit) if text) > LONGEST_KEPT:
        return _kept.__wrapped__(system, code, unit)
    return _kept(system, code, unit)


@lru_cache(maxsize=4096)
def _kept(system: str | None, code: str | None, unit: str | None) -> tuple[int, ...]:
    return tuple(hash64(text) for text in unit_keys(system, code, unit))


Unit = tuple[str | None, str | None, str | None]


def _unit(value: Any) -> Unit:
    return value.get("system"), value.get("code"), value.get("unit")


def _quantity(value: Any) -> tuple[Interval | None, Unit]:
    amount = value.get("value")
    if amount is None:
        return None, _unit(value)
    lo, hi = number.point(amount)
    match value.get("comparator"):
        case "<":
            return (LOWEST, lo), _unit(value)
        case "<=":
            return (LOWEST, hi), _unit(value)
        case ">":
            return (hi, HIGHEST), _unit(value)
        case ">=":
            return (lo, HIGHEST), _unit(value)
        case _:
            return (lo, hi), _unit(value)


def _range(value: Any) -> tuple[Interval | None, Unit]:
    low, high = value.get("low", {}), value.get("high", {})
    return number.limits(low.get("value"), high.get("value")), _unit(low or high)


def _money(value: Any) -> tuple[Interval | None, Unit]:
    amount = value.get("value")
    unit: Unit = (_CURRENCIES, value.get("currency"), None)
    return (None if amount is None else number.point(amount)), unit


_MEASURES: dict[str, Callable[[Any], tuple[Interval | None, Unit]]] = {
    **dict.fromkeys(("Age", "Count", "Distance", "Duration", "Quantity"), _quantity),
    "Range": _range,
    "Money": _money,
}
