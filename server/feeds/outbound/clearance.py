"""What a destination is cleared for: resources with labels above that are not told to it.  Pure.

A message is withheld whole when what it tells, or its patient, is above; of anything else that is,
the message says nothing.  Where the version before was above, the destination never heard of it,
so what is told then is new.  A label that cannot be read counts as the highest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mappings.emit_destination import Destination
from mappings.emit_run import Change, World
from server.search.marks import CONFIDENTIALITY, LEVELS, labels

Resource = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Cleared:
    """What may be told.

    ``change`` is without what is above; ``withheld`` are the codes for which nothing may be told;
    ``notes`` name what was left out, by type and code.
    """

    change: Change
    withheld: tuple[str, ...]
    notes: tuple[str, ...]


def cleared(change: Change, to: Destination) -> Cleared:
    """Return what of ``change`` the destination may be told."""
    told = change.now if change.now.about is not None else change.was or change.now
    withheld = sorted({code for one in _subjects(told) for code in above(one, to)})
    now, left_out = _without(change.now, to)
    was = change.was
    if was is not None:
        was = None if _is_above(was, to) else _without(was, to)[0]
    older = change.older if change.older is None or not above(change.older, to) else None
    return Cleared(
        replace(change, now=now, was=was, older=older),
        tuple(withheld),
        tuple(sorted({f"WITHHELD {type_} {code}" for type_, code in left_out})),
    )


def above(resource: Resource, to: Destination) -> tuple[str, ...]:
    """Return the codes of the labels that the destination is not cleared for.

    Every label of v3-ActCode that the destination does not name is one: which of them are
    sensitive is a site's to say, and a mistake there must close rather than open.
    """
    if not resource.get("meta", {}).get("security"):
        return ()
    highest = LEVELS.index(to.clearance)
    found = []
    for label in labels(dict(resource)):
        system, _, code = label.partition("|")
        if system == CONFIDENTIALITY and code in LEVELS:
            kept_back = LEVELS.index(code) > highest
        else:
            kept_back = system != CONFIDENTIALITY and code not in to.sensitivities
        if kept_back:
            found.append(code)
    return tuple(found)


def _subjects(world: World) -> Sequence[Resource]:
    about = [world.about] if world.about is not None else []
    return [*about, *world.roots.get("Patient", ())]


def _is_above(world: World, to: Destination) -> bool:
    return any(above(one, to) for one in _subjects(world))


def _without(world: World, to: Destination) -> tuple[World, set[tuple[str, str]]]:
    """Return a world without what is above, and the types and codes of that."""
    gone: set[tuple[str, str]] = set()

    def may(resource: Resource) -> bool:
        codes = above(resource, to)
        gone.update((str(resource["resourceType"]), code) for code in codes)
        return not codes

    roots = {name: [one for one in found if may(one)] for name, found in world.roots.items()}
    others = {key: one for key, one in world.others.items() if may(one)}
    return replace(world, roots=roots, others=others), gone
