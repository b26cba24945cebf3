"""Files -> compiled maps.  Every fault of every file is collected before anything is refused."""

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args, get_type_hints
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import terminology
from mappings.compile import Compiler
from mappings.engine import CompiledMap
from mappings.feed import Feed
from mappings.language import Entries, Items, Node, Text, Unreadable, plain, read, texts
from mappings.resource import precedence, resource_rule
from mappings.tables import Table, table_of

BASE = Path(__file__).with_name("base")
TABLES = Path(terminology.__file__).with_name("maps")

_MAP_KEYS = frozenset(["on", "extends", "feed", "set", "remove", "resources", "precedence", "note"])
_FEED_FLAGS = {"true": True, "false": False, "yes": True, "no": False}


@dataclass(slots=True)
class Source:
    """One file: its name in messages (``base/ADT``), its bytes and its nodes."""

    name: str
    data: bytes
    node: Entries


@dataclass(slots=True)
class Loaded:
    """What the files hold.  ``maps``: (feed or ``""``, message type) -> map, the last one wins."""

    version: str
    maps: dict[tuple[str, str], CompiledMap] = field(default_factory=dict)
    feeds: dict[str, Feed] = field(default_factory=dict)
    tables: dict[str, Table] = field(default_factory=dict)
    trees: dict[str, Entries] = field(default_factory=dict)  # the maps as written, overlays applied


def load(dirs: Sequence[Path], problems: list[str]) -> Loaded:
    """Read the packaged tables and maps, then ``dirs``; faults go to ``problems``."""
    sources = [
        *_read(TABLES, "tables", problems),
        *_read(BASE, "base", problems),
        *(one for folder in dirs for one in _read(folder, folder.name, problems)),
    ]
    digest = sha256()
    for source in sources:
        digest.update(f"{source.name}\n".encode() + source.data)
    loaded = Loaded(digest.hexdigest()[:16])
    maps: list[Source] = []
    for source in sources:
        if "codes" in source.node:
            _table(source, loaded, problems)
        elif {"extends", "resources", "on"} & source.node.keys():
            maps.append(source)
        elif "feed" in source.node:
            _feed(source, loaded, problems)
        else:
            problems.append(f"{source.node.place}: this is no map, table or feed")
    for source in maps:
        _map(source, loaded, problems)
    return loaded


def _read(folder: Path, prefix: str, problems: list[str]) -> Iterable[Source]:
    if not folder.is_dir():
        problems.append(f"{prefix}: there is no folder {folder}")
        return
    for path in sorted(folder.rglob("*.yaml")):
        name = f"{prefix}/{path.relative_to(folder).with_suffix('')}"
        try:
            node = read(path, f"{name}.yaml")
        except Unreadable as wrong:
            problems.append(str(wrong))
            continue
        if isinstance(node, Entries):
            yield Source(name, path.read_bytes(), node)
        else:
            problems.append(f"{name}.yaml:1: a file holds keys and values")


def _table(source: Source, loaded: Loaded, problems: list[str]) -> None:
    name = source.name.rpartition("/")[2]
    if (table := table_of(name, source.node, problems)) is not None:
        known = loaded.tables.get(name)
        rows = {**known.codes, **table.codes} if known else dict(table.codes)
        system = table.system or (known.system if known else "")
        origin = table.source or (known.source if known else "")
        loaded.tables[name] = Table(name, origin, system, rows, table.place)


# -- feeds ----------------------------------------------------------------------------------------


def _feed(source: Source, loaded: Loaded, problems: list[str]) -> None:
    hints = get_type_hints(Feed)
    values: dict[str, Any] = {}
    for key, node in source.node.items():
        name = "name" if key == "feed" else key
        if key == "note":
            continue
        if name not in hints or key == "name":
            problems.append(f"{source.node.places[key]}: a feed has no key {key!r}")
            continue
        values[name] = _setting(name, hints[name], node, problems)
    if None not in values.values():
        feed = Feed(**values)
        loaded.feeds[feed.name] = feed


def _setting(name: str, hint: Any, node: Node, problems: list[str]) -> Any:
    if name == "timezone":
        try:
            return ZoneInfo(str(node))
        except (ZoneInfoNotFoundError, ValueError):
            problems.append(f"{node.place}: there is no time zone {str(node)!r}")
            return None
    if isinstance(node, Entries):
        if hint is str or hint is bool or get_args(hint)[0] is not str:
            problems.append(f"{node.place}: {name} is one value")
            return None
        return plain(node)
    if hint is bool:
        if node not in _FEED_FLAGS:
            problems.append(f"{node.place}: {name} is true or false")
            return None
        return _FEED_FLAGS[str(node)]
    options = get_args(hint)
    if hint is not str and str(node) not in options:
        problems.append(f"{node.place}: {name} is one of {', '.join(map(str, options))}")
        return None
    return str(node)


# -- maps -----------------------------------------------------------------------------------------


