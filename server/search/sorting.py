"""The value that a resource is sorted by.  R4 search.html#sort."""

from collections.abc import Callable
from datetime import tzinfo
from typing import Any

from server.search import date, number, parameters, quantity, reference, string, token, uri
from server.search.catalog import R4, Catalog
from server.search.query import SortKey

Scalar = str | int | float | None  # as in server.store.port, which is a floor above

Values = Callable[[str, Any, tzinfo], list[Any]]


def sort_value(
    resource: dict[str, Any], key: SortKey, updated: int, *, catalog: Catalog = R4
) -> Scalar:
    """Return the value of one key of ``_sort``; ``None`` when the resource has none.

    The smallest value ascending, the largest descending: the id, the time of the last update, the
    start of an interval, the low end of a number, the folded string, the code, or the address.
    A parameter that was withdrawn while the search was on its way has no values.
    """
    if key.kind == "id":
        return str(resource["id"])
    if key.kind == "updated":
        return updated
    type_ = resource["resourceType"]
    if key.param not in parameters.searchable(type_, catalog):
        return None
    values = [
        value
        for branch in parameters.branches(type_, key.param, catalog)
        for part in branch.values(resource)
        for value in _KINDS[key.kind](branch.type, part, catalog.tzinfo)
    ]
    if not values:
        return None
    found: str | int | float = max(values) if key.descending else min(values)
    return found


def _texts(of: Callable[[str, Any], list[str]]) -> Values:
    return lambda fhir_type, value, _: of(fhir_type, value)


def _starts(of: Callable[[str, Any], list[tuple[float, float]]]) -> Values:
    return lambda fhir_type, value, _: [lo for lo, _ in of(fhir_type, value)]


def _moments(fhir_type: str, value: Any, zone: tzinfo) -> list[int]:
    return [lo for lo, _ in date.intervals(fhir_type, value, zone)]


_KINDS: dict[str, Values] = {
    "string": _texts(string.texts),
    "token": _texts(token.texts),
    "uri": _texts(uri.texts),
    "reference": _texts(reference.texts),
    "date": _moments,
    "number": _starts(number.intervals),
    "quantity": _starts(quantity.intervals),
}
