"""How long what was said holds, by topic (C1).  ``policy/validity.yaml`` and the site's file.

Pure data; :mod:`.validity_file` reads it and tells every fault with file and line.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from server.continuity.statement import About, AuthorKind, Code

Kind = Literal["carry", "expire", "confirm-each-encounter", "never-carry", "confirm"]
"""The rules of C1; ``confirm`` is that of what the policy does not list."""

TOPICS = "https://tellonce.org/fhir/CodeSystem/topic"
"""System of the codes by which a form may name a topic: ``Questionnaire.item.code``."""

ANY = "*"
"""As the system of a code of a topic: any system, for what has no code that all share."""

_STRICTNESS: Mapping[Kind, int] = {
    "carry": 0,
    "expire": 1,
    "confirm": 2,
    "confirm-each-encounter": 2,
    "never-carry": 3,
}


@dataclass(frozen=True, slots=True)
class Holding:
    """How long it holds; ``days`` of ``expire``."""

    kind: Kind = "confirm"
    days: int = 0

    @property
    def strictness(self) -> tuple[int, int]:
        """The larger, the sooner it has to be said again."""
        return _STRICTNESS[self.kind], -self.days


@dataclass(frozen=True, slots=True)
class Class:
    """What is one of something (amoxicillin of penicillin), and the clinical reason."""

    code: Code
    members: frozenset[Code]
    why: str = ""


@dataclass(frozen=True, slots=True)
class Topic:
    """One entry of the policy.

    ``elements`` and ``codes`` are the questions that are about it, ``types`` the resources that
    tell of it, each of them one thing of many when ``many``; ``members`` are codes of single ones.
    ``only`` narrows ``elements`` (``{"system": "phone"}``) and ``category`` the resources.
    ``none`` are the codes that say there is none of it, ``partly`` those that say so of a part;
    ``kinds`` are codes and what is one of it (amoxicillin of penicillin); ``yes`` and ``no`` those
    that answer a yes-or-no question.  ``cautious``: values in the order in which they are shown,
    codes or ``present`` and ``absent``.  ``constant``: it cannot change, so a newer value does not
    replace an older one.  ``fixed``: a site cannot change its rule.  ``why``: the clinical reason.
    """

    name: str
    holding: Holding
    why: str
    elements: tuple[str, ...] = ()
    only: tuple[tuple[str, str], ...] = ()
    codes: frozenset[Code] = frozenset()
    members: frozenset[Code] = frozenset()
    types: frozenset[str] = frozenset()
    category: str = ""
    about: About = "patient"
    none: frozenset[Code] = frozenset()
    partly: frozenset[Code] = frozenset()
    kinds: tuple[Class, ...] = ()
    yes: frozenset[Code] = frozenset()
    no: frozenset[Code] = frozenset()
    cautious: tuple[Code, ...] = (("", "present"), ("", "absent"))
    many: bool = False
    constant: bool = False
    fixed: bool = False


class ValidityError(ValueError):
    """A policy that cannot be used; ``problems`` are its faults as ``file:line: sentence``."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


UNLISTED = Topic("", Holding(), "The policy does not list it, so it is confirmed.")


