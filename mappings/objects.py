"""The elements of an object: which rule gives each, which it must have, what nothing gives."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mappings.constants import fresh
from mappings.language import Entries, Node
from mappings.source import Scope
from server.fhir.definitions import children

Rule = Callable[[Scope, str], Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """One element of an object.  ``merge``: the rule gives elements, not the element's value."""

    name: str
    rule: Rule
    constant: bool = False
    merge: bool = False
    fallback: Any = None  # of a required element
    needs: tuple[str, tuple[int, ...]] | None = None
    """Segment and fields without any of which the rule gives nothing; ``None``: it must run."""

    def idle(self, scope: Scope) -> bool:
        """Whether nothing was sent that the rule could read."""
        needs = self.needs
        if needs is None or scope.segment is None or scope.segment.name != needs[0]:
            return False
        fields = scope.segment.fields
        sent = len(fields)
        for at in needs[1]:  # noqa: SIM110 - runs some hundred times a message, a generator costs
            if at < sent and fields[at]:
                return False
        return True


@dataclass(frozen=True, slots=True)
class ObjectRule:
    """The elements of an object, and those (alternatives of a choice) that it must have."""

    entries: tuple[Entry, ...]
    required: tuple[tuple[str, ...], ...]

    def run(self, scope: Scope, to: str) -> dict[str, Any] | None:
        """Return the object; ``None`` when nothing but constants would stand in it."""
        made: dict[str, Any] = {}
        sent = False
        for entry in self.entries:
            if entry.idle(scope):
                continue
            value = entry.rule(scope, f"{to}.{entry.name}")
            if value is None:
                continue
            if entry.merge:
                made |= value
            else:
                made[entry.name] = value
            sent = sent or not entry.constant
        if not sent:
            return None
        return self.complete(scope, to, made)

    def complete(self, scope: Scope, to: str, made: dict[str, Any]) -> dict[str, Any] | None:
        """Fill in the fallbacks; ``None`` when a required element is missing all the same."""
        for entry in self.entries:
            if entry.fallback is not None and entry.name not in made:
                made[entry.name] = fresh(entry.fallback)
                scope.run.row(f"{to}.{entry.name}", "", "default", str(entry.fallback))
        for names in self.required:
            if not any(name in made for name in names):
                scope.run.row(to, "", f"DROPPED: {names[0]} is required and was not sent")
                return None
        return made


def required_names(content: str) -> tuple[tuple[str, ...], ...]:
    """Return the required elements, each as its alternatives (those of a choice)."""
    groups: dict[str, list[str]] = {}
    for name, child in children(content).items():
        if child.min > 0:
            groups.setdefault(child.choice or name, []).append(name)
    return tuple(tuple(names) for names in groups.values())


def nested(node: Entries, problems: list[str]) -> dict[str, Node]:
    """Return the elements with ``period.start`` written out as ``period: {start: ...}``."""
    made: dict[str, Node] = {}
    for key, value in node.items():
        first, _, rest = key.partition(".")
        if not rest:
            if first in made:
                problems.append(f"{node.places.get(key, node.place)}: {key!r} stands twice")
            made[first] = value
            continue
        inner = made.setdefault(first, _empty(value))
        if not isinstance(inner, Entries):
            problems.append(f"{node.places.get(key, node.place)}: {first!r} is no object above")
            continue
        inner[rest] = value
    return made


def _empty(like: Node) -> Entries:
    made = Entries()
    made.place, made.places = like.place, {}
    return made
