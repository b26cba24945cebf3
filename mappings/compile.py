"""A rule of a map -> a function.  Everything that can be known before a message comes is checked
here, with the file and line: elements by R4's definitions, fields by the segment tables.

A compiled rule is ``rule(scope, to) -> value``: ``to`` is the FHIRPath of the element, the value a
list for an element that repeats; ``None`` when nothing was sent.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mappings.codes import translated, translated_concept
from mappings.conditions import Condition, ConditionError, condition
from mappings.constants import allowed_codes, constant, fresh
from mappings.datatypes import converter
from mappings.language import Entries, Items, Node, Text
from mappings.makes import MAKES
from mappings.objects import Entry, ObjectRule, Rule, nested, required_names
from mappings.parse import NULL
from mappings.paths import Path, PathError, path_of, segment_name
from mappings.rules import RULES
from mappings.segments import known_segment
from mappings.source import Scope
from mappings.tables import Table
from mappings.values import (
    Values,
    complete_made,
    converted,
    gather,
    listed,
    note_deleted,
    ordered_period,
)
from server.fhir.definitions import Child, children

OPERATORS = ("const", "table", "first", "join", "event", "ref", "make", "fn", "from")
_MODIFIERS = frozenset({"when", "each", "default", "also", "note", "sep", "set"})


@dataclass(slots=True)
class Reads:
    """The fields that the rules of a map read; all others are explained as not mapped.

    ``sources`` are those of the rule that is being compiled; ``None`` in it is a source that is
    not a field (a reference, a constant), so that the rule must always run.
    """

    fields: set[tuple[str, int]] = field(default_factory=set)
    segments: set[str] = field(default_factory=set)
    sources: set[tuple[str, int] | None] = field(default_factory=set)

    def path(self, path: Path) -> None:
        """Note that ``path`` is read."""
        if path.segment:
            self.segments.add(path.segment)
            self.fields.add((path.segment, path.field))
            self.sources.add((path.segment, path.field))


class Compiler:
    """Compiles the rules of one map; faults are collected in ``problems``."""

    def __init__(self, tables: Mapping[str, Table], problems: list[str], made: set[str]) -> None:
        self.tables = tables
        self.problems = problems
        self.made = made  # resource types that the map makes, for ``ref``
        self.reads = Reads()
        self.here = ""  # data type of the value at hand inside ``each``
        self.top = ""  # element of the resource that is being compiled

    def problem(self, node: Node, text: str) -> None:
        """Note a fault."""
        self.problems.append(f"{node.place}: {text}")

    # -- objects ------------------------------------------------------------------------------

    def resource(self, node: Entries, type_: str) -> list[Entry]:
        """Compile ``set`` of a resource: its entries, requirements are the caller's matter."""
        return self._entries(node, type_, top=True)

    def object(self, node: Entries, content: str) -> ObjectRule:
        """Compile the elements of a data type or backbone."""
        entries = self._entries(node, content, top=False)
        return ObjectRule(tuple(entries), required_names(content))

    def _entries(self, node: Entries, content: str, *, top: bool) -> list[Entry]:
        known = children(content)
        made = []
        for name, value in nested(node, self.problems).items():
            if top:
                self.top = name
            child = known.get(name)
            if child is not None:
                entry = self._entry(name, value, child, top=top)
            elif any(other.choice == name for other in known.values()):
                entry = self._choice(name, value)
            else:
                self.problem(value, f"{content} has no element {name!r}")
                continue
            made.append(entry)
        return made

    def _entry(self, name: str, node: Node, child: Child, *, top: bool) -> Entry:
        fixed = isinstance(node, Entries) and ("const" in node or "event" in node)
        fallback = None
        if child.min > 0 and isinstance(node, Entries) and "default" in node:
            fallback = constant(node["default"], child, self.problem)
            if child.max != 1:
                fallback = [fallback]
        known = set(self.reads.sources)
        rule, needs = self._with_needs(lambda: self.element(node, child))
        if fixed and not top:  # constants alone make no object, so it does not live from them
            self.reads.sources = known
        return Entry(name, rule, fixed, fallback=fallback, needs=needs)

    def _with_needs(
        self, compile_: Callable[[], Rule]
    ) -> tuple[Rule, tuple[str, tuple[int, ...]] | None]:
        """Compile a rule and find the fields of one segment that it lives from."""
        outer, self.reads.sources = self.reads.sources, set()
        rule = compile_()
        found = self.reads.sources
        self.reads.sources = outer | found
        fields = [one for one in found if one is not None]
        segments = {segment for segment, _ in fields}
        if None in found or len(segments) != 1:
            return rule, None
        return rule, (segments.pop(), tuple(sorted({at for _, at in fields})))

    def _choice(self, name: str, node: Node) -> Entry:
        if not (isinstance(node, Entries) and "fn" in node):
            self.problem(node, f"{name}[x] needs its type, such as {name}String, or a fn")
            return Entry(name, lambda _scope, _to: None)
        return Entry(name, self._function(node, name), merge=True)

    # -- elements -----------------------------------------------------------------------------

    def element(self, node: Node, child: Child) -> Rule:
        """Compile the rule of an element."""
        if child.max == 1:
            return self._single(node, child)
        return self._many(node, child)

    def _single(self, node: Node, child: Child) -> Rule:
        if isinstance(node, Items):
            self.problem(node, f"{child.name} does not repeat; use first: for alternatives")
            return lambda _scope, _to: None
        rule = self._values(node, child)

        def one(scope: Scope, to: str) -> Any:
            found = rule(scope, to)
            if not found:
                return None
            if len(found) > 1:
                scope.run.row(to, "", f"not mapped: {len(found) - 1} more, {child.name} is single")
            return found[0]

        return one

    def _many(self, node: Node, child: Child) -> Rule:
        nodes = node if isinstance(node, Items) else [node]
        items = [self._item(one, child) for one in nodes]

        def every(scope: Scope, to: str) -> Any:
            made: list[Any] = []
            for item in items:
                if not item.idle(scope):
                    made += item.rule(scope, f"{to}[{len(made)}]")
            return made or None

        return every

    def _item(self, node: Node, child: Child) -> Entry:
        rule, needs = self._with_needs(lambda: self._values(node, child))
        return Entry(child.name, rule, needs=needs)

    def _values(self, node: Node, child: Child) -> Values:
        """Compile one rule to the list of values that it gives, ``when`` and ``each`` applied."""
        if isinstance(node, Text):
            return self._path(node, child)
        if not isinstance(node, Entries):
            self.problem(node, "a list inside a list")
            return lambda _scope, _to: []
        if each := node.get("each"):
            return self._each(node, each, child)
        made = self._operator(node, child)
        return self._when(node, made)

    def _when(self, node: Entries, rule: Values) -> Values:
        test = self.condition(node)
        if test is None:
            return rule
        return lambda scope, to: rule(scope, to) if test(scope) else []

    def condition(self, node: Entries) -> Condition | None:
        """Compile ``when`` of a rule."""
        if (text := node.get("when")) is None:
            return None
        if not isinstance(text, Text):
            self.problem(text, "when: needs a condition as text")
            return None
        paths: list[Path] = []
        try:
            made = condition(text, paths)
        except ConditionError as wrong:
            self.problem(text, f"when: {wrong}")
            return None
        for path in paths:
            self.reads.path(path)
        return made

    def _each(self, node: Entries, each: Node, child: Child) -> Values:
        if not isinstance(each, Text):
            self.problem(each, "each: needs a segment or a field")
            return lambda _scope, _to: []
        inner_node = Entries({key: value for key, value in node.items() if key != "each"})
        inner_node.place, inner_node.places = node.place, node.places
        if segment_name(each):
            if not known_segment(each):
                self.problem(each, f"there is no segment {each}")
            name = str(each)
            self.reads.segments.add(name)
            self.reads.sources.add(None)
            rule = self._values(inner_node, child)
            return lambda scope, to: gather(rule, scope.each_segment(name), to)
        path = self.path(each)
        if path is None:
            return lambda _scope, _to: []
        outer, self.here = self.here, path.type(self.here)
        rule = self._values(inner_node, child)
        self.here = outer
        top = self.top

        def over(scope: Scope, to: str) -> list[Any]:
            found = path.values(scope)
            note_deleted(scope, found, top)
            return gather(rule, [scope.at(one) for one in found if one.raw != NULL], to)

        return over

    def _operator(self, node: Entries, child: Child) -> Values:
        operator = next((key for key in OPERATORS if key in node), None)
        if operator is None or operator in children(child.content):
            return self._object(node, child)
        unknown = node.keys() - {operator, "from"} - _MODIFIERS
        if unknown:
            self.problem(node, f"{min(unknown)!r} is no key beside {operator!r}")
        if operator in ("const", "event", "ref") or node.get("each") is not None:
            self.reads.sources.add(None)
        if operator == "const":
            value = constant(node["const"], child, self.problem)
            return lambda _scope, _to: [fresh(value)]
        if operator == "first":
            return self._first(node["first"], child)
        if operator == "ref":
            return self._ref(node["ref"])
        if operator == "event":
            return self._event(node["event"], child)
        if operator == "join":
            return self._join(node, child)
        if operator == "fn":
            rule = self._function(node, child.content or child.name)
            return lambda scope, to: listed(rule(scope, to))
        if operator == "make":
            return self._make(node, child)
        if operator == "table":
            return self._default(node, child, self._table(node, child))
        return self._default(node, child, self._also(node, child, self._from(node, child)))

    def _object(self, node: Entries, child: Child) -> Values:
        inner = node.get("set")
        if inner is None:
            own = children(child.content)
            inner = Entries({k: v for k, v in node.items() if k in own or k not in _MODIFIERS})
            inner.place, inner.places = node.place, node.places
        if not isinstance(inner, Entries):
            self.problem(inner, "set: needs elements")
            return lambda _scope, _to: []
        if not children(child.content):
            self.problem(node, f"{child.name} is a {child.content}: it has no elements")
            return lambda _scope, _to: []
        rule = self.object(inner, child.content)
        if child.content == "Period":
            return lambda scope, to: listed(ordered_period(scope, to, rule.run(scope, to)))
        return lambda scope, to: listed(rule.run(scope, to))

    # -- operators ----------------------------------------------------------------------------

    def path(self, node: Node) -> Path | None:
        """Compile a field path."""
        if not isinstance(node, Text):
            self.problem(node, "a field path is needed here")
            return None
        try:
            made = path_of(node)
        except PathError as wrong:
            self.problem(node, str(wrong))
            return None
        if made.segment and not made.field:
            self.problem(node, f"{node} is a segment, a field is needed")
            return None
        self.reads.path(made)
        return made

    def _path(self, node: Node, child: Child) -> Values:
        path = self.path(node)
        if path is None:
            return lambda _scope, _to: []
        convert = converter(path.type(self.here), child.content)
        if convert is None:
            source = path.type(self.here) or "text"
            self.problem(node, f"there is no way from {source} to {child.content} ({child.name})")
            return lambda _scope, _to: []
        return converted(path, convert, self.top, many=child.max != 1)

    def _from(self, node: Entries, child: Child) -> Values:
        source = node["from"]
        if isinstance(source, Items):
            rules = [self._path(one, child) for one in source]
            return lambda scope, to: [value for rule in rules for value in rule(scope, to)]
        return self._path(source, child)

    def _also(self, node: Entries, child: Child, rule: Values) -> Values:
        more = node.get("also")
        if more is None:
            return rule
        if not isinstance(more, Entries):
            self.problem(more, "also: needs elements")
            return rule
        added = self._entries_of(more, child.content)

        def with_more(scope: Scope, to: str) -> list[Any]:
            found = rule(scope, to)
            for value in found:
                for entry in added:
                    if entry.name not in value:
                        extra = entry.rule(scope, f"{to}.{entry.name}")
                        if extra is not None:
                            value[entry.name] = extra
            return found

        return with_more

    def _entries_of(self, node: Entries, content: str) -> list[Entry]:
        top, made = self.top, self._entries(node, content, top=False)
        self.top = top
        return made

    def _default(self, node: Entries, child: Child, rule: Values) -> Values:
        """A default takes the place of a value that was sent and gave nothing."""
        if "default" not in node or "from" not in node:
            return rule
        value = constant(node["default"], child, self.problem)
        path = self.path(node["from"])

        def or_default(scope: Scope, to: str) -> list[Any]:
            found = rule(scope, to)
            if found or path is None or not path.text(scope):
                return found
            scope.run.row(to, path.source, "default", str(value))
            return [fresh(value)]

        return or_default

    def _table(self, node: Entries, child: Child) -> Values:
        name, path = str(node["table"]), self.path(node.get("from", node))
        table = self.tables.get(name)
        if table is None:
            self.problem(node["table"], f"there is no table {name!r}")
            return lambda _scope, _to: []
        if path is None:
            return lambda _scope, _to: []
        if child.content == "CodeableConcept":
            return converted(
                path, lambda v, to: translated_concept(v, to, name), self.top, many=child.max != 1
            )
        if child.content == "Coding":
            return converted(
                path, lambda v, to: translated(v, to, name), self.top, many=child.max != 1
            )
        self._codes(node["table"], table, child)
        return converted(
            path,
            lambda v, to: v.run.code(name, v.text(), to, v.path),
            self.top,
            many=child.max != 1,
        )

    def _codes(self, node: Node, table: Table, child: Child) -> None:
        """Every target of a table for a required binding must be one of its codes."""
        allowed = allowed_codes(child)
        if allowed is None:
            return
        if wrong := sorted({row.code for row in table.codes.values()} - allowed):
            self.problem(node, f"table {table.name}: {child.path} has no code {wrong[0]!r}")

    def _first(self, node: Node, child: Child) -> Values:
        if not isinstance(node, Items):
            self.problem(node, "first: needs a list of alternatives")
            return lambda _scope, _to: []
        rules = [self._values(one, child) for one in node]

        def alternatives(scope: Scope, to: str) -> list[Any]:
            for rule in rules:
                if found := rule(scope, to):
                    return found
            return []

        return alternatives

    def _join(self, node: Entries, child: Child) -> Values:
        parts = node["join"]
        if not isinstance(parts, Items):
            self.problem(parts, "join: needs a list of fields")
            return lambda _scope, _to: []
        if child.content not in ("string", "markdown"):
            self.problem(node, f"join makes a text, {child.name} is a {child.content}")
        paths = [path for part in parts if (path := self.path(part)) is not None]
        separator = str(node.get("sep", " "))

        def joined(scope: Scope, to: str) -> list[Any]:
            texts = [text for path in paths if (text := path.text(scope))]
            if not texts:
                return []
            made = separator.join(texts)
            scope.run.row(to, ", ".join(path.source for path in paths), "join", made)
            return [made]

        return joined

    def _event(self, node: Node, child: Child) -> Values:
        if not isinstance(node, Entries):
            self.problem(node, "event: needs a value for each event")
            return lambda _scope, _to: []
        values = {event: constant(value, child, self.problem) for event, value in node.items()}
        default = values.pop("default", None)

        def by_event(scope: Scope, to: str) -> list[Any]:
            value = values.get(scope.run.event, default)
            if value is None:
                return []
            scope.run.row(to, "MSH-9.2", "event", str(value))
            return [fresh(value)]

        return by_event

    def _ref(self, node: Node) -> Values:
        type_, _, segment = str(node).partition("@")
        if type_ not in self.made:
            self.problem(node, f"ref: the map makes no {type_}")

        def refer(scope: Scope, _to: str) -> list[Any]:
            found = scope.run.meant(type_, scope, segment)
            return [] if found is None else [{"reference": f"plan:{found.label}"}]

        return refer

    def _make(self, node: Entries, child: Child) -> Values:
        type_, path = str(node["make"]), self.path(node.get("from", node))
        if path is None:
            return lambda _scope, _to: []
        if child.targets and type_ not in child.targets:
            self.problem(node, f"{child.name} does not refer to {type_}")
        make = MAKES.get((path.type(self.here) or "", type_))
        if make is None:
            source = path.type(self.here) or "text"
            self.problem(node, f"there is no way from {source} to the resource {type_}")
            return lambda _scope, _to: []
        top = self.top
        also = node.get("also")
        added = self._entries_of(also, type_) if isinstance(also, Entries) else []

        def made(scope: Scope, to: str) -> list[Any]:
            found = path.values(scope)
            note_deleted(scope, found, top)
            references = [one for v in found if (one := make(v)) is not None]
            for one in references if added else ():
                complete_made(scope, one.get("reference", ""), added)
            return references

        return made

    def _function(self, node: Entries, fills: str) -> Rule:
        name = str(node["fn"])
        known = RULES.get(name)
        if known is None:
            self.problem(node["fn"], f"there is no rule {name!r}")
            return lambda _scope, _to: None
        if fills not in known.fills:
            self.problem(node["fn"], f"rule {name!r} does not make a {fills}")
        for text in known.reads:
            self.reads.path(path_of(text))
        path = self.path(node.get("from", node))
        top = self.top

        def call(scope: Scope, to: str) -> Any:
            found = path.values(scope) if path else []
            note_deleted(scope, found, top)
            return known.function(scope, to, [one for one in found if one.raw != NULL])

        return call
