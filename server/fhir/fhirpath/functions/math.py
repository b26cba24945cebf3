"""Math (hl7.org/fhirpath/N1, section 5.7); what is not defined, or out of range, is empty."""

from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal

from server.fhir.fhirpath.environment import Environment
from server.fhir.fhirpath.errors import FhirPathError
from server.fhir.fhirpath.functions.function import Function
from server.fhir.fhirpath.items import Items, computed
from server.fhir.fhirpath.numbers import CONTEXT, Number, integer, rounded
from server.fhir.fhirpath.quantity import Quantity
from server.fhir.fhirpath.singleton import integer as integer_of
from server.fhir.fhirpath.singleton import number, value

MAX_DIGITS = 100  # behind the point, that round() may ask for
_SERIES = 10  # steps that a logarithm or a power to all digits takes


def _abs(env: Environment, items: Items) -> Items:
    found = value(items, "a number")
    if isinstance(found, Quantity):
        return computed(found.as_written(abs(found.value)))
    plain = number(items)
    return computed(-plain if plain is not None and plain < 0 else plain)


def _whole(rounding: str) -> Function:
    def run(env: Environment, items: Items) -> Items:
        found = number(items)
        if found is None or isinstance(found, int):
            return computed(found)
        if found.adjusted() > 10:
            return []
        return computed(integer(found.to_integral_value(rounding)))

    return Function(run)


def _decimal(run: Callable[[Decimal], Decimal]) -> Function:
    def function(env: Environment, items: Items) -> Items:
        found = number(items)
        env.spend(_SERIES)
        return [] if found is None else computed(run(Decimal(found)))

    return Function(function)


def _log(env: Environment, items: Items, base: Items) -> Items:
    found, to = number(items), number(base)
    if found is None or to is None:
        return []
    env.spend(2 * _SERIES)
    bottom = CONTEXT.ln(Decimal(to))
    if not bottom:
        return []
    quotient = CONTEXT.divide(CONTEXT.ln(Decimal(found)), bottom)
    return computed(_settled(quotient))


def _settled(value: Decimal) -> Decimal:
    """Return a logarithm without the noise of its last digits: that of 16 to 2 is 4."""
    if not value.is_finite():
        return value
    near = value.quantize(Decimal(1)) if abs(value) < 10**9 else value
    return near if abs(value - near) < Decimal("1e-30") else value


def _power(env: Environment, items: Items, exponent: Items) -> Items:
    found, to = number(items), number(exponent)
    if found is None or to is None:
        return []
    env.spend(2 * _SERIES)
    raised = CONTEXT.power(Decimal(found), Decimal(to))
    if isinstance(found, int) and isinstance(to, int) and to >= 0:
        return computed(integer(raised))
    return computed(raised)


def _round(env: Environment, items: Items, *precision: Items) -> Items:
    found = number(items)
    digits = integer_of(precision[0]) if precision else 0
    if found is None or digits is None:
        return []
    if not 0 <= digits <= MAX_DIGITS:
        raise FhirPathError(f"round() takes 0 to {MAX_DIGITS} digits")
    return computed(_number(found, digits))


def _number(found: Number, digits: int) -> Number:
    return found if isinstance(found, int) else rounded(found, digits)


FUNCTIONS = {
    "abs": Function(_abs),
    "ceiling": _whole(ROUND_CEILING),
    "floor": _whole(ROUND_FLOOR),
    "truncate": _whole(ROUND_DOWN),
    "exp": _decimal(CONTEXT.exp),
    "ln": _decimal(CONTEXT.ln),
    "sqrt": _decimal(CONTEXT.sqrt),
    "log": Function(_log, 1, 1),
    "power": Function(_power, 1, 1),
    "round": Function(_round, 0, 1),
}
