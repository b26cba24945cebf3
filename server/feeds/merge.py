"""Merge what a message says into what the record holds.  Pure: no store, no clock.

The rules, element by element (docs/feeds.md has them with examples):

* empty keeps: only elements that the message touched are looked at; ``""`` deletes;
* repeats replace the list *of this feed*: items that others added stay; identifiers only grow, so
  that a resource is found by every number that it was ever found by;
* precedence: what is older than the last word on an element changes nothing;
* a feed that merely repeats itself does not undo what was changed by other means since;
* ``authoritative`` overwrites, ``merge`` fills what is empty and renews what it filled itself,
  ``never`` leaves an existing resource alone;
* periods and backbone elements are merged by property (admission and discharge come apart);
* a result never goes back: preliminary < final < corrected; withdrawn ones always apply.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from mappings.plan import PlannedResource
from server.feeds.ownership import Ownership, Said, digest
from server.fhir import definitions

Resource = dict[str, Any]
Part = dict[str, Any]  # the JSON properties of one element: {"birthDate": ..., "_birthDate": ...}

FUTURE_US = 5 * 60 * 1_000_000  # a message may be this much ahead of our clock

_RESULTS = ("Observation", "DiagnosticReport")
_RANK = {
    "registered": 0,
    "unknown": 0,
    "preliminary": 1,
    "partial": 1,
    "final": 2,
    "amended": 3,
    "appended": 3,
    "corrected": 3,
}
_WITHDRAWN = ("cancelled", "entered-in-error")  # OBX-11 X, D, W: always apply
_NEVER_MERGED = ("resourceType", "id", "meta")


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
    return stated, None


def create(id_: str, planned: PlannedResource, feed: str, at: int) -> Merged:
    """Return the new resource that a plan asks for, all of it said by ``feed``."""
    resource = {"resourceType": planned.type, "id": id_, **planned.values}
    voice = {element_of(planned.type, name): Said(at, ()) for name in planned.deletes}
    for element, part in parts(planned.type, resource).items():
        voice[element] = Said(at, _items(part))
    return Merged(resource, {feed: voice}, changed=True)


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
    refused, at = _by_status(current, owned, planned, at)
    if refused:
        return Merged(current, owned, False, (f"{planned.type}: {refused}",))
    work = _Work(planned.type, feed, at, edited_at, owned, parts(planned.type, current))
    touched = work.elements(planned.touched)
    said = parts(planned.type, planned.values)
    for element, part in said.items():
        if element in touched or element not in work.now:  # a default never overwrites
            work.say(element, part, fill=planned.update == "merge")
    for element in sorted(work.elements(planned.deletes) - said.keys()):
        work.say(element, {}, fill=planned.update == "merge")
    return work.result(current)


@dataclass(slots=True)
class _Work:
    """One merge under way."""

    type: str
    feed: str
    at: int
    edited_at: int
    owned: Ownership
    now: dict[str, Part]
    changes: dict[str, Part] = field(default_factory=dict)
    voice: dict[str, Said] = field(default_factory=dict)
    older: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.voice = dict(self.owned.get(self.feed, {}))

    def elements(self, names: frozenset[str]) -> frozenset[str]:
        """Return the elements that property names belong to."""
        return frozenset(element_of(self.type, name) for name in names)

    def say(self, element: str, part: Part, *, fill: bool) -> None:
        """Take one word of the message; ``{}`` deletes."""
        held = self.now.get(element, {})
        if _is_list(self.type, element):
            self._say_list(element, held, part, fill)
        else:
            self._say_single(element, held, part, fill)

    def result(self, current: Resource) -> Merged:
        """Return what became of the resource."""
        warnings = tuple(f"{self.type}.{name} kept: the message is older" for name in self.older)
        owned = {**self.owned, self.feed: self.voice}
        if not self.changes:
            return Merged(current, owned, False, warnings)
        gone = {name for element in self.changes for name in self.now.get(element, {})}
        new = {name: value for part in self.changes.values() for name, value in part.items()}
        made = {k: new.get(k, v) for k, v in current.items() if k not in gone or k in new}
        return Merged(made | new, owned, True, warnings)

    def _say_single(self, element: str, held: Part, part: Part, fill: bool) -> None:
        wanted = _combined(self.type, element, held, part)
        was, new, named = _hash(held), _hash(wanted), _hash(part)
        words = [voice[element] for voice in self.owned.values() if element in voice]
        mine = self.voice.get(element)
        last = max((said.at for said in words), default=None)
        if new != was:
            if fill and held and (mine is None or _left(mine) != was):
                return
            if last is not None and self.at < last:
                self.older.append(element)
                return
            if (held or words) and all(was != _left(said) for said in words):  # edited since
                if mine is not None and _last_named(mine) == named:
                    return
                if self.at < self.edited_at:
                    self.older.append(element)
                    return
            self.changes[element] = wanted
        elif new and (mine is None or _left(mine) != new):
            new = f"~{new}"
        self._note(element, tuple(dict.fromkeys(h for h in (new, named) if h)))

    def _say_list(self, element: str, held: Part, part: Part, fill: bool) -> None:
        present, wanted = held.get(element, []), part.get(element, [])
        mine = self.voice.get(element, Said(-1, ()))
        older = self.at < mine.at
        if element == "identifier" and wanted:
            own = [item for item in present if digest(item) in mine.items]
            wanted = _known_by(own, wanted, renew=not older)
        elif older:
            self.older.append(element)
            return
        hashes = tuple(dict.fromkeys(digest(item) for item in wanted))
        if hashes == mine.named and mine.at >= 0:  # it repeats itself
            self._note(element, mine.items)
            return
        if fill and any(digest(item) not in mine.items for item in present):
            return
        said_by_others = {
            item
            for feed, voice in self.owned.items()
            if feed != self.feed and element in voice
            for item in voice[element].named
        }
        rest, made = _replaced(present, wanted, set(mine.items) - said_by_others)
        if [digest(item) for item in made] != [digest(item) for item in present]:
            self.changes[element] = {element: made} if made else {}
        foreign = {digest(item) for item in rest} - said_by_others - set(mine.items)
        self._note(element, tuple(f"~{h}" if h in foreign else h for h in hashes))

    def _note(self, element: str, items: tuple[str, ...]) -> None:
        before = self.voice.get(element)
        at = max(self.at, before.at) if before is not None else self.at
        self.voice[element] = Said(at, items)


def _replaced(present: list[Any], wanted: list[Any], own: set[str]) -> tuple[list[Any], list[Any]]:
    """Return what others put into a list, and the list with our own items replaced in place."""
    keeps = [digest(item) not in own for item in present]
    rest = [item for item, keep in zip(present, keeps, strict=True) if keep]
    at = keeps.index(False) if False in keeps else len(rest)
    known = {digest(item) for item in rest}
    added = {h: item for item in wanted if (h := digest(item)) not in known}
    return rest, [*rest[:at], *added.values(), *rest[at:]]


def _known_by(own: list[Any], wanted: list[Any], *, renew: bool) -> list[Any]:
    """Return the identifiers of this feed: those it named before and those it names now.

    A resource must be found by every number that it was ever found by; numbers are taken away by
    ``""`` and by messages made for it (A47), never by being left out.
    """
    named: dict[tuple[Any, Any], list[Any]] = {}
    for item in own:
        named.setdefault((item.get("system"), item.get("value")), []).append(item)
    again: dict[tuple[Any, Any], list[Any]] = {}
    for item in wanted:
        again.setdefault((item.get("system"), item.get("value")), []).append(item)
    made = named | again if renew else again | named
    return [item for key in named | again for item in made[key]]


def _by_status(
    current: Resource, owned: Ownership, planned: PlannedResource, at: int
) -> tuple[str | None, int]:
    """Return why a result must not be touched (or ``None``), and the time its words count from.

    A higher status wins whatever its time; after a withdrawal only a correction, or what is
    certainly newer, brings a result back.
    """
    had, new = current.get("status"), planned.values.get("status")
    if planned.type not in _RESULTS or new is None or had is None:
        return None, at
    last = max((said.at for voice in owned.values() for said in voice.values()), default=0)
    if new in _WITHDRAWN:
        return None, max(at, last)
    if had in _WITHDRAWN:
        back = _RANK.get(new, 0) == _RANK["corrected"] or at > last
        return (None, at) if back else (f"{new} after {had} was not applied", at)
    if _RANK.get(new, 0) < _RANK.get(had, 0):
        return f"{new} after {had} was not applied", at
    return None, max(at, last) if _RANK.get(new, 0) > _RANK.get(had, 0) else at


def parts(type_: str, resource: Mapping[str, Any]) -> dict[str, Part]:
    """Return the properties of a resource by element; the forms of a choice are one element.

    >>> parts("Patient", {"birthDate": "1970", "_birthDate": {}, "deceasedBoolean": True})
    {'birthDate': {'birthDate': '1970', '_birthDate': {}}, 'deceased[x]': {'deceasedBoolean': True}}
    """
    made: dict[str, Part] = {}
    for name, value in resource.items():
        if name not in _NEVER_MERGED:
            made.setdefault(element_of(type_, name), {})[name] = value
    return made


@cache
def element_of(type_: str, name: str) -> str:
    """Return the element that a property belongs to.

    >>> element_of("Observation", "valueQuantity"), element_of("Observation", "value")
    ('value[x]', 'value[x]')
    """
    bare = name.removeprefix("_").removesuffix("[x]")
    children = definitions.children(type_)
    child = children.get(bare)
    if child is None:
        is_choice = any(other.choice == bare for other in children.values())
        return f"{bare}[x]" if is_choice else bare
    return f"{child.choice}[x]" if child.choice else bare


@cache
def _is_list(type_: str, element: str) -> bool:
    child = definitions.children(type_).get(element)
    return child is not None and child.max != 1


@cache
def _by_property(type_: str, element: str) -> bool:
    child = definitions.children(type_).get(element)
    return child is not None and child.types in (("Period",), ("BackboneElement",))


def _combined(type_: str, element: str, held: Part, part: Part) -> Part:
    if not (part and held and _by_property(type_, element)):
        return part
    return {element: {**held.get(element, {}), **part.get(element, {})}}


def _items(part: Part) -> tuple[str, ...]:
    value = next(iter(part.values()))
    if len(part) == 1 and isinstance(value, list):
        return tuple(dict.fromkeys(digest(item) for item in value))
    return (_hash(part),)


def _hash(part: Part) -> str:
    return digest(part) if part else ""


def _left(said: Said) -> str:
    return said.items[0] if said.items else ""


def _last_named(said: Said) -> str:
    return said.named[-1] if said.items else ""
