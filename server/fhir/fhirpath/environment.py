"""What an expression is evaluated in: variables, the clock, the world outside, and a budget."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from server.fhir.fhirpath.errors import StepLimit
from server.fhir.fhirpath.items import Item, Items

MAX_STRING = 1_000_000  # characters of a text that an expression may put together

Resolve = Callable[[str], Any]
"""Reference text -> the resource as JSON, or ``None``."""


@dataclass(frozen=True, slots=True)
class Outside:
    """What the language asks for that is not in the resource; ``None``: not to be had.

    ``member_of(item, value set)``, ``subsumes(item, other)`` (the first is the wider one) and
    ``conforms_to(item, profile)`` answer ``None`` when they cannot tell; they may raise
    ``FhirPathError``.  ``trace(name, items)`` is told what ``trace()`` sees.
    """

    member_of: Callable[[Item, str], bool | None] | None = None
    subsumes: Callable[[Item, Item], bool | None] | None = None
    conforms_to: Callable[[Item, str], bool | None] | None = None
    trace: Callable[[str, Items], None] | None = None


NOTHING_OUTSIDE = Outside()


class Environment:
    """The state of one evaluation; made by :class:`~server.fhir.fhirpath.expression.Expression`."""

    __slots__ = (
        "context",
        "index",
        "left",
        "limit",
        "now",
        "outside",
        "resolve",
        "total",
        "values",
    )

    def __init__(
        self,
        context: Item,
        values: Mapping[str, Items],
        *,
        now: datetime | None = None,
        resolve: Resolve | None = None,
        outside: Outside = NOTHING_OUTSIDE,
        steps: int | None = None,
    ) -> None:
        self.context = context
        self.values = values
        self.now = now
        self.resolve = resolve
        self.outside = outside
        self.limit = steps
        self.left: float = float("inf") if steps is None else steps
        self.index: Items = []
        self.total: Items = []

    def spend(self, steps: float) -> None:
        """Count what is done; raises :class:`StepLimit` when it is more than is allowed."""
        self.left -= steps
        if self.left < 0:
            self.over()

    def over(self) -> None:
        """Say that the budget is spent."""
        raise StepLimit(f"the expression takes more than {self.limit:,} steps")
