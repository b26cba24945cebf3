"""Merge what a message says into what the record holds.  Pure: no store, no clock.

The rules, element by element (docs/feeds.md has them with examples):

* empty keeps: only elements that the message touched are looked at; ``""`` deletes;
* repeats replace the list *of this feed*: items that others added stay; identifiers only grow, so
  that a resource is found by every number that it was ever found by, and so do a report's results;
* precedence: what is older than the last word on an element changes nothing;
* a feed that merely repeats itself does not undo what was changed by other means since;
* ``authoritative`` overwrites; ``merge`` fills what is empty and renews what it filled itself, but
  never touches what anybody said with authority, be it the same feed; ``never`` leaves an existing
  resource alone.  What was filled in gives way to authority, whatever their times;
* periods and backbone elements are merged by property (admission and discharge come apart);
* a result never goes back: preliminary < final < corrected; withdrawn ones always apply.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from mappings.plan import PlannedResource
from server.feeds.ownership import DEFAULTS, Ownership, Said, digest, filling, is_filling
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

# A report that is sent again with only the lines that are new does not take the others back.
_GROWING = frozenset({("DiagnosticReport", "result")})


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
    touched = {element_of(planned.type, name) for name in planned.touched}
    words = {element_of(planned.type, name): Said(at, ()) for name in _whole(planned)}
    defaults: dict[str, Said] = {}
    for element, part in parts(planned.type, resource).items():
        if element in touched:
            words[element] = Said(at, _items(part))
        else:
            defaults[element] = Said(0, _items(part))
    voices = {_voice(planned, feed): words, DEFAULTS: defaults}
    return Merged(resource, {name: said for name, said in voices.items() if said}, changed=True)


def agrees(current: Mapping[str, Any], planned: PlannedResource) -> bool:
    """Tell whether a message only fills gaps, and finds none: nothing to merge, or to remember."""
    if planned.update == "never":
        return True
    if planned.update != "merge" or planned.deletes:
        return False
    return all(name in current and current[name] == v for name, v in planned.values.items())


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
    work = _Work(planned, feed, at, edited_at, owned, parts(planned.type, current))
    touched = work.elements(planned.touched)
    said = parts(planned.type, planned.values)
    deleted = _whole(planned)
    for path in sorted(planned.deletes - deleted):  # period.end: a discharge is taken back
        work.take_back(*path.split(".", 1))
    for element, part in said.items():
        if element in deleted:
            work.renew(element)
        if element in touched:
            work.say(work.voice, element, part)
        elif element not in work.now:  # a default never overwrites
            work.say(DEFAULTS, element, part)
    for element in sorted(work.elements(deleted) - said.keys()):
        work.say(work.voice, element, {})
    return work.result(current)


class _Work:
    """One merge under way; ``voice`` is what the message itself speaks with."""

    def __init__(
        self,
        planned: PlannedResource,
        feed: str,
        at: int,
        edited_at: int,
        owned: Ownership,
        now: dict[str, Part],
    ) -> None:
        self.type, self.at = planned.type, at
        self.voice = _voice(planned, feed)
        self.edited_at, self.now = edited_at, now
        self.voices = {name: dict(voice) for name, voice in owned.items()}
        self.changes: dict[str, Part] = {}
        self.older: list[str] = []
        self.gone: set[str] = set()  # properties that were taken back with all they held
        self.renewed: set[str] = set()

    def elements(self, names: frozenset[str]) -> frozenset[str]:
        """Return the elements that property names belong to."""
        return frozenset(element_of(self.type, name) for name in names)

    def say(self, voice: str, element: str, part: Part) -> None:
        """Take one word of the message; ``{}`` deletes."""
        held = self.now.get(element, {})
        if _is_list(self.type, element):
            self._say_list(voice, element, held, part)
        else:
            self._say_single(voice, element, held, part)

    def take_back(self, element: str, name: str) -> None:
        """Take a property out of an element, unless somebody spoke of the element later."""
        held = self.now.get(element, {})
        inner = held.get(element)
        if not isinstance(inner, dict) or name not in inner:
            return
        words = self._words(element, filled=False)
        if self.at < max((said.at for said in words.values()), default=self.at):
            self.older.append(f"{element}.{name}")
            return
        left = {key: value for key, value in inner.items() if key != name}
        part: Part = {element: left} if left else {}
        self.gone |= held.keys() - part.keys()
        self.changes[element] = self.now[element] = part
        self.note(self.voice, element, (_hash(part),) if part else ())

    def renew(self, element: str) -> None:
        """Let what is said of a list now be all that this feed says of it: numbers change (A47)."""
        self.renewed.add(element)

    def note(self, voice: str, element: str, items: tuple[str, ...]) -> None:
        """Remember the word; one with authority takes over what was filled in."""
        words = self.voices.setdefault(voice, {})
        before = words.get(element)
        at = 0 if voice == DEFAULTS else self.at
        words[element] = Said(max(at, before.at) if before is not None else at, items)
        if not is_filling(voice):
            for name in [name for name in self.voices if is_filling(name)]:
                self.voices[name].pop(element, None)
                if not self.voices[name]:
                    del self.voices[name]

    def result(self, current: Resource) -> Merged:
        """Return what became of the resource."""
        warnings = tuple(f"{self.type}.{name} kept: the message is older" for name in self.older)
        if not self.changes:
            return Merged(current, self.voices, False, warnings)
        gone = {name for element in self.changes for name in self.now.get(element, {})} | self.gone
        new = {name: value for part in self.changes.values() for name, value in part.items()}
        made = {k: new.get(k, v) for k, v in current.items() if k not in gone or k in new}
        return Merged(made | new, self.voices, True, warnings)

    def _words(self, element: str, *, filled: bool) -> dict[str, Said]:
        """Return the last words on an element by voice: with authority, or filled in."""
        return {
            name: words[element]
            for name, words in self.voices.items()
            if element in words and is_filling(name) is filled
        }

    def _say_single(self, voice: str, element: str, held: Part, part: Part) -> None:
        was, named, fill = _hash(held), _hash(part), is_filling(voice)
        heard, filled = (self._words(element, filled=f) for f in (False, True))
        mine = (filled if fill else heard).get(voice)
        if fill and heard and voice != DEFAULTS:
            return
        if (
            fill
            and held
            and was not in {_left(filled[v]) for v in (voice, DEFAULTS) if v in filled}
        ):
            return
        words = [*heard.values(), *(filled.values() if fill else ())]
        older = self.at < max((said.at for said in words), default=self.at)
        by_property = bool(held and part) and _by_property(self.type, element)
        wanted = _combined(element, held, part, older=older) if by_property else part
        new = _hash(wanted)
        was_filled = bool(held) and any(was == _left(said) for said in filled.values())
        edited = not was_filled and (held or words) and all(was != _left(w) for w in words)
        if new != was and edited and mine is not None and _last_named(mine) == named:
            return  # it repeats itself
        if new != was:
            late = (older and not by_property) or (edited and self.at < self.edited_at)
        else:
            late = older and new != named  # the record has newer words on all of it
        if late:
            self.older.append(element)
            return
        if new != was:
            self.changes[element] = wanted
        elif new and not was_filled and (mine is None or _left(mine) != new):
            new = f"~{new}"
        self.note(voice, element, tuple(dict.fromkeys(h for h in (new, named) if h)))

    def _say_list(self, voice: str, element: str, held: Part, part: Part) -> None:
        present, wanted, fill = held.get(element, []), part.get(element, []), is_filling(voice)
        heard, filled = (self._words(element, filled=f) for f in (False, True))
        mine = (filled if fill else heard).get(voice, Said(-1, ()))
        own = set(mine.items)
        for name, said in filled.items():
            if not fill or name == DEFAULTS:
                own.update(said.items)
        older = self.at < mine.at
        if element in self.renewed and not older:
            pass  # it replaces what this feed said before, even where lists only grow
        elif element == "identifier" and wanted:
            if fill and any(not said.items for said in heard.values()):
                return
            foreign = [item for item in present if digest(item) not in own] if fill else []
            ours = [item for item in present if digest(item) in own]
            wanted = _known_by(ours, _others(wanted, foreign), renew=not older)
        elif (self.type, element) in _GROWING and wanted:
            named = {digest(item) for item in wanted}
            wanted = [*(i for i in present if digest(i) in own - named), *wanted]
        elif fill and ((heard and voice != DEFAULTS) or any(digest(i) not in own for i in present)):
            return
        elif older:
            self.older.append(element)
            return
        hashes = tuple(dict.fromkeys(digest(item) for item in wanted))
        if hashes == mine.named and mine.at >= 0:  # it repeats itself
            self.note(voice, element, mine.items)
            return
        said_by_others = {
            item for name, said in heard.items() if name != voice for item in said.named
        }
        rest, made = _replaced(present, wanted, own - said_by_others)
        if [digest(item) for item in made] != [digest(item) for item in present]:
            self.changes[element] = {element: made} if made else {}
        foreign_items = {digest(item) for item in rest} - said_by_others - own
        items = tuple(f"~{h}" if h in foreign_items else h for h in hashes)
        self.note(voice, element, items)


def _whole(planned: PlannedResource) -> frozenset[str]:
    """Return the deleted elements, those left out of which only a property goes."""
    return frozenset(name for name in planned.deletes if "." not in name)


def _voice(planned: PlannedResource, feed: str) -> str:
    return feed if planned.update == "authoritative" else filling(feed)


def _replaced(present: list[Any], wanted: list[Any], own: set[str]) -> tuple[list[Any], list[Any]]:
    """Return what others put into a list, and the list with our own items replaced in place."""
    keeps = [digest(item) not in own for item in present]
    rest = [item for item, keep in zip(present, keeps, strict=True) if keep]
    at = keeps.index(False) if False in keeps else len(rest)
    known = {digest(item) for item in rest}
    added = {h: item for item in wanted if (h := digest(item)) not in known}
    return rest, [*rest[:at], *added.values(), *rest[at:]]


def _others(items: list[Any], foreign: list[Any]) -> list[Any]:
    """Return the identifiers among ``items`` that are not, by system and value, ``foreign``."""
    known = {(item.get("system"), item.get("value")) for item in foreign}
    return [item for item in items if (item.get("system"), item.get("value")) not in known]


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


def _combined(element: str, held: Part, part: Part, *, older: bool) -> Part:
    """Return what two words on one element come to; an older one adds what the held one lacks."""
    first, then = (part, held) if older else (held, part)
    return {element: {**first.get(element, {}), **then.get(element, {})}}


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
