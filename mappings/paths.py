"""Field paths in maps: ``PID-3``, ``PID-3[1].4.2``, ``.4`` of the value at hand, ``.`` itself."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from mappings.parse import NULL
from mappings.repetition import MOST_COMPONENTS, Repetition
from mappings.segments import NAME, component_type, fields_of, known_segment, segment_names, type_of
from mappings.source import Scope
from mappings.spelling import hint

_PATH = re.compile(
    r"(?:(?P<segment>[A-Z][A-Z0-9]{2})(?:-(?P<field>\d+)(?:\[(?P<repeat>\d+)\])?)?)?"
    r"(?:\.(?P<component>\d+))?(?:\.(?P<sub>\d+))?"
)
_GUIDE = re.compile(r"(?P<type>[A-Z]{2,3})\.(?P<rest>\d+(?:\.\d+)?)")
_TYPES = frozenset(
    [
        "CWE",
        "CX",
        "XPN",
        "XAD",
        "XTN",
        "XCN",
        "XON",
        "PL",
        "HD",
        "EI",
        "EIP",
        "SN",
        "ED",
        "RP",
        "NDL",
        "CQ",
        "DR",
        "DLN",
        "FC",
    ]
)


Reader = Callable[[Scope], list[Repetition]]

# What makes a field "valued".  An identifier says nothing without its number, a code nothing with
# the name of its system alone; everything else does with any of its components.
_SAYING = {"CX": (1,), "EI": (1,), "CWE": (1, 2, 4, 5, 9)}


class PathError(ValueError):
    """The text is no path, or speaks of a segment or field that the standard does not have."""


@dataclass(frozen=True, slots=True)
class Path:
    """A path; numbers count from 1, ``0`` is "not stated", ``segment`` is ``""`` for ``.4``."""

    source: str
    segment: str
    field: int
    repeat: int
    component: int
    sub: int

    def type(self, here: str) -> str:
        """Return the data type at the path; ``here`` is that of the value at hand."""
        if self.segment:
            return type_of(self.segment, self.field, self.component, self.sub)
        if self.component:
            return component_type(here, self.component, self.sub) if here else ""
        return here

    def reader(self) -> "Reader":
        """Return :meth:`values` as a function, without what this path does not state."""
        segment, field = self.segment, self.field
        if self.source == ".":
            return lambda scope: [scope.repetition] if scope.repetition is not None else []
        if not segment or self.repeat or self.component or self.sub:
            return self.values

        def read(scope: Scope) -> list[Repetition]:
            own = scope.segment
            if own is not None and own.name == segment:
                found = scope.fields.get(field)
                return (
                    found if found is not None else scope.run.repetitions(own, field, scope.fields)
                )
            return scope.repetitions(segment, field)

        return read

    def texter(self) -> Callable[[Scope], str]:
        """Return :meth:`text` as a function, without what this path does not state."""
        if not self.segment or self.repeat or self.sub or self.component > MOST_COMPONENTS:
            return self.text
        read = Path(self.source, self.segment, self.field, 0, 0, 0).reader()
        component = self.component

        def text(scope: Scope) -> str:
            for one in read(scope):
                if not component or one.run.plain:
                    found = one.texts[component or 1]
                else:
                    found = one.component(component).text()
                if found:
                    return found
            return ""

        return text

    def values(self, scope: Scope) -> list[Repetition]:
        """Return what was sent: a value for each repetition, deleted ones (``\"\"``) included."""
        if self.segment:
            found = scope.repetitions(self.segment, self.field)
            if self.repeat:
                found = found[self.repeat - 1 : self.repeat]
        else:
            found = [scope.repetition] if scope.repetition is not None else []
        if self.sub:
            return [one.sub(self.component, self.sub) for one in found]
        if self.component:
            return [one.component(self.component) for one in found]
        return found

    def text(self, scope: Scope) -> str:
        """Return the first text that is not blank, ``""`` when there is none."""
        for one in self.values(scope):
            if text := one.text():
                return text
        return ""

    def valued(self) -> Callable[[Scope], bool]:
        """Return a function: whether anything was said, of a whole field also in a later component
        (``^Latex``).
        """
        if self.component or not self.segment:
            text = self.texter()
            return lambda scope: text(scope) != ""
        saying, read = _SAYING.get(self.type("")), self.reader()
        if saying is None:
            return lambda scope: any(any(one.texts) for one in read(scope))

        def test(scope: Scope) -> bool:
            for one in read(scope):
                texts = one.texts
                for number in saying:
                    if texts[number]:
                        return True
            return False

        return test

    def count(self, scope: Scope) -> int:
        """Return how many repetitions were sent."""
        return sum(1 for one in self.values(scope) if one.raw and one.raw != NULL)

    def present(self, scope: Scope) -> bool:
        """Whether the path's segment was sent."""
        return scope.find(self.segment) is not None


def path_of(text: str) -> Path:
    """Read a path.

    Raises:
        PathError: it is none, or the standard has no such segment or field.
    """
    bare = text
    if (guide := _GUIDE.fullmatch(text)) and guide["type"] in _TYPES:
        bare = f".{guide['rest']}"
    if bare == ".":
        return Path(text, "", 0, 0, 0, 0)
    found = _PATH.fullmatch(bare)
    if (
        found is None
        or not bare
        or (found["component"] and found["segment"] and not found["field"])
    ):
        raise PathError(f"{text!r} is not a field path such as PID-3.4 or .4")
    numbers = {key: int(value or 0) for key, value in found.groupdict().items() if key != "segment"}
    segment = found["segment"] or ""
    if segment and not known_segment(segment):
        raise PathError(f"{text!r}: there is no segment {segment}{hint(segment, segment_names())}")
    if segment and not segment.startswith("Z") and numbers["field"] > fields_of(segment):
        raise PathError(f"{text!r}: {segment} has {fields_of(segment)} fields")
    return Path(text, segment, **numbers)


def segment_name(text: str) -> bool:
    """Whether the text is the name of a segment alone."""
    return NAME.fullmatch(text) is not None
