"""``policy/validity.yaml`` and the site's file -> :class:`~server.continuity.validity.Validity`.

Every fault is told with its file and line, all at once; a policy with a fault is none.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, get_args

from mappings.language import Entries, Items, Node, Text, Unreadable, read
from mappings.spelling import hint
from server.continuity.statement import About, AuthorKind, Code
from server.continuity.validity import (
    ANY,
    TOPICS,
    Class,
    Holding,
    Topic,
    Validity,
    ValidityError,
    below,
)
from server.fhir import definitions

PACKAGED: Final = Path(__file__).parent / "policy" / "validity.yaml"

_RULES: Final = ("carry", "expire", "confirm-each-encounter", "never-carry", "confirm")
_EXPIRE: Final = re.compile(r"expire P([1-9][0-9]{0,4})D", re.ASCII)
_SHORTEST_WHY: Final = 20  # characters; a reason is a sentence


def read_validity(path: Path | None) -> Validity:
    """Return the policy; see :func:`server.continuity.validity.load_validity`."""
    if path is None:
        return _packaged()
    try:
        site = read(path, path.name)
    except (Unreadable, OSError) as error:
        raise ValidityError([str(error)]) from error
    shipped = read(PACKAGED, PACKAGED.name)
    assert isinstance(shipped, Entries)
    reading = _Reading()
    if not isinstance(site, Entries):
        raise ValidityError([f"{site.place}: names and their values are expected"])
    reading.keep_fixed(shipped, site)
    return reading.validity(_over(shipped, site))


@cache
def _packaged() -> Validity:
    return _Reading().validity(read(PACKAGED, PACKAGED.name))


def _over(under: Entries, over: Entries) -> Entries:
    """Return both, merged key by key; what is no mapping replaces."""
    made = Entries(under)
    made.place, made.places = over.place, {**under.places, **over.places}
    for key, said in over.items():
        had = under.get(key)
        both = isinstance(had, Entries) and isinstance(said, Entries)
        made[key] = _over(had, said) if both else said  # type: ignore[arg-type] # both are
    return made


class _Reading:
    """One reading of a file; ``problems`` are gathered until its end."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._systems: dict[str, str] = {ANY: ANY, "": "", "tellonce": TOPICS}

    def validity(self, said: Node) -> Validity:
        """Return the policy; raises :class:`ValidityError` when it has faults."""
        node = self._mapping(said, ("systems", "rank", "topics"))
        for alias, system in self._mapping(node.get("systems")).items():
            self._systems[alias] = self._text(system)
        rank = self._rank(node.get("rank"), said)
        listed = self._mapping(node.get("topics"))
        topics = {name: self._topic(name, listed, part) for name, part in listed.items()}
        self._code_once(topics, listed)
        self._sound_kinds(topics, listed)
        if self.problems:
            raise ValidityError(self.problems)
        return Validity(topics, rank)

    def keep_fixed(self, shipped: Entries, site: Entries) -> None:
        """Tell of rules that a site changes although they are fixed."""
        own, over = shipped.get("topics"), site.get("topics")
        if not (isinstance(own, Entries) and isinstance(over, Entries)):
            return
        for name, said in over.items():
            had = own.get(name)
            if isinstance(had, Entries) and "fixed" in had and isinstance(said, Entries):
                for key in ("rule", "fixed", "codes"):
                    if key in said:
                        told = f"{key!r} of {name} is fixed: {had['why']}"
                        self.problems.append(f"{said.places[key]}: {told}")

    def _topic(self, name: str, listed: Entries, said: Node) -> Topic:
        readers: Mapping[str, Callable[[Node], Any]] = {
            "rule": self._holding,
            "why": self._why,
            "elements": lambda node: tuple(self._element(item) for item in self._items(node)),
            "only": self._only,
            "codes": self._codes,
            "members": self._codes,
            "types": self._types,
            "category": self._text,
            "about": lambda node: self._one_of(node, get_args(About)),
            "none": self._codes,
            "partly": self._codes,
            "kinds": self._kinds,
            "yes": self._codes,
            "no": self._codes,
            "cautious": lambda node: tuple(self._code(item) for item in self._items(node)),
            "many": self._yes,
            "constant": self._yes,
            "fixed": self._yes,
        }
        node = self._mapping(said, tuple(readers))
        for needed in ("rule", "why"):
            if needed not in node:
                self._fault(listed.places[name], f"there is no key {needed!r}, which is needed")
        made = {key: readers[key](part) for key, part in node.items() if key in readers}
        made["holding"] = made.pop("rule", Holding())
        made.setdefault("why", "")
        return Topic(name=name, **made)

    def _code_once(self, topics: Mapping[str, Topic], listed: Entries) -> None:
        seen: dict[Code, str] = {}
        for name, topic in topics.items():
            for code in sorted(topic.codes):
                if (other := seen.setdefault(code, name)) != name:
                    told = f"{code[0]}|{code[1]} of {name} is that of {other}, too"
                    self._fault(listed.places[name], told)

    def _rank(self, said: Node | None, whole: Node) -> tuple[AuthorKind, ...]:
        kinds = get_args(AuthorKind)
        if said is None:
            self._fault(whole.place, "there is no key 'rank', which is needed")
            return ()
        found = tuple(self._one_of(item, kinds) for item in self._items(said))
        if sorted(found) != sorted(kinds):
            self._fault(said.place, f"the rank names each once of {', '.join(kinds)}")
        return found

    def _holding(self, said: Node) -> Holding:
        text = self._text(said)
        if found := _EXPIRE.fullmatch(text):
            return Holding("expire", int(found[1]))
        if text in _RULES and text != "expire":
            return Holding(text)  # type: ignore[arg-type] # it is one of the literals
        known = ", ".join((*(rule for rule in _RULES if rule != "expire"), "expire P90D"))
        self._fault(said.place, f"{text!r} is no rule; there are {known}{hint(text, _RULES)}")
        return Holding()

    def _why(self, said: Node) -> str:
        text = self._text(said)
        if len(text) < _SHORTEST_WHY:
            self._fault(said.place, "the clinical reason is a sentence")
        return text

    def _element(self, said: Node) -> str:
        text = self._text(said)
        type_, *rest = text.split(".")
        if type_ not in definitions.resource_types():
            self._fault(said.place, f"{text!r} begins with no resource type")
            return text
        here = type_
        for name in rest:
            children = definitions.children(here)
            child = children.get(name) or next(
                (one for one in children.values() if one.choice == name), None
            )
            if child is None:
                self._fault(said.place, f"{here} has no element {name!r}{hint(name, children)}")
                break
            here = child.content or child.types[0]
        return text

    def _only(self, said: Node) -> tuple[tuple[str, str], ...]:
        return tuple((key, self._text(value)) for key, value in self._mapping(said).items())

    def _types(self, said: Node) -> frozenset[str]:
        every = definitions.resource_types()
        found = [(item, self._text(item)) for item in self._items(said)]
        for item, text in found:
            if text not in every:
                self._fault(item.place, f"{text!r} is not a resource type{hint(text, every)}")
        return frozenset(text for _, text in found)

    def _codes(self, said: Node) -> frozenset[Code]:
        return frozenset(self._code(item) for item in self._items(said))

    def _kinds(self, said: Node) -> tuple[Class, ...]:
        node = self._mapping(said)
        return tuple(
            self._class(self._coded(key, node.places[key]), some) for key, some in node.items()
        )

    def _class(self, code: Code, said: Node) -> Class:
        """Read what is one of a code: a list, or ``are`` with ``why``."""
        if not isinstance(said, Entries):
            return Class(code, self._codes(said))
        node = self._mapping(said, ("are", "why"))
        if "are" not in node:
            self._fault(said.place, "there is no key 'are', which is needed")
            return Class(code, frozenset())
        why = self._why(node["why"]) if "why" in node else ""
        return Class(code, self._codes(node["are"]), why)

    def _sound_kinds(self, topics: Mapping[str, Topic], listed: Entries) -> None:
        """Tell of kinds by which an absence, or anything, would become something else."""
        every = [(name, one) for name, topic in topics.items() for one in topic.kinds]
        direct: dict[Code, frozenset[Code]] = {}
        for _, one in every:
            direct[one.code] = direct.get(one.code, frozenset()) | one.members
        absent = {
            code for topic in topics.values() for code in topic.none | topic.partly | topic.no
        }
        for name, one in every:
            place = _place(listed[name])
            told = f"{one.code[0]}|{one.code[1]}"
            if one.code in below(one.code, direct):
                self._fault(place, f"{told} is one of itself, through its kinds")
            for code in sorted((one.members | {one.code}) & absent):
                self._fault(place, f"{code[0]}|{code[1]} says that there is none: it is no kind")

    def _code(self, said: Node) -> Code:
        return self._coded(self._text(said), said.place)

    def _coded(self, text: str, place: str) -> Code:
        alias, bar, code = text.partition("|")
        if not bar and text in ("present", "absent"):
            return "", text
        if not bar or not code:
            self._fault(place, f"{text!r} is not system|code")
        elif alias not in self._systems:
            told = f"{alias!r} is not among `systems`{hint(alias, self._systems)}"
            self._fault(place, told)
        return self._systems.get(alias, alias), code

    # -- nodes --------------------------------------------------------------------------------

    def _mapping(self, said: Node | None, known: Sequence[str] | None = None) -> Entries:
        if isinstance(said, Entries):
            for key in said.keys() - set(said.keys() if known is None else known):
                told = f"there is no key {key!r} here{hint(key, known or ())}"
                self._fault(said.places[key], told)
            return said
        if said is not None:
            self._fault(said.place, "names and their values are expected")
        return Entries()

    def _items(self, said: Node) -> Sequence[Node]:
        if isinstance(said, Items):
            return said
        self._fault(said.place, "a list is expected")
        return ()

    def _text(self, said: Node) -> str:
        if isinstance(said, Text) and said:
            return str(said)
        self._fault(said.place, "one value is expected")
        return ""

    def _one_of(self, said: Node, options: Sequence[str]) -> Any:
        text = self._text(said)
        if text not in options:
            told = f"{text!r} is none of {', '.join(options)}{hint(text, options)}"
            self._fault(said.place, told)
        return text

    def _yes(self, said: Node) -> bool:
        return bool(self._one_of(said, ("yes", "no")) == "yes")

    def _fault(self, place: str, told: str) -> None:
        self.problems.append(f"{place}: {told}")


def _place(topic: Node) -> str:
    """Return where the kinds of a topic stand."""
    if isinstance(topic, Entries) and "kinds" in topic:
        return topic.places["kinds"]
    return topic.place
