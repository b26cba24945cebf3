"""Where something stands in JSON text: the slow path, taken only when there is a fault to report.

One regex makes tokens, loops replace recursion, so neither hostile nesting nor an unterminated
string costs more than one pass.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from json import loads as stdlib_loads

# Atomic and with an optional closing quote: an unterminated string is one token up to the end,
# instead of a new scan to the end from each of its quotes.
_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[{}\[\]:,]|[^\s"{}\[\]:,]++', re.DOTALL)
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")

Position = tuple[int, int]


def position(text: str, offset: int) -> Position:
    r"""Return line and column of a character, both counted from 1.

    >>> position('{\n "a": 1}', 3)
    (2, 2)
    """
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def too_deep(text: str, limit: int) -> int | None:
    """Return the offset of the first bracket nested deeper than ``limit``.

    >>> too_deep('[["]]", [3]]]', 2)
    8
    """
    depth = 0
    for token in _TOKEN.finditer(text):
        mark = text[token.start()]
        if mark in "{[":
            depth += 1
        elif mark in "}]":
            depth -= 1
        if not 0 <= depth <= limit:
            return token.start() if depth > limit else None
    return None


def scalar(text: str, literal: str) -> int | None:
    """Return the offset of a number or constant written exactly so, outside of strings.

    >>> scalar('["NaN", NaN]', "NaN")
    8
    """
    return next((t.start() for t in _TOKEN.finditer(text) if t.group() == literal), None)


def lone_surrogate(text: str) -> int | None:
    r"""Return the offset of an escaped half of a character (``\ud83d`` without its other half)."""
    for escape in _ESCAPE.finditer(text):
        if escape.group(1):
            return escape.start()
    return None


def duplicate_key(text: str) -> tuple[str, int] | None:
    """Return the first property that its object has already, and the offset of the second.

    >>> duplicate_key('{"a": {"b": 1}, "a": 2}')
    ('a', 16)
    """
    open_: list[set[str] | None] = []
    last: re.Match[str] | None = None
    for token in _TOKEN.finditer(text):
        mark = token.group()[0]
        if mark in "{[":
            open_.append(set() if mark == "{" else None)
        elif mark in "}]" and open_:
            open_.pop()
        elif mark == ":" and open_ and last:
            names, name = open_[-1], _string(last)
            if names is not None:
                if name in names:
                    return name, last.start()
                names.add(name)
        last = token
    return None


def locate(text: str, expressions: Iterable[str]) -> dict[str, Position]:
    """Return where each expression (``Patient.name[0].given[1]``) stands in ``text``.

    An element that is not there, such as a required one, stands where the nearest element
    around it begins.  A choice (``Observation.value``) is found under its property
    (``valueQuantity``), what is inside a primitive (``given[0].extension``) under ``_given``.
    ``text`` is JSON that was parsed without a fault.

    >>> locate('{"name": [{"given": ["a", 1]}]}', ["Patient.name[0].given[1]", "Patient.x"])
    {'Patient.name[0].given[1]': (1, 27), 'Patient.x': (1, 1)}
    """
    root = _Want()
    for expression in expressions:
        root.add(_steps(expression), expression)
    best: dict[str, tuple[int, int]] = {}
    for rank, want, offset in _visits(text, root):
        for expression in want.below:
            if rank > best.get(expression, (-1, 0))[0]:
                best[expression] = (rank, offset)
    return {expression: position(text, offset) for expression, (_, offset) in best.items()}


class _Want:
    """A tree of the steps wanted; ``below`` are the expressions that go through this step."""

    __slots__ = ("below", "steps")

    def __init__(self) -> None:
        self.below: list[str] = []
        self.steps: dict[str | int, _Want] = {}

    def add(self, steps: Iterable[str | int], expression: str) -> None:
        want = self
        want.below.append(expression)
        for step in steps:
            want = want.steps.setdefault(step, _Want())
            want.below.append(expression)

    def property(self, name: str) -> tuple["_Want | None", bool]:
        """Return the step that a JSON property belongs to, and whether by its very name."""
        if (want := self.steps.get(name)) is not None:
            return want, True
        name = name.removeprefix("_")
        for step, want in self.steps.items():
            if isinstance(step, str) and name.startswith(step):
                rest = name[len(step) :]
                if not rest or rest[0].isupper():
                    return want, False
        return None, False


@dataclass(slots=True)
class _Frame:
    """An open bracket: what is wanted inside of it, and in an array the index at hand."""

    want: _Want | None
    depth: int
    index: int | None


def _steps(expression: str) -> list[str | int]:
    """Split an expression; its first name is that of the resource, which JSON does not show."""
    _, _, path = expression.partition(".")
    return [m.group(1) or int(m.group(2)) for m in _STEP.finditer(path)]


def _visits(text: str, root: _Want) -> Iterator[tuple[int, _Want, int]]:
    """Walk the tokens once; yield (rank, step, offset) of each step found; deeper ranks higher."""
    frames: list[_Frame] = []
    want: _Want | None = root
    last: re.Match[str] | None = None
    for token in _TOKEN.finditer(text):
        start, mark = token.start(), text[token.start()]
        frame = frames[-1] if frames else _Frame(None, 0, None)
        if mark == ":":
            want, exact = frame.want.property(_string(last)) if frame.want else (None, False)
            if want and last:
                yield 2 * frame.depth + exact, want, last.start()
        elif mark in "]}":
            frames.pop()
        elif mark == "," and frame.index is not None:
            frame.index += 1
            want = frame.want.steps.get(frame.index) if frame.want else None
        elif mark != ",":
            if want and (not frames or frame.index is not None):
                yield 2 * frame.depth + 1, want, start
            if mark in "{[":
                index = 0 if mark == "[" else None
                frames.append(_Frame(want, frame.depth + 1, index))
                want = want.steps.get(0) if want and mark == "[" else None
        last = token


def _string(token: re.Match[str] | None) -> str:
    # A name is seldom escaped, but "\u0061" is the name "a".
    return str(stdlib_loads(token.group())) if token else ""
