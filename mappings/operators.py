"""The operators of a rule: a path, ``table``, ``first``, ``join``, ``event``, ``ref``, ``make``,
``fn``.

Each function compiles one: rule and element -> function that gives the list of values.
"""

from dataclasses import replace
from typing import Any

from mappings.codes import translated, translated_concept
from mappings.constants import allowed_codes, constant, fresh
from mappings.context import Context
from mappings.datatypes import converter
from mappings.language import Entries, Items, Node
from mappings.makes import MAKES
from mappings.objects import Entry, Live, Rule
from mappings.parse import NULL
from mappings.paths import path_of
from mappings.rules import RULES
from mappings.source import Scope
from mappings.spelling import hint
from mappings.tables import Table
from mappings.values import Converted, One, Values, complete_made, note_deleted
from server.fhir.definitions import Child, required_codes


def path_rule(compiler: Context, node: Node, child: Child) -> Values:
    """A path alone: every repetition, converted to the type of the element."""
    path = compiler.path(node)
    if path is None:
        return lambda _scope, _to: []
    convert = converter(path.type(compiler.here), child.content)
    if convert is None:
        source = path.type(compiler.here) or "text"
        compiler.problem(node, f"there is no way from {source} to {child.content} ({child.name})")
        return lambda _scope, _to: []
    return Converted(path, convert, compiler.top, many=child.max != 1)


def from_rule(compiler: Context, node: Entries, child: Child) -> Values:
    """``from:`` a path, or several whose values follow each other."""
    source = node["from"]
    if isinstance(source, Items):
        rules = [path_rule(compiler, one, child) for one in source]
        return lambda scope, to: [value for rule in rules for value in rule(scope, to)]
    return path_rule(compiler, source, child)


def also(compiler: Context, node: Entries, child: Child, rule: Values) -> Values:
    """``also:`` further elements of each value, where it does not have them."""
    more = node.get("also")
    if more is None:
        return rule
    if not isinstance(more, Entries):
        compiler.problem(more, "also: needs elements")
        return rule
    added = compiler.inner_entries(more, child.content)

    def with_more(scope: Scope, to: str) -> list[Any]:
        found = rule(scope, to)
        for value in found:
            for entry in added:
                if entry.name not in value:
                    extra = entry.rule(scope, to + entry.below)
                    if extra is not None:
                        value[entry.name] = extra
        return found

    return with_more


def default(compiler: Context, node: Entries, child: Child, rule: Values) -> Values:
    """A default takes the place of a value that was sent and gave nothing."""
    if "default" not in node or "from" not in node:
        return rule
    value = constant(node["default"], child, compiler.problem)
    path = compiler.path(node["from"])
    text = path.texter() if path is not None else lambda _scope: ""

    def or_default(scope: Scope, to: str) -> list[Any]:
        found = rule(scope, to)
        if found or path is None or not text(scope):
            return found
        scope.run.row(to, path.source, "default", str(value))
        return [fresh(value)]

    return or_default


def table_rule(compiler: Context, node: Entries, child: Child) -> Values:
    """``table:`` a code through a table, with its ``also`` and ``default``."""
    made = also(compiler, node, child, _table(compiler, node, child))
    return default(compiler, node, child, made)


def _table(compiler: Context, node: Entries, child: Child) -> Values:
    name, path = str(node["table"]), compiler.path(node.get("from", node))
    table = compiler.tables.get(name)
    if table is None:
        compiler.problem(node["table"], f"there is no table {name!r}{hint(name, compiler.tables)}")
        return lambda _scope, _to: []
    if path is None:
        return lambda _scope, _to: []
    if child.content == "CodeableConcept":
        bound = child.binding is not None and bool(required_codes(child.binding))
        return Converted(
            path,
            lambda v, to: translated_concept(v, to, name, bound=bound),
            compiler.top,
            many=child.max != 1,
        )
    if child.content == "Coding":
        return Converted(
            path, lambda v, to: translated(v, to, name), compiler.top, many=child.max != 1
        )
    _codes(compiler, node["table"], table, child)
    return Converted(
        path,
        lambda v, to: v.run.code(name, v.texts[1], to, v.path),
        compiler.top,
        many=child.max != 1,
    )


def _codes(compiler: Context, node: Node, table: Table, child: Child) -> None:
    """Every target of a table for a required binding must be one of its codes."""
    allowed = allowed_codes(child)
    if allowed is None:
        return
    wrong = [row for row in table.codes.values() if row.code not in allowed]
    own = [row for row in wrong if not row.place.startswith("tables/")]  # the site's: mended there
    for row in own or sorted(wrong, key=lambda row: row.code)[:1]:
        place = row.place if own else getattr(node, "place", "")
        text = f"table {table.name}: {child.path} has no code {row.code!r}"
        compiler.problems.append(f"{place}: {text}{hint(row.code, allowed) if own else ''}")


def first_rule(compiler: Context, node: Entries, child: Child) -> Values:
    """``first:`` the first of several rules that gives something."""
    return also(compiler, node, child, _first(compiler, node["first"], child))


