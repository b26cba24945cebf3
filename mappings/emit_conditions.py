"""``when`` and ``event`` rules of emit maps: words about a resource and the version before it.

    status = cancelled and was status in (in-progress, arrived)
    changed location or changed (start, end)
    new and class in (IMP, ACUTE)
    Encounter not valued or by A12

``was PATH`` speaks of the version before, ``changed`` compares the two, ``returned PATH`` says that
the value is again what it was two versions ago.  ``new`` there was no version, or it was deleted;
``deleted`` there is none now; ``by A12`` the change came by an HL7v2 message of that event;
``alike PATH``: the same as of what is around the value at hand;
``event in (A01)`` the event being sent; ``version >= 2.5`` that of the destination.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from mappings.emit_paths import ElementError, ElementPath, element_path, says

if TYPE_CHECKING:
    from mappings.emit_run import Scope

Condition = Callable[["Scope"], bool]
_WORD = re.compile(
    r"\s*(!=|>=|<=|=|<|>|,|\(|\)|\"[^\"]*\"|[^\s(),=<>!]+(?:\([^\s()]*\)[^\s(),=<>!]*)*)"
)


class ConditionError(ValueError):
    """The text is no condition; the message says where it stops making sense."""


@dataclass(slots=True)
class Reads:
    """What a map's conditions ask for beyond the resource itself."""

    older: bool = False


def condition(text: str, here: str, roots: Mapping[str, str], reads: Reads) -> Condition:
    """Compile a condition.

    Raises:
        ConditionError: it cannot be read, or names an element that there is not.
    """
    reader = _Reader(text, here, roots, reads)
    made = reader.either()
    if reader.at < len(reader.words):
        raise ConditionError(f"{text!r}: unexpected {reader.words[reader.at]!r}")
    return made


class _Reader:
    def __init__(self, text: str, here: str, roots: Mapping[str, str], reads: Reads) -> None:
        self.text, self.here, self.roots, self.reads = text, here, roots, reads
        self.words = _words(text)
        self.at = 0

    def either(self) -> Condition:
        parts = [self.both()]
        while self.take("or"):
            parts.append(self.both())
        return parts[0] if len(parts) == 1 else lambda s: any(part(s) for part in parts)

    def both(self) -> Condition:
        parts = [self.one()]
        while self.take("and"):
            parts.append(self.one())
        return parts[0] if len(parts) == 1 else lambda s: all(part(s) for part in parts)

    def one(self) -> Condition:
        if self.take("not"):
            inner = self.one()
            return lambda s: not inner(s)
        if self.take("("):
            inner = self.either()
            self.demand(")")
            return inner
        for word, made in _STATES.items():
            if self.take(word):
                return made
        if self.take("changed"):
            return _changed(self.paths())
        if self.take("returned"):
            self.reads.older = True
            return _returned(self.paths())
        if self.take("by"):
            events = self.values() if self.peek() == "(" else frozenset({self.word()})
            return lambda s: s.run.by in events
        if self.take("event"):
            return self.compare(lambda s: {s.run.event})
        if self.take("version"):
            return self.version()
        if self.take("alike"):
            return _alike(self.path())
        was = self.take("was")
        path = self.path()
        return self.compare(_read(path, was))

    def compare(self, read: Callable[["Scope"], set[str]]) -> Condition:
        if self.take("valued"):
            return lambda s: bool(read(s))
        if self.take("not"):
            if self.take("valued"):
                return lambda s: not read(s)
            self.demand("in")
            unwanted = self.values()
            return lambda s: not read(s) & unwanted
        if self.take("in"):
            wanted = self.values()
            return lambda s: bool(read(s) & wanted)
        sign = self.word()
        if sign not in ("=", "!="):
            raise ConditionError(f"{self.text!r}: after a path stands valued, =, != or in")
        one = self.word().strip('"')
        return (lambda s: one in read(s)) if sign == "=" else (lambda s: one not in read(s))

    def version(self) -> Condition:
        sign, number = self.word(), self.word()
        try:
            wanted = version_of(number)
        except ValueError as wrong:
            raise ConditionError(f"{self.text!r}: {number!r} is no version") from wrong
        if sign == ">=":
            return lambda s: s.run.version >= wanted
        if sign == "<":
            return lambda s: s.run.version < wanted
        raise ConditionError(f"{self.text!r}: after version stands >= or <")

    def paths(self) -> list[ElementPath]:
        if not self.take("("):
            return [self.path()]
        made = [self.path()]
        while self.take(","):
            made.append(self.path())
        self.demand(")")
        return made

    def path(self) -> ElementPath:
        text = self.word()
        if text in self.roots:
            return ElementPath(text, text, (), self.roots[text])
        try:
            return element_path(text, self.here, self.roots)
        except ElementError as wrong:
            raise ConditionError(str(wrong)) from wrong

    def values(self) -> frozenset[str]:
        self.demand("(")
        made = {self.word().strip('"')}
        while self.take(","):
            made.add(self.word().strip('"'))
        self.demand(")")
        return frozenset(made)

    def peek(self) -> str:
        return self.words[self.at] if self.at < len(self.words) else ""

    def word(self) -> str:
        if self.at >= len(self.words):
            raise ConditionError(f"{self.text!r} ends too early")
        self.at += 1
        return self.words[self.at - 1]

    def take(self, word: str) -> bool:
        if self.at < len(self.words) and self.words[self.at] == word:
            self.at += 1
            return True
        return False

    def demand(self, word: str) -> None:
        if not self.take(word):
            raise ConditionError(f"{self.text!r}: {word!r} is missing")


def _words(text: str) -> list[str]:
    made: list[str] = []
    at = 0
    while at < len(text.rstrip()):
        found = _WORD.match(text, at)
        if found is None:
            raise ConditionError(f"{text!r}: cannot be read from {text[at:]!r} on")
        made.append(found[1])
        at = found.end()
    return made


@lru_cache(maxsize=64)  # asked for at every field that only some versions have
def version_of(text: str) -> tuple[int, ...]:
    """Return a version as numbers: ``2.5.1`` -> ``(2, 5, 1)``.  Raises ValueError."""
    return tuple(map(int, text.split(".")))


_STATES: dict[str, Condition] = {
    "new": lambda s: s.run.was is None,
    "deleted": lambda s: s.run.deleted,
}


def _read(path: ElementPath, was: bool) -> Callable[["Scope"], set[str]]:
    def read(scope: "Scope") -> set[str]:
        scope = scope.run.before if was else scope
        return {said for one in path.values(scope.here, scope.run) for said in says(one)}

    return read


def _plain(path: ElementPath, scope: "Scope") -> list[object]:
    return list(path.values(scope.here, scope.run))


def _changed(paths: list[ElementPath]) -> Condition:
    return lambda s: any(_plain(path, s) != _plain(path, s.run.before) for path in paths)


def _alike(path: ElementPath) -> Condition:
    return lambda s: s.above is not None and _plain(path, s) == _plain(path, s.above)


def _returned(paths: list[ElementPath]) -> Condition:
    def returned(scope: "Scope") -> bool:
        if scope.run.older is None:
            return False
        return all(
            _plain(path, scope) == _plain(path, scope.older())
            and _plain(path, scope) != _plain(path, scope.run.before)
            for path in paths
        )

    return returned
