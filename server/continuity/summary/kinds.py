"""How much of each kind of a long series was read already.  Pure."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from server.continuity.summary.sections import codes_in

MOST_OF_KIND: Final = 20
"""Readings of one code, for each site and category that it was seen with: a site that is in none of
so many is not looked for any more."""

Resource = dict[str, Any]


@dataclass(slots=True)
class Kinds:
    """What was read, by its codes."""

    _rows: list[frozenset[str]] = field(default_factory=list)
    _counted: Counter[str] = field(default_factory=Counter)
    _variants: dict[str, set[Any]] = field(default_factory=dict)

    def add(self, found: Iterable[Resource]) -> None:
        """Count what was read."""
        for one in found:
            codes = codes_in(one.get("code"))
            where = one.get("bodySite") or {}
            variant = (codes_in(where), str(where.get("text")), codes_in(one.get("category")))
            self._rows.append(codes)
            self._counted.update(codes)
            for code in codes:
                self._variants.setdefault(code, set()).add(variant)

    def enough(self) -> frozenset[str]:
        """Return the codes of which no more need be read."""
        return frozenset(
            code
            for code, count in self._counted.items()
            if count >= MOST_OF_KIND * len(self._variants[code])
        )

    def rows(self, codes: Collection[str]) -> int:
        """Return how many of what was read have one of the codes."""
        return sum(not one.isdisjoint(codes) for one in self._rows) if codes else 0

    def rows_beside(self, codes: Collection[str]) -> int:
        """Return how many have none of them."""
        return len(self._rows) - self.rows(codes)
