"""Whether an answer is what a condition of a form asks for, or ``None``: nobody can tell.

R4 valueset-questionnaire-enable-operator.html.  Pure.  ``literal``: what differs as it is written
is not the same, and has no order.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from server.continuity.same import same_value
from server.fhir.dates import InvalidDate, interval


def is_equal(one: Any, wanted: Any, *, literal: bool) -> bool | None:
    """Tell whether two values are the same.

    >>> kg, g = {"value": 70, "code": "kg"}, {"value": 70000, "code": "g"}
    >>> is_equal(kg, g, literal=False), is_equal(kg, g, literal=True), is_equal(1, 2, literal=False)
    (None, False, False)
    """
    if same_value(one, wanted):
        return True
    return False if literal or _are_comparable(one, wanted) else None


def is_ordered(operator: str, one: Any, wanted: Any, *, literal: bool) -> bool | None:
    """Tell whether ``one`` is ``>``, ``<``, ``>=`` or ``<=`` what is wanted.

    >>> is_ordered(">", 2, 1, literal=False), is_ordered("~", 2, 1, literal=False)
    (True, None)
    """
    left, right = _order(one), _order(wanted)
    told = {">": (1,), "<": (-1,), ">=": (0, 1), "<=": (-1, 0)}.get(operator)
    if left is None or right is None or told is None or left[1] != right[1]:
        return False if literal else None  # another type or unit: nobody compared them
    if not literal and not _are_comparable(one, wanted):
        return None
    return (left[0] > right[0]) - (left[0] < right[0]) in told


def _are_comparable(one: Any, wanted: Any) -> bool:
    """Tell whether values that are written differently do differ."""
    if isinstance(one, Mapping) and isinstance(wanted, Mapping):
        return _kind(one) == _kind(wanted) is not None
    if isinstance(one, bool) or isinstance(wanted, bool):
        return isinstance(one, bool) and isinstance(wanted, bool)
    if isinstance(one, str) and isinstance(wanted, str):
        return not (_is_date(one) and _is_date(wanted)) or len(one) == len(wanted)
    numbers = (int, float, Decimal)
    return isinstance(one, numbers) and isinstance(wanted, numbers)


def _kind(value: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return what must be the same of two values before they can be compared."""
    if "value" in value:
        unit = value.get("code") or value.get("unit")
        return None if value.get("comparator") or not unit else ("quantity", str(unit))
    if "code" in value:
        return ("coding",) if value.get("system") else None
    return ("reference",) if "reference" in value else None


def _is_date(text: str) -> bool:
    try:
        interval(text)
    except InvalidDate:
        return False
    return True


def _order(value: Any) -> tuple[Any, str] | None:
    """Return what a value is ordered by, and its unit or kind; ``None``: it has no order."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, Mapping):
        number = value.get("value")
        unit = str(value.get("code") or value.get("unit"))
        return (number, unit) if number is not None else None
    if isinstance(value, str):
        try:
            return interval(value)[0], "date"
        except InvalidDate:
            return value, "text"
    return value, "number"
