"""The operators that take two values (hl7.org/fhirpath/N1, section 6).

Each takes both collections and returns one.  An empty operand makes the answer empty, except where
the specification says otherwise; so do overflow and division by zero.
"""

from collections.abc import Callable
from decimal import ROUND_DOWN, Decimal

from server.fhir.fhirpath import date_arithmetic, equality, quantity
from server.fhir.fhirpath.environment import MAX_STRING, Environment
from server.fhir.fhirpath.equality import as_quantity, distinct
from server.fhir.fhirpath.errors import FhirPathError
from server.fhir.fhirpath.items import Items, System, boolean, computed
from server.fhir.fhirpath.numbers import CONTEXT, Number
from server.fhir.fhirpath.quantity import Quantity
from server.fhir.fhirpath.singleton import single, text, value
from server.fhir.fhirpath.temporal import Temporal

Operator = Callable[[Items, Items, Environment], Items]
Arithmetic = Callable[[System, System], System | None]


class _UndefinedError(Exception):
    """The operator has no meaning for these types."""


def _equal(left: Items, right: Items, env: Environment) -> Items:
    return boolean(equality.equal(left, right, env))


def _unequal(left: Items, right: Items, env: Environment) -> Items:
    found = equality.equal(left, right, env)
    return boolean(None if found is None else not found)


def _equivalent(left: Items, right: Items, env: Environment) -> Items:
    return boolean(equality.equivalent(left, right, env))


def _not_equivalent(left: Items, right: Items, env: Environment) -> Items:
    return boolean(not equality.equivalent(left, right, env))


def _ordered(holds: Callable[[int], bool]) -> Operator:
    def operator(left: Items, right: Items, env: Environment) -> Items:
        found = equality.compare(left, right)
        env.spend(sum(map(equality.weight, left)))
        return boolean(None if found is None else holds(found))

    return operator


def _union(left: Items, right: Items, env: Environment) -> Items:
    items = left + right
    if len(items) < 2:
        return items
    env.spend(len(items))
    return distinct(items, env)


def _in(left: Items, right: Items, env: Environment) -> Items:
    """``in``: membership by equality; empty when the left side is empty."""
    item = single(left, "a single item")
    if item is None:
        return []
    wanted = equality.key(item, env)
    env.spend(len(right))
    return boolean(any(equality.key(other, env) == wanted for other in right))


def _contains(left: Items, right: Items, env: Environment) -> Items:
    return _in(right, left, env)


def _concatenated(left: Items, right: Items, env: Environment) -> Items:
    """``&``: an empty operand counts as the empty string."""
    return joined((text(left) or "", text(right) or ""), env)


def joined(parts: tuple[str, str], env: Environment) -> Items:
    """Return one string of two, within the limit of length."""
    length = len(parts[0]) + len(parts[1])
    check_length(length, env)
    return computed(parts[0] + parts[1])


def check_length(length: int, env: Environment) -> None:
    """Count the making of a string; raises :class:`FhirPathError` when it would be too long."""
    if length > MAX_STRING:
        raise FhirPathError(f"a string of more than {MAX_STRING:,} characters")
    env.spend(length / 100)


def _arithmetic(symbol: str, run: Arithmetic) -> Operator:
    def operator(left: Items, right: Items, env: Environment) -> Items:
        one, other = value(left, "one value"), value(right, "one value")
        if one is None or other is None:
            return []
        if isinstance(one, str) and isinstance(other, str) and symbol == "+":
            return joined((one, other), env)
        env.spend(equality.weight(left[0]))
        try:
            return computed(run(one, other))
        except _UndefinedError:
            told = f"{left[0].type} {symbol} {right[0].type} is not defined"
            raise FhirPathError(told) from None

    return operator


def _plus(one: System, other: System) -> System | None:
    if isinstance(one, Temporal) and isinstance(other, Quantity):
        return date_arithmetic.add(one, other.value, other.unit)
    return _sum(one, other, 1)


def _minus(one: System, other: System) -> System | None:
    if isinstance(one, Temporal) and isinstance(other, Quantity):
        return date_arithmetic.add(one, -other.value, other.unit)
    return _sum(one, other, -1)


def _sum(one: System, other: System, sign: int) -> System | None:
    pair = _numbers(one, other)
    if pair is not None:
        left, right = pair
        if isinstance(left, int) and isinstance(right, int):
            return left + sign * right
        return CONTEXT.add(Decimal(left), CONTEXT.multiply(Decimal(right), Decimal(sign)))
    return quantity.added(*_both_quantities(one, other), sign)


def _times(one: System, other: System) -> System | None:
    pair = _numbers(one, other)
    if pair is not None:
        left, right = pair
        if isinstance(left, int) and isinstance(right, int):
            return left * right
        return CONTEXT.multiply(Decimal(left), Decimal(right))
    return quantity.times(*_both_quantities(one, other))


def _divided(one: System, other: System) -> System | None:
    pair = _numbers(one, other)
    if pair is not None:
        return CONTEXT.divide(Decimal(pair[0]), Decimal(pair[1]))
    return quantity.divided(*_both_quantities(one, other))


def _div(one: System, other: System) -> System | None:
    pair = _numbers(one, other)
    if pair is None:
        raise _UndefinedError
    if not pair[1]:
        return None
    found = CONTEXT.divide_int(Decimal(pair[0]), Decimal(pair[1]))
    return int(found) if found.is_finite() and found.adjusted() <= 10 else None


def _mod(one: System, other: System) -> System | None:
    pair = _numbers(one, other)
    if pair is None:
        raise _UndefinedError
    if not pair[1]:
        return None
    found = CONTEXT.remainder(Decimal(pair[0]), Decimal(pair[1]))
    if isinstance(pair[0], int) and isinstance(pair[1], int) and found.is_finite():
        return int(found.to_integral_value(ROUND_DOWN))
    return found


def _numbers(one: System, other: System) -> tuple[Number, Number] | None:
    if isinstance(one, bool) or isinstance(other, bool):
        return None
    if isinstance(one, int | Decimal) and isinstance(other, int | Decimal):
        return one, other
    return None


def _both_quantities(one: System, other: System) -> tuple[Quantity, Quantity]:
    left, right = as_quantity(one), as_quantity(other)
    if left is None or right is None:
        raise _UndefinedError
    return left, right


OPERATORS: dict[str, Operator] = {
    "=": _equal,
    "!=": _unequal,
    "~": _equivalent,
    "!~": _not_equivalent,
    "<": _ordered(lambda found: found < 0),
    "<=": _ordered(lambda found: found <= 0),
    ">": _ordered(lambda found: found > 0),
    ">=": _ordered(lambda found: found >= 0),
    "|": _union,
    "in": _in,
    "contains": _contains,
    "&": _concatenated,
    "+": _arithmetic("+", _plus),
    "-": _arithmetic("-", _minus),
    "*": _arithmetic("*", _times),
    "/": _arithmetic("/", _divided),
    "div": _arithmetic("div", _div),
    "mod": _arithmetic("mod", _mod),
}
