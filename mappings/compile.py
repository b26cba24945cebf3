"""A rule of a map -> a function.  Everything that can be known before a message comes is checked
here, with the file and line: elements by R4's definitions, fields by the segment tables.

A compiled rule is ``rule(scope, to) -> value``: ``to`` is the FHIRPath of the element, the value a
list for an element that repeats; ``None`` when nothing was sent.
"""

from collections.abc import Callable, Iterable
from typing import Any

from mappings import operators
from mappings.constants import constant, maker
from mappings.context import Context
from mappings.language import Entries, Items, Node, Text
from mappings.objects import (
    Entry,
    Live,
    Looks,
    Needs,
    ObjectRule,
    Rule,
    nested,
    required_names,
)
from mappings.parse import NULL, bit
from mappings.paths import segment_name
from mappings.segments import known_segment, segment_names
from mappings.source import Scope
from mappings.spelling import hint
from mappings.values import (
    Converted,
    One,
    Values,
    gather,
    listed,
    note_deleted,
    only,
    ordered_period,
    when,
)
from server.fhir.definitions import Child, children

OPERATORS = ("const", "table", "first", "join", "event", "ref", "make", "fn", "from")
_MODIFIERS = frozenset({"when", "each", "default", "also", "note", "sep", "set"})


def _unknown(content: str, name: str, known: Iterable[str]) -> str:
    near = hint(name, known) or hint(name, _MODIFIERS.union(OPERATORS))
    return f"{content} has no element {name!r}{near}"


def _alone(single: Rule) -> Rule:
    """Return the rule of a list that one value makes, if any."""

    def rule(scope: Scope, to: str) -> Any:
        value = single(scope, to + "[0]")
        return value if value is None or isinstance(value, list) else [value]

    return rule


