"""Units of measure: UCUM 2.2, case sensitive, the whole grammar.  https://ucum.org/ucum

A code is read to its canonical form: an exact factor to a product of base units.  Two codes can
be compared when their base units are the same text.  Nothing is rounded here; whoever needs a
float turns to it last.

Units that are no multiples of anything keep apart: those that a procedure defines (``[iU]``) and
logarithms (``[pH]``, ``dB``) are bases of their own; temperatures in other scales than kelvin have
an offset.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cache, lru_cache
from typing import Final, NoReturn

from server.fhir.ucum_table import Unit, table

MAX_LENGTH: Final = 256  # characters of a code
MAX_EXPONENT: Final = 99
_MAX_BITS: Final = 4096  # of a factor's numerator or denominator; a double has an exponent of 1023
_MAX_MAGNITUDE: Final = 1000

# In kelvin = (value + shift) * unit.  UCUM section 22, table 5.
_SHIFTS: Final = {
    "Cel": Fraction("273.15"),
    "degF": Fraction("459.67"),
    "degRe": Fraction("218.52"),
}

_ten = re.compile(r"10[*^]").match
_digits = re.compile(r"[0-9]+").match
_symbol = re.compile(r"(?:[A-Za-z_'%]|\[[^\[\]{}\s]*\])+").match
_exponent = re.compile(r"[+-]?[0-9]+").match
_annotation = re.compile(r"\{[!-z|~]*\}").match


class InvalidUnit(ValueError):
    """Not a UCUM code; ``column`` counts from 1."""

    def __init__(self, why: str, column: int) -> None:
        super().__init__(f"{why} (column {column})")
        self.why, self.column = why, column


class NotComparable(ValueError):
    """Values in these two units measure different things."""


@dataclass(frozen=True, slots=True)
class Canonical:
    """What a code means: a value ``v`` in it is ``v * factor + offset`` in ``unit``.

    ``unit`` is a product of base units in one spelling, sorted: ``g.m-1.s-2``; ``1`` for numbers.
    """

    factor: Fraction
    unit: str
    offset: Fraction = Fraction(0)

    def of(self, value: Decimal | int | Fraction) -> Fraction:
        """Return a value in the code as a value in ``unit``, exactly."""
        return Fraction(value) * self.factor + self.offset

    def back(self, value: Decimal | int | Fraction) -> Fraction:
        """Return a value in ``unit`` as a value in the code, exactly."""
        return (Fraction(value) - self.offset) / self.factor


def canonical(code: str) -> Canonical | None:
    """Return what a code means, ``None`` for what is not UCUM.

    >>> canonical("mm[Hg]").unit, canonical("[lb_av]").factor, canonical("lbs")
    ('g.m-1.s-2', Fraction(45359237, 100000), None)
    """
    return _canonical(code) if len(code) <= MAX_LENGTH else None


@lru_cache(maxsize=8192)
def _canonical(code: str) -> Canonical | None:
    try:
        return parse(code)
    except InvalidUnit:
        return None


def parse(code: str) -> Canonical:
    """Return what a code means; raises ``InvalidUnit`` with the column of what is wrong.

    >>> parse("kg/m2{bsa}")
    Canonical(factor=Fraction(1000, 1), unit='g.m-2', offset=Fraction(0, 1))
    """
    if len(code) > MAX_LENGTH:
        raise InvalidUnit(f"longer than {MAX_LENGTH} characters", MAX_LENGTH + 1)
    made = _Reader(code).read()
    top, bottom = made.factor.numerator.bit_length(), made.factor.denominator.bit_length()
    if max(top, bottom) > _MAX_BITS or abs(top - bottom) > _MAX_MAGNITUDE:
        raise InvalidUnit("the factor is too large or too small to compute with", 1)
    return Canonical(made.factor, _spelled(made.bases), made.offset)


def comparable(one: str, other: str) -> bool:
    """Tell whether both are UCUM and measure the same: ``kg`` and ``[lb_av]``."""
    first, second = canonical(one), canonical(other)
    return first is not None and second is not None and first.unit == second.unit


def convert(value: Decimal | int | Fraction, source: str, target: str) -> Fraction:
    """Return a value in another unit, exactly.

    Raises ``InvalidUnit`` for what is not UCUM, ``NotComparable`` for units of something else.

    >>> convert(Decimal("98.6"), "[degF]", "Cel"), float(convert(1, "[lb_av]", "kg"))
    (Fraction(37, 1), 0.45359237)
    """
    here = canonical(source) or parse(source)
    there = canonical(target) or parse(target)
    if here.unit != there.unit:
        raise NotComparable(f"{source} is {here.unit} in base units, {target} is {there.unit}")
    return there.back(here.of(value))


@dataclass(frozen=True, slots=True)
class _Product:
    """A term: factor, exponents of the base units, and for special units what they are."""

    factor: Fraction
    bases: tuple[tuple[str, int], ...] = ()
    offset: Fraction = Fraction(0)
    special: bool = False

    def times(self, other: "_Product", sign: int) -> "_Product":
        """Return the product, or with ``sign`` -1 the quotient.

        Raises ``ValueError`` where a special unit is more than multiplied by a number.
        """
        if self.special or other.special:
            if (self.bases and other.bases) or (other.special and sign < 0):
                raise ValueError
            by = other.factor if sign > 0 else 1 / other.factor
            offset = self.offset or other.offset
            return _Product(self.factor * by, self.bases or other.bases, offset, special=True)
        exponents = dict(self.bases)
        for base, exponent in other.bases:
            exponents[base] = exponents.get(base, 0) + sign * exponent
        bases = tuple(sorted((base, n) for base, n in exponents.items() if n))
        return _Product(self.factor * (other.factor if sign > 0 else 1 / other.factor), bases)

    def power(self, exponent: int) -> "_Product":
        """Return the unit to an exponent; raises ``ValueError`` for special units."""
        if self.special:
            raise ValueError
        bases = tuple((base, n * exponent) for base, n in self.bases if exponent)
        return _Product(self.factor**exponent, bases)


_ONE: Final = _Product(Fraction(1))


class _Reader:
    """Recursive descent over one code.  UCUM section 2.4, the formal syntax."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def read(self) -> _Product:
        """Return what the main term means: it alone may begin with ``/``."""
        made = self._rest_of_term(_ONE) if self._next() == "/" else self._term()
        if self.at < len(self.text):
            self._refuse("'.' or '/' or the end is expected" if self._next() != ")" else "no '('")
        return made

    def _next(self) -> str:
        return self.text[self.at : self.at + 1]

    def _term(self) -> _Product:
        return self._rest_of_term(self._component())

    def _rest_of_term(self, made: _Product) -> _Product:
        """Read from left to right: ``a/b.c`` is ``(a/b).c``."""
        while (operator := self._next()) in (".", "/") and operator:
            self.at += 1
            start = self.at
            component = self._component()
            try:
                made = made.times(component, 1 if operator == "." else -1)
            except ValueError:
                self.at = start
                self._refuse("a unit that is no multiple of another cannot be in a product")
        return made

    def _component(self) -> _Product:
        character = self._next()
        if character == "(":
            return self._in_parentheses()
        if character == "{":
            self._skip_annotation()
            return _ONE
        if "0" <= character <= "9" and not _ten(self.text, self.at):
            made = _Product(Fraction(self._factor()))
        else:
            made = self._unit()
        if self._next() == "{":
            self._skip_annotation()
        return made

    def _in_parentheses(self) -> _Product:
        self.at += 1
        made = self._term()
        if self._next() != ")":
            self._refuse("')' is expected")
        self.at += 1
        return made

    def _skip_annotation(self) -> None:
        found = _annotation(self.text, self.at)
        if found is None:
            self._refuse("an annotation is ASCII without spaces and ends with '}'")
        self.at = found.end()

    def _factor(self) -> int:
        found = _digits(self.text, self.at)
        if found is None or not int(found.group()):
            self._refuse("a number is whole and greater than zero")
        self.at = found.end()
        return int(found.group())

    def _unit(self) -> _Product:
        found = _ten(self.text, self.at) or _symbol(self.text, self.at)
        if found is None:
            self._refuse("a unit is expected")
        made = _atom(found.group())
        if made is None:
            self._refuse(f"{found.group()!r} is not a unit of UCUM")
        self.at = found.end()
        exponent = _exponent(self.text, self.at)
        if exponent is None:
            return made
        number = int(exponent.group())
        if abs(number) > MAX_EXPONENT:
            self._refuse(f"an exponent beyond {MAX_EXPONENT}")
        try:
            made = made.power(number)
        except ValueError:
            self._refuse("a unit that is no multiple of another has no power")
        self.at = exponent.end()
        return made

    def _refuse(self, why: str) -> NoReturn:
        raise InvalidUnit(why, self.at + 1) from None


