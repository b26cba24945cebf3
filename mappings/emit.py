"""Load emit maps and destinations: ``load_outbound([site_folder], tables)``.

Packaged maps are in ``mappings/out``; a site's folder holds destinations, maps of its own, and
overlays of packaged ones for one destination.  Every fault of every file is told at once, each as
``file:line: sentence``.  Pure and deterministic behind the load.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from mappings.compiled import state_of
from mappings.emit_compile import compiled_emit
from mappings.emit_conditions import Condition, ConditionError, condition
from mappings.emit_destination import Destination, Wanted
from mappings.emit_destination_file import destination
from mappings.emit_map import EmitMap, Made, emit
from mappings.emit_overlay import Emits
from mappings.emit_rules import Compiler
from mappings.emit_run import Change
from mappings.encode_codes import Reverse
from mappings.files import Source, read_folder
from mappings.language import Entries, Text, plain
from mappings.maps import MapError
from mappings.spelling import hint
from mappings.tables import Table

OUT = Path(__file__).with_name("out")
_kept: dict[int, Mapping[str, EmitMap]] = {}  # of the package, by the state of the tables


@dataclass(frozen=True, slots=True)
class Route:
    """A map as one destination wants it."""

    map: EmitMap
    wanted: Wanted
    when: Condition | None


@dataclass(frozen=True, slots=True)
class Outlet:
    """One destination with its maps and its way of writing codes."""

    destination: Destination
    reverse: Reverse
    routes: tuple[Route, ...] = ()

    def emit(self, route: Route, change: Change) -> Made | None:
        """Return the message that tells ``change`` to this destination, ``None`` for none."""
        wanted = route.wanted
        return emit(
            route.map, self.destination, self.reverse, change, events=wanted.events, when=route.when
        )


@dataclass(slots=True)
class Outbound:
    """What the files hold: destinations by name, with their maps."""

    outlets: dict[str, Outlet] = field(default_factory=dict)
    maps: Mapping[str, EmitMap] = field(default_factory=dict)


@dataclass(slots=True)
class _Found:
    maps: dict[str, Source] = field(default_factory=dict)
    overlays: list[Source] = field(default_factory=list)
    destinations: list[tuple[Source, Path]] = field(default_factory=list)


def is_outbound(node: Entries) -> bool:
    """Tell whether a file of a site's folder speaks of what is sent, and not of what comes."""
    return bool({"destination", "emit"} & node.keys())


@cache
def packaged() -> Sequence[Source]:
    """Return the emit maps of the package; a fault in them is a bug."""
    problems: list[str] = []
    found = tuple(read_folder(OUT, "out", problems))
    if problems:
        raise ValueError("; ".join(problems))
    return found


@cache
def preferred() -> Mapping[str, Mapping[str, str]]:
    """Return which v2 code to send where several mean the same: by table, then FHIR code."""
    node = next(one.node["preferred"] for one in packaged() if "preferred" in one.node)
    return plain(node)  # type: ignore[return-value]  # its shape is that of our own file


def load_outbound(dirs: Sequence[Path], tables: Mapping[str, Table]) -> Outbound:
    """Read the packaged emit maps, then the destinations and maps of ``dirs``.

    Raises:
        MapError: with every fault of every file.
    """
    problems: list[str] = []
    found = _found(dirs, problems)
    emits = Emits({name: one.node for name, one in found.maps.items()}, problems)
    made = Outbound(maps=_compiled_maps(found, emits, tables, problems))
    for source, folder in found.destinations:
        settings = destination(source.node, problems, folder=folder)
        if settings.name in made.outlets:
            problems.append(f"{source.node.place}: destination {settings.name} is there twice")
        _check_tables(source.node, settings, tables, problems)
        outlet = Outlet(settings, Reverse(tables, preferred(), settings))
        own = _own_maps(found, emits, settings.name, tables, problems)
        routes = _routes(settings, {**made.maps, **own}, problems)
        made.outlets[settings.name] = Outlet(settings, outlet.reverse, routes)
    for overlay in found.overlays:
        if str(overlay.node["for"]) not in made.outlets:
            near = hint(str(overlay.node["for"]), made.outlets)
            problems.append(f"{overlay.node.places['for']}: there is no such destination{near}")
    if problems:
        raise MapError(list(dict.fromkeys(problems)))
    return made


