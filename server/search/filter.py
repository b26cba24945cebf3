"""The grammar of ``_filter``: text to tree.  R4 search_filter.html.

``and`` and ``or`` have no precedence: they are read from left to right.  Operators and names have
their case, values are a JSON string or a run of characters without blank, ``)`` and ``]``.  Beyond
R4 a path may state a type (``subject:Patient.name``), as chains do.  What it means is in
``filter_meaning.py``.
"""

import json
import re
from dataclasses import dataclass
from typing import Literal, NoReturn, get_args

from server.search.value import refused

MAX_DEPTH = 20  # parentheses and brackets inside each other
MAX_TESTS = 100

Op = Literal[
    "eq", "ne", "co", "sw", "ew", "gt", "lt", "ge", "le", "ap", "sa", "eb",
    "pr", "po", "ss", "sb", "in", "ni", "re",
]  # fmt: skip

_BLANKS = re.compile(r"\s*")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_\-]*", re.ASCII)
_WORD = re.compile(r"[^\s()\[\].]+")
_NOT = re.compile(r"not\s*(?=\()")
_JOINED = re.compile(r"(and|or)(?=[\s(])")
_TOKEN = re.compile(r"[^\s)\]]+")


@dataclass(frozen=True, slots=True)
class Step:
    """One name of a path; ``type`` and ``where``, what stands behind ``:`` and in brackets."""

    name: str
    column: int
    type: str | None = None
    where: "Node | None" = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """``path op value``; ``column`` counts from 1 and is that of the path."""

    path: tuple[Step, ...]
    op: Op
    value: str
    column: int


@dataclass(frozen=True, slots=True)
class Joined:
    """Two filters, both or one of which must hold."""

    by: Literal["and", "or"]
    left: "Node"
    right: "Node"


@dataclass(frozen=True, slots=True)
class Negated:
    """``not (...)``."""

    of: "Node"


Node = Comparison | Joined | Negated


def parse_filter(text: str) -> Node:
    """Return the tree of a filter.

    Raises InvalidSearch that names ``_filter`` and the column, counted from 1.
    """
    reading = _Reading(text)
    node = reading.filter(0)
    if reading.at < len(text):
        closes = text[reading.at] in ")]"
        reading.refuse("nothing was opened before" if closes else "and, or or the end is missing")
    return node


class _Reading:
    """A place in the text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self._tests = 0

    def refuse(self, why: str, at: int | None = None) -> NoReturn:
        """Raise InvalidSearch that tells the column."""
        raise refused("_filter", f"column {(self.at if at is None else at) + 1}: {why}")

    def filter(self, depth: int) -> Node:
        """Read operands and what joins them, up to the end or a closing bracket."""
        if depth > MAX_DEPTH:
            self.refuse(f"more than {MAX_DEPTH} brackets inside each other")
        node = self._operand(depth)
        self._blanks()
        while found := self._take(_JOINED):
            by: Literal["and", "or"] = "and" if found == "and" else "or"
            node = Joined(by, node, self._operand(depth))
            self._blanks()
        return node

    def _operand(self, depth: int) -> Node:
        self._blanks()
        if self._take(_NOT):
            return Negated(self._bracketed("(", ")", depth))
        if self._sees("("):
            return self._bracketed("(", ")", depth)
        return self._test(depth)

    def _bracketed(self, opening: str, closing: str, depth: int) -> Node:
        start = self.at
        self.at += len(opening)
        node = self.filter(depth + 1)
        if not self._sees(closing):
            if self.at < len(self.text):
                self.refuse("and, or or a closing bracket is missing")
            self.refuse(f"{opening!r} is not closed", start)
        self.at += 1
        return node

    def _test(self, depth: int) -> Comparison:
        start = self.at
        self._tests += 1
        if self._tests > MAX_TESTS:
            self.refuse(f"more than {MAX_TESTS} tests")
        path = self._path(depth)
        if not self._blanks():
            self.refuse("a blank and an operator are missing")
        op = self._op()
        if not self._blanks():
            self.refuse("a blank and a value are missing")
        return Comparison(path, op, self._value(), start + 1)

    def _path(self, depth: int) -> tuple[Step, ...]:
        steps: list[Step] = []
        while True:
            start = self.at
            name = self._take(_NAME) or self.refuse("the name of a parameter is missing")
            type_ = None
            if self._sees(":"):
                self.at += 1
                type_ = self._take(_NAME) or self.refuse("the name of a type is missing")
            where = self._bracketed("[", "]", depth) if self._sees("[") else None
            steps.append(Step(name, start + 1, type_, where))
            if not self._sees("."):
                if where is not None:
                    self.refuse("a '.' and a name are missing behind ']'")
                if type_ is not None:
                    self.refuse("a '.' and a name are missing behind a type")
                return tuple(steps)
            self.at += 1

    def _op(self) -> Op:
        start = self.at
        found = self._take(_WORD) or self.refuse("an operator is missing")
        for op in get_args(Op):
            if op == found:
                known: Op = op
                return known
        return self.refuse(f"{found[:20]!r} is not one of {' '.join(get_args(Op))}", start)

    def _value(self) -> str:
        if not self._sees('"'):
            return self._take(_TOKEN) or self.refuse("a value is missing")
        try:
            found, self.at = json.JSONDecoder().raw_decode(self.text, self.at)
        except json.JSONDecodeError as error:
            self.refuse("the string is not one of JSON", error.pos)
        value = str(found)
        if any("\ud800" <= character <= "\udfff" for character in value):
            self.refuse("the string is not Unicode text")
        if self.at < len(self.text) and not (self.text[self.at].isspace() or self._ends()):
            self.refuse("a blank is missing behind the string")
        return value

    def _ends(self) -> bool:
        return self.text[self.at] in ")]"

    def _sees(self, text: str) -> bool:
        return self.text.startswith(text, self.at)

    def _blanks(self) -> str:
        return self._take(_BLANKS)

    def _take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.at)
        if found is None:
            return ""
        self.at = found.end()
        return found[0]
