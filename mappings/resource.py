"""A resource rule of a map: ``make`` a resource from a segment, with identity and elements."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

from mappings.compile import Compiler
from mappings.conditions import Condition
from mappings.constants import fresh
from mappings.identity import Finder, identity
from mappings.language import Entries, Items, Node, Text, texts
from mappings.objects import Entry, Live, required_names
from mappings.parse import bit
from mappings.paths import Path
from mappings.plan import QuarantineReason, Update
from mappings.segments import known_segment, segment_names
from mappings.source import Scope
from mappings.spelling import hint
from server.fhir.definitions import children, resource_types

_KEYS = frozenset(
    [
        "make",
        "from",
        "each",
        "when",
        "identity",
        "update",
        "missing",
        "clear",
        "same",
        "snapshot",
        "precedence",
        "set",
        "emit",
        "note",
    ]
)
_DEMOGRAPHIC = frozenset({"Patient", "RelatedPerson", "Coverage", "Account"})
_LOWER: dict[Update, Update] = {"authoritative": "merge", "merge": "never", "never": "never"}
_ONLY_VALUED = re.compile(r"\S+ valued(?: or \S+ valued)*")
Missing = Callable[[Scope], str]


@dataclass(frozen=True, slots=True)
class ResourceRule:
    """A compiled rule.

    ``every``: one resource for each segment, not only for the first in a group.
    ``missing``: ``drop``, or why the message is quarantined, when the resource has no identity.
    ``numbered``: equal keys in one message are different resources and get a number (OBX lines);
    otherwise they are the same resource and their elements are united.
    ``snapshot``: properties that the message always states in full, so that what is not sent is
    gone (the flag "low" of a result that was corrected); everywhere else empty keeps.
    """

    type: str
    segment: str
    every: bool
    place: str
    when: Condition | None
    when_text: str
    quiet: bool  # a field that was not sent, of a segment that speaks of something else, is no news
    needs: int  # bits of fields of its segment without any of which it is quietly not made
    entries: tuple[Entry, ...]
    live: Live
    fallbacks: tuple[Entry, ...]
    required: tuple[tuple[str, ...], ...]
    identity: Finder
    update: Callable[[str], Update]
    missing: str
    numbered: bool
    snapshot: frozenset[str]
    precedence: tuple[Path, ...]
    emit: tuple["ResourceRule", ...]
    required_names: frozenset[str]
    rivals: dict[str, tuple[str, ...]]  # valueString -> the other types of value[x]
    clear: dict[str, frozenset[str]]  # event -> elements that it takes back, ``period.end``

    def update_of(self, scope: Scope) -> Update:
        """Return what to do with an existing one; a feed that does not own demographics yields."""
        found = self.update(scope.run.event)
        if self.type in _DEMOGRAPHIC and not scope.run.feed.authoritative:
            return _LOWER[found]
        return found


def resource_rule(node: Node, compiler: Compiler, segment: str = "") -> ResourceRule | None:
    """Compile a rule; ``segment`` is that of the rule around it (``emit``)."""
    if not isinstance(node, Entries) or not isinstance(node.get("make"), Text):
        compiler.problem(node, "a resource rule begins with 'make: TYPE'")
        return None
    for key in node.keys() - _KEYS:
        near = hint(key, _KEYS)
        compiler.problems.append(f"{node.places[key]}: a resource rule has no key {key!r}{near}")
    type_ = str(node["make"])
    if type_ not in resource_types():
        compiler.problem(
            node["make"], f"R4 has no resource {type_!r}{hint(type_, resource_types())}"
        )
        return None
    name = str(node.get("each", node.get("from", segment)))
    if not known_segment(name):
        near = hint(name, segment_names())
        compiler.problem(node, f"there is no segment {name!r} to make {type_} from{near}")
    compiler.reads.segments.add(name)
    elements = node.get("set", Entries())
    beside = node.get("emit")
    if not isinstance(elements, Entries):
        compiler.problem(elements, "set: needs elements")
        return None
    entries = tuple(compiler.resource(elements, type_))
    when = compiler.condition(node)
    quiet = "from" in node and _ONLY_VALUED.fullmatch(str(node.get("when", ""))) is not None
    own = quiet and {segment for segment, _ in compiler.needs} == {name}
    return ResourceRule(
        type=type_,
        segment=name,
        every="each" in node,
        place=node.place,
        when=when,
        when_text=str(node.get("when", "")),
        quiet=quiet,
        needs=sum(bit(field) for _, field in compiler.needs) if own else 0,
        entries=entries,
        live=Live(entries),
        fallbacks=tuple(entry for entry in entries if entry.fallback is not None),
        required=required_names(type_),
        identity=identity(node.get("identity"), type_, compiler),
        update=_update(node.get("update"), compiler),
        missing=_missing(node, compiler),
        numbered=str(node.get("same", "merge")) == "number",
        snapshot=_snapshot(node.get("snapshot"), type_, compiler),
        precedence=precedence(node.get("precedence"), compiler),
        emit=tuple(
            rule
            for one in (beside if isinstance(beside, Items) else ())
            if (rule := resource_rule(one, compiler, name)) is not None
        ),
        required_names=frozenset(name for names in required_names(type_) for name in names),
        rivals=_rivals(type_),
        clear=_clear(node.get("clear"), type_, compiler),
    )


def _snapshot(node: Node | None, type_: str, compiler: Compiler) -> frozenset[str]:
    known = children(type_)
    made: set[str] = set()
    for name in texts(node) if node is not None else ():
        found = {key for key, child in known.items() if name in (key, child.choice)}
        if not found:
            compiler.problem(
                name, f"snapshot: {type_} has no element {str(name)!r}{hint(name, known)}"
            )
        made |= found
    return frozenset(made)


def _clear(node: Node | None, type_: str, compiler: Compiler) -> dict[str, frozenset[str]]:
    """Compile what an event takes back: elements, or properties of one that does not repeat."""
    if node is None:
        return {}
    if not isinstance(node, Entries):
        compiler.problem(node, "clear: needs elements for each event")
        return {}
    for path in (text for value in node.values() for text in texts(value)):
        name, _, inner = path.partition(".")
        child = children(type_).get(name)
        known = child is not None and (not inner or inner in children(child.content))
        if not known:
            near = hint(name, children(type_))
            compiler.problem(path, f"clear: {type_} has no element {str(path)!r}{near}")
    return {event: frozenset(map(str, texts(value))) for event, value in node.items()}


def precedence(node: Node | None, compiler: Compiler) -> tuple[Path, ...]:
    """Compile the fields whose first valid timestamp decides between two messages."""
    if node is None:
        return ()
    return tuple(path for one in texts(node) if (path := compiler.path(one)) is not None)


def _missing(node: Entries, compiler: Compiler) -> str:
    found = str(node.get("missing", "required-missing"))
    if found != "drop" and found not in get_args(QuarantineReason):
        compiler.problem(node["missing"], f"missing: is drop or a quarantine reason, not {found!r}")
    return found


def _update(node: Node | None, compiler: Compiler) -> Callable[[str], Update]:
    if isinstance(node, Entries) and isinstance(node.get("event"), Entries):
        events = node["event"]
        assert isinstance(events, Entries)
        by_event = {event: _one_update(value, compiler) for event, value in events.items()}
        default = by_event.pop("default", "authoritative")
        return lambda event: by_event.get(event, default)
    fixed: Update = _one_update(node, compiler) if node is not None else "authoritative"
    return lambda _event: fixed


def _one_update(node: Node, compiler: Compiler) -> Update:
    for known in get_args(Update):
        if node == known:
            found: Update = known
            return found
    compiler.problem(node, f"update: is one of {', '.join(get_args(Update))}")
    return "never"


def _rivals(type_: str) -> dict[str, tuple[str, ...]]:
    groups: dict[str, list[str]] = {}
    for name, child in children(type_).items():
        if child.choice:
            groups.setdefault(child.choice, []).append(name)
    return {
        name: tuple(other for other in names if other != name)
        for names in groups.values()
        for name in names
    }


def complete(
    rule: ResourceRule, scope: Scope, label: str, values: dict[str, Any]
) -> tuple[set[str], str]:
    """Fill in the fallbacks of required elements; return their names and what is still missing."""
    filled: set[str] = set()
    for entry in rule.fallbacks:
        if entry.name not in values:
            values[entry.name] = fresh(entry.fallback)
            filled.add(entry.name)
            scope.run.row(f"{label}.{entry.name}", "", "default", str(entry.fallback))
    for names in rule.required:
        if values.keys().isdisjoint(names):
            return filled, names[0]
    return filled, ""
