"""What a resource is made of when words about it are merged.  Pure.

A word is about a *slot*: an element (``birthDate``, ``value[x]``), or a property of one that two
messages fill together (``period.end``: admission and discharge come apart).
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from server.feeds.ownership import digest
from server.fhir import definitions

Resource = dict[str, Any]
Part = dict[str, Any]  # the JSON properties of one slot: {"birthDate": ..., "_birthDate": ...}

_NEVER_MERGED = ("resourceType", "id", "meta")

# A report that is sent again with only the lines that are new does not take the others back, nor
# does a merge those that were before it.
_GROWING = frozenset({("DiagnosticReport", "result"), ("Patient", "link")})


def parts(type_: str, resource: Mapping[str, Any]) -> dict[str, Part]:
    """Return the properties of a resource by element; the forms of a choice are one element.

    >>> parts("Patient", {"birthDate": "1970", "_birthDate": {}, "deceasedBoolean": True})
    {'birthDate': {'birthDate': '1970', '_birthDate': {}}, 'deceased[x]': {'deceasedBoolean': True}}
    """
    made: dict[str, Part] = {}
    for name, value in resource.items():
        if name not in _NEVER_MERGED:
            made.setdefault(element_of(type_, name), {})[name] = value
    return made


def slots(type_: str, element: str, part: Part) -> Iterator[tuple[str, Part]]:
    """Yield the slots that ``part`` of an element fills, each with its properties."""
    inner = part.get(element)
    if not is_by_property(type_, element) or not isinstance(inner, dict):
        yield element, part
        return
    made: dict[str, Part] = {}
    for name, value in inner.items():
        made.setdefault(f"{element}.{name.removeprefix('_')}", {})[name] = value
    yield from made.items()


@cache
def all_slots(type_: str, element: str) -> tuple[str, ...]:
    """Return every slot that an element can fill.

    >>> all_slots("Encounter", "period")
    ('period.end', 'period.start')
    """
    if not is_by_property(type_, element):
        return (element,)
    content = definitions.children(type_)[element].content
    names = sorted(definitions.children(content).keys() - {"id", "extension", "modifierExtension"})
    return tuple(f"{element}.{name}" for name in names)


@cache
def element_of(type_: str, name: str) -> str:
    """Return the element that a property belongs to.

    >>> element_of("Observation", "valueQuantity"), element_of("Observation", "value")
    ('value[x]', 'value[x]')
    """
    bare = name.removeprefix("_").removesuffix("[x]")
    children = definitions.children(type_)
    child = children.get(bare)
    if child is None:
        is_choice = any(other.choice == bare for other in children.values())
        return f"{bare}[x]" if is_choice else bare
    return f"{child.choice}[x]" if child.choice else bare


@cache
def is_list(type_: str, element: str) -> bool:
    """Whether an element repeats."""
    child = definitions.children(type_).get(element)
    return child is not None and child.max != 1


@cache
def is_by_property(type_: str, element: str) -> bool:
    """Whether two messages fill an element together."""
    child = definitions.children(type_).get(element)
    if child is None or child.max != 1:
        return False
    return child.types in (("Period",), ("BackboneElement",))


def is_growing(type_: str, element: str) -> bool:
    """Whether what is left out of a list stays in it: a resource is found by every number that it
    was ever found by.
    """
    return element == "identifier" or (type_, element) in _GROWING


def item_key(element: str, item: Any) -> str:
    """Return what makes two items of a growing list one: of numbers, system and value."""
    if element == "identifier":
        return digest([item.get("system"), item.get("value")])
    return digest(item)
