"""What two versions of the maps do differently: in their rules, tables and feeds, or with one
message."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from mappings.cases import differences, outcome
from mappings.feed import Feed
from mappings.language import Entries, Items, Node, plain
from mappings.maps import Maps
from mappings.parse import Message
from mappings.tables import Table, Target


def map_changes(before: Maps, after: Maps) -> Iterator[str]:
    """Yield how the rules for each feed and message type changed, a line each.

    A feed of ``after`` that had no map of its own is compared with the map of all feeds, a message
    type that had none at all with the map that its own extends.
    """
    yield from _tables(before, after)
    yield from _feeds(before, after)
    compared: dict[tuple[str, str], str] = {}
    for (feed, event), name in sorted(after.maps.items()):
        old = before.maps.get((feed, event)) or before.maps.get(("", event), "")
        said = f"; was {old}" if old != name else ""
        if not old:
            old = next((one for one in after.extends(name) if one in before.trees), "")
            said = f"; new, extends {old}" if old else "; new"
        compared.setdefault((old, name), f"{feed or 'every feed'}, {event}{said}")
    for (old, name), where in compared.items():
        first = _rules(before.trees.get(old))
        found = list(differences(first, _rules(after.trees.get(name))))
        if found:
            yield f"{name} ({where})"
            yield from (f"  {line}" for line in found)


def plan_changes(before: Maps, after: Maps, message: Message, feed: str) -> list[str]:
    """Return what ``after`` makes of a message that ``before`` makes otherwise, a line each."""
    old, new = (outcome(maps.plan(message, maps.feed(feed))) for maps in (before, after))
    return list(differences(old, new))


def _tables(before: Maps, after: Maps) -> Iterator[str]:
    for name in sorted({*before.tables, *after.tables}):
        old, new = (_rows(maps.tables.get(name)) for maps in (before, after))
        if found := list(differences(old, new)):
            yield f"table {name}"
            yield from (f"  {line}" for line in found)


def _rows(table: Table | None) -> dict[str, Any]:
    if table is None:
        return {}
    rows = {code: _target(row) for code, row in table.codes.items()}
    return {"source": table.source, "system": table.system, "codes": rows}


def _target(row: Target) -> str:
    shown = f" {row.display}" if row.display else ""
    return f"{row.system}|{row.code}{shown}" if row.system else f"{row.code}{shown}"


def _feeds(before: Maps, after: Maps) -> Iterator[str]:
    for name in sorted({*before.feeds, *after.feeds}):
        old, new = (_settings(maps.feed(name)) for maps in (before, after))
        gone = "" if name in after.feeds else ": no longer described"
        added = "" if name in before.feeds else ": not described before"
        found = list(differences(old, new))
        if found or gone or added:
            yield f"feed {name}{gone}{added}"
            yield from (f"  {line}" for line in found)


def _settings(feed: Feed) -> dict[str, Any]:
    stated = {one.name: getattr(feed, one.name) for one in fields(feed)}
    return {
        name: dict(value) if isinstance(value, Mapping) else str(value)
        for name, value in stated.items()
    }


def _rules(tree: Entries | None) -> dict[str, Any]:
    """Return the rules of a map by what they make, ``RelatedPerson@GT1``."""
    made: dict[str, Any] = {}
    found: Node = tree.get("resources", Items()) if tree is not None else Items()
    for rule in found if isinstance(found, Items) else ():
        if isinstance(rule, Entries):
            name = f"{rule.get('make')}@{rule.get('each', rule.get('from', ''))}"
            while name in made:
                name += "'"
            made[name] = plain(rule)
    return made
