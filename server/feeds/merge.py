"""Merge what a message says into what the record holds.  Pure: no store, no clock.

The rules, slot by slot (docs/feeds.md has them with examples); what is left in the end does not
depend on the order in which messages come:

* empty keeps: only elements that the message touched are looked at; ``""`` deletes;
* repeats replace the list *of this feed*: items that others added stay; identifiers only grow, so
  that a resource is found by every number that it was ever found by, and so do a report's results;
* precedence: what is older than the last word on a slot changes nothing;
* a feed that merely repeats itself does not undo what was changed by other means since;
* ``authoritative`` overwrites; ``merge`` fills what is empty and renews what was filled in, but
  never touches what anybody said with authority, be it the same feed; ``never`` leaves an existing
  resource alone.  What was filled in gives way to authority, whatever their times;
* what is named beside others' words (a doctor, a ward: ``shared``) has no time of its own: the
  fuller of two words stays;
* periods and backbone elements are merged by property (admission and discharge come apart);
* a result never goes back (``server.feeds.results``);
* security labels only grow (``server.feeds.security_labels``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mappings.plan import PlannedResource
from server.feeds import results
from server.feeds.elements import Part, Resource, all_slots, element_of, parts, slots
from server.feeds.ownership import DEFAULTS, Ownership, filling
from server.feeds.security_labels import labelled
from server.feeds.words import Words, first_words, fuller

FUTURE_US = 5 * 60 * 1_000_000  # a message may be this much ahead of our clock


@dataclass(frozen=True, slots=True)
class Merged:
    """The resource as it should be now.  Not ``changed``: it is the very ``current``.

    ``warnings`` name elements that were kept, and why; they hold no values.
    """

    resource: Resource
    owned: Ownership
    changed: bool
    warnings: tuple[str, ...] = ()


def precedence(stated: int | None, received: int) -> tuple[int, str | None]:
    """Return the time that a message's words count from, and a warning or ``None``.

    Without a time of its own it is the time of arrival.  One that is more than five minutes ahead
    of it counts as having none to trust (0): a wrong year would freeze the record.

    >>> precedence(100, 200), precedence(None, 200)
    ((100, None), (200, None))
    """
    if stated is None:
        return received, None
    if stated > received + FUTURE_US:
        return 0, "its time is more than 5 minutes ahead and was not used"
    return max(stated, 0), None


def create(id_: str, planned: PlannedResource, feed: str, at: int) -> Merged:
    """Return the new resource that a plan asks for, all of it said by ``feed``."""
    bare = {"resourceType": planned.type, "id": id_}
    words, defaults, plain = first_words(planned, at)
    if not plain:  # an item that stands twice, or what is deleted: the long way
        made = _said(bare, 0, {}, planned, feed, at)
        return replace(made, resource=labelled(made.resource, planned.values), changed=True)
    voices = {_voice(planned, feed): words, DEFAULTS: defaults}
    owned = {name: said for name, said in voices.items() if said}
    return Merged(bare | planned.values, owned, changed=True)


def agrees(current: Mapping[str, Any], planned: PlannedResource) -> bool:
    """Tell whether nothing of a message can change an existing resource: nothing to remember.

    So it is with what every message names, a ward, a doctor; remembering who did and when would
    make all messages wait for each other.
    """
    if planned.update == "never":
        return True
    if not planned.shared or planned.deletes:
        return False
    values = planned.values.items()
    return all(
        name in current and (value == current[name] or not fuller(value, current[name]))
        for name, value in values
    )


def merge(
    current: Resource,
    edited_at: int,
    owned: Ownership,
    planned: PlannedResource,
    feed: str,
    at: int,
) -> Merged:
    """Return ``current`` with what ``planned`` says merged in.

    Args:
        edited_at: when ``current`` was stored; what no feed wrote counts from then.
        owned: what feeds said before.
        at: of :func:`precedence`.
    """
    if planned.update == "never":
        return Merged(current, owned, changed=False)
    made = _said(current, edited_at, owned, planned, feed, at)
    closed = labelled(made.resource, planned.values)
    if closed is made.resource:
        return made
    return replace(made, resource=closed, changed=True)


def _said(
    current: Resource,
    edited_at: int,
    owned: Ownership,
    planned: PlannedResource,
    feed: str,
    at: int,
) -> Merged:
    type_, status = planned.type, planned.values.get("status")
    voice = _voice(planned, feed)
    words = Words(
        type_, voice, results.ranked(type_, status, at), edited_at, owned,
        parts(type_, current), shared=planned.shared,
    )  # fmt: skip
    if (refused := words.goes_back(status)) is not None:
        return Merged(current, owned, False, (f"{type_}: {refused}",))
    touched = {element_of(type_, name) for name in planned.touched}
    whole = {element_of(type_, name) for name in planned.deletes if "." not in name}
    said = parts(type_, planned.values)
    for slot in sorted(name for name in planned.deletes if "." in name):
        words.say(voice, slot, {})  # period.end: a discharge is taken back
    for element, part in said.items():
        if element in whole:
            words.renew(element)
        if element in touched:
            for slot, inner in slots(type_, element, part):
                words.say(voice, slot, inner)
        elif element not in words.now:  # a default never overwrites
            words.say(DEFAULTS, element, part)
    for element in sorted(whole - said.keys()):
        for slot in all_slots(type_, element):
            words.say(voice, slot, {})
    return _result(current, words, type_)


def _voice(planned: PlannedResource, feed: str) -> str:
    return feed if planned.update == "authoritative" else filling(feed)


def _result(current: Resource, words: Words, type_: str) -> Merged:
    warnings = tuple(f"{type_}.{name} kept: {words.why_kept}" for name in dict.fromkeys(words.kept))
    owned = {name: voice for name, voice in words.voices.items() if voice}
    if all(words.now[element] == part for element, part in words.changed.items()):
        return Merged(current, owned, False, warnings)
    gone = {name for part in words.changed.values() for name in part}
    new_parts: Part = {n: v for element in words.changed for n, v in words.now[element].items()}
    made = {k: new_parts.get(k, v) for k, v in current.items() if k not in gone or k in new_parts}
    return Merged(made | new_parts, owned, True, warnings)
