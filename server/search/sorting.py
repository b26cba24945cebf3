"""The value that a resource is sorted by.  R4 search.html#sort."""

from collections.abc import Callable
from typing import Any

from server.search import date, number, parameters, quantity, reference, string, token, uri
from server.search.query import SortKey

Scalar = str | int | float | None  # as in server.store.port, which is a floor above

Values = Callable[[str, Any], list[Any]]


def sort_value(resource: dict[str, Any], key: SortKey, updated: int) -> Scalar:
    """Return the value of one key of ``_sort``; ``None`` when the resource has none.

    The smallest value ascending, the largest descending: the id, the time of the last update, the
    start of an interval, the low end of a number, the folded string, the code, or the address.
    """
    if key.kind == "id":
        return str(resource["id"])
    if key.kind == "updated":
        return updated
    values = [
        value
        for branch in parameters.branches(resource["resourceType"], key.param)
        for part in branch.values(resource)
        for value in _KINDS[key.kind](branch.type, part)
    ]
    if not values:
        return None
    found: str | int | float = max(values) if key.descending else min(values)
    return found


def _starts(of: Values) -> Values:
    return lambda fhir_type, value: [lo for lo, _ in of(fhir_type, value)]


_KINDS: dict[str, Values] = {
    "string": string.texts,
    "token": token.texts,
    "uri": uri.texts,
    "reference": reference.texts,
    "date": _starts(date.intervals),
    "number": _starts(number.intervals),
    "quantity": _starts(quantity.intervals),
}
