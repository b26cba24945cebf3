"""Conversion (hl7.org/fhirpath/N1, section 5.5), ``iif`` included."""

import re
from collections.abc import Callable
from decimal import Decimal

from server.fhir.fhirpath import temporal
from server.fhir.fhirpath.environment import Environment
from server.fhir.fhirpath.errors import FhirPathError
from server.fhir.fhirpath.functions.function import Function, Run
from server.fhir.fhirpath.items import Items, System, boolean, computed, plain
from server.fhir.fhirpath.numbers import number, shown
from server.fhir.fhirpath.quantity import Quantity, is_calendar
from server.fhir.fhirpath.singleton import single, text
from server.fhir.fhirpath.temporal import Temporal

Convert = Callable[[System], System | None]

_INTEGER = re.compile(r"[+-]?\d{1,20}", re.ASCII)
_DECIMAL = re.compile(r"[+-]?\d{1,64}(?:\.\d{1,64})?", re.ASCII)
_QUANTITY = re.compile(
    r"([+-]?\d{1,64}(?:\.\d{1,64})?)\s{0,16}(?:'([^']{1,256})'|([a-z]{3,12}))?", re.ASCII
)
_TRUTHS = {
    **dict.fromkeys(("true", "t", "yes", "y", "1", "1.0"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0", "0.0"), False),
}


def _iif(env: Environment, items: Items, focus: Items, criterion: Run, *results: Run) -> Items:
    """Evaluate the result that the criterion chooses, and only that."""
    single(items, "iif() on a single item")
    chosen = criterion(items, env)
    item = single(chosen, "a boolean criterion")
    if item is not None and type(item.value) is not bool and item.type != "boolean":
        raise FhirPathError(f"the criterion is a boolean, not a {item.type}")
    if item is not None and item.value is True:
        return results[0](items, env)
    return results[1](items, env) if len(results) > 1 else []


def _to_boolean(value: System) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _TRUTHS.get(value.lower()) if len(value) <= len("false") else None
    if isinstance(value, int | Decimal):
        return True if value == 1 else False if value == 0 else None
    return None


def _to_integer(value: System) -> int | None:
    if isinstance(value, int):  # a boolean too
        return int(value)
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return number(int(value))  # type: ignore[return-value]  # what is an int stays one
    return None


def _to_decimal(value: System) -> Decimal | None:
    if isinstance(value, bool):
        return Decimal("1.0" if value else "0.0")
    if isinstance(value, int | Decimal):
        return Decimal(value)
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return Decimal(value)
    return None


def _to_string(value: System) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Decimal):
        return shown(value)
    return str(value)


def _to_temporal(kind: temporal.Kind) -> Convert:
    def convert(value: System) -> System | None:
        if isinstance(value, str):
            return temporal.parse(kind, value.removeprefix("T") if kind == "time" else value)
        if not isinstance(value, Temporal):
            return None
        if value.kind == kind:
            return value
        if value.kind == "date" and kind == "dateTime":
            return Temporal("dateTime", value.fields)
        if value.kind == "dateTime" and kind == "date":
            return Temporal("date", value.fields[:3])
        return None

    return convert


def _to_quantity(value: System) -> Quantity | None:
    if isinstance(value, Quantity):
        return value
    number = None if isinstance(value, str) else _to_decimal(value)
    if number is not None:
        return Quantity(number)
    found = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    amount, unit, word = found.groups()
    if word is not None:
        return Quantity(Decimal(amount), word, True) if is_calendar(word) else None
    return Quantity(Decimal(amount), unit or "1")


def _to(convert: Convert) -> Function:
    def run(env: Environment, items: Items) -> Items:
        item = single(items, "a single value to convert")
        value = None if item is None else plain(item)
        return [] if value is None else computed(convert(value))

    return Function(run)


def _converts_to(convert: Convert) -> Function:
    def run(env: Environment, items: Items) -> Items:
        item = single(items, "a single value to convert")
        if item is None:
            return []
        value = plain(item)
        return boolean(value is not None and convert(value) is not None)

    return Function(run)


def _to_quantity_of(env: Environment, items: Items, *unit: Items) -> Items:
    """``toQuantity(unit)``: in another unit of the same dimension, or a calendar word."""
    found = _TO_QUANTITY.run(env, items)
    wanted = text(unit[0]) if unit else None
    if not unit or not found:
        return found
    return [] if wanted is None else computed(found[0].value.converted(wanted))


def _converts_to_quantity_of(env: Environment, items: Items, *unit: Items) -> Items:
    if not items or (unit and not unit[0]):
        return []
    return boolean(bool(_to_quantity_of(env, items, *unit)))


_TO_QUANTITY = _to(_to_quantity)
_CONVERTERS: dict[str, Convert] = {
    "Boolean": _to_boolean,
    "Integer": _to_integer,
    "Decimal": _to_decimal,
    "String": _to_string,
    "Date": _to_temporal("date"),
    "DateTime": _to_temporal("dateTime"),
    "Time": _to_temporal("time"),
    "Quantity": _to_quantity,
}

FUNCTIONS = {
    "iif": Function(_iif, 2, 3, lazy=True),
    **{f"to{name}": _to(convert) for name, convert in _CONVERTERS.items()},
    **{f"convertsTo{name}": _converts_to(convert) for name, convert in _CONVERTERS.items()},
    "toQuantity": Function(_to_quantity_of, 0, 1),
    "convertsToQuantity": Function(_converts_to_quantity_of, 0, 1),
}
