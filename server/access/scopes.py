"""SMART scopes: what they say, and how they compare.  SMART App Launch 2.2.0,
scopes-and-launch-context.html.

Version 2 (``patient/Observation.rs?category=laboratory``) and version 1 (``patient/*.read``) are
one algebra; what was asked in one syntax is answered in it.  What is not understood is dropped,
never granted: an unknown type, an interaction that is undefined or out of order.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal, cast
from urllib.parse import quote, unquote

from server.access.context import Interaction
from server.fhir import definitions

Level = Literal["patient", "user", "system"]
Pair = tuple[str, str]

LETTERS = "cruds"
INTERACTIONS: dict[str, Interaction] = {
    "c": "create",
    "r": "read",
    "u": "update",
    "d": "delete",
    "s": "search",
}

V1 = {"read": "rs", "write": "cud", "*": "cruds"}  # #scopes-for-requesting-fhir-resources
_V1_OF = {letters: word for word, letters in V1.items()}

IDENTITY = frozenset(("openid", "fhirUser", "profile"))
REFRESH = frozenset(("offline_access", "online_access"))
INTROSPECT = "introspect"

MAX_LENGTH = 8_192  # characters of a scope parameter
MAX_SCOPES = 200

_RESOURCE = re.compile(r"(patient|user|system)/([A-Za-z]+|\*)\.([a-z]+|\*)(?:\?(.*))?", re.ASCII)
_LAUNCH = re.compile(r"launch(?:/([a-z]+)(?:\?role=[^\s\"\\]*)?)?", re.ASCII)
_ADMIN = re.compile(r"admin/[a-z][a-z-]*", re.ASCII)
_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749, 3.3
_SAFE = "/:|,.$!*()@;~=<>"  # of a rendered value; the rest is percent-encoded

# In these a comma does not separate alternatives.
_NO_LISTS = frozenset(("_filter", "_text", "_content", "_list", "_query"))


class BeyondGrant(ValueError):
    """More was asked for than was granted; the text names it.  RFC 6749, 6: ``invalid_scope``."""


@dataclass(frozen=True, slots=True)
class Scope:
    """One scope for FHIR resources.

    ``type``: a resource type or ``*``.  ``letters``: some of ``cruds``, in that order.  ``query``:
    conditions that must all hold, decoded, in a canonical form.  ``v1``: asked in that syntax.
    Two scopes are equal when they mean the same.
    """

    level: Level
    type: str
    letters: str
    query: tuple[Pair, ...] = ()
    v1: bool = field(default=False, compare=False)
    asked: str | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return self.text

    @property
    def text(self) -> str:
        """The scope as asked, or as it is written in the syntax that it was asked in."""
        if self.asked is not None:
            return self.asked
        words = _V1_OF.get(self.letters) if self.v1 and not self.query else None
        pairs = "&".join(f"{quote(n, safe=_SAFE)}={quote(v, safe=_SAFE)}" for n, v in self.query)
        return f"{self.level}/{self.type}.{words or self.letters}{'?' if pairs else ''}{pairs}"

    @property
    def interactions(self) -> frozenset[Interaction]:
        """What it allows, by the names that permits use."""
        return frozenset(INTERACTIONS[letter] for letter in self.letters)

    def covers(self, other: "Scope") -> bool:
        """Tell whether this scope alone allows all that ``other`` does."""
        return set(other.letters) <= set(self.letters) and self._includes(other)

    def meet(self, other: "Scope") -> "Scope | None":
        """Return what both allow, in this one's syntax; ``None`` when that is nothing."""
        letters = "".join(letter for letter in self.letters if letter in other.letters)
        types = {self.type, other.type} - {"*"} or {"*"}
        if self.level != other.level or not letters or len(types) > 1:
            return None
        (type_,) = types
        query = canonical((*self.query, *other.query))
        if (type_, letters, query) == (self.type, self.letters, self.query):
            return self
        return replace(self, type=type_, letters=letters, query=query, asked=None)

    def with_letters(self, letters: Iterable[str]) -> "Scope":
        """Return the scope for some of ``cruds``, which must not be none."""
        wanted = "".join(letter for letter in LETTERS if letter in set(letters))
        return self if wanted == self.letters else replace(self, letters=wanted, asked=None)

    def _includes(self, other: "Scope") -> bool:
        return (
            self.level == other.level
            and self.type in ("*", other.type)
            and all(any(_implies(had, asked) for had in other.query) for asked in self.query)
        )


