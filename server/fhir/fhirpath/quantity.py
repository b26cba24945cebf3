"""Quantities: a number with a UCUM unit, or a number of calendar years ... milliseconds.

hl7.org/fhirpath/N1, sections 2.1.9 and 6.1.  Calendar weeks to milliseconds are the UCUM units of
the same length; a calendar year or month is none of UCUM's, which are averages.
"""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from server.fhir import ucum
from server.fhir.fhirpath.numbers import CONTEXT, decimal_of, same_rounded
from server.fhir.ucum import Canonical

_CALENDAR = {
    "week": "wk",
    "day": "d",
    "hour": "h",
    "minute": "min",
    "second": "s",
    "millisecond": "ms",
}
_MONTHS = {"year": 12, "month": 1}
_DEFINITE = {**_CALENDAR, "year": "a", "month": "mo"}
_DAYS = {"year": 365, "month": 30}
_ONE = "1"


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number and its unit: a UCUM code, or with ``calendar`` a word such as ``day``."""

    value: Decimal
    unit: str = _ONE
    calendar: bool = False

    def __str__(self) -> str:
        shown = self.unit if self.calendar else f"'{self.unit}'"
        return f"{self.value:f} {shown}"

    def as_written(self, value: Decimal) -> "Quantity":
        """Return so many of the same unit."""
        return Quantity(value, self.unit, self.calendar)

    def converted(self, unit: str) -> "Quantity | None":
        """Return the same in another unit, ``None`` when that measures something else.

        Between calendar units a year has 365 days, and a month 30 (N1, section 5.5.8).
        """
        made = Quantity(self.value, unit, is_calendar(unit))
        here, there = unit_of(self), unit_of(made)
        if here is None or there is None:
            return None
        if here.unit != there.unit and self.calendar and made.calendar:
            here, there = _in_days(self) or here, _in_days(made) or there
        if here.unit != there.unit:
            return None
        value = decimal_of(there.back(here.of(self.value)))
        return None if value is None else made.as_written(value)


def is_calendar(unit: str) -> bool:
    """Return whether a unit is a calendar word, in the singular or the plural."""
    return unit.removesuffix("s") in _DEFINITE


def unit_of(quantity: Quantity) -> Canonical | None:
    """Return what the unit means, ``None`` for one that UCUM does not know.

    Two quantities are comparable when the ``unit`` of these is the same text.
    """
    unit = quantity.unit
    if quantity.calendar:
        unit = unit.removesuffix("s")
        if unit in _MONTHS:
            return Canonical(Fraction(_MONTHS[unit]), "calendar month")
        unit = _CALENDAR[unit]
    return ucum.canonical(unit)


def compare(left: Quantity, right: Quantity) -> int | None:
    """Return -1, 0 or 1; ``None`` when the units cannot be compared.

    >>> compare(Quantity(Decimal(7), "days", True), Quantity(Decimal(1), "wk"))
    0
    """
    if left.unit == right.unit and left.calendar == right.calendar:
        return (left.value > right.value) - (left.value < right.value)
    one, other = unit_of(left), unit_of(right)
    if one is None or other is None or one.unit != other.unit:
        return None
    low, high = one.of(left.value), other.of(right.value)
    return (low > high) - (low < high)


def equivalent(left: Quantity, right: Quantity) -> bool:
    """Return whether they are the same at the precision of the less precise one (``~``).

    A calendar year is equivalent to UCUM's, which is an average, though it does not equal it.
    """
    if left.calendar != right.calendar:
        left, right = _definite(left), _definite(right)
    if _code(left) == _code(right):
        return same_rounded(left.value, right.value)
    one, other = unit_of(left), unit_of(right)
    if one is None or other is None or one.unit != other.unit:
        return False
    converted = decimal_of(one.back(other.of(right.value)))
    return converted is not None and same_rounded(left.value, converted)


def key(quantity: Quantity) -> tuple[object, ...]:
    """Return what is the same for two quantities exactly when they are equal."""
    unit = unit_of(quantity)
    if unit is None:
        return ("?", quantity.unit, quantity.value)
    return (unit.unit, unit.of(quantity.value))


def times(left: Quantity, right: Quantity) -> Quantity | None:
    """Return the product, its unit put together; ``None`` on overflow."""
    return _made(CONTEXT.multiply(left.value, right.value), _joined(left, right, "."))


def divided(left: Quantity, right: Quantity) -> Quantity | None:
    """Return the quotient; ``None`` when it is one by zero, or on overflow."""
    if not right.value:
        return None
    unit = _ONE if _code(left) == _code(right) else _joined(left, right, "/")
    return _made(CONTEXT.divide(left.value, right.value), unit)


def added(left: Quantity, right: Quantity, sign: int) -> Quantity | None:
    """Return sum or difference in the unit of the left; ``None`` when they have none in common."""
    if left.unit == right.unit and left.calendar == right.calendar:
        return left.as_written(CONTEXT.add(left.value, right.value * sign))
    one, other = unit_of(left), unit_of(right)
    if one is None or other is None or one.unit != other.unit or one.offset or other.offset:
        return None
    number = decimal_of(one.back(one.of(left.value) + sign * other.of(right.value)))
    return None if number is None else left.as_written(number)


def _code(quantity: Quantity) -> str:
    if not quantity.calendar:
        return quantity.unit
    unit = quantity.unit.removesuffix("s")
    return _CALENDAR.get(unit, unit)


def _definite(quantity: Quantity) -> Quantity:
    if not quantity.calendar:
        return quantity
    return Quantity(quantity.value, _DEFINITE[quantity.unit.removesuffix("s")])


def _in_days(quantity: Quantity) -> Canonical | None:
    """Return what a calendar year or month means when there is no date to count from."""
    days, day = _DAYS.get(quantity.unit.removesuffix("s")), ucum.canonical("d")
    return None if days is None or day is None else Canonical(days * day.factor, day.unit)


def _joined(left: Quantity, right: Quantity, operator: str) -> str:
    one, other = _code(left), _code(right)
    if other == _ONE:
        return one
    if operator == "." and one == _ONE:
        return other
    if "/" in other or ("." in other and operator == "/"):
        other = f"({other})"
    return f"{one}{operator}{other}"


def _made(value: Decimal, unit: str) -> Quantity | None:
    return Quantity(value, unit) if value.is_finite() and len(unit) <= 256 else None
