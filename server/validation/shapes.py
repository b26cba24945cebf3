"""The definitions, compiled to what the walk of ``structure.py`` needs at each property.

A shape is compiled when a resource first needs it, and then kept.
"""

import re
from collections.abc import Callable, Mapping
from enum import IntEnum
from functools import cache
from typing import Any, Final, NamedTuple

from server.fhir import definitions
from server.fhir.definitions import Child
from server.validation.primitives import PREDICATES, Predicate, is_string

_CURRENCIES: Final = "http://hl7.org/fhir/ValueSet/currencies"
_currency = re.compile("[A-Z]{3}").fullmatch  # ISO 4217; its list is not ours to ship


class Mode(IntEnum):
    """What JSON holds at a property; plain numbers when compared."""

    PRIMITIVE = 0
    PRIMITIVES = 1
    OBJECT = 2
    OBJECTS = 3
    RESOURCE = 4
    RESOURCES = 5


class Property(NamedTuple):
    """One JSON property.

    ``label`` is its FHIRPath name (``value`` for ``valueString``), also ``choice`` if it is one.
    ``shape`` is what an object must be; ``test`` what a primitive must be.  ``rule`` names what is
    to be looked at after an object: ``"reference"`` or ``"binding"``.
    """

    mode: int
    test: Predicate
    shape: "Shape"
    label: str
    choice: str | None
    rule: str | None
    child: Child


class Shape:
    """The properties of a type or backbone, and which are required.

    ``required`` lists for each required element the names that may hold it, ``_name`` too.
    """

    __slots__ = ("is_resource", "key", "properties", "required")

    def __init__(self, key: str) -> None:
        self.key = key
        self.is_resource = key in definitions.resource_types()
        self.properties: Mapping[str, Property] | None = None
        self.required: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def compile(self) -> Mapping[str, Property]:
        """Fill in the properties; done once, as the shapes of types refer to each other."""
        children = definitions.children(self.key)
        required: dict[str, list[str]] = {}
        for child in children.values():
            if child.min:
                label = child.choice or child.name
                required.setdefault(label, []).extend((child.name, f"_{child.name}"))
        self.required = tuple((label, tuple(names)) for label, names in required.items())
        self.properties = {child.name: _property(child) for child in children.values()}
        return self.properties


@cache
def shape(type_or_path: str) -> Shape:
    """Return the one shape of a type or backbone."""
    return Shape(type_or_path)


@cache
def binding_codes(value_set: str) -> frozenset[str] | None:
    """Return the codes of a required binding whatever their system, ``None`` if not known here."""
    systems = definitions.required_codes(value_set)
    return None if systems is None else frozenset(c for codes in systems.values() for c in codes)


def _property(child: Child) -> Property:
    type_ = child.types[0] if child.types else ""
    many = child.max != 1
    if type_ in PREDICATES:
        mode = Mode.PRIMITIVES if many else Mode.PRIMITIVE
        return _make(mode, child, test=_test(child, type_), content="Element")
    if type_ == "Resource":
        return _make(Mode.RESOURCES if many else Mode.RESOURCE, child, content="Resource")
    rule = None
    if type_ == "Reference" and child.targets:
        rule = "reference"
    elif type_ == "CodeableConcept" and child.binding:
        rule = "binding" if binding_codes(child.binding) else None
    return _make(Mode.OBJECTS if many else Mode.OBJECT, child, rule=rule, content=child.content)


def _make(
    mode: Mode,
    child: Child,
    *,
    test: Predicate = is_string,
    rule: str | None = None,
    content: str,
) -> Property:
    label = child.choice or child.name
    return Property(int(mode), test, shape(content), label, child.choice, rule, child)


def _test(child: Child, type_: str) -> Predicate:
    if child.binding == _CURRENCIES:
        return lambda value: type(value) is str and _currency(value) is not None
    codes = binding_codes(child.binding) if child.binding else None
    if codes is None:
        return PREDICATES[type_]
    return _member_of(codes)


def _member_of(codes: frozenset[str]) -> Callable[[Any], bool]:
    return lambda value: type(value) is str and value in codes
