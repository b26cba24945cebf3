"""Elements of Patient, RelatedPerson and Coverage -> statements.

What the resource does not date is dated by who brought the value: the version in which it came,
and the person whom a Provenance of that version names (C2).  R4 patient.html, coverage.html.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from server.continuity.statement import About, Standing, Statement
from server.continuity.statements.read import Reading, Resource, codes, moment, source
from server.fhir import definitions

Only = tuple[tuple[str, str], ...]

_PREFERRED: Final[Mapping[str, tuple[str, ...]]] = {
    "name": ("official", "usual", ""),
    "address": ("home", "", "temp", "work", "billing"),
    "telecom": ("mobile", "home", "", "work", "temp"),
}
_ASIDE: Final = frozenset(("temp", "work", "billing", "secondary"))
"""Uses that are meant only where the form says so."""

_GONE: Final = frozenset(("old", "nickname", "anonymous", "maiden"))
_OF_KIND: Final = frozenset(("identifier", "telecom"))
"""Elements that say nothing without their ``system``."""

_PEOPLE: Final = frozenset(("C", "N", "ECON", "NOK"))
_BODIES: Final = frozenset(("E", "F", "I", "S"))  # employer, agencies, insurer: no person
_ROLES: Final = frozenset(
    (
        "http://terminology.hl7.org/CodeSystem/v2-0131",
        "http://terminology.hl7.org/CodeSystem/v3-RoleClass",
    )
)

SEVERAL: Final = "The record has several, and does not say which one is meant."
KIND: Final = "The form does not say which kind of it is meant."
USE: Final = "It is noted for another use than the form says."
WHO: Final = "The record does not say that this is whom to call."


@dataclass(frozen=True, slots=True)
class Asked:
    """Which element is asked for.

    ``only`` narrows its siblings (``system`` is ``phone``); ``uses`` are those that the words of
    the item name; ``repeats``: all values are, else the preferred one.
    """

    element: str
    only: Only = ()
    uses: frozenset[str] = frozenset()
    repeats: bool = True


@dataclass(frozen=True, slots=True)
class Place:
    """One value of an element, and where it stands; ``doubt``: why it may not be what is meant."""

    value: Any
    path: str
    entry: str
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class _Node:
    """What holds the last part of an element, the order in which it is meant, and its entry."""

    value: Any
    path: str
    order: tuple[int, ...] = ()
    doubt: str = ""


def places(resource: Resource, asked: Asked, now: int) -> list[Place]:
    """Return the current values of an element (``Patient.address.city``), preferred ones first.

    Old ones, those whose period is over and those whose period has not begun are left out.
    """
    _, *steps = asked.element.split(".")
    if not steps:
        return []
    upto = len(steps) - 1 or 1
    nodes = _nodes(_Node(resource, resource["resourceType"]), steps[:upto], asked, now)
    nodes = [node for node in nodes if _fits(node.value, asked.only)]
    nodes.sort(key=lambda node: node.order)
    found = [
        Place(value, path, node.path, node.doubt or _unsaid(asked))
        for node in nodes
        for value, path in _below(node.value, steps[upto:], node.path)
    ]
    first = [one for one in found if one.entry == nodes[0].path] if nodes else []
    tied = {node.path for node in nodes if node.order == nodes[0].order}
    others = {repr(one.value) for one in found if one.entry in tied and one not in first}
    if not first or others - {repr(one.value) for one in first}:
        return [replace(one, doubt=one.doubt or SEVERAL) for one in found]
    return found


def preferred(found: Sequence[Place]) -> list[Place]:
    """Return the one value for a question that takes one: the preferred entry's, its parts joined
    as they are written (given names, lines of an address)."""
    same = [one for one in found if found and one.entry == found[0].entry]
    if len(same) > 1 and all(isinstance(one.value, str) for one in same):
        between = ", " if ".line" in same[0].path else " "
        return [replace(same[0], value=between.join(one.value for one in same))]
    return same


def statements(
    resource: Resource, version: int, reading: Reading, asked: Asked, now: int
) -> Iterator[Statement]:
    """Yield the values of an element; neither dated nor signed yet (:mod:`..brought`)."""
    topic = reading.policy.of_element(asked.element, asked.only) or reading.policy.topic("")
    if resource["resourceType"] == "RelatedPerson" and _is_no_person(resource):
        return
    who = _whom(resource) if resource["resourceType"] == "RelatedPerson" else ""
    found = places(resource, asked, now)
    for place in found if asked.repeats else preferred(found):
        yield Statement(
            topic=topic.name,
            codes=frozenset(),
            value=answer(place.path, place.value),
            says="present",
            said_at=None,
            author=reading.author(),
            source=source(resource, version, place.path),
            element=asked.element,
            about=_about(resource, reading, asked.element),
            standing=_standing(resource, now),
            note=place.doubt or who,
        )


def counts(resource: Resource, reading: Reading, asked: Asked, now: int) -> bool:
    """Tell whether a resource that has no value might have had one: another cover, in force."""
    mine = _about(resource, reading, asked.element) != "other"
    return mine and _standing(resource, now) == "current"


def answer(path: str, value: Any) -> dict[str, Any]:
    """Return a value of an element as ``value[x]``; a code with the system that it is bound to.

    >>> answer("Patient.deceasedDateTime", "2024")
    {'valueDateTime': '2024'}
    """
    child = _child(_INDEX.sub("", path))
    type_ = child.types[0] if child is not None and child.types else ""
    if type_ == "code" and isinstance(value, str) and child is not None:
        systems = definitions.required_codes(child.binding) if child.binding else None
        own = [system for system, known in (systems or {}).items() if value in known]
        return {"valueCoding": {**({"system": own[0]} if own else {}), "code": value}}
    if type_ in ("", "BackboneElement"):
        return {}
    return {f"value{type_[0].upper()}{type_[1:]}": value}


_INDEX: Final = re.compile(r"\[\d+\]")


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


def _nodes(above: _Node, steps: Sequence[str], asked: Asked, now: int) -> list[_Node]:
    """Return what stands at the steps and is current."""
    if not steps:
        return [above]
    name, entries = _named(above.value, steps[0])
    many = isinstance(entries, list)
    found: list[_Node] = []
    for index, entry in enumerate(entries if many else [entries]):
        if _is_current(entry, asked, now):
            path = f"{above.path}.{name}" + (f"[{index}]" if many else "")
            order = (*above.order, *_order(name, entry))
            doubt = above.doubt or _doubt(name, entry, asked)
            found += _nodes(_Node(entry, path, order, doubt), steps[1:], asked, now)
    return found


def _doubt(name: str, entry: Any, asked: Asked) -> str:
    """Return why an entry may not be the one that is asked for, though it is the only one."""
    if not isinstance(entry, dict):
        return ""
    fixed = {name for name, _ in asked.only}
    use = entry.get("use", "")
    if asked.uses and name in _PREFERRED and "use" not in fixed and use not in asked.uses:
        return USE
    if use in _ASIDE and "use" not in fixed and use not in asked.uses:
        return USE
    if name == "address" and entry.get("type") == "postal" and "type" not in fixed:
        return USE
    if name == "communication" and entry.get("preferred") is False:
        return KIND
    return _whom(entry) if name == "contact" else ""


def _unsaid(asked: Asked) -> str:
    """Return that the form leaves open which kind it asks for: a telephone, or an e-mail."""
    kinds = _OF_KIND.intersection(asked.element.split("."))
    return KIND if kinds and "system" not in dict(asked.only) else ""


def _roles(entry: Mapping[str, Any]) -> set[str]:
    listed = entry.get("relationship", ())
    return {code for one in listed for system, code in codes(one) if system in _ROLES}


def _whom(entry: Mapping[str, Any]) -> str:
    return "" if _roles(entry) & _PEOPLE else WHO


def _is_no_person(entry: Mapping[str, Any]) -> bool:
    roles = _roles(entry)
    return bool(roles) and roles <= _BODIES


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


def _fits(entry: Any, only: Only) -> bool:
    if not isinstance(entry, dict):
        return not only
    return all(entry.get(name) == said for name, said in only)


def _is_current(entry: Any, asked: Asked, now: int) -> bool:
    if not isinstance(entry, dict):
        return True
    if entry.get("use") in _GONE and ("use", entry["use"]) not in asked.only:
        return False
    start, end = _period(entry.get("period"))
    if (end is not None and end <= now) or (start is not None and start > now):
        return False
    return not ("relationship" in entry and _is_no_person(entry))


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
    if resource["resourceType"] == "Coverage" and resource.get("status") != "active":
        return "withdrawn"
    if resource["resourceType"] == "Patient":
        return "current"
    start, end = _period(resource.get("period"))
    if (end is not None and end <= now) or (start or 0) > now:
        return "ended"
    return "ended" if resource.get("active") is False else "current"
