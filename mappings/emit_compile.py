"""Emit maps as text -> compiled maps, checked against R4 and the segment tables."""

from collections.abc import Mapping

from mappings.emit_map import EmitMap, EventRule, Need
from mappings.emit_overlay import Emits
from mappings.emit_paths import ElementPath
from mappings.emit_rules import Compiler
from mappings.emit_segments import segment_rules
from mappings.language import Entries, Items, Node, Text, texts
from mappings.spelling import hint
from mappings.tables import Table
from server.fhir.definitions import resource_types, search_parameters

_KEYS = frozenset(
    [
        "emit", "for", "extends", "message", "about", "structure", "with", "triggers", "instead",
        "event", "segments", "set", "remove", "note",
    ]
)  # fmt: skip
_EVENT_KEYS = frozenset({"send", "when", "shown", "note"})
_NEED_KEYS = frozenset({"search", "by", "of", "from", "as"})


def compiled_emit(
    name: str, tree: Entries, emits: Emits, tables: Mapping[str, Table], problems: list[str]
) -> EmitMap | None:
    """Return the compiled map, ``None`` when it says not what it is about; faults are noted."""
    compiler = Compiler(tables, problems)
    problems += [
        f"{tree.places[key]}: an emit map has no key {key!r}{hint(key, _KEYS)}"
        for key in tree.keys() - _KEYS
    ]
    about = str(tree.get("about", ""))
    if about not in resource_types():
        near = hint(about, resource_types())
        problems.append(f"{tree.place}: about names the resource whose change is told{near}")
        return None
    compiler.roots[about] = about
    needs = _needs(tree, about, compiler)
    events = _events(tree, about, compiler)
    segments = segment_rules(tree["segments"], compiler, about) if "segments" in tree else ()
    if not segments:
        problems.append(f"{tree.place}: the map has no segments")
    return EmitMap(
        name,
        str(tree.get("message", name.partition("-")[0])),
        about,
        _texts(tree, "structure", compiler),
        needs,
        _triggers(tree, about, compiler),
        frozenset(str(text) for text in texts(tree["instead"]))
        if "instead" in tree
        else frozenset(),
        events,
        segments,
        compiler.reads.older,
        tree.place,
    )


def _texts(tree: Entries, key: str, compiler: Compiler) -> dict[str, str]:
    node = tree.get(key)
    if node is None:
        return {}
    if not isinstance(node, Entries) or not all(isinstance(one, Text) for one in node.values()):
        compiler.problem(node, f"{key} is a list of 'NAME: value'")
        return {}
    return {name: str(value) for name, value in node.items()}


def _needs(tree: Entries, about: str, compiler: Compiler) -> tuple[Need, ...]:
    made: list[Need] = []
    node = tree.get("with")
    if node is None:
        return ()
    if not isinstance(node, Entries):
        compiler.problem(node, "with is 'Name: path'")
        return ()
    for name, inner in node.items():
        if not name[:1].isupper():
            compiler.problems.append(f"{node.places[name]}: {name!r} begins with a capital")
        need = _need(name, inner, about, compiler)
        if need is not None:
            made.append(need)
            compiler.roots[name] = need.type
    return tuple(made)


def _need(name: str, node: Node, about: str, compiler: Compiler) -> Need | None:
    if isinstance(node, Entries):
        for key in node.keys() - _NEED_KEYS:
            near = hint(key, _NEED_KEYS)
            compiler.problems.append(f"{node.places[key]}: it has no key {key!r}{near}")
        if "search" in node:
            return _searched(name, node, compiler)
    if isinstance(node, Entries) and "from" not in node:
        compiler.problem(node, "it has from, or search, by and of")
        return None
    source = node["from"] if isinstance(node, Entries) else node
    path = compiler.path(source, about)
    if path is None:
        return None
    type_ = str(node["as"]) if isinstance(node, Entries) and "as" in node else _target(path)
    if type_ not in resource_types():
        may = ", ".join(path.targets) or "anything"
        compiler.problem(node, f"{path.text} may be {may}: say which with 'as'")
        return None
    return Need(name, type_, path)


def _target(path: ElementPath) -> str:
    return path.targets[0] if path.type == "Reference" and len(path.targets) == 1 else ""


def _searched(name: str, node: Entries, compiler: Compiler) -> Need | None:
    type_, by, of = (str(node.get(key, "")) for key in ("search", "by", "of"))
    if type_ not in resource_types():
        compiler.problem(node, f"there is no resource {type_!r}{hint(type_, resource_types())}")
        return None
    known = search_parameters(type_)
    if by not in known or known[by].type != "reference":
        near = hint(by, known)
        compiler.problem(node, f"{type_} is not found by a reference {by!r}{near}")
    if of and of not in compiler.roots:
        compiler.problem(node, f"{of!r} is not named before{hint(of, compiler.roots)}")
    return Need(name, type_, None, by, of)


def _triggers(tree: Entries, about: str, compiler: Compiler) -> dict[str, str]:
    found = _texts(tree, "triggers", compiler)
    known = search_parameters(about)
    for type_, by in found.items():
        if type_ not in resource_types() or by not in known:
            near = hint(by, known)
            compiler.problem(tree["triggers"], f"{about} is not found by {by!r} of a {type_}{near}")
    return found


def _events(tree: Entries, about: str, compiler: Compiler) -> tuple[EventRule, ...]:
    node = tree.get("event")
    if not isinstance(node, Items) or not node:
        compiler.problem(tree, "event is a list of {send: A01, when: condition}")
        return ()
    made: list[EventRule] = []
    for one in node:
        if not isinstance(one, Entries) or "send" not in one or one.keys() - _EVENT_KEYS:
            compiler.problem(one, "an event is {send: A01, when: condition, shown: true}")
            continue
        when = compiler.condition(one["when"], about) if "when" in one else None
        made.append(EventRule(str(one["send"]), when, one.get("shown") == "true"))
        if when is None and one is not node[-1]:
            compiler.problem(one, "an event without 'when' hides those behind it")
    return tuple(made)
