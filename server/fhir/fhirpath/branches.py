"""A compiled expression: for every type that it can yield, the steps that lead there.

A polymorphic path such as ``Observation.value`` is several branches, one for each type, so that who
uses the values knows their type without looking at them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from server.fhir.definitions import Child

Items = list[Any]


@dataclass(frozen=True, slots=True)
class Field:
    """Go to the JSON property ``key``; lists are flattened, nulls left out."""

    key: str

    def take(self, items: Items) -> Items:
        """Return the items one step on."""
        key = self.key
        found: Items = []
        for item in items:
            if type(item) is dict and (value := item.get(key)) is not None:
                if type(value) is not list:
                    found.append(value)
                elif None in value:
                    found += [part for part in value if part is not None]
                else:
                    found += value
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Keep:
    """Keep the items for which ``test`` holds."""

    test: Callable[[Any], bool]

    def take(self, items: Items) -> Items:
        """Return the items one step on."""
        return [item for item in items if self.test(item)]


@dataclass(frozen=True, slots=True)
class Nth:
    """Keep the item at ``index``, counted from 0 over the whole collection."""

    index: int

    def take(self, items: Items) -> Items:
        """Return the items one step on."""
        return items[self.index : self.index + 1]


@dataclass(frozen=True, slots=True, eq=False)
class Compute:
    """Replace every item by ``run(item)``."""

    run: Callable[[Any], Items]

    def take(self, items: Items) -> Items:
        """Return the items one step on."""
        return [made for item in items for made in self.run(item)]


Step = Field | Keep | Nth | Compute


@dataclass(frozen=True, slots=True)
class Branch:
    """Values of one type.

    ``type`` is a FHIR type name; ``content`` the key of its children in ``fhir.definitions``
    (``Observation.component`` for a backbone element).  ``steps`` start at the item the expression
    is asked of.  ``binding``: URL of the value set that a code must be from.
    """

    type: str
    content: str
    steps: tuple[Step, ...] = field(default=())
    binding: str | None = None

    def then(self, step: Step) -> "Branch":
        """Return the branch one step longer, of the same type."""
        return Branch(self.type, self.content, (*self.steps, step), self.binding)

    def to(self, type_: str, step: Step) -> "Branch":
        """Return the branch one step longer, now of ``type_``."""
        return Branch(type_, type_, (*self.steps, step))

    def child(self, child: Child) -> "Branch":
        """Return the branch that goes on to a property of the type."""
        type_ = child.types[0] if child.types else "BackboneElement"
        return Branch(type_, child.content, (*self.steps, Field(child.name)), child.binding)

    def values(self, item: Any) -> Items:
        """Return what the steps yield, started at ``item``."""
        steps = self.steps
        if not steps or type(steps[0]) is not Field:
            return _taken([item], steps)
        # Most branches of a resource yield nothing, and that shows at the first property.
        first = item.get(steps[0].key) if type(item) is dict else None
        if first is None:
            return []
        if type(first) is not list:
            return _taken([first], steps[1:])
        return _taken([part for part in first if part is not None], steps[1:])


def _taken(items: Items, steps: tuple[Step, ...]) -> Items:
    for step in steps:
        items = step.take(items)
        if not items:
            break
    return items