class Compiler(Context):
    """Compiles the rules of one map; faults are collected in ``problems``."""

    # -- objects ------------------------------------------------------------------------------

    def resource(self, node: Entries, type_: str) -> list[Entry]:
        """Compile ``set`` of a resource: its entries, requirements are the caller's matter."""
        self.type = type_
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
                self.problem(value, _unknown(content, name, known))
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
        rule, needs, looks = self._with_needs(lambda: self.element(node, child))
        if fixed and not top:  # constants alone make no object, so it does not live from them
            self.reads.sources = known
        return Entry(name, rule, fixed, fallback=fallback, needs=needs, looks=looks)

    def _with_needs(self, compile_: Callable[[], Rule]) -> tuple[Rule, Needs, Looks]:
        """Compile a rule; find the fields that it lives from, as bits by segment, and those that it
        looks at.
        """
        outer, self.reads.sources = self.reads.sources, set()
        around, self.reads.looks = self.reads.looks, set()
        rule = compile_()
        found = self.reads.sources
        self.reads.sources = outer | found
        seen = self.reads.looks
        self.reads.looks = around | seen
        looks = None if None in seen else tuple(sorted(one for one in seen if one is not None))
        if None in found:
            return rule, (), looks
        needs: dict[str, int] = {}
        for segment, at in (one for one in found if one is not None):
            whole = at == 0 or needs.get(segment) == 0
            needs[segment] = 0 if whole else needs.get(segment, 0) | bit(at)
        return rule, tuple(sorted(needs.items())), looks

    def _choice(self, name: str, node: Node) -> Entry:
        if not (isinstance(node, Entries) and "fn" in node):
            self.problem(node, f"{name}[x] needs its type, such as {name}String, or a fn")
            return Entry(name, lambda _scope, _to: None)
        return Entry(name, operators.function(self, node, name), merge=True)

    def inner_entries(self, node: Entries, content: str) -> list[Entry]:
        """Compile elements inside the element at hand (``also``)."""
        top, made = self.top, self._entries(node, content, top=False)
        self.top = top
        return made

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
        rule = self.values(node, child)
        if isinstance(rule, (Converted, One)):
            return rule.single
        return lambda scope, to: only(scope, to, rule(scope, to))

    def _many(self, node: Node, child: Child) -> Rule:
        nodes = node if isinstance(node, Items) else [node]
        items = [self.item(one, child) for one in nodes]
        live = Live(items)
        if len(items) == 1:  # its own needs are those of the element, which were asked already
            only = items[0].rule
            if isinstance(only, One):
                return _alone(only.single)
            return lambda scope, to: only(scope, to + "[0]") or None

        def every(scope: Scope, to: str) -> Any:
            found = live.among(scope)
            if len(found) == 1:
                return found[0].rule(scope, to + "[0]") or None
            made: list[Any] = []
            for item in found:
                made += item.rule(scope, f"{to}[{len(made)}]")
            return made or None

        return every

    def item(self, node: Node, child: Child) -> Entry:
        """Compile one of the rules that give an element, with the fields that it lives from."""
        rule, needs, looks = self._with_needs(lambda: self.values(node, child))
        return Entry(child.name, rule, needs=needs, looks=looks)

    def values(self, node: Node, child: Child) -> Values:
        """Compile one rule to the list of values that it gives, ``when`` and ``each`` applied."""
        if isinstance(node, Text):
            return operators.path_rule(self, node, child)
        if not isinstance(node, Entries):
            self.problem(node, "a list inside a list")
            return lambda _scope, _to: []
        if each := node.get("each"):
            return self._each(node, each, child)
        sources = set(self.reads.sources)
        made = self._operator(node, child)
        test = self.condition(node)
        if test is None:
            return made
        if self.needs:  # whatever it reads or is, it is nothing without these
            self.reads.sources = sources | self.needs
        return when(test, made)

    def _each(self, node: Entries, each: Node, child: Child) -> Values:
        self.reads.looks.add(None)
        if not isinstance(each, Text):
            self.problem(each, "each: needs a segment or a field")
            return lambda _scope, _to: []
        inner_node = Entries({key: value for key, value in node.items() if key != "each"})
        inner_node.place, inner_node.places = node.place, node.places
        if segment_name(each):
            if not known_segment(each):
                self.problem(each, f"there is no segment {each}{hint(each, segment_names())}")
            name = str(each)
            self.reads.segments.add(name)
            sources = self.reads.sources
            rule = self.values(inner_node, child)
            # whatever stands inside lives from the segment: constants, references and all
            self.reads.sources = {*sources, (name, 0)}
            return lambda scope, to: gather(rule, scope.each_segment(name), to)
        path = self.path(each)
        if path is None:
            return lambda _scope, _to: []
        outer, self.here = self.here, path.type(self.here)
        sources = self.reads.sources
        rule = self.values(inner_node, child)
        if path.segment:
            self.reads.sources = {*sources, (path.segment, path.field)}
        self.here = outer
        top, read = self.top, path.reader()

        def over(scope: Scope, to: str) -> list[Any]:
            found = read(scope)
            note_deleted(scope, found, top)
            return gather(rule, [scope.at(one) for one in found if one.raw != NULL], to)

        return over

    def _operator(self, node: Entries, child: Child) -> Values:
        operator = next((key for key in OPERATORS if key in node), None)
        if operator is None or operator in children(child.content):
            return self._object(node, child)
        if unknown := node.keys() - {operator, "from"} - _MODIFIERS:
            word = min(unknown)
            known = {operator, "from", *_MODIFIERS}
            self.problem(node[word], f"{word!r} is no key beside {operator!r}{hint(word, known)}")
        if operator in ("const", "event", "ref"):
            self.reads.sources.add(None)
        if operator == "const":
            make = maker(constant(node["const"], child, self.problem))
            return One(lambda _scope, _to: make())
        if operator == "fn":
            rule = operators.function(self, node, child.content or child.name)
            return lambda scope, to: listed(rule(scope, to))
        if operator == "from":
            made = operators.also(self, node, child, operators.from_rule(self, node, child))
            return operators.default(self, node, child, made)
        return getattr(operators, f"{operator}_rule")(self, node, child)  # type: ignore[no-any-return]

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
            return One(lambda scope, to: ordered_period(scope, to, rule.run(scope, to)))
        return One(rule.run)
