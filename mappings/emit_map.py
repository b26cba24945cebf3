"""One emit map: which change is told, as which event, by which segments.

``emit(map, settings, change)`` is pure: the resources have been gathered, and what the map needs
gathered it says itself (``needs``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest

from mappings.emit_conditions import Condition
from mappings.emit_destination import Destination
from mappings.emit_paths import ElementPath
from mappings.emit_run import Change, Run, Scope, World, roots_of
from mappings.emit_segments import SegmentRule
from mappings.encode import Segment, write_segment
from mappings.encode_codes import Reverse
from mappings.parse import NULL

NOTHING = "nothing"  # ``send: nothing``: an occasion that is told to nobody


@dataclass(frozen=True, slots=True)
class Need:
    """A named resource: at ``path``, or found by searching ``type`` by ``by`` for ``of``."""

    name: str
    type: str
    path: ElementPath | None = None
    by: str = ""
    of: str = ""


@dataclass(frozen=True, slots=True)
class EventRule:
    """``send`` when the condition holds; ``shown``: only if the message then says anything new."""

    send: str
    when: Condition | None
    shown: bool


@dataclass(frozen=True, slots=True)
class EmitMap:
    """A compiled map.

    ``about``: type of the resource whose change is told.  ``triggers``: types whose change is one
    of it as well, with the search parameter by which it is found.  ``instead``: types whose own
    message, in the same commit and about the same patient, makes this one needless.  ``patient``:
    name of the resource whose order is kept.
    """

    name: str
    message: str
    about: str
    structures: Mapping[str, str]
    needs: tuple[Need, ...]
    triggers: Mapping[str, str]
    instead: frozenset[str]
    events: tuple[EventRule, ...]
    segments: tuple[SegmentRule, ...]
    older: bool
    place: str
    filters: Mapping[str, Condition] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Made:
    """A message but for its MSH.  ``type`` is ``ADT^A01``; ``notes``: what could not be said."""

    type: str
    structure: str
    segments: tuple[Segment, ...]
    notes: tuple[str, ...] = ()


def emit(
    map_: EmitMap,
    destination: Destination,
    reverse: Reverse,
    change: Change,
    *,
    events: frozenset[str] = frozenset(),
    when: Condition | None = None,
) -> Made | None:
    """Return the message that tells ``change``; ``None`` when there is nothing to tell.

    ``events``: those that the destination asks for, empty for all; ``when``: its own filter.
    """
    if change.now.about is None and change.was is not None:  # deleted: it is told as it was
        change = replace(change, now=change.was, deleted=True)
    run = _run(destination, reverse, change, change.now)
    if change.now.about is None:
        return None
    scope = Scope(run, change.now.about)
    rule = next((one for one in map_.events if one.when is None or one.when(scope)), None)
    if rule is None or rule.send == NOTHING or (events and rule.send not in events):
        return None
    run.event = rule.send
    if when is not None and not when(scope):
        return None
    segments = [made for one in map_.segments for made in one.write(scope, 0)]
    if change.was is not None and change.was.about is not None:
        before = _before(map_, run, change.was, whole=rule.shown)
        if rule.shown and _alike(before, segments):
            return None
        _deletions(map_.segments, segments, before)
    made_type = f"{map_.message}^{rule.send}"
    structure = map_.structures.get(rule.send, f"{map_.message}_{rule.send}")
    return Made(made_type, structure, tuple(segments), tuple(run.notes))


def _run(destination: Destination, reverse: Reverse, change: Change, world: World) -> Run:
    run = Run(destination, reverse, change, world)
    run.roots = roots_of(world)
    return run


def _before(map_: EmitMap, now: Run, was: World, *, whole: bool) -> list[Segment]:
    """Return the segments as they would have been for the version before.

    ``whole``: all of them, not only those in which a deletion is told.
    """
    run = _run(now.destination, now.reverse, now.change, was)
    run.event = now.event
    assert was.about is not None
    scope = Scope(run, was.about)
    rules = map_.segments if whole else [one for one in map_.segments if one.deletes]
    return [made for one in rules for made in one.write(scope, 0)]


def _alike(before: Sequence[Segment], now: Sequence[Segment]) -> bool:
    """Tell whether a receiver would see no difference, but for when and why it is told."""
    pairs = zip_longest(*([s for s in one if s.name != "EVN"] for one in (before, now)))
    return all(was is not None and is_ is not None and _same(was, is_) for was, is_ in pairs)


def _same(one: Segment, other: Segment) -> bool:
    if one.name != other.name:
        return False
    return one.fields == other.fields or write_segment(one) == write_segment(other)


def _deletions(
    rules: Sequence[SegmentRule], segments: Sequence[Segment], before: Sequence[Segment]
) -> None:
    """Say ``\"\"`` in fields that were valued before and are not any more."""
    telling = {rule.name for rule in rules if rule.deletes}
    known = {one.key: one for one in before if one.name in telling}
    for segment in segments:
        was = known.get(segment.key)
        if was is None:
            continue
        for number in was.fields.keys() - segment.fields.keys():
            segment.fields[number] = [[NULL]]
