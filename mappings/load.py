"""Files -> compiled maps.  Every fault of every file is collected before anything is refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args, get_type_hints
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from mappings.compiled import compiled_map, state_of
from mappings.engine import CompiledMap
from mappings.feed import Feed
from mappings.files import Source, packaged, read_folder
from mappings.language import Entries, Node, Text, plain, texts
from mappings.overlay import Trees
from mappings.spelling import hint
from mappings.tables import Table, table_of
from server.fhir.definitions import bound_codes

_MAP_KEYS = frozenset(
    [
        "on",
        "part",
        "extends",
        "feed",
        "set",
        "remove",
        "resources",
        "precedence",
        "note",
    ]
)
_FEED_FLAGS = {"true": True, "false": False, "yes": True, "no": False}


@dataclass(slots=True)
class Loaded:
    """What the files hold.  ``maps``: (feed or ``""``, message type) -> map, the last one wins."""

    version: str
    maps: dict[tuple[str, str], CompiledMap] = field(default_factory=dict)
    feeds: dict[str, Feed] = field(default_factory=dict)
    tables: dict[str, Table] = field(default_factory=dict)
    written: dict[str, Entries] = field(default_factory=dict)
    trees: dict[str, Entries] = field(default_factory=dict)  # as written, with what they extend


def load(dirs: Sequence[Path], problems: list[str]) -> Loaded:
    """Read the packaged tables and maps, then ``dirs``; faults go to ``problems``."""
    sources = [
        *packaged(),
        *(one for folder in dirs for one in read_folder(folder, folder.name, problems)),
    ]
    digest = sha256()
    for source in sources:
        digest.update(f"{source.name}\n".encode() + source.data)
    loaded = Loaded(digest.hexdigest()[:16])
    maps: list[Source] = []
    for source in sources:
        if "codes" in source.node:
            _table(source, loaded, problems)
        elif {"destination", "emit"} & source.node.keys():
            continue  # what is sent: mappings.emit reads it
        elif {"extends", "resources", "on"} & source.node.keys():
            maps.append(source)
        elif "feed" in source.node:
            _feed(source, loaded, problems)
        else:
            problems.append(f"{source.node.place}: this is no map, table or feed")
    for source in sources:
        _check_tables(source.node, loaded.tables, problems)
    loaded.written = {source.name: source.node for source in maps}
    trees = Trees(loaded.written, problems)
    tables_state = state_of(loaded.tables)
    for source in maps:
        _map(source, trees, loaded, tables_state, problems)
    problems[:] = dict.fromkeys(problems)  # a part that several maps extend is told of once
    return loaded


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
            problems.append(
                f"{source.node.places[key]}: a feed has no key {key!r}{hint(key, hints)}"
            )
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


def _check_tables(node: Entries, known: Mapping[str, Table], problems: list[str]) -> None:
    """The codes of a feed are rows of tables that are there, and give codes that R4 has."""
    own = node.get("tables")
    if "feed" not in node or not isinstance(own, Entries):
        return
    for name, rows in own.items():
        if name not in known:
            problems.append(f"{own.places[name]}: there is no table {name!r}{hint(name, known)}")
            continue
        allowed = bound_codes(known[name].system)
        for row in rows.values() if isinstance(rows, Entries) else ():
            if allowed is not None and isinstance(row, Text) and row not in allowed:
                near = hint(row, allowed)
                problems.append(f"{row.place}: table {name} gives no code {str(row)!r}{near}")


# -- maps -----------------------------------------------------------------------------------------


def _map(
    source: Source, trees: Trees, loaded: Loaded, tables_state: int, problems: list[str]
) -> None:
    problems += [
        f"{source.node.places[key]}: a map has no key {key!r}{hint(key, _MAP_KEYS)}"
        for key in source.node.keys() - _MAP_KEYS
    ]
    tree = trees.tree(source.name)
    if tree is None:
        return
    loaded.trees[source.name] = tree
    if "part" in source.node:
        return
    made = trees.made(source.name)
    compiled = compiled_map(
        source.name, tree, made, loaded.tables, problems, tables_state=tables_state
    )
    feeds = [str(text) for text in texts(source.node["feed"])] if "feed" in source.node else [""]
    for feed in feeds:
        for event in compiled.on:
            loaded.maps[feed, event] = compiled
