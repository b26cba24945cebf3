"""Equality, equivalence and order (hl7.org/fhirpath/N1, sections 6.1 and 6.2).

``None`` is the third truth: what is not stated could decide either way.
"""

from decimal import Decimal
from typing import Any

from server.fhir.fhirpath import quantity, temporal
from server.fhir.fhirpath.environment import Environment
from server.fhir.fhirpath.errors import FhirPathError
from server.fhir.fhirpath.items import Item, Items, System, plain
from server.fhir.fhirpath.numbers import same_rounded
from server.fhir.fhirpath.quantity import Quantity
from server.fhir.fhirpath.temporal import Temporal

MAX_LEVELS = 100  # of objects inside each other; what the server has read has at most 64
_EXACT = 4  # steps that it takes to compare two quantities, dates or decimals
_CHARACTERS = 20_000  # of two texts, which are compared in a step


def equal(left: Items, right: Items, env: Environment) -> bool | None:
    """``=``: same items in the same order; ``None`` also when one side is empty."""
    if not left or not right:
        return None
    if len(left) != len(right):
        return False
    env.spend(len(left))
    truth: bool | None = True
    for one, other in zip(left, right, strict=True):
        found = _equal(one, other, env)
        if found is False:
            return False
        if found is None:
            truth = None
    return truth


def _equal(one: Item, other: Item, env: Environment) -> bool | None:
    left, right = plain(one), plain(other)
    if left is None or right is None:
        return left is right and _frozen_item(one, env) == _frozen_item(other, env)
    if type(left) is type(right) is str:
        return left == right
    if isinstance(left, Temporal) and isinstance(right, Temporal):
        if (left.kind == "time") != (right.kind == "time"):
            return False
        found = temporal.compare(left, right)
        return None if found is None else found == 0
    pair = _quantities(left, right)
    if pair is not None:
        found = quantity.compare(*pair)
        return None if found is None else found == 0
    return _same_kind(left, right) and left == right


def _same_kind(left: System, right: System) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return isinstance(left, bool) and isinstance(right, bool)
    if isinstance(left, int | Decimal):
        return isinstance(right, int | Decimal)
    return type(left) is type(right)


def _quantities(left: System, right: System) -> tuple[Quantity, Quantity] | None:
    """Return both as quantities, when one of them is and the other is or is a number."""
    if isinstance(left, Quantity):
        made = as_quantity(right)
        return None if made is None else (left, made)
    if isinstance(right, Quantity):
        made = as_quantity(left)
        return None if made is None else (made, right)
    return None


def as_quantity(value: System) -> Quantity | None:
    """Return a quantity, or a number as one of unit ``1``; else ``None``."""
    if isinstance(value, Quantity):
        return value
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return Quantity(Decimal(value))
    return None


def weight(item: Item) -> float:
    """Return what it takes to compare an item with another, in steps."""
    value = item.value
    if type(value) is str:
        return 1 + len(value) / _CHARACTERS
    return 1 if isinstance(value, bool | int) else _EXACT


def key(item: Item, env: Environment) -> Any:
    """Return what is equal for two items exactly when ``=`` is true of them."""
    value = plain(item)
    if value is None:
        return _frozen_item(item, env)
    env.spend(weight(item))
    if isinstance(value, bool):
        return ("boolean", value)
    if isinstance(value, Temporal):
        return temporal.key(value)
    if isinstance(value, Quantity):
        return quantity.key(value)
    return value


def distinct(items: Items, env: Environment) -> Items:
    """Return the items without repeats, the first of each kept."""
    if len(items) < 2:
        return items
    first: dict[Any, Item] = {}
    for item in items:
        first.setdefault(key(item, env), item)
    return list(first.values())


def _frozen_item(item: Item, env: Environment) -> Any:
    return ("element", _frozen(item.value, env, 0), _frozen(item.element, env, 0))


