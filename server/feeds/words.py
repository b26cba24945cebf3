"""The words of one message on one resource, said against what was said before.  Pure.

Every rule compares what is said on a slot with the last words on it, never with the order in which
they came, so that a history ends the same however it was shuffled.
"""

from typing import Any

import orjson

from mappings.plan import PlannedResource
from server.feeds import results
from server.feeds.elements import (
    Part,
    element_of,
    is_growing,
    is_list,
    item_key,
    parts,
    slots,
)
from server.feeds.ownership import DEFAULTS, Ownership, Said, digest, is_filling

_Heard = dict[str, Said]  # voice -> its last word on the slot


class Words:
    """One merge under way.

    ``voice`` is what the message speaks with, ``at`` its time with its rank.  ``now`` are the parts
    of the resource by element, ``changed`` those that are not as they were, as they were; ``kept``
    the slots on which the record has newer words.
    """

    def __init__(
        self,
        type_: str,
        voice: str,
        at: int,
        edited_at: int,
        owned: Ownership,
        now: dict[str, Part],
        *,
        shared: bool = False,
    ) -> None:
        self.type, self.voice, self.at, self.edited_at = type_, voice, at, edited_at
        self.shared = shared
        self.now = now
        self.voices = {name: dict(voice) for name, voice in owned.items()}
        self.changed: dict[str, Part] = {}
        self._places: dict[str, int] = {}  # where what was taken back stood in its list
        self.kept: list[str] = []

    def goes_back(self, status: str | None) -> str | None:
        """Return why a result must not be touched: somebody set a status that is further on.

        What feeds said decides slot by slot; this is for a status that no feed left there.
        """
        had = self.now.get("status", {}).get("status")
        if self.type not in results.RESULTS or had is None or status is None:
            return None
        left = {_left(voice["status"]) for voice in self.voices.values() if "status" in voice}
        if _hash({"status": had}) in left or results.rank(status) >= results.rank(had):
            return None
        newer = results.time_of(self.at) > self.edited_at
        if results.is_withdrawn(had) and newer:
            return None
        return f"{status} after {had} was not applied"

    @property
    def why_kept(self) -> str:
        """The reason of :attr:`kept`, in words."""
        if any(
            results.is_further(said.at, self.at)
            for v in self.voices.values()
            for said in v.values()
        ):
            return "the record holds a later status"
        return "the message is older"

    def say(self, voice: str, slot: str, part: Part) -> None:
        """Take one word of the message; ``{}`` deletes."""
        if "." in slot or not is_list(self.type, slot):
            self._say_single(voice, slot, part)
        elif is_growing(self.type, slot):
            self._say_growing(voice, slot, part.get(slot, []))
        else:
            self._say_list(voice, slot, part.get(slot, []))

    def renew(self, element: str) -> None:
        """Take back what this feed said of a list that grows: numbers change (A47)."""
        if is_growing(self.type, element):
            self._say_growing(self.voice, element, [])

    # -- one value --------------------------------------------------------------------------------

    def _say_single(self, voice: str, slot: str, part: Part) -> None:
        held = self._held(slot)
        new, fill = _hash(part), is_filling(voice)
        was = new if held == part else _hash(held)
        heard, filled = self._heard(slot)
        words = filled if fill else heard
        mine = words.get(voice)
        was_filled = bool(held) and any(was == _left(said) for said in filled.values())
        if fill and (heard or (held and not was_filled)):
            return
        older = self._loses(words, part, held)
        edited = not was_filled and bool(held or words)
        edited = edited and all(was != _left(said) for said in words.values())
        if new != was:
            if edited and mine is not None and _named(mine) == new:
                return  # it repeats itself
            if older or (edited and results.time_of(self.at) < self.edited_at):
                self._keep(slot)
                return
            self._put(slot, part)
        elif older and fill:
            return  # the later word that was filled in stays the last
        elif new and not was_filled and (mine is None or _left(mine) != new):
            new = f"~{new}"
        self._note(voice, slot, (new,) if new else ())

    # -- a list -----------------------------------------------------------------------------------

    def _say_list(self, voice: str, element: str, wanted: list[Any]) -> None:
        present, fill = self._items(element), is_filling(voice)
        heard, filled = self._heard(element)
        mine = (filled if fill else heard).get(voice)
        own = {item for said in filled.values() for item in said.items}
        if fill and (heard or any(digest(item) not in own for item in present)):
            return
        if not fill and mine is not None:
            own.update(mine.items)
        before = filled if fill else {voice: mine} if mine is not None else {}
        if self._loses(before, {element: wanted}, {element: present}):
            self._keep(element)
            return
        hashes = tuple(dict.fromkeys(digest(item) for item in wanted))
        if mine is not None and hashes == mine.named:  # it repeats itself
            self._note(voice, element, mine.items)
            return
        others = {i for name, said in heard.items() if name != voice for i in said.named}
        rest, made = _replaced(present, wanted, own - others)
        self._put_items(element, made)
        foreign = {digest(item) for item in rest} - others - own
        self._note(voice, element, tuple(f"~{h}" if h in foreign else h for h in hashes))

    # -- a list that grows ------------------------------------------------------------------------

    def _say_growing(self, voice: str, element: str, wanted: list[Any]) -> None:
        """Say each item by itself; ``""`` takes back what was said until then.

        The word on the list itself is the last taking back; the items have slots of their own.
        """
        if not wanted:
            self._take_back(voice, element)
        named: dict[str, list[Any]] = {}
        for item in wanted:
            named.setdefault(item_key(element, item), []).append(item)
        for key, items in named.items():
            self._say_item(voice, element, f"{element}#{key}", items)

    def _say_item(self, voice: str, element: str, slot: str, items: list[Any]) -> None:
        """Take the forms of one item: one number in two roles is two of them."""
        fill = is_filling(voice)
        heard, filled = self._heard(slot)
        gone = self._heard(element)[0]
        if not fill:
            gone = {voice: gone[voice]} if voice in gone else {}
        mine = (filled if fill else heard).get(voice)
        own = {i for said in filled.values() for i in said.items}
        if not fill and mine is not None:
            own.update(mine.items)
        key = slot.partition("#")[2]
        present = [item for item in self._items(element) if item_key(element, item) == key]
        if fill and (heard or any(digest(item) not in own for item in present)):
            return
        before = filled if fill else {voice: mine} if mine is not None else {}
        lost = any(results.loses(self.at, said.at) for said in gone.values() if not said.items)
        if fill and not lost:
            lost = any(self.at == said.at for said in gone.values() if not said.items)
        if lost or self._loses(before, {element: items}, {element: present}):
            return
        hashes = tuple(dict.fromkeys(digest(item) for item in items))
        if mine is not None and hashes == mine.named:  # it repeats itself
            self._note(voice, slot, mine.items)
            return
        others = {i for name, said in heard.items() if name != voice for i in said.named}
        end = self._places.get(element)
        rest, made = _replaced(self._items(element), items, own - others, end)
        if end is not None:
            self._places[element] = end + len(made) - len(rest)
        self._put_items(element, made)
        foreign = {digest(item) for item in rest} - others - own
        self._note(voice, slot, tuple(f"~{h}" if h in foreign else h for h in hashes))

    def _take_back(self, voice: str, element: str) -> None:
        """Take back the items that this feed said until now, and those that were filled in."""
        gone: set[str] = set()
        kept: set[str] = set()
        for name, words in self.voices.items():
            for slot in [slot for slot in words if slot.startswith(f"{element}#")]:
                said = words[slot]
                mine = name == voice or (is_filling(name) and not is_filling(voice))
                if mine and not results.loses(self.at, said.at):
                    gone.update(said.items)
                    del words[slot]
                else:
                    kept.update(said.named)
        items = self._items(element)
        keeps = [digest(item) not in gone - kept for item in items]
        self._places[element] = keeps.index(False) if False in keeps else len(items)
        self._put_items(element, [item for item, keep in zip(items, keeps, strict=True) if keep])
        self._note(voice, element, ())

    # -- what is held, and what is remembered -----------------------------------------------------

    def _held(self, slot: str) -> Part:
        element, _, name = slot.partition(".")
        part = self.now.get(element, {})
        if not name:
            return part
        inner = part.get(element, {})
        return {key: inner[key] for key in (name, f"_{name}") if key in inner}

    def _items(self, element: str) -> list[Any]:
        found: list[Any] = self.now.get(element, {}).get(element, [])
        return found

    def _put(self, slot: str, part: Part) -> None:
        element, _, name = slot.partition(".")
        if name:
            inner = self.now.get(element, {}).get(element, {})
            rest = {k: v for k, v in inner.items() if k not in (name, f"_{name}")} | part
            part = {element: rest} if rest else {}
        self.changed.setdefault(element, self.now.get(element, {}))
        self.now[element] = part

    def _put_items(self, element: str, items: list[Any]) -> None:
        if items != self._items(element):
            self._put(element, {element: items} if items else {})

    def _keep(self, slot: str) -> None:
        if not self.shared:
            self.kept.append(slot)

    def _heard(self, slot: str) -> tuple[_Heard, _Heard]:
        """Return the last words on a slot by voice: with authority, and filled in."""
        heard: _Heard = {}
        filled: _Heard = {}
        for name, words in self.voices.items():
            if slot in words:
                (filled if is_filling(name) else heard)[name] = words[slot]
        return heard, filled

    def _loses(self, words: _Heard, part: Part, held: Part) -> bool:
        """Whether a later word is there; of two that have no time, whether the fuller one is."""
        if self.shared and words:
            return DEFAULTS not in words and not fuller(part, held)
        return any(results.loses(self.at, said.at) for said in words.values())

    def _note(self, voice: str, slot: str, items: tuple[str, ...]) -> None:
        """Remember the word; it takes over what was filled in before."""
        words = self.voices.setdefault(voice, {})
        before = words.get(slot)
        at = 0 if voice == DEFAULTS or self.shared else self.at
        if before is not None and results.loses(at, before.at):
            at = before.at
        for name, other in self.voices.items():
            if is_filling(name):
                other.pop(slot, None)
        words[slot] = Said(at, items)


