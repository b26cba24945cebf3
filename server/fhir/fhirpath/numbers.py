"""Integers of 32 bits and exact decimals (hl7.org/fhirpath/N1, sections 4.1 and 6.6).

An operation whose result is out of range has none: it is empty.
"""

from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction

# More digits than the 28 + 8 that the specification asks for; nothing is trapped: what overflows
# or is not defined is an infinity or NaN, which `number` turns into nothing.
CONTEXT = Context(prec=40, rounding=ROUND_HALF_UP, Emax=10_100, Emin=-10_100, traps=[])
MAX_INTEGER = 2**31 - 1
MIN_INTEGER = -(2**31)

Number = int | Decimal


def number(value: Number) -> Number | None:
    """Return the number, ``None`` when it is out of range."""
    if type(value) is int:
        return value if MIN_INTEGER <= value <= MAX_INTEGER else None
    return value if value.is_finite() else None  # type: ignore[union-attr]  # not an int


def integer(value: Decimal) -> int | None:
    """Return a whole number as an integer, ``None`` when it is out of range."""
    if not value.is_finite() or value.adjusted() > 10:
        return None
    return number(int(value))  # type: ignore[return-value]  # what is an int stays one


def places(value: Number) -> int:
    """Return the number of digits behind the point that count.

    >>> places(Decimal("1.50")), places(Decimal("1E+3"))
    (1, 0)
    """
    if type(value) is int or not value:
        return 0
    _, digits, exponent = Decimal(value).as_tuple()
    count = -int(exponent)
    for digit in reversed(digits):
        if digit or count <= 0:
            break
        count -= 1
    return max(0, count)


def rounded(value: Number, digits: int) -> Decimal:
    """Return the number rounded half up to so many digits behind the point; never negative zero."""
    exact = Decimal(value)
    if -int(exact.as_tuple().exponent) <= digits:
        return exact
    step = Decimal(1).scaleb(-digits)
    made = exact.quantize(step, ROUND_HALF_UP, Context(prec=20_000, Emax=20_000, Emin=-20_000))
    return made or Decimal(0)


def shown(value: Number) -> str:
    """Return the number as text, without an exponent."""
    return str(value) if type(value) is int else f"{value:f}"


def same_rounded(left: Number, right: Number) -> bool:
    """Return whether they are the same at the precision of the less precise one (``~``)."""
    digits = min(places(left), places(right))
    return rounded(left, digits) == rounded(right, digits)


def decimal_of(value: Fraction) -> Decimal | None:
    """Return the fraction as a decimal, ``None`` when it is out of range."""
    made = CONTEXT.divide(Decimal(value.numerator), Decimal(value.denominator))
    return made if made.is_finite() else None
