"""The elements of an object: which rule gives each, which it must have, what nothing gives."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from mappings.constants import fresh
from mappings.language import Entries, Node
from mappings.source import Scope
from server.fhir.definitions import children

Rule = Callable[[Scope, str], Any]
_MOST_SHAPES = 256  # of messages, remembered for each object of a map


@dataclass(frozen=True, slots=True)
class Entry:
    """One element of an object.  ``merge``: the rule gives elements, not the element's value."""

    name: str
    rule: Rule
    constant: bool = False
    merge: bool = False
    fallback: Any = None  # of a required element
    needs: tuple[tuple[str, int], ...] = ()
    """Segments, and their fields as bits, without any of which the rule gives nothing; no bit: the
    segment itself.  Empty: the rule must run."""

    def idle(self, scope: Scope) -> bool:
        """Whether nothing was sent that the rule could read."""
        own = scope.segment
        present = scope.run.segments
        for name, bits in self.needs:
            if own is not None and name == own.name:
                if not bits or own.sent & bits:
                    return False
            elif name in present:
                return False
        return bool(self.needs)


class Live:
    """Those of some entries that have anything to read in a message.

    It depends on nothing but which fields and segments were sent, and a system's messages look
    alike: so it is remembered.
    """

    __slots__ = ("_entries", "_known")

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries = tuple(entries)
        self._known: dict[int, tuple[Entry, ...]] = {}  # by Scope.shape

    def among(self, scope: Scope) -> tuple[Entry, ...]:
        """Return the entries whose rules have to run, in their order."""
        found = self._known.get(scope.shape)
        if found is None:
            if len(self._known) >= _MOST_SHAPES:
                self._known.clear()
            found = tuple(one for one in self._entries if not (one.needs and one.idle(scope)))
            self._known[scope.shape] = found
        return found


class ObjectRule:
    """The elements of an object, and those (alternatives of a choice) that it must have."""

    __slots__ = ("entries", "fallbacks", "live", "required")

    def __init__(self, entries: tuple[Entry, ...], required: tuple[tuple[str, ...], ...]) -> None:
        self.entries = entries
        self.required = required
        self.live = Live(entries)
        self.fallbacks = tuple(entry for entry in entries if entry.fallback is not None)

    def run(self, scope: Scope, to: str) -> dict[str, Any] | None:
        """Return the object; ``None`` when nothing but constants would stand in it."""
        made: dict[str, Any] = {}
        sent = False
        for entry in self.live.among(scope):
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
        for entry in self.fallbacks:
            if entry.name not in made:
                made[entry.name] = fresh(entry.fallback)
                scope.run.row(f"{to}.{entry.name}", "", "default", str(entry.fallback))
        for names in self.required:
            if made.keys().isdisjoint(names):
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