def first_words(planned: PlannedResource, at: int) -> tuple[dict[str, Said], dict[str, Said], bool]:
    """Return the words of a message on a resource that it makes, by slot, and its defaults.

    The last is false when they are not all: something is deleted, or an item stands twice.
    """
    type_ = planned.type
    time = 0 if planned.shared else results.ranked(type_, planned.values.get("status"), at)
    touched = {element_of(type_, name) for name in planned.touched}
    words: dict[str, Said] = {}
    defaults: dict[str, Said] = {}
    plain = not planned.deletes
    for element, part in parts(type_, planned.values).items():
        into, when = (words, time) if element in touched else (defaults, 0)
        if not is_list(type_, element):
            for slot, inner in slots(type_, element, part):
                into[slot] = Said(when, (digest(inner),))
            continue
        items = part.get(element, [])
        hashes = tuple(digest(item) for item in items)
        plain = plain and len(set(hashes)) == len(hashes)
        if not is_growing(type_, element):
            into[element] = Said(when, hashes)
            continue
        for item, hashed in zip(items, hashes, strict=True):
            slot = f"{element}#{item_key(element, item)}"
            before = into[slot].items if slot in into else ()
            into[slot] = Said(when, (*before, hashed))
    return words, defaults, plain


def fuller(one: Any, other: Any) -> bool:
    """Tell whether one of two values says more: the longer text, of equal ones the later in order.

    An order without time: whichever comes first, the same one stays.
    """
    texts = [orjson.dumps(v, default=str, option=orjson.OPT_SORT_KEYS) for v in (one, other)]
    return (len(texts[0]), texts[0]) > (len(texts[1]), texts[1])


def _replaced(
    present: list[Any], wanted: list[Any], own: set[str], end: int | None = None
) -> tuple[list[Any], list[Any]]:
    """Return what others put into a list, and the list with our own items replaced in place.

    ``end``: where they go when there were none of our own; ``None`` is behind the others.
    """
    keeps = [digest(item) not in own for item in present]
    rest = [item for item, keep in zip(present, keeps, strict=True) if keep]
    at = keeps.index(False) if False in keeps else len(rest) if end is None else end
    known = {digest(item) for item in rest}
    added = {h: item for item in wanted if (h := digest(item)) not in known}
    return rest, [*rest[:at], *added.values(), *rest[at:]]


def _hash(part: Part) -> str:
    return digest(part) if part else ""


def _left(said: Said) -> str:
    return said.items[0] if said.items else ""


def _named(said: Said) -> str:
    return said.named[0] if said.items else ""
