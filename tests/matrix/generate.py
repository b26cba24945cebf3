"""Valid resources of every type, in which each search parameter has at least three values.

Made of the definitions and of what the parameters' expressions read; the same at every run.  The
resources of a type are ``m0``, ``m1``, ... and ``bare``, which holds only what must be there.
References go to others of these resources, so that chains have somewhere to lead.
"""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from server.fhir import definitions
from server.fhir.definitions import Child
from tests.matrix.paths import Need, needs
from tests.matrix.values import MAKERS, Spot

FEWEST = 8  # variants of a type, besides the bare one
EACH = 3  # values of every alternative of a choice
MORE = {"Observation": 42}  # types that are asked about more than others
INSIDE = ("Organization", "Patient")
"""Types of contained resources; references to them are ``#Organization`` and ``#Patient``."""
DECIDED_BY_STORE = frozenset(("lastUpdated", "versionId"))


@cache
def generated(type_: str) -> tuple[dict[str, Any], ...]:
    """Return the resources of one type; they are shared, so nobody may change them."""
    need = needs(type_)
    count = max(FEWEST, EACH * _most_alternatives(type_, need), MORE.get(type_, 0))
    made = [_resource(type_, need, n) for n in range(count)]
    return (*made, _bare(type_))


def _bare(type_: str) -> dict[str, Any]:
    return {"resourceType": type_, "id": "bare", **_content(type_, Need(), 1)}


def _resource(type_: str, need: Need, n: int) -> dict[str, Any]:
    made = {"resourceType": type_, "id": f"m{n}", **_content(type_, need, n)}
    children = definitions.children(type_)
    if "url" in made and need.children.get("url"):
        made["url"] = f"http://h.test/{type_}/m{n}"
    if "text" in children and n % 3 != 2:
        made["text"] = MAKERS["Narrative"](Spot(children["text"], n))
    return made | _contained(made, n)


def _contained(made: dict[str, Any], n: int) -> dict[str, Any]:
    """Return what a reference to ``#Patient`` or ``#Organization`` means."""
    organization = {"id": "Organization", "name": f"Inside {n % 3}", "active": n % 2 == 0}
    patient = {"id": "Patient", "gender": "other", "birthDate": f"19{80 + n % 5}"}
    if '"#' not in json.dumps(made, default=str):
        return {}
    inner = zip(INSIDE, (organization, patient), strict=True)
    return {"contained": [{"resourceType": type_, **one} for type_, one in inner]}


def _content(content: str, need: Need, n: int) -> dict[str, Any]:
    """Return what stands in a type; elements run through their values at a distance."""
    made: dict[str, Any] = {}
    for position, (name, choices) in enumerate(_elements(content).items()):
        inner = need.children.get(name)
        if name in DECIDED_BY_STORE or (content in definitions.resource_types() and name == "id"):
            continue
        if inner is not None or choices[0].min > 0:
            child, index = _choose(_wanted(choices, inner or Need()), n + position)
            made[child.name] = _values(child, inner or Need(), index)
    return made


def _values(child: Child, need: Need, n: int) -> Any:
    wheres = list(need.wheres) or [None]
    if child.max == 1:
        where = wheres[n % len(wheres)]
        return _value(child, need, where, n // len(wheres))
    count = max(len(wheres), 1 + n % 2)
    return [_value(child, need, wheres[i % len(wheres)], n + i) for i in range(count)]


def _value(child: Child, need: Need, where: tuple[str, str] | None, n: int) -> Any:
    type_ = child.types[0] if child.types else child.content
    if type_ == "Extension":
        return _extension(child, need, where, n)
    if type_ == "Resource":
        return _entry(n)
    if maker := MAKERS.get(type_):
        return maker(Spot(child, n, where, tuple(need.targets)))
    made = _content(child.content, need, n)
    return made | _satisfying(where) or {"id": f"e{n}"}


def _satisfying(where: tuple[str, str] | None) -> dict[str, Any]:
    match where:
        case ("hasExtension", url):
            return {"extension": [{"url": url, "valueBoolean": True}]}
        case (name, code) if name not in ("resolve", "url"):
            return {name: code}
        case _:
            return {}


def _extension(child: Child, need: Need, where: tuple[str, str] | None, n: int) -> dict[str, Any]:
    if where is None:
        return {"url": "http://h.test/else", "valueString": "elsewhere"}
    values = _elements("Extension")["value"]
    known = [c for c in values if c.types[0] in need.types] if need.types else values
    inner, index = _choose(known, n)
    return {"url": where[1], inner.name: _value(inner, need, None, index)}


def _entry(n: int) -> dict[str, Any]:
    type_ = ("Composition", "MessageHeader", "Patient")[n % 3]
    return {**_bare(type_), "id": f"m{n}"}


def _elements(content: str) -> Mapping[str, list[Child]]:
    """Return the alternatives of each element of a type by name, ``value`` for ``value[x]``."""
    found: dict[str, list[Child]] = {}
    for child in definitions.children(content).values():
        found.setdefault(child.choice or child.name, []).append(child)
    return found


def _wanted(choices: list[Child], need: Need) -> list[Child]:
    """Return the alternatives that a parameter reads, all of them if it names none."""
    named = [child for child in choices if child.types and child.types[0] in need.types]
    return choices if not named else [*named, *choices[:1]] if choices[0] not in named else named


def _choose(choices: list[Child], n: int) -> tuple[Child, int]:
    """Return the alternative of the n-th round, and which of its values is due."""
    return choices[n % len(choices)], n // len(choices)


def _most_alternatives(content: str, need: Need) -> int:
    most = 1
    elements = _elements(content)
    for name, inner in need.children.items():
        for child in elements.get(name, ()):
            wanted = 5 if child.types == ("Extension",) else len(_wanted(elements[name], inner))
            ways = len(inner.wheres) if child.max == 1 else 1
            most = max(most, wanted * ways, _most_alternatives(child.content, inner))
    return most