@dataclass(frozen=True, slots=True)
class Scopes:
    """What a ``scope`` parameter says, in its order.

    ``dropped``: what was not understood, as it was sent.
    """

    of: tuple[Scope | str, ...] = ()
    dropped: tuple[str, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        return self.text

    def __contains__(self, other: object) -> bool:
        return other in self.of

    @property
    def text(self) -> str:
        """The value of a ``scope`` parameter or member."""
        return " ".join(map(str, self.of))

    @property
    def resources(self) -> tuple[Scope, ...]:
        """The scopes for FHIR resources."""
        return tuple(one for one in self.of if isinstance(one, Scope))

    @property
    def others(self) -> tuple[str, ...]:
        """Launch context, identity, refresh, administration."""
        return tuple(one for one in self.of if isinstance(one, str))

    @property
    def levels(self) -> frozenset[Level]:
        """The levels of the scopes for FHIR resources."""
        return frozenset(one.level for one in self.resources)

    @property
    def needs_patient(self) -> bool:
        """True when a patient must be put in context.

        Also without ``launch/patient``: real apps leave it out (#apps-that-launch-from-the-ehr).
        """
        return "patient" in self.levels or any(_plain(o) == "launch/patient" for o in self.others)

    def only(self, level: Level) -> tuple[Scope, ...]:
        """Return the scopes for FHIR resources of one level."""
        return tuple(one for one in self.resources if one.level == level)

    def covers(self, other: "Scopes") -> bool:
        """Tell whether these allow all that ``other`` does."""
        return not beyond(other, self)


def parse(text: str) -> Scopes:
    """Return what a ``scope`` parameter says; never raises, repeats are left out.

    >>> parse("launch/patient patient/Observation.read patient/Observation.sr").text
    'launch/patient patient/Observation.read'
    >>> parse("patient/Observation.sr").dropped
    ('patient/Observation.sr',)
    """
    found: list[Scope | str] = []
    dropped: list[str] = []
    words = text[:MAX_LENGTH].split(" ") if len(text) <= MAX_LENGTH else []
    for word in dict.fromkeys(filter(None, words)):
        one = _one(word) if len(found) < MAX_SCOPES else None
        if one is None:
            dropped.append(word)
        elif one not in found:
            found.append(one)
    return Scopes(tuple(found), tuple(dropped))


def beyond(wanted: Scopes, granted: Scopes) -> tuple[str, ...]:
    """Return the texts of those of ``wanted`` that ``granted`` does not cover."""
    return tuple(str(one) for one in wanted.of if not _covered(one, granted))


def intersect(wanted: Scopes, allowed: Scopes) -> Scopes:
    """Return what is wanted and allowed, in the order and the syntax of ``wanted``.

    Conditions of both sides must hold: ``Observation.rs`` and ``Observation.rs?category=x`` make
    the latter.
    """
    found: list[Scope | str] = []
    for one in wanted.of:
        if isinstance(one, Scope):
            found.extend(_meets(one, allowed))
        elif _covered(one, allowed):
            found.append(one)
    return Scopes(_without_covered(found))


def narrowed(granted: Scopes, wanted: Scopes) -> Scopes:
    """Return what a refresh that asks for ``wanted`` gets (app-launch.html#request-7).

    Nothing asked for means everything that was granted.

    Raises:
        BeyondGrant: some of it was not granted.
    """
    if not wanted.of and not wanted.dropped:
        return granted
    if more := (*beyond(wanted, granted), *wanted.dropped):
        raise BeyondGrant(f"not granted before: {' '.join(more)}")
    return Scopes(wanted.of)


def union(*all_: Scopes) -> Scopes:
    """Return what any of them allows; the order is that of the arguments."""
    return Scopes(_without_covered([one for some in all_ for one in some.of]))


def canonical(query: Iterable[Pair]) -> tuple[Pair, ...]:
    """Return conditions sorted, without repeats and without what others imply.

    >>> canonical([("category", "a,b"), ("status", "final"), ("category", "a")])
    (('category', 'a'), ('status', 'final'))
    """
    pairs = sorted({(name, ",".join(sorted(_values(name, text)))) for name, text in query})
    return tuple(
        one for one in pairs if not any(other != one and _implies(other, one) for other in pairs)
    )


def _one(word: str) -> Scope | str | None:
    if not _TOKEN.fullmatch(word):
        return None
    if found := _RESOURCE.fullmatch(word):
        return _resource_scope(word, *found.groups())
    launch = _LAUNCH.fullmatch(word)
    if launch and (launch[1] is None or launch[1] in _launch_types()):
        return word
    if word in IDENTITY | REFRESH | {INTROSPECT} or _ADMIN.fullmatch(word):
        return word
    return None


def _resource_scope(
    word: str, level: str, type_: str, asked: str, query: str | None
) -> Scope | None:
    v1 = asked in V1
    letters = V1.get(asked, asked)
    in_order = "".join(letter for letter in LETTERS if letter in letters)
    if letters != in_order or (type_ != "*" and type_ not in definitions.resource_types()):
        return None
    if query is None:
        return Scope(cast(Level, level), type_, letters, (), v1, word)
    pairs = _pairs(query)
    if pairs is None or v1:  # version 1 has no conditions: never read as if there were none
        return None
    return Scope(cast(Level, level), type_, letters, canonical(pairs), False, word)


def _pairs(query: str) -> list[Pair] | None:
    pairs: list[Pair] = []
    for part in query.split("&"):
        name, equals, text = part.partition("=")
        if not (name and equals and text):
            return None
        try:
            pairs.append((unquote(name, errors="strict"), unquote(text, errors="strict")))
        except UnicodeDecodeError:
            return None
    return pairs


def _values(name: str, text: str) -> frozenset[str]:
    """Return the alternatives of a value; a value that is no list is one alternative."""
    if ":" in name or name in _NO_LISTS:
        return frozenset((text,))
    return frozenset(re.split(r"(?<!\\),", text))


def _implies(one: Pair, other: Pair) -> bool:
    """Tell whether whatever meets ``one`` meets ``other``."""
    return one[0] == other[0] and _values(*one) <= _values(*other)


def _covered(one: Scope | str, by: Scopes) -> bool:
    if isinstance(one, str):
        return any(_plain(one) == _plain(other) for other in by.others)
    return all(
        any(other.covers(replace(one, letters=letter)) for other in by.resources)
        for letter in one.letters
    )


def _meets(one: Scope, allowed: Scopes) -> list[Scope]:
    """Return what is left of one scope; what differs in its interactions only is one again."""
    if _covered(one, allowed):
        return [one]
    made: dict[tuple[str, tuple[Pair, ...]], Scope] = {}
    for other in allowed.resources:
        both = one.meet(other)
        if both is not None:
            had = made.get((both.type, both.query), both)
            made[both.type, both.query] = had.with_letters((*had.letters, *both.letters))
    return list(made.values())


def _without_covered(found: list[Scope | str]) -> tuple[Scope | str, ...]:
    """Leave out repeats, and what was derived though others cover it; what was asked stays."""
    kept: list[Scope | str] = []
    for place, one in enumerate(found):
        rest = Scopes((*kept, *found[place + 1 :]))
        derived = isinstance(one, Scope) and one.asked is None
        if one not in kept and not (derived and _covered(one, rest)):
            kept.append(one)
    return tuple(kept)


def _plain(other: str) -> str:
    """Return a launch scope without its role, which is a hint (#fhircontext-exp)."""
    return other.partition("?")[0]


def _launch_types() -> frozenset[str]:
    return frozenset(type_.lower() for type_ in definitions.resource_types())
