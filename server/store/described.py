"""A plan in words, as every store that plans says it.  Pure.

What a store has settled (found out beforehand) is its own; the rest of a query is said as it was
asked.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from server.search.query import Predicate
from server.search.said import Saying


class Chosen(Protocol):
    """What a search begins with; ``of=None``: all of the type."""

    @property
    def of(self) -> Any:
        """Return the member."""


class Planned(Protocol):
    """A driver, and what the rows that it leads to are asked."""

    @property
    def driver(self) -> Chosen:
        """Return what it begins with."""

    @property
    def members(self) -> Sequence[Any]:
        """Return what is asked of each."""


class Described:
    """``as_asked``: returns what was asked of a member; ``known``: what was found of it."""

    def __init__(self, as_asked: Callable[[Any], Predicate], known: Callable[[Any], str]) -> None:
        saying = Saying(as_asked)
        self.said, self.query = saying.said, saying.query
        self._known = known

    def told(self, plan: Planned) -> str:
        """Return driver and probes in one line: the caller's own words."""
        probes = "; ".join(self.said(member) for member in plan.members)
        return f"driven by {self.driver(plan.driver)}" + (f"; probed: {probes}" if probes else "")

    def driver(self, chosen: Chosen) -> str:
        """Return what a search begins with."""
        return "all of the type" if chosen.of is None else self.said(chosen.of)

    def settled(self, member: Any) -> str:
        """Return a member in words, with how many keys or resources it is known to be.

        For those who may see everything: it tells what the record holds.
        """
        if member is None:
            return "all of the type"
        known = self._known(member)
        return f"{self.said(member)}, {known}" if known else self.said(member)
