"""Element paths in emit maps: ``name``, ``period.start``, ``participant(type=ATND).individual``.

Property names are those of the JSON (``valueQuantity``).  A path that begins with a name in
capitals speaks of one of the map's resources (``Patient.name``), every other of the value at hand.
``condition.resolve(Condition).code`` goes on in what a reference points to.
Brackets select: ``(1)`` the first, ``(type=MR|MRN)`` those whose codes are among these,
``(use!=work)`` those whose codes are not, ``(family)`` those that have it, ``(is=Practitioner)``
references to one.  Several follow each other: ``location(status=active)(1)``.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from mappings.spelling import hint
from server.fhir.definitions import children, resource_types

_STEP = re.compile(r"([A-Za-z_]\w*)((?:\([^()]*\))*)")


_WORDS = ("code", "text", "value", "type")


class ElementError(ValueError):
    """The text is no path into the resource; the message names the step."""


class Resources(Protocol):
    """Where named resources, and those that references point to, are found."""

    @property
    def roots(self) -> Mapping[str, Sequence[Any]]:
        """The resources that the map names."""

    def resolve(self, reference: Any) -> Any:
        """Return the resource that a Reference points to, ``None`` when it is not known."""


class _None:
    roots: Mapping[str, Sequence[Any]] = {}

    def resolve(self, _reference: Any) -> Any:
        return None


_NOWHERE = _None()


@dataclass(frozen=True, slots=True)
class _Select:
    place: int = 0
    steps: tuple["_Step", ...] = ()
    wanted: frozenset[str] = frozenset()
    negated: bool = False
    plain: str = ""  # the element, where it is one of the value's own: a code, a URL

    def of(self, values: Sequence[Any]) -> Sequence[Any]:
        if self.place:
            return values[self.place - 1 : self.place]
        return [one for one in values if self._takes(one)]

    def _takes(self, value: Any) -> bool:
        said = value.get(self.plain) if self.plain and isinstance(value, dict) else None
        if isinstance(said, str):
            return self.negated != (said in self.wanted)
        inside = _walk(self.steps, (value,), _NOWHERE)
        if not self.wanted:
            return bool(inside)
        return self.negated != any(not self.wanted.isdisjoint(says(one)) for one in inside)


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

    def values(self, here: Any, resources: Resources) -> Sequence[Any]:
        """Return the values at the path, in order: JSON, all of the path's ``type``."""
        start = resources.roots.get(self.root, ()) if self.root else (here,)
        return _walk(self.steps, start, resources)


def _walk(steps: Sequence[_Step], values: Sequence[Any], resources: Resources) -> Sequence[Any]:
    found = values
    for step in steps:
        if step.name == "resolve":
            found = _resolved(step.type, found, resources)
        else:
            found = _inside(step.name, found)
        for select in step.selects:
            found = select.of(found)
        if not found:
            break
    return found


def _resolved(type_: str, references: Sequence[Any], resources: Resources) -> Sequence[Any]:
    targets = [resources.resolve(one) for one in references]
    return [one for one in targets if one is not None and one.get("resourceType") == type_]


def _inside(name: str, values: Sequence[Any]) -> Sequence[Any]:
    made: list[Any] = []
    for value in values:
        if not isinstance(value, dict):
            continue
        here = value.get(name)
        if isinstance(here, list):
            made += [one for one in here if one is not None]
        elif here is not None:
            made.append(here)
    return made


def says(value: Any) -> set[str]:
    """Return the words that a value is compared by: its codes, for a Reference its type too.

    >>> sorted(says({"coding": [{"code": "ATND"}], "text": "attender"}))
    ['ATND', 'attender']
    >>> sorted(says({"reference": "Practitioner/1"}))
    ['Practitioner', 'Practitioner/1']
    """
    if isinstance(value, str):
        return {value}
    if isinstance(value, bool):
        return {"true" if value else "false"}
    if not isinstance(value, dict):
        return {str(value)}
    found = set()
    for key in _WORDS:
        said = value.get(key)
        if said is not None and not isinstance(said, (dict, list)):
            found.add(str(said))
    for coding in value.get("coding", ()):
        found |= says(coding)
    if reference := value.get("reference"):
        found |= {str(reference), str(reference).rpartition("/")[0].rpartition("/")[2]}
    return found or {"valued"}


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
            type_, targets = _target(text, selects[0], type_), ()
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


def _target(text: str, wanted: str, type_: str) -> str:
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
    plain = steps[0].name if codes and len(steps) == 1 and not steps[0].selects else ""
    return _Select(steps=steps, wanted=codes, negated=negated, plain=plain)
