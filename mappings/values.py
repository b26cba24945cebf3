"""What compiled rules do with values while a message is mapped.

``to`` is the FHIRPath of an element; that of a list element ends with the place of the first value
that the rule gives, ``Patient.name[2]``.
"""

from collections.abc import Callable
from typing import Any

from mappings.conditions import Condition
from mappings.objects import Entry, Rule
from mappings.parse import NULL
from mappings.paths import Path
from mappings.primitives import Convert, in_order
from mappings.repetition import Repetition
from mappings.source import Scope

Values = Callable[[Scope, str], list[Any]]


class Converted:
    """A rule that converts every repetition at a path."""

    __slots__ = ("_convert", "_many", "_read", "_top")

    def __init__(self, path: Path, convert: Convert, top: str, *, many: bool) -> None:
        self._read = path.reader()
        self._convert = convert
        self._top = top
        self._many = many

    def __call__(self, scope: Scope, to: str) -> list[Any]:
        """Return the values."""
        found = self._read(scope)
        if len(found) == 1 and (one := found[0]).raw != NULL:  # most of them
            value = self._convert(one, to)
            if value is None:
                return []
            return value if isinstance(value, list) else [value]
        made: list[Any] = []
        at = to
        for one in found:
            if one.raw == NULL:
                note_deleted(scope, [one], self._top, to)
                continue
            if self._many and made:
                base, first = indexed(to)
                at = f"{base}[{first + len(made)}]"
            value = self._convert(one, at)
            if isinstance(value, list):
                made += value
            elif value is not None:
                made.append(value)
        return made

    def single(self, scope: Scope, to: str) -> Any:
        """Return the only value, ``None`` when nothing was sent: of most elements."""
        found = self._read(scope)
        if len(found) != 1 or (one := found[0]).raw == NULL:
            return only(scope, to, self(scope, to)) if found else None
        value = self._convert(one, to)
        return only(scope, to, value) if isinstance(value, list) else value


class One:
    """A rule that gives one value or none; ``single`` gives it as it is."""

    __slots__ = ("single",)

    def __init__(self, single: Rule) -> None:
        self.single = single

    def __call__(self, scope: Scope, to: str) -> list[Any]:
        """Return the values."""
        return listed(self.single(scope, to))


def when(test: Condition, rule: Values) -> Values:
    """Return the rule that gives values where ``test`` holds."""
    if isinstance(rule, One):
        single = rule.single
        return One(lambda scope, to: single(scope, to) if test(scope) else None)
    return lambda scope, to: rule(scope, to) if test(scope) else []


def only(scope: Scope, to: str, found: list[Any]) -> Any:
    """Return the first value for an element that does not repeat; others are explained."""
    if not found:
        return None
    if len(found) > 1:
        name = to.rpartition(".")[2]
        scope.run.row(to, "", f"not mapped: {len(found) - 1} more, {name} is single")
    return found[0]


def indexed(to: str) -> tuple[str, int]:
    """Take ``name[2]`` apart, the place of the first value that a rule of a list gives."""
    base, _, index = to.rpartition("[")
    return base, int(index[:-1])


def gather(rule: Values, scopes: list[Scope], to: str) -> list[Any]:
    """Return what a rule gives in each of several scopes, one after the other."""
    if len(scopes) == 1:
        return rule(scopes[0], to)
    made: list[Any] = []
    many = to.endswith("]")
    base, at = indexed(to) if many else (to, 0)
    for scope in scopes:
        made += rule(scope, f"{base}[{at + len(made)}]" if many else to)
    return made


def ordered_period(scope: Scope, to: str, value: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return a Period whose end is not before its start."""
    return None if value is None else in_order(scope.run, to, value)


def complete_made(scope: Scope, reference: str, added: list[Entry]) -> None:
    """Add what other fields say about a made resource, where it does not have it yet."""
    made = scope.run.labels.get(reference.removeprefix("plan:"))
    for entry in added if made is not None else ():
        assert made is not None
        if entry.name not in made.values:
            value = entry.rule(scope, made.label + entry.below)
            if value is not None:
                made.values[entry.name] = value


def listed(value: Any) -> list[Any]:
    """Return a value as a list: none, itself, or what it is."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def note_deleted(scope: Scope, found: list[Repetition], top: str, to: str = "") -> None:
    """Note that the source of element ``top`` was deleted; ``to`` is where it would stand."""
    for one in found:
        if one.raw == NULL:
            scope.run.nulls.add(top)
            scope.run.row(to or top, one.path, 'deleted with ""')