def _map(source: Source, loaded: Loaded, problems: list[str]) -> None:
    problems += [
        f"{source.node.places[key]}: a map has no key {key!r}"
        for key in source.node.keys() - _MAP_KEYS
    ]
    tree = _extended(source, loaded, problems)
    if tree is None:
        return
    loaded.trees[source.name] = tree
    # A type that a site removed may still be referred to: such a reference then gives nothing.
    base = loaded.trees.get(str(source.node.get("extends", "")))
    known = _made(tree) | (_made(base) if base is not None else set())
    compiled = _compiled(source.name, tree, known, loaded, problems)
    feeds = [str(text) for text in texts(source.node["feed"])] if "feed" in source.node else [""]
    for feed in feeds:
        for event in compiled.on:
            loaded.maps[feed, event] = compiled


def _extended(source: Source, loaded: Loaded, problems: list[str]) -> Entries | None:
    """Return the map with what it extends: ``remove``, then ``set``, then ``resources`` apply."""
    node = source.node
    if "extends" not in node:
        return node
    base = loaded.trees.get(str(node["extends"]))
    if base is None:
        problems.append(f"{node['extends'].place}: there is no map {str(node['extends'])!r} before")
        return None
    made: Entries = _copied(base)
    for key in ("on", "precedence"):
        if key in node:
            made[key] = node[key]
    resources = made.get("resources")
    assert isinstance(resources, Items)
    for target in texts(node.get("remove", _none(node))):
        _remove(resources, target, problems)
    changes = node.get("set", Entries())
    for path, rule in changes.items() if isinstance(changes, Entries) else ():
        _change(resources, path, rule, problems)
    more = node.get("resources")
    if isinstance(more, Items):
        resources += more
    return made


def _find(resources: Items, name: str, place: str, problems: list[str]) -> Entries | None:
    """Return the rule ``Patient`` or, when a type is made twice, ``RelatedPerson@GT1``."""
    type_, _, segment = name.partition("@")
    found = [
        rule
        for rule in resources
        if isinstance(rule, Entries)
        and rule.get("make") == type_
        and (not segment or segment in (rule.get("from"), rule.get("each")))
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        problems.append(f"{place}: the map makes no {name}")
    else:
        problems.append(f"{place}: the map makes {type_} {len(found)} times: say {type_}@SEGMENT")
    return None


def _remove(resources: Items, target: Text, problems: list[str]) -> None:
    name, _, element = target.partition(".")
    rule = _find(resources, name, target.place, problems)
    if rule is None:
        return
    if not element:
        resources.remove(rule)
        return
    elements = rule.get("set")
    if not isinstance(elements, Entries) or element not in elements:
        problems.append(f"{target.place}: {name} has no element {element!r} to remove")
        return
    del elements[element]


def _change(resources: Items, path: str, node: Node, problems: list[str]) -> None:
    """Replace ``Patient.gender``, or a key of the rule itself: ``Patient/update``."""
    name, sign, element = path.partition("/")
    if sign:
        rule = _find(resources, name, node.place, problems)
        if rule is not None:
            rule[element] = node
            rule.places[element] = node.place
        return
    name, _, element = path.partition(".")
    rule = _find(resources, name, node.place, problems)
    if rule is None:
        return
    elements = rule.setdefault("set", Entries())
    if not element or not isinstance(elements, Entries):
        problems.append(f"{node.place}: say which element of {name} to set")
        return
    for known in [key for key in elements if key == element or key.startswith(f"{element}.")]:
        del elements[known]
    elements[element] = node
    elements.places[element] = node.place


def _copied(node: Any) -> Any:
    """Return a copy down to the elements of each rule; rules themselves are never changed."""
    if isinstance(node, Entries):
        made = Entries({key: _copied(value) for key, value in node.items()})
        made.place, made.places = node.place, copy(node.places)
        return made
    if isinstance(node, Items):
        items = Items(_copied(one) for one in node)
        items.place = node.place
        return items
    return node


def _none(node: Entries) -> Items:
    made = Items()
    made.place = node.place
    return made


def _compiled(
    name: str, tree: Entries, known: set[str], loaded: Loaded, problems: list[str]
) -> CompiledMap:
    resources = tree.get("resources", _none(tree))
    rules = resources if isinstance(resources, Items) else _none(tree)
    compiler = Compiler(loaded.tables, problems, known)
    compiled = [rule for one in rules if (rule := resource_rule(one, compiler)) is not None]
    order = precedence(tree.get("precedence"), compiler)
    on = tuple(str(text) for text in texts(tree["on"])) if "on" in tree else ()
    if not on:
        problems.append(f"{tree.place}: on: names the messages of the map, such as ADT^A01")
    fields: dict[str, set[int]] = {}
    for segment, number in compiler.reads.fields:
        fields.setdefault(segment, set()).add(number)
    return CompiledMap(
        name=name,
        on=on,
        rules=tuple(compiled),
        precedence=order,
        segments=frozenset(compiler.reads.segments),
        reads={segment: frozenset(numbers) for segment, numbers in fields.items()},
    )


def _made(tree: Entries) -> set[str]:
    """Return the types that a map makes, those inside ``emit`` and in values included."""
    found: set[str] = set()

    def walk(node: Node) -> None:
        if isinstance(node, Entries):
            if isinstance(make := node.get("make"), Text):
                found.add(str(make))
            for value in node.values():
                walk(value)
        elif isinstance(node, Items):
            for value in node:
                walk(value)

    walk(tree)
    return found
