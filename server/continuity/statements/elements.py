"""Elements of Patient, RelatedPerson and Coverage -> statements.

What the resource does not date is dated by who brought the value: the version in which it came,
and the person whom a Provenance of that version names (C2).  R4 patient.html, coverage.html.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from server.continuity.statement import About, Standing, Statement
from server.continuity.statements.read import Reading, Resource, moment, source
from server.fhir import definitions

Only = tuple[tuple[str, str], ...]

_PREFERRED: Final[Mapping[str, tuple[str, ...]]] = {
    "name": ("official", "usual", ""),
    "address": ("home", "", "temp", "work", "billing"),
    "telecom": ("mobile", "home", "", "work", "temp"),
}
_GONE: Final = frozenset(("old", "nickname", "anonymous", "maiden"))


@dataclass(frozen=True, slots=True)
class Place:
    """One value of an element, and where it stands."""

    value: Any
    path: str
    entry: str
    several: bool = False


def places(resource: Resource, element: str, only: Only, now: int) -> list[Place]:
    """Return the current values of an element (``Patient.address.city``), preferred ones first.

    ``only`` narrows its siblings (``system`` is ``phone``).  Old ones and those whose period is
    over are left out.  ``several``: nothing says which of them is meant.
    """
    _, *steps = element.split(".")
    if not steps:
        return []
    name, entries = _named(resource, steps[0])
    many = isinstance(entries, list)
    listed = [
        (entry, f"{resource['resourceType']}.{name}" + (f"[{index}]" if many else ""))
        for index, entry in enumerate(entries if many else [entries])
    ]
    current = [one for one in listed if _current(one[0], only, now)]
    current.sort(key=lambda one: _order(name, one[0]))
    doubt = len(current) > 1 and _order(name, current[0][0]) == _order(name, current[1][0])
    doubt |= len({entry.get("system") for entry, _ in current if isinstance(entry, dict)}) > 1
    return [
        Place(value, path, start, doubt)
        for entry, start in current
        for value, path in _below(entry, steps[1:], start)
    ]


def preferred(found: Sequence[Place]) -> list[Place]:
    """Return the one value for a question that takes one: the preferred entry's, its parts joined
    as they are written (given names, lines of an address)."""
    same = [one for one in found if found and one.entry == found[0].entry]
    if len(same) > 1 and all(isinstance(one.value, str) for one in same):
        between = ", " if ".line" in same[0].path else " "
        return [replace(same[0], value=between.join(one.value for one in same))]
    return same


def statements(
    resource: Resource,
    version: int,
    reading: Reading,
    element: str,
    only: Only,
    now: int,
    *,
    repeats: bool = True,
) -> Iterator[Statement]:
    """Yield the values of an element; neither dated nor signed yet (:mod:`..brought`).

    ``repeats``: all of them, else the preferred one.
    """
    topic = reading.policy.of_element(element, only) or reading.policy.topic("")
    found = places(resource, element, only, now)
    for place in found if repeats else preferred(found):
        yield Statement(
            topic=topic.name,
            codes=frozenset(),
            value=answer(element, place.value),
            says="present",
            said_at=None,
            author=reading.author(),
            source=source(resource, version, place.path),
            element=element,
            about=_about(resource, reading, element),
            standing=_standing(resource, now),
            note="The record has several, and does not say which one is meant."
            if place.several
            else "",
        )


def answer(element: str, value: Any) -> dict[str, Any]:
    """Return a value of an element as ``value[x]``; a code with the system that it is bound to."""
    child = _child(element)
    type_ = child.types[0] if child is not None and child.types else ""
    if type_ == "code" and isinstance(value, str) and child is not None:
        systems = definitions.required_codes(child.binding) if child.binding else None
        own = [system for system, known in (systems or {}).items() if value in known]
        return {"valueCoding": {**({"system": own[0]} if own else {}), "code": value}}
    if type_ in ("", "BackboneElement"):
        return {}
    return {f"value{type_[0].upper()}{type_[1:]}": value}


def _child(element: str) -> definitions.Child | None:
    here, *steps = element.split(".")
    child = None
    for step in steps:
        known = definitions.children(here)
        child = known.get(step) or next((c for c in known.values() if c.choice == step), None)
        if child is None:
            return None
        here = child.content or child.types[0]
    return child


def _named(resource: Mapping[str, Any], step: str) -> tuple[str, Any]:
    """Return an element by its name, or by the name of its choice (``deceased``)."""
    stem = step.removesuffix("[x]")
    if stem in resource:
        return stem, resource[stem]
    for name, value in resource.items():
        if name.startswith(stem) and name[len(stem) : len(stem) + 1].isupper():
            return name, value
    return stem, []


def _below(value: Any, steps: Sequence[str], path: str) -> Iterator[tuple[Any, str]]:
    if isinstance(value, list):
        for index, one in enumerate(value):
            yield from _below(one, steps, f"{path}[{index}]")
    elif not steps:
        if value not in (None, "", {}):
            yield value, path
    elif isinstance(value, dict):
        name, inner = _named(value, steps[0])
        if name in value:
            yield from _below(inner, steps[1:], f"{path}.{name}")


def _current(entry: Any, only: Only, now: int) -> bool:
    if not isinstance(entry, dict):
        return not only
    if entry.get("use") in _GONE or any(entry.get(name) != said for name, said in only):
        return False
    _, end = _period(entry.get("period"))
    return end is None or end > now


def _order(name: str, entry: Any) -> tuple[int, int]:
    if not isinstance(entry, dict):
        return 0, 0
    preferred = _PREFERRED.get(name, ())
    use = str(entry.get("use", ""))
    place = preferred.index(use) if use in preferred else len(preferred)
    rank = entry.get("rank")
    first = 0 if entry.get("preferred") is True else 1
    return (rank if isinstance(rank, int) else 1_000 * first + 1_000), place


def _period(period: Any) -> tuple[int | None, int | None]:
    if not isinstance(period, dict):
        return None, None
    start, _ = moment(period.get("start"))
    lo, hi = moment(period.get("end"))
    return start, hi if hi is not None else lo


def _about(resource: Resource, reading: Reading, element: str) -> About:
    type_ = resource["resourceType"]
    if type_ == "Patient":
        mine = f"Patient/{resource['id']}" == reading.patient
        if not mine:
            return "other"
        return "related" if element.startswith("Patient.contact") else "patient"
    if type_ == "RelatedPerson":
        return "related" if reading.about(resource.get("patient")) == "patient" else "other"
    return reading.about(resource.get("beneficiary"))


def _standing(resource: Resource, now: int) -> Standing:
    if resource["resourceType"] == "Coverage":
        start, end = _period(resource.get("period"))
        if resource.get("status") != "active":
            return "withdrawn"
        return "ended" if (end is not None and end <= now) or (start or 0) > now else "current"
    return "ended" if resource.get("active") is False else "current"