def _found(dirs: Sequence[Path], problems: list[str]) -> _Found:
    found = _Found()
    sources = [(source, OUT) for source in packaged()]
    for folder in dirs:
        ignored: list[str] = []  # the inbound loader tells of files that cannot be read
        for source in read_folder(folder, folder.name, ignored):
            if is_outbound(source.node):
                inside = Path(source.name).relative_to(folder.name).parent
                sources.append((source, folder / inside))
    for source, folder in sources:
        if "preferred" in source.node:
            continue
        if "destination" in source.node:
            found.destinations.append((source, folder))
        elif "for" in source.node:
            found.overlays.append(source)
        else:
            found.maps[_name(source)] = source
    return found


def _name(source: Source) -> str:
    """Return what a map is called: ``emit: NAME``, a part by its file."""
    named = source.node.get("emit")
    return str(named) if isinstance(named, Text) else source.name


def _compiled_maps(
    found: _Found, emits: Emits, tables: Mapping[str, Table], problems: list[str]
) -> Mapping[str, EmitMap]:
    """Compile all maps; those of the package alone are the same as long as the tables are."""
    ours = {id(one) for one in packaged()}
    own = all(id(one) in ours for one in found.maps.values())
    state = state_of(tables)
    if own and state in _kept:
        return _kept[state]
    before = len(problems)
    made = {
        name: compiled
        for name in found.maps
        if (compiled := _compiled(emits, name, tables, problems)) is not None
    }
    if own and len(problems) == before:
        _kept.clear()  # one set of tables is in force at a time
        _kept[state] = made
    return made


def _compiled(
    emits: Emits, name: str, tables: Mapping[str, Table], problems: list[str]
) -> EmitMap | None:
    tree = emits.tree(name)
    if tree is None or "part" in tree:
        return None
    return compiled_emit(name, tree, emits, tables, problems)


def _own_maps(
    found: _Found, emits: Emits, name: str, tables: Mapping[str, Table], problems: list[str]
) -> dict[str, EmitMap]:
    """Return the maps that overlays change for one destination."""
    made: dict[str, EmitMap] = {}
    for overlay in found.overlays:
        if str(overlay.node["for"]) != name:
            continue
        tree = emits.overlaid(overlay.node)
        if tree is None:
            continue
        compiled = compiled_emit(_name(overlay), tree, emits, tables, problems)
        if compiled is not None:
            made[compiled.name] = compiled
    return made


def _routes(
    settings: Destination, maps: Mapping[str, EmitMap], problems: list[str]
) -> tuple[Route, ...]:
    made: list[Route] = []
    for wanted in settings.messages:
        map_ = maps.get(wanted.map)
        if map_ is None:
            near = hint(wanted.map, maps)
            problems.append(f"{wanted.place}: there is no emit map {wanted.map!r}{near}")
            continue
        known = {rule.send for rule in map_.events}
        problems += [
            f"{wanted.place}: {wanted.map} never sends {event}{hint(event, known)}"
            for event in sorted(wanted.events - known)
        ]
        made.append(Route(map_, wanted, _filter(wanted, map_, problems)))
    return tuple(made)


def _filter(wanted: Wanted, map_: EmitMap, problems: list[str]) -> Condition | None:
    if not wanted.when:
        return None
    named = {map_.about: map_.about} | {need.name: need.type for need in map_.needs}
    compiler = Compiler({}, problems, named)
    try:
        return condition(wanted.when, map_.about, compiler.roots, compiler.reads)
    except ConditionError as wrong:
        problems.append(f"{wanted.place}: {wrong}")
        return None


def _check_tables(
    node: Entries, settings: Destination, tables: Mapping[str, Table], problems: list[str]
) -> None:
    for name in settings.tables.keys() - tables.keys():
        place = node["tables"].place
        problems.append(f"{place}: there is no table {name!r}{hint(name, tables)}")
