"""Which elements a search parameter reads, told by the text of its expression alone.

Not by the server's own compiler: what that one loses, the matrix must still ask for.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from server.fhir import definitions
from server.fhir.definitions import SearchParameter

EXTENSION_VALUES = {
    "token": ("CodeableConcept", "Coding", "code"),
    "string": ("string",),
    "reference": ("Reference",),
}
"""Types of ``Extension.value`` that a parameter of the type can use."""

_AS = re.compile(r"\(([\w.]+) as (\w+)\)(.*)")
_CALL = re.compile(r"(where|as|ofType|extension|exists)\((.*)\)")
_RESOLVES = re.compile(r"resolve\(\) is (\w+)")
_EQUALS = re.compile(r"(\w+)='([\w-]+)'")
_HAS_EXTENSION = re.compile(r"hasExtension\('(.+)'\)")


@dataclass(frozen=True, slots=True)
class Step:
    """One element on the way; ``types``: of a choice; ``where``: what must hold of the element.

    ``where``: ``("resolve", "Patient")``, ``("hasExtension", url)``, ``("url", url)`` of an
    extension, or an element and its code.
    """

    name: str
    types: tuple[str, ...] = ()
    where: tuple[str, str] | None = None


@dataclass(slots=True)
class Need:
    """What the parameters of a type want of one element: its alternatives, and what is inside."""

    children: dict[str, "Need"] = field(default_factory=dict)
    types: dict[str, None] = field(default_factory=dict)
    wheres: dict[tuple[str, str] | None, None] = field(default_factory=dict)
    targets: dict[str, None] = field(default_factory=dict)


def needs(type_: str) -> Need:
    """Return the tree of all elements that the search parameters of a resource type read."""
    root = Need()
    for parameter in definitions.search_parameters(type_).values():
        for steps in paths(parameter, type_):
            _add(root, steps, parameter)
    return root


def paths(parameter: SearchParameter, type_: str) -> list[tuple[Step, ...]]:
    """Return the ways from a resource of ``type_`` to the parameter's values."""
    own = {type_, "Resource", "DomainResource"}
    found = []
    for part in alternatives(parameter.expression):
        first, *steps = _steps(part.partition(" and ")[0], parameter.type)
        if first.name in own:
            found.append(tuple(steps))
        elif first.name[0].islower():  # InsurancePlan.name is "name | alias"
            found.append((first, *steps))
    return found


def alternatives(expression: str) -> list[str]:
    """Return the operands of the unions outside of parentheses.

    >>> alternatives("(A.b as C) | A.d.where(x='|')")
    ['(A.b as C)', "A.d.where(x='|')"]
    """
    return [part.strip() for part in _split(expression, "|")] if expression else []


def _add(need: Need, steps: tuple[Step, ...], parameter: SearchParameter) -> None:
    for step in steps:
        need = need.children.setdefault(step.name, Need())
        need.types |= dict.fromkeys(step.types)
        need.wheres[step.where] = None
    if parameter.type == "reference":
        need.targets |= dict.fromkeys(parameter.target)


def _steps(path: str, kind: str) -> list[Step]:
    if found := _AS.fullmatch(path):
        *before, last = _steps(found[1], kind)
        return [*before, Step(last.name, (found[2],)), *_steps(found[3].lstrip("."), kind)]
    made: list[Step] = []
    for text in filter(None, _split(path, ".")):
        if found := _CALL.fullmatch(text):
            made = list(_called(made, found[1], found[2], kind))
        else:
            made.append(Step(text.removesuffix("[0]")))
    return made


def _called(steps: list[Step], name: str, inner: str, kind: str) -> Iterator[Step]:
    if name == "extension":
        yield from steps
        yield Step("extension", EXTENSION_VALUES[kind], ("url", inner.strip("'")))
        return
    *before, last = steps
    yield from before
    match name:
        case "as" | "ofType":
            yield Step(last.name, (inner,), last.where)
        case "where":
            yield Step(last.name, last.types, _condition(inner))
        case _:
            yield last


def _condition(text: str) -> tuple[str, str]:
    if found := _RESOLVES.fullmatch(text):
        return "resolve", found[1]
    if found := _HAS_EXTENSION.fullmatch(text):
        return "hasExtension", found[1]
    found = _EQUALS.fullmatch(text)
    assert found, f"a condition that the generator cannot satisfy: {text}"
    return found[1], found[2]


def _split(text: str, separator: str) -> list[str]:
    parts, depth, quoted = [""], 0, False
    for character in text:
        quoted ^= character == "'"
        if not quoted:
            depth += (character == "(") - (character == ")")
        if character == separator and depth == 0 and not quoted:
            parts.append("")
        else:
            parts[-1] += character
    return parts
