"""What the compilation of one map knows: tables, what is read, where it is, what is wrong."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Set
from dataclasses import dataclass, field

from mappings.conditions import Condition, ConditionError, condition
from mappings.language import Entries, Items, Node, Text
from mappings.objects import Entry
from mappings.paths import Path, PathError, path_of
from mappings.tables import Table
from mappings.values import Values
from server.fhir.definitions import Child


@dataclass(slots=True)
class Reads:
    """The fields that the rules of a map read; all others are explained as not mapped.

    ``sources`` are those of the rule that is being compiled; ``None`` in it is a source that is
    not a field (a reference, a constant), so that the rule must always run.
    ``looks`` are all fields that it looks at, in its conditions too; ``None`` in it is something
    that is no field of a segment (a resource, another segment's lines, the value at hand).
    ``targets`` are the elements that each field reaches, for the report of coverage.
    """

    fields: set[tuple[str, int]] = field(default_factory=set)
    segments: set[str] = field(default_factory=set)
    sources: set[tuple[str, int] | None] = field(default_factory=set)
    looks: set[tuple[str, int] | None] = field(default_factory=set)
    targets: dict[tuple[str, int], set[str]] = field(default_factory=dict)

    def add(self, other: "Reads") -> None:
        """Add what another rule reads."""
        self.fields |= other.fields
        self.segments |= other.segments
        for at, targets in other.targets.items():
            self.targets.setdefault(at, set()).update(targets)

    def path(self, path: Path, target: str = "") -> None:
        """Note that ``path`` is read, for the element ``target``."""
        self.looks.add((path.segment, path.field) if path.segment else None)
        if path.segment:
            self.segments.add(path.segment)
            self.fields.add((path.segment, path.field))
            self.sources.add((path.segment, path.field))
            if target:
                self.targets.setdefault((path.segment, path.field), set()).add(target)


class Context(ABC):
    """Shared by the rules of one map while they are compiled; faults go to ``problems``."""

    def __init__(self, tables: Mapping[str, Table], problems: list[str], made: Set[str]) -> None:
        self.tables = tables
        self.problems = problems
        self.made = made  # resource types that the map makes, for ``ref``
        self.reads = Reads()
        self.here = ""  # data type of the value at hand inside ``each``
        self.type = ""  # resource that is being compiled
        self.top = ""  # its element
        self.needs: set[tuple[str, int]] = set()  # of the last condition

    @abstractmethod
    def values(self, node: Node, child: Child) -> Values:
        """Compile one rule to the list of values that it gives."""

    @abstractmethod
    def item(self, node: Node, child: Child) -> Entry:
        """Compile one of several rules of an element."""

    @abstractmethod
    def inner_entries(self, node: Entries, content: str) -> list[Entry]:
        """Compile the elements of a data type, inside the element at hand."""

    def problem(self, node: Node, text: str) -> None:
        """Note a fault."""
        self.problems.append(f"{node.place}: {text}")

    def path(self, node: Node) -> Path | None:
        """Compile a field path."""
        if not isinstance(node, Text):
            self.problem(node, "a field path is needed here")
            return None
        try:
            made = path_of(node)
        except PathError as wrong:
            self.problem(node, str(wrong))
            return None
        if made.segment and not made.field:
            self.problem(node, f"{node} is a segment, a field is needed")
            return None
        self.reads.path(made, f"{self.type}.{self.top}" if self.top else "")
        if not made.segment:
            self.reads.sources.add(None)  # the value at hand: it is there whenever the rule runs
        return made

    def paths(self, node: Node) -> list[Path]:
        """Compile a field path, or a list of them."""
        nodes = node if isinstance(node, Items) else [node]
        return [path for one in nodes if (path := self.path(one)) is not None]

    def condition(self, node: Entries) -> Condition | None:
        """Compile ``when`` of a rule; ``needs`` are then the fields that it cannot do without."""
        self.needs = set()
        if (text := node.get("when")) is None:
            return None
        if not isinstance(text, Text):
            self.problem(text, "when: needs a condition as text")
            return None
        found: list[Path] = []
        try:
            made = condition(text, found, self.needs)
        except ConditionError as wrong:
            self.problem(text, f"when: {wrong}")
            return None
        for path in found:
            self.reads.path(path)
        return made