def _first(compiler: Context, node: Node, child: Child) -> Values:
    if not isinstance(node, Items):
        compiler.problem(node, "first: needs a list of alternatives")
        return lambda _scope, _to: []
    items = [compiler.item(one, child) for one in node]
    live = Live(items)
    if all(isinstance(one.rule, One) for one in items):
        return One(_first_single(items))

    def alternatives(scope: Scope, to: str) -> list[Any]:
        for entry in live.among(scope):
            if found := entry.rule(scope, to):
                return found  # type: ignore[no-any-return]
        return []

    return alternatives


def _first_single(items: list[Entry]) -> Rule:
    live = Live([replace(one, rule=one.rule.single) for one in items if isinstance(one.rule, One)])

    def alternative(scope: Scope, to: str) -> Any:
        for entry in live.among(scope):
            if (found := entry.rule(scope, to)) is not None:
                return found
        return None

    return alternative


def join_rule(compiler: Context, node: Entries, child: Child) -> Values:
    """``join:`` one text of several fields."""
    parts = node["join"]
    if not isinstance(parts, Items):
        compiler.problem(parts, "join: needs a list of fields")
        return lambda _scope, _to: []
    if child.content not in ("string", "markdown"):
        compiler.problem(node, f"join makes a text, {child.name} is a {child.content}")
    paths = [path for part in parts if (path := compiler.path(part)) is not None]
    texters = [path.texter() for path in paths]
    separator = str(node.get("sep", " "))

    def joined(scope: Scope, to: str) -> list[Any]:
        texts = [found for text in texters if (found := text(scope))]
        if not texts:
            return []
        made = separator.join(texts)
        scope.run.row(to, ", ".join(path.source for path in paths), "join", made)
        return [made]

    return joined


def event_rule(compiler: Context, around: Entries, child: Child) -> Values:
    """``event:`` a constant by trigger event."""
    node = around["event"]
    if not isinstance(node, Entries):
        compiler.problem(node, "event: needs a value for each event")
        return lambda _scope, _to: []
    values = {event: constant(value, child, compiler.problem) for event, value in node.items()}
    default = values.pop("default", None)

    def by_event(scope: Scope, to: str) -> Any:
        value = values.get(scope.run.event, default)
        if value is not None:
            scope.run.note((to, "MSH-9.2", "event", str(value)))
        return fresh(value)

    return One(by_event)


def ref_rule(compiler: Context, around: Entries, child: Child) -> Values:
    """``ref:`` a reference to a resource that the map makes."""
    node = around["ref"]
    compiler.reads.looks.add(None)
    type_, _, segment = str(node).partition("@")
    if type_ not in compiler.made:
        compiler.problem(node, f"ref: the map makes no {type_}{hint(type_, compiler.made)}")

    def refer(scope: Scope, _to: str) -> dict[str, str] | None:
        found = scope.run.meant(type_, scope, segment)
        return None if found is None else {"reference": f"plan:{found.label}"}

    return One(refer)


def make_rule(compiler: Context, node: Entries, child: Child) -> Values:
    """``make:`` a resource of its own from a value."""
    type_, path = str(node["make"]), compiler.path(node.get("from", node))
    compiler.reads.looks.add(None)
    if path is None:
        return lambda _scope, _to: []
    if child.targets and type_ not in child.targets:
        compiler.problem(node, f"{child.name} does not refer to {type_}")
    make = MAKES.get((path.type(compiler.here) or "", type_))
    if make is None:
        source = path.type(compiler.here) or "text"
        compiler.problem(node, f"there is no way from {source} to the resource {type_}")
        return lambda _scope, _to: []
    top = compiler.top
    also = node.get("also")
    added = compiler.inner_entries(also, type_) if isinstance(also, Entries) else []

    read = path.reader()

    def made(scope: Scope, to: str) -> list[Any]:
        found = read(scope)
        if len(found) == 1 and found[0].raw != NULL and not added:  # most of them
            reference = make(found[0])
            return [] if reference is None else [reference]
        note_deleted(scope, found, top)
        references = [one for v in found if (one := make(v)) is not None]
        for one in references if added else ():
            complete_made(scope, one.get("reference", ""), added)
        return references

    return made


def function(compiler: Context, node: Entries, fills: str) -> Rule:
    """``fn:`` a rule written in Python."""
    name = str(node["fn"])
    compiler.reads.looks.add(None)
    known = RULES.get(name)
    if known is None:
        compiler.problem(node["fn"], f"there is no rule {name!r}{hint(name, RULES)}")
        return lambda _scope, _to: None
    if fills not in known.fills:
        compiler.problem(node["fn"], f"rule {name!r} does not make a {fills}")
    for text in known.reads:
        compiler.reads.path(path_of(text), f"{compiler.type}.{compiler.top}")
    path = compiler.path(node["from"]) if "from" in node else None
    if path is None:
        compiler.reads.sources.add(None)
    top = compiler.top

    def call(scope: Scope, to: str) -> Any:
        found = path.values(scope) if path else []
        note_deleted(scope, found, top)
        return known.function(scope, to, [one for one in found if one.raw != NULL])

    return call
