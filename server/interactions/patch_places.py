"""Where in a resource an element is, and changes to the list that it is one of.

JSON keeps a list in up to two properties, ``given`` and ``_given`` (R4 json.html#primitive), and
what does not repeat is no list there.  Here everything is a list of pairs (value, id and
extensions), so that a change is one list operation.  What becomes empty goes: FHIR has no empty
elements.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from server.fhir import definitions
from server.fhir.definitions import Child

Pair = tuple[Any, dict[str, Any] | None]
Path = Sequence[str | int]


@dataclass(frozen=True, slots=True)
class Elements:
    """All elements that ``holder`` has under ``child``; ``above`` is what the holder belongs to."""

    holder: dict[str, Any]
    child: Child
    above: "Place | None" = None

    @property
    def repeats(self) -> bool:
        """Tell whether there can be more than one."""
        return self.child.max != 1

    def read(self) -> list[Pair]:
        """Return (value, id and extensions) of each; ``None`` for what it has not."""
        name = self.child.name
        values, extras = self.holder.get(name), self.holder.get(f"_{name}")
        if not self.repeats:
            return [] if values is None and extras is None else [(values, extras)]
        length = max(len(values or ()), len(extras or ()))
        return list(zip(_padded(values, length), _padded(extras, length), strict=True))

    def write(self, pairs: Sequence[Pair]) -> None:
        """Replace them; without any, the holder goes too if nothing else is in it."""
        kept = [pair for pair in pairs if pair != (None, None)]
        self._set(self.child.name, [value for value, _ in kept])
        self._set(f"_{self.child.name}", [extra for _, extra in kept])
        if not self.holder and self.above is not None:
            self.above.drop_empty()

    def _set(self, key: str, items: list[Any]) -> None:
        if all(item is None for item in items):
            self.holder.pop(key, None)
        else:
            self.holder[key] = items if self.repeats else items[0]


@dataclass(frozen=True, slots=True)
class Place:
    """One element of a resource: the one at ``index`` of its list."""

    elements: Elements
    index: int

    def content(self) -> str:
        """Return where the properties of the element are defined."""
        child = self.elements.child
        if child.types == ("Resource",):
            return str(self.elements.read()[self.index][0]["resourceType"])
        return "Element" if is_primitive(child) else child.content

    def holder(self) -> dict[str, Any]:
        """Return the object of the element's properties; a primitive gets one if it has none."""
        pairs = self.elements.read()
        value, extra = pairs[self.index]
        if not is_primitive(self.elements.child):
            made: dict[str, Any] = value
            return made
        if extra is None:
            extra = {}
            pairs[self.index] = (value, extra)
            self.elements.write(pairs)
        return extra

    def drop_empty(self) -> None:
        """Take away what has become empty of the element, and the element if nothing is left."""
        pairs = self.elements.read()
        value, extra = pairs[self.index]
        pairs[self.index] = (None if value == {} else value, extra or None)
        self.elements.write(pairs)


def place(resource: dict[str, Any], path: Path) -> Place | None:
    """Return the element at a path of JSON keys and indexes, ``None`` for the resource itself.

    >>> found = place({"resourceType": "Patient", "name": [{"given": ["a", "b"]}]},
    ...               ("name", 0, "given", 1))
    >>> found.elements.read()[found.index]
    ('b', None)
    """
    holder, content, found = resource, str(resource["resourceType"]), None
    steps = list(path)
    while steps:
        if found is not None:
            holder, content = found.holder(), found.content()
        key = str(steps.pop(0))
        child = definitions.children(content)[key.removeprefix("_")]
        index = int(steps.pop(0)) if steps and isinstance(steps[0], int) else 0
        found = Place(Elements(holder, child, found), index)
    return found


def is_primitive(child: Child) -> bool:
    """Tell whether an element is a primitive, whose properties JSON keeps apart from its value."""
    known = definitions.types().get(child.types[0]) if child.types else None
    return known is not None and known.kind == "primitive-type"


def _padded(items: list[Any] | None, length: int) -> list[Any]:
    return [*(items or ()), *[None] * (length - len(items or ()))]