@lru_cache(maxsize=8192)
def _atom(symbol: str) -> _Product | None:
    """Return what a symbol means: a unit, else a prefix before a metric one."""
    if symbol in table().units:
        return _meaning(symbol)
    for length in (2, 1):
        prefix = table().prefixes.get(symbol[:length])
        unit = table().units.get(symbol[length:])
        if prefix is not None and unit is not None and unit.metric:
            made = _meaning(symbol[length:])
            return _Product(made.factor * prefix, made.bases, made.offset, made.special)
    return None


@cache
def _meaning(symbol: str) -> _Product:
    """Return what a unit of the table means, from its definition."""
    unit: Unit = table().units[symbol]
    if unit.is_base or (unit.arbitrary and unit.definition == "1"):
        return _Product(Fraction(1), ((symbol, 1),))
    if unit.function and unit.function not in _SHIFTS:
        return _Product(Fraction(1), ((symbol, 1),), special=True)
    made = _Reader(unit.definition).read()
    factor = made.factor * unit.value
    if unit.function:
        return _Product(factor, made.bases, _SHIFTS[unit.function] * factor, special=True)
    return _Product(factor, made.bases)


def _spelled(bases: tuple[tuple[str, int], ...]) -> str:
    return ".".join(base if n == 1 else f"{base}{n}" for base, n in bases) or "1"
