"""Segment rules of emit maps: which segments a message has, in order, and what fills them."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from mappings.emit_conditions import Condition, version_of
from mappings.emit_destination import VERSIONS
from mappings.emit_paths import ElementPath
from mappings.emit_rules import Compiler, Rule
from mappings.emit_run import Run, Scope
from mappings.encode import Field, Segment
from mappings.language import Entries, Items, Node, Text
from mappings.segments import fields_of, known_segment, segment_names, type_of
from mappings.spelling import hint
from server.fhir.definitions import resource_types

_KEYS = ("segment", "of", "each", "as", "when", "since", "deletes", "set", "segments", "after")
_FIELD = re.compile(r"(?P<segment>[A-Z][A-Z0-9]{2})-(?P<field>\d+)(?:\.(?P<component>\d+))?")


@dataclass(frozen=True, slots=True)
class SegmentRule:
    """A compiled rule.  ``root``: the resource that it is made from, ``""``: the one at hand.

    ``deletes``: a field that was valued before and is no more is sent as ``""``.
    """

    name: str
    root: str
    each: ElementPath | None
    type: str
    when: Condition | None
    since: tuple[int, ...]
    deletes: bool
    fields: tuple[tuple[int, int, Rule], ...]
    inner: tuple["SegmentRule", ...] = field(default=())

    def write(self, scope: Scope, above: int) -> Iterator[Segment]:
        """Yield the segments; those inside follow each.  ``above``: what they are numbered in."""
        if scope.run.version < self.since:
            return
        for number, here in enumerate(self._scopes(scope)):
            if self.when is not None and not self.when(here):
                continue
            made = self._segment(here, above)
            made.key = f"{above}/{self.name}[{number}]"
            inside = hash((above, self.name, number))
            if made.fields or not self.fields:
                yield made
            for rule in self.inner:
                yield from rule.write(here, inside)

    def _scopes(self, scope: Scope) -> Iterator[Scope]:
        starts: Sequence[Any] = (scope.here,)
        if self.root:
            starts = scope.run.roots.get(self.root, ())
        for start in starts:
            here = scope.at(start) if self.root else scope
            if self.each is None:
                yield here
                continue
            for value in self.each.values(here.here, scope.run):
                found = self._led_to(scope.run, value) if self.each.type == "Reference" else value
                if found is not None:
                    yield here.at(found)

    def _led_to(self, run: Run, reference: Any) -> Any:
        found = run.resolve(reference)
        known = found is not None and self.type in ("", found.get("resourceType"))
        return found if known else None

    def _segment(self, scope: Scope, above: int) -> Segment:
        made = Segment(self.name)
        for number, component, rule in self.fields:
            if value := rule(scope):
                made.fields[number] = _placed(made.fields.get(number, []), component, value)
        first = made.fields.keys() and 1 not in made.fields
        if first and type_of(self.name, 1) == "SI":
            run = scope.run
            run.numbers[self.name, above] = run.numbers.get((self.name, above), 0) + 1
            made.fields[1] = [[str(run.numbers[self.name, above])]]
        return made


def _placed(known: Field, component: int, value: Field) -> Field:
    if not component:
        return known + value
    one = list(known[0]) if known else []
    one += [""] * (component - len(one))
    first = value[0]
    one[component - 1] = first[0] if len(first) == 1 else [str(part) for part in first]
    return [one, *known[1:]]


def segment_rules(node: Node, compiler: Compiler, here: str) -> tuple[SegmentRule, ...]:
    """Compile a list of segment rules; ``here``: type of the resource that they are about."""
    if not isinstance(node, Items):
        compiler.problem(node, "segments is a list")
        return ()
    made = [_rule(one, compiler, here) for one in node]
    return tuple(one for one in made if one is not None)


def _rule(node: Node, compiler: Compiler, here: str) -> SegmentRule | None:
    if not isinstance(node, Entries) or not isinstance(node.get("segment"), Text):
        compiler.problem(node, "a segment rule begins with 'segment: NAME'")
        return None
    for key in node.keys() - {*_KEYS, "note"}:
        known = hint(key, _KEYS)
        compiler.problems.append(f"{node.places[key]}: a segment has no key {key!r}{known}")
    name = str(node["segment"])
    if not known_segment(name) or name == "MSH":
        near = hint(name, segment_names())
        compiler.problem(node["segment"], f"there is no segment {name} to write{near}")
        return None
    root = _root(node, compiler)
    here = compiler.roots.get(root, here)
    each = compiler.path(node["each"], here) if "each" in node else None
    type_ = _type(node, each, compiler)
    inside = here if each is None else type_ or each.type
    return SegmentRule(
        name,
        root,
        each,
        type_,
        compiler.condition(node["when"], inside) if "when" in node else None,
        _since(node, compiler),
        node.get("deletes") == "true",
        _fields(node, name, compiler, inside),
        segment_rules(node["segments"], compiler, inside) if "segments" in node else (),
    )


def _root(node: Entries, compiler: Compiler) -> str:
    name = str(node.get("of", ""))
    if name and name not in compiler.roots:
        near = hint(name, compiler.roots)
        compiler.problem(node["of"], f"the map has no resource {name!r}{near}: name it in 'with'")
        return ""
    return name


def _type(node: Entries, each: ElementPath | None, compiler: Compiler) -> str:
    """Return the resource type that references of ``each`` lead to."""
    if each is None or each.type != "Reference":
        return ""
    if "as" in node:
        if str(node["as"]) not in resource_types():
            near = hint(str(node["as"]), resource_types())
            compiler.problem(node["as"], f"there is no resource {str(node['as'])!r}{near}")
        return str(node["as"])
    if len(each.targets) != 1:
        may = ", ".join(each.targets) or "anything"
        compiler.problem(node["each"], f"{each.text} may be {may}: say which with 'as'")
        return ""
    return each.targets[0]


def _since(node: Entries, compiler: Compiler) -> tuple[int, ...]:
    text = str(node.get("since", "2.3"))
    if text not in VERSIONS:
        compiler.problem(node["since"], f"{text!r} is no version of HL7: {', '.join(VERSIONS)}")
        return ()
    return version_of(text)


def _fields(
    node: Entries, name: str, compiler: Compiler, here: str
) -> tuple[tuple[int, int, Rule], ...]:
    found = node.get("set")
    if found is None:
        return ()
    if not isinstance(found, Entries):
        compiler.problem(found, "set is 'FIELD: rule'")
        return ()
    made: list[tuple[int, int, Rule]] = []
    for key, rule in found.items():
        place = found.places[key]
        path = _FIELD.fullmatch(key)
        if path is None or path["segment"] != name:
            compiler.problems.append(f"{place}: {key!r} is no field of {name}, such as {name}-3")
            continue
        number, component = int(path["field"]), int(path["component"] or 0)
        most = fields_of(name)
        if most and not 0 < number <= most:
            compiler.problems.append(f"{place}: {name} has {most} fields")
            continue
        type_ = type_of(name, number, component)
        made.append((number, component, compiler.rule(rule, here, type_)))
    return tuple(made)
