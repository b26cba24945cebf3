"""Which segment belongs to which: the message structures of HL7 v2.9 chapters 3 and 7.

``group(message)`` puts every segment into a tree of groups.  Nothing is refused: a segment that the
structure does not have, or has elsewhere, and every Z segment, stays in the group that is open.

``mappings.structures`` holds the structures.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from mappings.parse import Message, Segment
from mappings.structures import OPENERS, STRUCTURES

_MOST_REMEMBERED = 64  # segments of a message whose groups are remembered
_LONGEST_TYPE = 20  # characters of MSH-9 of such a message


@dataclass(frozen=True, slots=True)
class _Element:
    name: str
    repeats: bool
    parts: "tuple[_Element, ...]" = ()  # of a group
    holds: frozenset[str] = frozenset()  # every segment name below
    openers: frozenset[str] = frozenset()  # of a group that more than its first part may begin

    def opens(self, segment: str) -> bool:
        if not self.parts:
            return self.name == segment
        if self.openers:
            return segment in self.openers
        return self.parts[0].opens(segment)


class Group:
    """One occurrence of a group.  ``segments`` are its own, ``groups`` those in it, in order."""

    __slots__ = ("_without", "groups", "name", "parent", "segments")

    def __init__(
        self, name: str, parent: "Group | None" = None, segments: list[Segment] | None = None
    ) -> None:
        self.name = name
        self.parent = parent
        self.segments: list[Segment] = [] if segments is None else segments
        self.groups: list[Group] = []
        self._without: dict[str, list[Group]] = {}

    def walk(self) -> "Iterator[Group]":
        """Yield this group and every group below it, in the order of the message."""
        yield self
        for inner in self.groups:
            yield from inner.walk()

    def end(self) -> None:
        """Let go of the groups below, which know their parents."""
        for inner in self.groups:
            inner.end()
        self.groups.clear()
        self._without.clear()

    def up(self) -> "Iterator[Group]":
        """Yield this group, its parent, ... up to the message."""
        here: Group | None = self
        while here is not None:
            yield here
            here = here.parent

    def around(self) -> "Iterator[list[Group]]":
        """Yield the groups to look in for what belongs here, nearest first.

        This group with all below it; then its parent with all below that, and so on, but never
        another occurrence of a group that was left on the way up: the specimen of one order is not
        that of the next, the patient of one report not that of the other.
        """
        yield list(self.walk())
        here = self
        while (above := here.parent) is not None:
            yield above.without(here.name)
            here = above

    def without(self, name: str) -> "list[Group]":
        """Return this group and all below it but the occurrences of ``name`` (kept: it is asked
        for every result of an order).
        """
        if name not in self._without:
            beside = [group for group in self.groups if group.name != name]
            self._without[name] = [self, *(inner for group in beside for inner in group.walk())]
        return self._without[name]


@dataclass(slots=True)
class _Open:
    group: Group
    element: _Element
    at: int  # index of the element that was met last


class _Grouping:
    def __init__(self, root: _Element) -> None:
        self.root = Group(root.name)
        self.stack = [_Open(self.root, root, -1)]

    def place(self, segment: Segment) -> None:
        if segment.name in self.stack[0].element.holds:
            for step in (self._ahead, self._behind, self._torn):
                if step(segment):
                    return
        self.stack[-1].group.segments.append(segment)

    def _ahead(self, segment: Segment) -> bool:
        """In order: later in an open group, innermost first, or a new occurrence of one."""
        for depth in range(len(self.stack) - 1, -1, -1):
            open_ = self.stack[depth]
            if open_.at >= 0 and open_.element.parts[open_.at].repeats:
                start = open_.at
            else:
                start = open_.at + 1
            for at in range(start, len(open_.element.parts)):
                if open_.element.parts[at].opens(segment.name):
                    self._put(depth, at, segment)
                    return True
        return False

    def _behind(self, segment: Segment) -> bool:
        """Out of order: an own element of an open group that was already passed."""
        for depth in range(len(self.stack) - 1, -1, -1):
            for at, part in enumerate(self.stack[depth].element.parts):
                if not part.parts and part.name == segment.name and depth > 0:
                    del self.stack[depth + 1 :]
                    self.stack[depth].group.segments.append(segment)
                    return True
                if depth == 0 and part.opens(segment.name):
                    self._put(depth, at, segment)
                    return True
        return False

    def _torn(self, segment: Segment) -> bool:
        """The segment that begins its group is missing: an OBX without its OBR."""
        for depth in range(len(self.stack) - 1, -1, -1):
            parts = self.stack[depth].element.parts
            for at, part in enumerate(parts):
                if segment.name in part.holds:
                    self._put(depth, at, segment)
                    return True
        return False

    def _put(self, depth: int, at: int, segment: Segment) -> None:
        """Close what is deeper than ``depth``, enter element ``at`` there and all groups below."""
        del self.stack[depth + 1 :]
        self.stack[depth].at = at
        element = self.stack[depth].element.parts[at]
        while element.parts:
            group = self._group(self.stack[-1].group, element)
            self.stack.append(_Open(group, element, -1))
            inner = element.parts
            found = [n for n, part in enumerate(inner) if part.opens(segment.name)] or [
                n for n, part in enumerate(inner) if segment.name in part.holds
            ]
            self.stack[-1].at = found[0]
            element = inner[found[0]]
        self.stack[-1].group.segments.append(segment)

    @staticmethod
    def _group(above: Group, element: _Element) -> Group:
        """Return a new occurrence; the one that is there when the group does not repeat."""
        if not element.repeats:
            for known in above.groups:
                if known.name == element.name:
                    return known
        made = Group(element.name, above)
        above.groups.append(made)
        return made


def group(message: Message) -> Group:
    """Return the message as a tree of groups; unknown messages have one flat group."""
    return groups(message)[0]


def groups(message: Message) -> list[Group]:
    """Return the groups of the message: the root, and all below it in the order of the message."""
    segments = message.segments
    if len(segments) > _MOST_REMEMBERED or len(message.type) > _LONGEST_TYPE:
        return list(_grouped(message.type, segments).walk())
    made: list[Group] = []
    for name, parent, at in _known(message.type, tuple([one.name for one in segments])):
        above = made[parent] if made else None
        one = Group(name, above, [segments[n] for n in at])
        if above is not None:
            above.groups.append(one)
        made.append(one)
    return made


@lru_cache(maxsize=1024)  # a system's messages look alike
def _known(type_: str, names: tuple[str, ...]) -> tuple[tuple[str, int, tuple[int, ...]], ...]:
    """Return the groups of messages with these segments: name, which is above, which segments."""
    root = _grouped(type_, [Segment(name, [], at, 0) for at, name in enumerate(names)])
    walked = list(root.walk())
    numbers = {id(one): at for at, one in enumerate(walked)}
    return tuple(
        (one.name, numbers.get(id(one.parent), 0), tuple(segment.line for segment in one.segments))
        for one in walked
    )


def _grouped(type_: str, segments: Sequence[Segment]) -> Group:
    code = type_.partition("^")[0]
    root = _COMPILED.get(type_) or _COMPILED.get(code)
    if root is None:
        return Group(code, segments=list(segments))
    grouping = _Grouping(root)
    for segment in segments:
        grouping.place(segment)
    return grouping.root


def _element(name: str, text: str, repeats: bool = False) -> _Element:
    parts: list[_Element] = []
    at = 0
    while at < len(text):
        if text[at] in " )":
            at += 1
            continue
        end = at
        while end < len(text) and text[end] not in " (*)":
            end += 1
        word, many = text[at:end], text[end : end + 1] == "*"
        end += many
        if text[end : end + 1] == "(":
            close = _closing(text, end)
            parts.append(_element(word, text[end + 1 : close], many))
            at = close + 1
        else:
            parts.append(_Element(word, many, (), frozenset({word})))
            at = end
    holds = frozenset().union(*(part.holds for part in parts))
    # structures have groups of one name that hold different segments: ORDER_OBSERVATION of PPR
    openers = holds.intersection(OPENERS.get(name, ()))
    return _Element(name, repeats, tuple(parts), holds, openers)


def _closing(text: str, at: int) -> int:
    depth = 0
    for end in range(at, len(text)):
        depth += {"(": 1, ")": -1}.get(text[end], 0)
        if depth == 0:
            return end
    raise ValueError(f"no closing bracket after {text[at : at + 20]!r}")


_COMPILED = {code: _element(code, text) for code, text in STRUCTURES.items()}
