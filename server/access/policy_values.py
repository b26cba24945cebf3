"""Single values of a policy file, each read from the node where it stands."""

import re
from collections.abc import Callable, Sequence
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from mappings.language import Entries, Items, Node, Text
from mappings.spelling import hint
from server.access.policy import BASES, Right
from server.access.scopes import Scopes, canonical, parse
from server.access.types import expanded
from server.access.value_sets import CodeSet, code_set
from server.fhir import definitions
from server.fhir.dates import DAY, HOUR

MAX_AGE = 150  # years

_RIGHT = re.compile(r"([A-Za-z]+|\*)\.(c?u?d?)(?:\?(.+))?", re.ASCII)
_DELAY = re.compile(r"P(?:(\d{1,4})D)?(?:T(\d{1,4})H)?", re.ASCII)
_ELEMENT = re.compile(r"[a-z][A-Za-z]*(?:\.[a-z][A-Za-z]*)*", re.ASCII)

Reader = Callable[[Node], Any]


class Fault(ValueError):
    """A value that cannot be read; the text begins with its file and line."""

    def __init__(self, node: Node, told: str) -> None:
        super().__init__(f"{node.place}: {told}")


def mapping(said: Node) -> Entries:
    """Return names and what is said of them."""
    if not isinstance(said, Entries):
        raise Fault(said, "names and their values are expected")
    return said


def text(said: Node) -> str:
    """Return one value, which is not empty."""
    if not isinstance(said, Text) or not said:
        raise Fault(said, "one value is expected")
    return str(said)


def words(said: Node) -> tuple[str, ...]:
    """Return the values of a list."""
    if not isinstance(said, Items):
        raise Fault(said, "a list is expected")
    return tuple(text(item) for item in said)


def one_of(*options: str) -> Reader:
    """Return what reads one of ``options``."""

    def option(said: Node) -> str:
        found = text(said)
        if found not in options:
            raise Fault(said, f"{found!r} is none of {', '.join(options)}")
        return found

    return option


def yes(said: Node) -> bool:
    """Return whether ``yes`` is said; the other word is ``no``."""
    return bool(one_of("yes", "no")(said) == "yes")


def zone(said: Node) -> ZoneInfo:
    """Return a time zone by its IANA name."""
    try:
        return ZoneInfo(text(said))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Fault(said, f"{str(said)!r} is not a time zone, as in Europe/Berlin") from None


def types(said: Node) -> frozenset[str]:
    """Return resource types (:func:`server.access.types.expanded`)."""
    return _expanded(said, words(said))


def rights(said: Node) -> tuple[Right, ...]:
    """Return what may be written: ``Type.letters[?conditions]``; ``-Type`` takes one from all."""
    every = words(said)
    without = [word for word in every if word.startswith("-")]
    found = []
    for word in every:
        if word in without:
            continue
        parts = _RIGHT.fullmatch(word)
        if parts is None or not parts[2]:
            raise Fault(said, f"{word!r} is not like Type.cud, with some of the letters c, u, d")
        some = _expanded(said, (parts[1], *without))
        found.append(Right(some, parts[2], _conditions(said, parts[3])))
    return tuple(found)


def age(said: Node) -> int:
    """Return an age in years."""
    found = text(said)
    if not found.isdecimal() or int(found) > MAX_AGE:
        raise Fault(said, f"{found!r} is not an age in years, 0 to {MAX_AGE}")
    return int(found)


def bases(said: Node) -> frozenset[str]:
    """Return legal bases."""
    known = one_of(*BASES)
    words(said)  # it is a list
    return frozenset(known(item) for item in said if isinstance(item, Text))


def scope(said: Node) -> Scopes:
    """Return ``patient/`` scopes."""
    found = parse(text(said))
    if found.dropped or found.others or found.levels != {"patient"}:
        raise Fault(said, f"{str(said)!r} does not consist of patient/ scopes")
    return found


def value_set(said: Node) -> CodeSet:
    """Return a list of codes as a set."""
    try:
        return code_set(words(said))
    except ValueError as error:
        raise Fault(said, f"{str(error)!r} is not system|code or system|beginning*") from None


def elements(said: Node) -> tuple[str, ...]:
    """Return paths of elements."""
    found = words(said)
    for word in found:
        if not _ELEMENT.fullmatch(word):
            raise Fault(said, f"{word!r} is not the path of an element, as in component.code")
    return found


def delay(said: Node) -> int:
    """Return a delay in microseconds."""
    found = _DELAY.fullmatch(text(said))
    days, hours = (int(part or 0) for part in found.groups()) if found else (0, 0)
    if not days and not hours:
        raise Fault(said, f"{str(said)!r} is not a delay in days and hours, as in P3D or PT12H")
    return days * DAY + hours * HOUR


def _expanded(said: Node, named: Sequence[str]) -> frozenset[str]:
    try:
        return expanded(named)
    except ValueError as error:
        word = str(error)
        told = f"{word!r} is not a resource type{hint(word, definitions.resource_types())}"
        raise Fault(said, told) from None


def _conditions(said: Node, query: str | None) -> tuple[tuple[str, str], ...]:
    pairs = [part.partition("=") for part in (query or "").split("&") if part]
    if any(not (name and value) for name, _, value in pairs):
        raise Fault(said, f"{query!r} is not like name=value&name=value")
    return canonical((name, value) for name, _, value in pairs)
