"""How exact a value is, and between which values it lies (hl7.org/fhirpath 2.1, section 5.6)."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

from server.fhir.fhirpath import quantity
from server.fhir.fhirpath.date_arithmetic import boundary
from server.fhir.fhirpath.environment import Environment
from server.fhir.fhirpath.errors import FhirPathError
from server.fhir.fhirpath.functions.function import Function
from server.fhir.fhirpath.items import Items, System, boolean, computed
from server.fhir.fhirpath.quantity import Quantity
from server.fhir.fhirpath.singleton import integer, value
from server.fhir.fhirpath.temporal import Temporal

MAX_DIGITS = 28  # behind the point, what a decimal of the specification has at most
_DIGITS = 8


def _boundary(*, high: bool) -> Function:
    def run(env: Environment, items: Items, *precision: Items) -> Items:
        found = value(items, "a number, date, time or quantity")
        digits = integer(precision[0]) if precision else None
        if found is None or (precision and digits is None):
            return []
        return computed(_bound(found, digits, high))

    return Function(run, 0, 1)


def _bound(found: System, digits: int | None, high: bool) -> System | None:
    if isinstance(found, Temporal):
        return boundary(found, digits, high=high)
    if isinstance(found, Quantity):
        made = _decimal(found.value, digits, high)
        return None if made is None else found.as_written(made)
    if isinstance(found, int | Decimal) and not isinstance(found, bool):
        return _decimal(Decimal(found), digits, high)
    raise FhirPathError("only numbers, dates, times and quantities have boundaries")


def _decimal(number: Decimal, digits: int | None, high: bool) -> Decimal | None:
    """Return the number half a step of its last digit lower or higher, rounded outwards."""
    digits = _DIGITS if digits is None else digits
    if not 0 <= digits <= MAX_DIGITS or number.adjusted() > MAX_DIGITS:
        return None
    step = Decimal(5).scaleb(min(0, int(number.as_tuple().exponent)) - 1)
    exact = Context(prec=10_200)
    bound = exact.add(number, step if high else -step)
    rounding = ROUND_CEILING if high else ROUND_FLOOR
    return bound.quantize(Decimal(1).scaleb(-digits), rounding, exact)


def _precision(env: Environment, items: Items) -> Items:
    """Return the number of digits: all of a date or time, those behind the point of a number."""
    found = value(items, "a number, date or time")
    if found is None:
        return []
    if isinstance(found, Temporal):
        return computed(found.digits)
    if isinstance(found, int | Decimal) and not isinstance(found, bool):
        return computed(max(0, -int(Decimal(found).as_tuple().exponent)))
    raise FhirPathError("only numbers, dates and times have a precision")


def _comparable(env: Environment, items: Items, other: Items) -> Items:
    left, right = value(items, "a quantity"), value(other, "a quantity")
    if left is None or right is None:
        return []
    if not isinstance(left, Quantity) or not isinstance(right, Quantity):
        raise FhirPathError("comparable() takes quantities")
    one, another = quantity.unit_of(left), quantity.unit_of(right)
    return boolean(one is not None and another is not None and one.unit == another.unit)


FUNCTIONS = {
    "lowBoundary": _boundary(high=False),
    "highBoundary": _boundary(high=True),
    "precision": Function(_precision),
    "comparable": Function(_comparable, 1, 1),
}
