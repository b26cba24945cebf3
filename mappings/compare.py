"""What two versions of the maps do differently: in their rules, or with one message."""

from collections.abc import Iterator
from typing import Any

from mappings.cases import differences, outcome
from mappings.language import Entries, Items, Node, plain
from mappings.maps import Maps
from mappings.parse import Message


def map_changes(before: Maps, after: Maps) -> Iterator[str]:
    """Yield how the rules for each feed and message type changed, a line each.

    A feed of ``after`` that had no map of its own is compared with the map of all feeds.
    """
    compared: dict[tuple[str, str], str] = {}
    for (feed, event), name in sorted(after.maps.items()):
        old = before.maps.get((feed, event)) or before.maps.get(("", event), "")
        compared.setdefault((old, name), f"{feed or 'every feed'}, {event}")
    for (old, name), where in compared.items():
        first = _rules(before.trees.get(old))
        found = list(differences(first, _rules(after.trees.get(name))))
        if found:
            yield f"{name} ({where}{f'; was {old}' if old != name else ''})"
            yield from (f"  {line}" for line in found)


def plan_changes(before: Maps, after: Maps, message: Message, feed: str) -> list[str]:
    """Return what ``after`` makes of a message that ``before`` makes otherwise, a line each."""
    old, new = (outcome(maps.plan(message, maps.feed(feed))) for maps in (before, after))
    return list(differences(old, new))


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
