"""Element paths in emit maps: ``name``, ``period.start``, ``participant(type=ATND).individual``.

Property names are those of the JSON (``valueQuantity``).  A path that begins with a name in
capitals speaks of one of the map's resources (``Patient.name``), every other of the value at hand.
``condition.resolve(Condition).code`` goes on in what a reference points to.
Brackets select: ``(1)`` the first, ``(type=MR|MRN)`` those whose codes are among these,
``(use!=work)`` those whose codes are not, ``(family)`` those that have it, ``(is=Practitioner)``
references to one.  Several follow each other: ``location(status=active)(1)``.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from mappings.spelling import hint
from server.fhir.definitions import children, resource_types

_STEP = re.compile(r"([A-Za-z_]\w*)((?:\([^()]*\))*)")


class ElementError(ValueError):
    """The text is no path into the resource; the message names the step."""


@dataclass(frozen=True, slots=True)
class Value:
    """A value with its FHIR type and where it stands (``Patient.name[0]``)."""

    value: Any
    type: str
    path: str


class Resources(Protocol):
    """Where named resources, and those that references point to, are found."""

    @property
    def roots(self) -> Mapping[str, Sequence[Value]]:
        """The resources that the map names."""

    def resolve(self, reference: Any) -> Value | None:
        """Return what a Reference points to, when it is known."""


class _None:
    roots: Mapping[str, Sequence[Value]] = {}

    def resolve(self, _reference: Any) -> Value | None:
        return None


@dataclass(frozen=True, slots=True)
class _Select:
    place: int = 0
    steps: tuple["_Step", ...] = ()
    wanted: frozenset[str] = frozenset()
    negated: bool = False

    def takes(self, number: int, value: Value) -> bool:
        if self.place:
            return number == self.place
        inside = _walk(self.steps, [value], _None())
        found = {said for one in inside for said in says(one.value)}
        if not self.wanted:
            return bool(found)
        return self.negated != bool(found & self.wanted)


@dataclass(frozen=True, slots=True)
class _Step:
    name: str
    type: str
    selects: tuple[_Select, ...] = ()


@dataclass(frozen=True, slots=True)
class ElementPath:
    """A compiled path.  ``root`` is a resource's name, ``""`` for the value at hand.

    ``type`` is that of its values; ``targets`` what they may refer to.
    """

    text: str
    root: str
    steps: tuple[_Step, ...]
    type: str
    targets: tuple[str, ...] = ()

    def values(self, here: Value, resources: Resources) -> list[Value]:
        """Return the values at the path, in order."""
        start = resources.roots.get(self.root, ()) if self.root else (here,)
        return _walk(self.steps, start, resources)


def _walk(steps: Sequence[_Step], values: Sequence[Value], resources: Resources) -> list[Value]:
    found = list(values)
    for step in steps:
        if step.name == "resolve":
            targets = [resources.resolve(one.value) for one in found]
            found = [one for one in targets if one is not None and one.type == step.type]
        else:
            found = [inner for one in found for inner in _inside(step, one)]
        for select in step.selects:
            found = [one for n, one in enumerate(found, start=1) if select.takes(n, one)]
    return found


def _inside(step: _Step, value: Value) -> Iterator[Value]:
    if not isinstance(value.value, dict):
        return
    here = value.value.get(step.name)
    if here is None:
        return
    many = isinstance(here, list)
    for at, item in enumerate(here if many else [here]):
        if item is None:
            continue
        path = f"{value.path}.{step.name}[{at}]" if many else f"{value.path}.{step.name}"
        yield Value(item, step.type, path)


def says(value: Any) -> set[str]:
    """Return the words that a value is compared by: its codes, for a Reference its type too.

    >>> sorted(says({"coding": [{"code": "ATND"}], "text": "attender"}))
    ['ATND', 'attender']
    >>> sorted(says({"reference": "Practitioner/1"}))
    ['Practitioner', 'Practitioner/1']
    """
    if isinstance(value, bool):
        return {"true" if value else "false"}
    if not isinstance(value, dict):
        return {str(value)}
    found = {str(value[key]) for key in ("code", "text", "value", "type") if _plain(value.get(key))}
    for coding in value.get("coding", ()):
        found |= says(coding)
    if reference := value.get("reference"):
        found |= {str(reference), str(reference).rpartition("/")[0].rpartition("/")[2]}
    return found or {"valued"}


def _plain(value: Any) -> bool:
    return value is not None and not isinstance(value, (dict, list))


def element_path(text: str, here: str, roots: Mapping[str, str]) -> ElementPath:
    """Compile a path.

    Args:
        here: FHIR type (or backbone) of the value at hand, ``""`` where there is none.
        roots: type of each named resource.

    Raises:
        ElementError: it cannot be read, or the type has no such element.
    """
    parts = _parts(text)
    root = ""
    if parts[0] in roots and not (here and parts[0] in children(here)):
        root, type_ = parts[0], roots[parts[0]]
        parts = parts[1:]
    else:
        type_ = here
    if parts == [""] or (parts == ["."] and not root):
        raise ElementError(f"{text!r} is no path such as name.family")
    steps, type_, targets = _steps(text, tuple(parts), type_)
    return ElementPath(text, root, steps, type_, targets)


def here_path(type_: str) -> ElementPath:
    """Return the path ``.``: the value at hand itself."""
    return ElementPath(".", "", (), type_)


def _parts(text: str) -> list[str]:
    """Split at dots that are not in brackets."""
    if "(" not in text:
        return text.split(".")
    made, depth = [""], 0
    for character in text:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "." and depth == 0:
            made.append("")
        else:
            made[-1] += character
    return made


@lru_cache(maxsize=8192)
def _steps(
    text: str, parts: tuple[str, ...], type_: str
) -> tuple[tuple[_Step, ...], str, tuple[str, ...]]:
    steps: list[_Step] = []
    targets: tuple[str, ...] = ()
    for part in parts:
        found = _STEP.fullmatch(part.strip())
        if found is None:
            raise ElementError(f"{text!r} is no path such as name.family")
        name, selects = found[1], re.findall(r"\(([^()]*)\)", found[2])
        if name == "resolve" and selects:
            type_, targets = _resolved(text, selects[0], type_), ()
            made = tuple(_select(text, one, type_) for one in selects[1:])
            steps.append(_Step(name, type_, made))
            continue
        known = children(type_)
        child = known.get(name)
        if child is None:
            raise ElementError(f"{text!r}: {type_ or 'nothing'} has no {name!r}{hint(name, known)}")
        targets = child.targets
        inner = child.types[0] if child.types else child.content
        type_ = child.content if _backbone(inner) else inner
        steps.append(_Step(name, type_, tuple(_select(text, one, type_) for one in selects)))
    return tuple(steps), type_, targets


def _resolved(text: str, wanted: str, type_: str) -> str:
    if type_ != "Reference":
        raise ElementError(f"{text!r}: resolve follows a reference, this is {type_ or 'nothing'}")
    if wanted not in resource_types():
        raise ElementError(
            f"{text!r}: there is no resource {wanted!r}{hint(wanted, resource_types())}"
        )
    return wanted


def _backbone(type_: str) -> bool:
    return type_ in ("BackboneElement", "Element") or "." in type_


def _select(text: str, inside: str, type_: str) -> _Select:
    inside = inside.strip()
    if inside.isdecimal() and int(inside) > 0:
        return _Select(place=int(inside))
    negated = "!=" in inside
    path, sign, wanted = inside.partition("!=" if negated else "=")
    if not path.strip():
        raise ElementError(f"{text!r}: nothing stands in the brackets")
    steps: tuple[_Step, ...] = ()
    if path.strip() != "is":
        steps, _, _ = _steps(text, tuple(_parts(path.strip())), type_)
    codes = frozenset(code.strip() for code in wanted.split("|")) if sign else frozenset()
    return _Select(steps=steps, wanted=codes, negated=negated)
