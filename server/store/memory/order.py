"""The order of search results, and where a page begins.  Pure.

Missing values come last in both directions.  Ties end with the order of first storing (``rid``),
in the direction of the last sort key.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from server.store.port import Scalar, Version


@dataclass(frozen=True, slots=True)
class Item:
    """One result: what it is sorted by; ``rid`` counts resources in the order of first storing."""

    version: Version | None
    values: tuple[Scalar, ...]
    rid: int

    @property
    def cursor(self) -> tuple[Scalar, ...]:
        """The :attr:`server.store.port.Page.after` of this result."""
        return (*self.values, self.rid)


def in_order(items: Sequence[Item], descending: Sequence[bool]) -> list[Item]:
    """Return the items sorted; ``descending`` has the direction of each of their values."""
    ordered = sorted(items, key=lambda item: item.rid, reverse=descending[-1])
    for place in reversed(range(len(descending))):
        have = [item for item in ordered if item.values[place] is not None]
        missing = [item for item in ordered if item.values[place] is None]
        # Values of one key are of one type, which a Scalar does not tell.
        have.sort(key=lambda item: item.values[place], reverse=descending[place])  # type: ignore[arg-type, return-value]
        ordered = have + missing
    return ordered


def behind(
    items: Sequence[Item], after: tuple[Scalar, ...], descending: Sequence[bool]
) -> list[Item]:
    """Return the part of ``items`` that comes behind the cursor ``after``."""
    mark = Item(None, after[:-1], int(after[-1] or 0))
    others = [item for item in items if item.cursor != after]
    ordered = in_order([*others, mark], descending)
    return ordered[ordered.index(mark) + 1 :]