def _frozen(value: Any, env: Environment, level: int) -> Any:
    """Return JSON as something that can be compared and hashed; the order of keys is no matter."""
    if level > MAX_LEVELS:
        raise FhirPathError(f"more than {MAX_LEVELS} objects inside each other")
    kind = type(value)
    if kind is dict:
        env.spend(len(value))
        parts = ((str(name), _frozen(part, env, level + 1)) for name, part in value.items())
        return frozenset(parts)
    if kind is list:
        env.spend(len(value))
        return tuple(_frozen(part, env, level + 1) for part in value)
    if kind is bool:
        return ("boolean", value)
    return value if value is None or kind is str else _number(value)


def _number(value: Any) -> Any:
    return Decimal(repr(value)) if type(value) is float else value


def equivalent(left: Items, right: Items, env: Environment) -> bool:
    """``~``: the same items in any order, texts without regard to case and spacing."""
    if len(left) != len(right):
        return False
    rest = list(right)
    for one in left:
        env.spend(len(rest))
        at = next((at for at, other in enumerate(rest) if _equivalent(one, other, env)), None)
        if at is None:
            return False
        del rest[at]
    return True


def _equivalent(one: Item, other: Item, env: Environment) -> bool:
    left, right = plain(one), plain(other)
    if left is None or right is None:
        return left is right and _alike(one.value, other.value, env, 0)
    if isinstance(left, Temporal) and isinstance(right, Temporal):
        return left.precision == right.precision and _equal(one, other, env) is True
    pair = _quantities(left, right)
    if pair is not None:
        return quantity.equivalent(*pair)
    return _same_kind(left, right) and _alike(left, right, env, 0)


def _alike(left: Any, right: Any, env: Environment, level: int) -> bool:
    if level > MAX_LEVELS:
        raise FhirPathError(f"more than {MAX_LEVELS} objects inside each other")
    if isinstance(left, dict) and isinstance(right, dict):
        env.spend(len(left))
        names = left.keys() - {"id"}
        return names == right.keys() - {"id"} and all(
            _alike(left[name], right[name], env, level + 1) for name in names
        )
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and _alike_in_any_order(left, right, env, level)
    if isinstance(left, str) and isinstance(right, str):
        env.spend((len(left) + len(right)) / 100)
        return left.casefold().split() == right.casefold().split()
    if _is_number(left) and _is_number(right):
        return same_rounded(_number(left), _number(right))
    return type(left) is type(right) and bool(left == right)


def _alike_in_any_order(left: list[Any], right: list[Any], env: Environment, level: int) -> bool:
    rest = list(right)
    for one in left:
        env.spend(len(rest))
        at = next((at for at, part in enumerate(rest) if _alike(one, part, env, level + 1)), None)
        if at is None:
            return False
        del rest[at]
    return True


def _is_number(value: Any) -> bool:
    return isinstance(value, int | Decimal | float) and not isinstance(value, bool)


def compare(left: Items, right: Items) -> int | None:
    """Return -1, 0 or 1 for the order of two single items.

    ``None`` when one is missing, or what is not stated could decide.  Raises
    :class:`FhirPathError` for types without a common order.
    """
    if not left or not right:
        return None
    if len(left) > 1 or len(right) > 1:
        raise FhirPathError("only single items have an order")
    one, other = plain(left[0]), plain(right[0])
    found = None if one is None or other is None else order(one, other)
    if found is NotImplemented or one is None or other is None:
        if _is_absent(left[0]) or _is_absent(right[0]):
            return None
        raise FhirPathError(f"{left[0].type} and {right[0].type} have no common order")
    return found


def _is_absent(item: Item) -> bool:
    """A primitive that has no value, only extensions that say why."""
    return item.value is None


def order(one: System, other: System) -> Any:
    """Return -1, 0, 1, ``None`` for unknown, or ``NotImplemented``."""
    if isinstance(one, Temporal) and isinstance(other, Temporal):
        if (one.kind == "time") == (other.kind == "time"):
            return temporal.compare(one, other)
        return NotImplemented
    if isinstance(one, str) and isinstance(other, str):
        return (one > other) - (one < other)
    pair = _quantities(one, other)
    if pair is not None:
        return quantity.compare(*pair)
    if _is_number(one) and _is_number(other):
        return (one > other) - (one < other)  # type: ignore[operator]  # both are numbers
    return NotImplemented
