"""What compiled rules do with values while a message is mapped.

``to`` is the FHIRPath of an element; that of a list element ends with the place of the first value
that the rule gives, ``Patient.name[2]``.
"""

from collections.abc import Callable
from typing import Any

from mappings.objects import Entry
from mappings.parse import NULL
from mappings.paths import Path
from mappings.primitives import Convert, in_order
from mappings.source import Repetition, Scope

Values = Callable[[Scope, str], list[Any]]


def converted(path: Path, convert: Convert, top: str, *, many: bool) -> Values:
    """Return a rule that converts every repetition at ``path``."""

    def convert_each(scope: Scope, to: str) -> list[Any]:
        made: list[Any] = []
        base, at = indexed(to) if many else (to, 0)
        for one in path.values(scope):
            if one.raw == NULL:
                scope.run.nulls.add(top)
                scope.run.row(to, one.path, 'deleted with ""')
                continue
            value = convert(one, f"{base}[{at + len(made)}]" if many else to)
            if isinstance(value, list):
                made += value
            elif value is not None:
                made.append(value)
        return made

    return convert_each


def indexed(to: str) -> tuple[str, int]:
    """Take ``name[2]`` apart, the place of the first value that a rule of a list gives."""
    base, _, index = to.rpartition("[")
    return base, int(index[:-1])


def gather(rule: Values, scopes: list[Scope], to: str) -> list[Any]:
    """Return what a rule gives in each of several scopes, one after the other."""
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
            value = entry.rule(scope, f"{made.label}.{entry.name}")
            if value is not None:
                made.values[entry.name] = value


def listed(value: Any) -> list[Any]:
    """Return a value as a list: none, itself, or what it is."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def note_deleted(scope: Scope, found: list[Repetition], top: str) -> None:
    """Note that the source of element ``top`` was deleted."""
    for one in found:
        if one.raw == NULL:
            scope.run.nulls.add(top)
            scope.run.row(top, one.path, 'deleted with ""')
