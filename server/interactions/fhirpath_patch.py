"""FHIRPath Patch: the operations of a Parameters resource, applied one after the other.

R4 fhirpatch.html.  Pure, and in place; what a patch makes is validated like any other resource.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from server.fhir.errors import InvalidRequest, InvalidResource, TooCostly
from server.fhir.fhirpath.errors import FhirPathError, StepLimit
from server.fhir.fhirpath.expression import CLIENT_STEPS, compile_expression
from server.fhir.fhirpath.lexer import MAX_LENGTH
from server.fhir.json import MAX_DEPTH
from server.interactions.json_patch import depth
from server.interactions.patch_places import Elements, Path, Place, place
from server.interactions.patch_value import NoValue, add, alternative, named, value_of

Resource = dict[str, Any]
Part = dict[str, Any]

MAX_OPERATIONS: Final = 200  # they share CLIENT_STEPS: one may look through a large resource


class _Refused(Exception):
    """The operation cannot be applied; the text says why."""


@dataclass(frozen=True, slots=True)
class _Operation:
    """One operation, read: ``parts`` by name, those that its type takes and no others.

    ``steps``: what its expression may take.  ``now``: the clock that expressions see.
    """

    index: int
    type: str
    path: str
    parts: Mapping[str, Part]
    steps: int
    now: datetime | None

    @property
    def where(self) -> tuple[str, ...]:
        return (f"Parameters.parameter[{self.index}]",)

    def text(self, name: str) -> str:
        return str(_stated(self.parts[name]))

    def number(self, name: str) -> int:
        return int(_stated(self.parts[name]))


def apply(resource: Resource, patch: Resource, *, now: datetime | None = None) -> Resource:
    """Return the patched resource; ``resource`` and ``patch`` are used up.

    ``patch`` is a valid Parameters resource, ``now`` what ``now()`` is in its paths.

    Raises:
        InvalidRequest: the patch is not one, or has an expression that cannot be read, or that
            names an element which the type does not have.
        InvalidResource: an operation does not apply; the expression names it
            (``Parameters.parameter[2]``).
        TooCostly: the patch is too long, or its expressions take too many steps.

    >>> apply({"resourceType": "Patient", "birthDate": "1920"}, {"parameter": [{
    ...     "name": "operation", "part": [
    ...         {"name": "type", "valueCode": "replace"},
    ...         {"name": "path", "valueString": "Patient.birthDate"},
    ...         {"name": "value", "valueDate": "1930"}]}]})
    {'resourceType': 'Patient', 'birthDate': '1930'}
    """
    listed = patch.get("parameter", [])
    if len(listed) > MAX_OPERATIONS:
        raise TooCostly(f"a patch of {len(listed)} operations; {MAX_OPERATIONS} is the limit")
    steps = CLIENT_STEPS // max(1, len(listed))
    operations = [_read(index, sent, steps, now) for index, sent in enumerate(listed)]
    if sum(len(operation.path) for operation in operations) > MAX_LENGTH:
        raise TooCostly(f"paths of more than {MAX_LENGTH} characters together")
    for operation in operations:
        try:
            _TYPES[operation.type].run(resource, operation)
        except (_Refused, NoValue) as refused:
            told = f"operation {operation.index} ({operation.type} {operation.path}): {refused}"
            raise InvalidResource(told, expression=operation.where) from None
    if depth(resource) > MAX_DEPTH:
        raise InvalidResource(f"it would nest deeper than {MAX_DEPTH} levels")
    return resource


# ---------------------------------------------------------------- operations


def _add(resource: Resource, operation: _Operation) -> None:
    """``add``: append to a list, or set an element that is not there yet."""
    paths = _found(resource, operation)
    if not paths:
        raise _Refused("nothing is there to add to")
    at = place(resource, _single(paths))
    content = at.content() if at else str(resource["resourceType"])
    part = operation.parts["value"]
    child = named(content, operation.text("name"), part)
    pair = value_of(child, part)
    add(Elements(at.holder() if at else resource, child, at), pair)


def _insert(resource: Resource, operation: _Operation) -> None:
    """``insert``: put into a list, before what is at the index."""
    elements = _list(resource, operation)
    pairs, index = elements.read(), operation.number("index")
    if not 0 <= index <= len(pairs):
        raise _Refused(f"the list has no place {index}: it has {len(pairs)} elements")
    pairs.insert(index, value_of(elements.child, operation.parts["value"]))
    elements.write(pairs)


def _delete(resource: Resource, operation: _Operation) -> None:
    """``delete``: take one element away; that there is none is no error."""
    paths = _found(resource, operation)
    if not paths:
        return
    at = _element(resource, _single(paths))
    pairs = at.elements.read()
    del pairs[at.index]
    at.elements.write(pairs)


def _replace(resource: Resource, operation: _Operation) -> None:
    """``replace``: put another value in the place of an element, for a choice of another type."""
    paths = _found(resource, operation)
    if not paths:
        raise _Refused("nothing is there to replace")
    at = _element(resource, _single(paths))
    part = operation.parts["value"]
    elements = at.elements
    content = elements.above.content() if elements.above else str(resource["resourceType"])
    child = alternative(content, elements.child, part)
    pairs = elements.read()
    pairs[at.index] = value_of(child, part)
    if child is not elements.child:
        # The new one first: without anything in it, the holder would go.
        Elements(elements.holder, child, elements.above).write(pairs)
        pairs = []
    elements.write(pairs)


def _move(resource: Resource, operation: _Operation) -> None:
    """``move``: to another place of the same list, counted without the element itself."""
    elements = _list(resource, operation)
    pairs = elements.read()
    source, destination = operation.number("source"), operation.number("destination")
    for index in (source, destination):
        if not 0 <= index < len(pairs):
            raise _Refused(f"the list has no place {index}: it has {len(pairs)} elements")
    pairs.insert(destination, pairs.pop(source))
    elements.write(pairs)


@dataclass(frozen=True, slots=True)
class _Type:
    run: Callable[[Resource, _Operation], None]
    parts: frozenset[str]


_TYPES: Final[Mapping[str, _Type]] = {
    "add": _Type(_add, frozenset({"type", "path", "name", "value"})),
    "insert": _Type(_insert, frozenset({"type", "path", "index", "value"})),
    "delete": _Type(_delete, frozenset({"type", "path"})),
    "replace": _Type(_replace, frozenset({"type", "path", "value"})),
    "move": _Type(_move, frozenset({"type", "path", "source", "destination"})),
}


# ---------------------------------------------------------------- places


def _found(resource: Resource, operation: _Operation) -> list[Path]:
    """Return the paths of what the expression finds; all of it must be in the resource."""
    try:
        type_ = str(resource["resourceType"])
        expression = compile_expression(operation.path, type_, strict=True, keep=False)
    except FhirPathError as error:
        told = f"operation {operation.index}: the path cannot be read: {error}"
        raise InvalidRequest(told, expression=operation.where) from None
    try:
        items = expression.evaluate(resource, steps=operation.steps, now=operation.now)
    except StepLimit:
        told = f"operation {operation.index}: the path takes more than {operation.steps} steps"
        raise TooCostly(told, expression=operation.where) from None
    except FhirPathError as error:
        raise _Refused(str(error)) from None
    paths = [item.path for item in items]
    if any(path is None for path in paths):
        raise _Refused("the path leads to a value that is not in the resource")
    return [path for path in paths if path is not None]


def _single(paths: list[Path]) -> Path:
    if len(paths) > 1:
        raise _Refused(f"the path leads to {len(paths)} elements, not to one")
    return paths[0]


def _element(resource: Resource, path: Path) -> Place:
    found = place(resource, path)
    if found is None:
        raise _Refused("the path leads to the resource itself")
    return found


def _list(resource: Resource, operation: _Operation) -> Elements:
    """Return the list that a path leads to: to all elements of one list."""
    paths = _found(resource, operation)
    if not paths:
        raise _Refused("no list is there")
    elements = _element(resource, paths[0]).elements
    beside = {tuple(path[:-1]) for path in paths}
    if not elements.repeats or len(beside) > 1 or len(paths) != len(elements.read()):
        raise _Refused("the path does not lead to one whole list")
    return elements


# ---------------------------------------------------------------- reading


def _read(index: int, sent: Part, steps: int, now: datetime | None) -> _Operation:
    """Return an operation whose parts are those that its type takes."""

    def bad(why: str) -> InvalidRequest:
        return InvalidRequest(
            f"operation {index}: {why}", expression=(f"Parameters.parameter[{index}]",)
        )

    if sent.get("name") != "operation":
        raise bad(f"a parameter of a patch is named 'operation', not {sent.get('name')!r:.80}")
    parts: dict[str, Part] = {}
    for part in sent.get("part", []):
        if part["name"] in parts:
            raise bad(f"the part {part['name']!r:.80} is there twice")
        parts[part["name"]] = part
    type_ = _stated(parts.get("type", {}))
    known = _TYPES.get(type_) if isinstance(type_, str) else None
    if known is None:
        raise bad(f"its type is none of {', '.join(_TYPES)}")
    if missing := sorted(known.parts - parts.keys()):
        raise bad(f"{type_} needs the part {missing[0]!r}")
    if surplus := sorted(parts.keys() - known.parts):
        raise bad(f"{type_} has no part {surplus[0]!r:.80}")
    for name, wanted in _PLAIN.items():
        if name in parts and type(_stated(parts[name])) is not wanted:
            raise bad(f"the part {name!r} is no {'number' if wanted is int else 'text'}")
    path = str(_stated(parts["path"]))
    return _Operation(index, str(type_), path, parts, steps, now)


_PLAIN: Final = {"path": str, "name": str, "index": int, "source": int, "destination": int}


def _stated(part: Part) -> Any:
    """Return the ``value[x]`` of a part, whatever its type."""
    return next((value for key, value in part.items() if key.startswith("value")), None)
