"""``sort()`` (hl7.org/fhirpath 3.0, section 5.2): by keys, a ``-`` before one turns it round."""

from collections.abc import Sequence
from functools import cmp_to_key

from server.fhir.fhirpath.environment import Environment
from server.fhir.fhirpath.equality import compare, weight
from server.fhir.fhirpath.functions.function import Run, each
from server.fhir.fhirpath.items import Item, Items

Key = tuple[Run, bool]  # what to sort by, and whether descending
_Row = tuple[Item, tuple[Items, ...]]


def sorted_by(env: Environment, items: Items, keys: Sequence[Key]) -> Items:
    """Return the items in order, by their own values without ``keys``; equals stay as they stood.

    What has no key comes first, in either direction.  Raises ``FhirPathError`` for keys of types
    without a common order.
    """
    made = [[found for _, found in each(env, items, run)] for run, _ in keys]
    columns = made or [[[item] for item in items]]
    rows: list[_Row] = list(zip(items, zip(*columns, strict=True), strict=True))
    weights = sum(weight(item) for column in columns for found in column for item in found)
    env.spend(weights * len(items).bit_length())
    turned = [descending for _, descending in keys] or [False]

    def order(one: _Row, other: _Row) -> int:
        for left, right, descending in zip(one[1], other[1], turned, strict=True):
            if not left or not right:
                found = bool(left) - bool(right)
            else:
                found = (compare(left, right) or 0) * (-1 if descending else 1)
            if found:
                return found
        return 0

    return [item for item, _ in sorted(rows, key=cmp_to_key(order))]
