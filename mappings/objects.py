"""The elements of an object: which rule gives each, which it must have, what nothing gives."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from mappings.constants import fresh
from mappings.language import Entries, Node
from mappings.memory import comes_again, remembering
from mappings.parse import NAME, bit
from mappings.source import Scope
from server.fhir.definitions import children

Rule = Callable[[Scope, str], Any]
Needs = tuple[tuple[str, int], ...]
Looks = tuple[tuple[str, int], ...] | None
Beside = tuple[tuple[str, int], ...]  # segments, and fields as bits
_MOST_SHAPES = 256  # of messages, remembered for each object of a map
_MOST_BESIDE = 32  # combinations of what other segments hold, of each of them


@dataclass(frozen=True, slots=True)
class Entry:
    """One element of an object.  ``merge``: the rule gives elements, not the element's value."""

    name: str
    rule: Rule
    constant: bool = False
    merge: bool = False
    fallback: Any = None  # of a required element
    needs: Needs = ()
    """Segments, and their fields as bits, without any of which the rule gives nothing; no bit: the
    segment itself.  Empty: the rule must run."""
    looks: Looks = None
    """All fields that the rule looks at, by segment and number (0: the segment itself), when the
    value depends on nothing else in the message."""
    below: str = field(init=False)
    """The name as it follows the path of the object, ``.gender``."""

    def __post_init__(self) -> None:
        """Set what follows from the name."""
        object.__setattr__(self, "below", f".{self.name}")

    def idle(self, scope: Scope) -> bool:
        """Whether nothing was sent that the rule could read."""
        own = scope.segment
        for name, bits in self.needs:
            if own is not None and name == own.name:
                if not bits or own.sent & bits:
                    return False
            elif scope.run.sent(name) & (bits or NAME):
                return False
        return bool(self.needs)

    def seen(self, scope: Scope) -> tuple[int, ...] | None:
        """Return the sent fields of the scope's segment that the rule looks at; ``None`` when it
        looks at something else, or at what every message has of its own.
        """
        own = scope.segment
        if own is None or not self.looks:
            return None
        sent_by = scope.run.sent
        if any(name != own.name and sent_by(name) & bit(n) for name, n in self.looks):
            return None
        sent = tuple(n for name, n in self.looks if n and name == own.name and own.sent & bit(n))
        return sent if comes_again(own.name, sent) else None


class Live:
    """Those of some entries that have anything to read in a message.

    It depends on nothing but which fields and segments were sent, and a system's messages look
    alike: so it is remembered.  Rules whose texts come again have a memory.
    """

    __slots__ = ("_alone", "_entries", "_known", "_remembering")

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries = tuple(entries)
        # Scope.shape -> other segments whose fields matter, and what to run by those that were sent
        self._known: dict[int, tuple[Beside, dict[tuple[int, ...], tuple[Entry, ...]]]] = {}
        # what to run by Scope.shape, where no other segment matters
        self._alone: dict[int, tuple[Entry, ...]] = {}
        self._remembering: dict[tuple[int, tuple[int, ...]], Entry] = {}

    def among(self, scope: Scope) -> tuple[Entry, ...]:
        """Return the entries whose rules have to run, in their order."""
        alone = self._alone.get(scope.shape)
        return self._among(scope) if alone is None else alone

    def _among(self, scope: Scope) -> tuple[Entry, ...]:
        known = self._known.get(scope.shape)
        if known is None:
            if len(self._known) >= _MOST_SHAPES:
                self._known.clear()
                self._alone.clear()
            known = self._known[scope.shape] = self._others(scope), {}
        beside, by_sent = known
        sent: tuple[int, ...] = ()
        if beside:
            sent_by = scope.run.sent
            sent = tuple([sent_by(name) & bits for name, bits in beside])
        found = by_sent.get(sent)
        if found is None:
            if len(by_sent) >= _MOST_BESIDE:
                by_sent.clear()
            found = by_sent[sent] = tuple(
                self._with_memory(at, one, scope)
                for at, one in enumerate(self._entries)
                if not (one.needs and one.idle(scope))
            )
            if not beside:
                self._alone[scope.shape] = found
        return found

    def _others(self, scope: Scope) -> Beside:
        """Return the other segments of the message, and their fields that any entry reads."""
        own = "" if scope.segment is None else scope.segment.name
        made: dict[str, int] = {}
        for entry in self._entries:
            for name, bits in (
                *entry.needs,
                *[(name, bit(n)) for name, n in entry.looks or () if n],
            ):
                if bits and name != own and name in scope.run.segments:
                    made[name] = made.get(name, 0) | bits
        return tuple(made.items())

    def _with_memory(self, at: int, entry: Entry, scope: Scope) -> Entry:
        fields = entry.seen(scope)
        if fields is None:
            return entry
        found = self._remembering.get((at, fields))
        if found is None:
            found = replace(entry, rule=remembering(entry.rule, fields))
            self._remembering[at, fields] = found
        return found


class ObjectRule:
    """The elements of an object, and those (alternatives of a choice) that it must have."""

    __slots__ = ("_demanding", "entries", "fallbacks", "live", "required")

    def __init__(self, entries: tuple[Entry, ...], required: tuple[tuple[str, ...], ...]) -> None:
        self.entries = entries
        self.required = required
        self.live = Live(entries)
        self.fallbacks = tuple(entry for entry in entries if entry.fallback is not None)
        self._demanding = bool(self.fallbacks or required)

    def run(self, scope: Scope, to: str) -> dict[str, Any] | None:
        """Return the object; ``None`` when nothing but constants would stand in it."""
        made: dict[str, Any] = {}
        sent = False
        for entry in self.live.among(scope):
            value = entry.rule(scope, to + entry.below)
            if value is None:
                continue
            if entry.merge:
                made |= value
            else:
                made[entry.name] = value
            if not entry.constant:
                sent = True
        if not sent:
            return None
        return self.complete(scope, to, made) if self._demanding else made

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