@dataclass(frozen=True)
class Validity:
    """The policy.  ``rank``: the order in which kinds of authors are shown, and no more (C4)."""

    topics: Mapping[str, Topic] = field(default_factory=dict)
    rank: tuple[AuthorKind, ...] = ()

    def topic(self, name: str) -> Topic:
        """Return the topic of that name; :data:`UNLISTED` for any other."""
        return self.topics.get(name, UNLISTED)

    def of_codes(self, codes: Collection[Code]) -> Topic | None:
        """Return the topic that one of the codes asks for: the strictest, if there are several."""
        known, every = self._by_code, [*codes, *((ANY, code) for _, code in codes)]
        named = [known[code] for code in every if code in known]
        return max(named, key=lambda topic: topic.holding.strictness, default=None)

    def of_member(self, codes: Collection[Code]) -> Topic | None:
        """Return the topic that one of the codes is a single thing of."""
        named = [self._by_member[code] for code in codes if code in self._by_member]
        return max(named, key=lambda topic: topic.holding.strictness, default=None)

    def kinds(self, codes: Collection[Code]) -> frozenset[Code]:
        """Return the codes of what is one of what the codes name, or one of one of them."""
        return frozenset().union(*(self._by_kind.get(code, frozenset()) for code in codes))

    def of_element(self, path: str, only: Collection[tuple[str, str]] = ()) -> Topic | None:
        """Return the topic of an element (``Patient.address.city``): the one that says most of it.

        ``only``: what the form says of the element's siblings (``("system", "phone")``).
        """
        found = [
            (len(element), len(topic.only), topic)
            for topic in self.topics.values()
            for element in topic.elements
            if (path == element or path.startswith(f"{element}.")) and set(topic.only) <= set(only)
        ]
        return max(found, key=lambda one: one[:2])[2] if found else None

    def of_type(self, type_: str) -> Topic | None:
        """Return the first topic that resources of the type are about, whatever their category."""
        return next((topic for topic in self.all_of_type(type_) if not topic.category), None)

    def all_of_type(self, type_: str) -> Sequence[Topic]:
        """Return the topics that resources of the type may be about."""
        return self._by_type.get(type_, ())

    def none(self, type_: str) -> frozenset[Code]:
        """Return the codes by which a resource of the type says that there is none of it."""
        return self._none.get(type_, frozenset())

    def place(self, kind: AuthorKind) -> int:
        """Return the rank of a kind of author; the smallest is shown first."""
        return self.rank.index(kind) if kind in self.rank else len(self.rank)

    @cached_property
    def _by_type(self) -> Mapping[str, Sequence[Topic]]:
        every = {type_ for topic in self.topics.values() for type_ in topic.types}
        return {
            type_: [topic for topic in self.topics.values() if type_ in topic.types]
            for type_ in every
        }

    @cached_property
    def _none(self) -> Mapping[str, frozenset[Code]]:
        return {
            type_: frozenset().union(*(one.none | one.partly for one in some))
            for type_, some in self._by_type.items()
        }

    @cached_property
    def _by_kind(self) -> Mapping[Code, frozenset[Code]]:
        direct: dict[Code, frozenset[Code]] = {}
        for one in (one for topic in self.topics.values() for one in topic.kinds):
            direct[one.code] = direct.get(one.code, frozenset()) | one.members
        return {code: below(code, direct) for code in direct}

    @cached_property
    def _by_member(self) -> Mapping[Code, Topic]:
        return {code: topic for topic in self.topics.values() for code in topic.members}

    @cached_property
    def _by_code(self) -> Mapping[Code, Topic]:
        made = {code: topic for topic in self.topics.values() for code in topic.codes}
        return made | {(TOPICS, name): topic for name, topic in self.topics.items()}


def below(code: Code, direct: Mapping[Code, frozenset[Code]]) -> frozenset[Code]:
    """Return what is one of something, at whatever depth; the code itself where that is a circle.

    >>> sorted(below(("", "a"), {("", "a"): frozenset({("", "b")}),
    ...                          ("", "b"): frozenset({("", "c")})}))
    [('', 'b'), ('', 'c')]
    """
    found: set[Code] = set()
    todo = [code]
    while todo:
        new = direct.get(todo.pop(), frozenset()) - found
        found |= new
        todo += new
    return frozenset(found)


def stricter(one: Topic, other: Topic) -> Topic:
    """Return the one whose answers have to be said again sooner."""
    return other if other.holding.strictness > one.holding.strictness else one


def load_validity(path: Path | None = None) -> Validity:
    """Return the policy that ships, with the site's file over it, key by key.

    Raises:
        ValidityError: it cannot be used; ``problems`` are its faults, ``file:line: sentence``.
    """
    from server.continuity.validity_file import read_validity  # it needs this module

    return read_validity(path)
