"""What expressions are about: values with their type and their place in the resource."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import cache, lru_cache
from math import isfinite
from typing import Any, NamedTuple

from server.fhir import definitions
from server.fhir.definitions import Child
from server.fhir.fhirpath import temporal
from server.fhir.fhirpath.numbers import number
from server.fhir.fhirpath.quantity import Quantity
from server.fhir.fhirpath.temporal import Temporal
from server.fhir.fhirpath.types import is_primitive

System = bool | int | Decimal | str | Temporal | Quantity
Path = tuple[str | int, ...]

TYPE_INFO = "System.TypeInfo"  # what type() tells

# JSON may hold numbers so large that fractions of them take seconds; nobody measures such.
_MAX_EXPONENT = 400
_LONGEST_NAME = 64  # characters of an element's name: no type has a longer one

_UCUM = "http://unitsofmeasure.org"
_TEMPORAL: dict[str, temporal.Kind] = {
    "date": "date",
    "dateTime": "dateTime",
    "instant": "dateTime",
    "time": "time",
}
_QUANTITIES = frozenset(("Quantity", "Age", "Count", "Distance", "Duration", "SimpleQuantity"))


class Item:
    """One item of a collection.

    ``value``: the JSON value of a FHIR element (``None`` for a primitive that has extensions
    only), else ``bool``, ``int``, ``Decimal``, ``str``, :class:`Temporal` or :class:`Quantity`.
    ``type``: ``HumanName``, or ``System.String`` for what was computed.
    ``content``: where its properties are defined, a key of ``definitions.children``.
    ``element``: id and extensions of a primitive, JSON's ``_birthDate``.
    ``parent`` and ``step``: what it was taken from, and by which property and index.
    """

    __slots__ = ("content", "element", "parent", "step", "type", "value")

    def __init__(
        self,
        value: Any,
        type_: str,
        content: str,
        element: Any = None,
        parent: "Item | None" = None,
        step: Path | None = None,
    ) -> None:
        self.value = value
        self.type = type_
        self.content = content
        self.element = element
        self.parent = parent
        self.step = step

    def __repr__(self) -> str:
        return f"Item({self.value!r}, {self.type!r}, path={self.path!r})"

    @property
    def path(self) -> Path | None:
        """JSON keys and indexes from the root, ``()`` for the root; ``None`` when computed.

        ``("name", 0, "given", 1)``; an extension of that is at ``("name", 0, "_given", 1,
        "extension", 0)``, as JSON has it.
        """
        steps: list[Path] = []
        item: Item | None = self
        below: Item | None = None
        while item is not None:
            if item.step is None:
                return None
            step = item.step
            if below is not None and step and not isinstance(item.value, dict):
                step = (f"_{step[0]}", *step[1:])
            steps.append(step)
            item, below = item.parent, item
        return tuple(part for step in reversed(steps) for part in step)

    @property
    def resource(self) -> "Item | None":
        """The resource that it is in, or is; ``None`` when it is in none."""
        item: Item | None = self
        while item is not None:
            if isinstance(item.value, dict) and "resourceType" in item.value:
                return item
            item = item.parent
        return None

    @property
    def root(self) -> "Item":
        """What the path starts at."""
        item = self
        while item.parent is not None:
            item = item.parent
        return item


Items = list[Item]


class _Property(NamedTuple):
    key: str
    type: str
    content: str
    primitive: bool


def root(value: Any, type_: str | None = None) -> Item:
    """Return the item that paths start at: a resource, or an element of ``type_``."""
    told = _resource_type(value) or type_ or "Element"
    return Item(value, told, told, None, None, ())


def system(value: System) -> Item:
    """Return the item of a computed value."""
    name = _SYSTEM_NAMES[type(value)] if type(value) in _SYSTEM_NAMES else _name(value)
    return Item(value, name, name)


TRUE = Item(True, "System.Boolean", "System.Boolean")
FALSE = Item(False, "System.Boolean", "System.Boolean")
_SYSTEM_NAMES: dict[type, str] = {
    bool: "System.Boolean",
    int: "System.Integer",
    str: "System.String",
    Decimal: "System.Decimal",
    Quantity: "System.Quantity",
}
_TEMPORAL_NAMES = {"date": "System.Date", "dateTime": "System.DateTime", "time": "System.Time"}


def boolean(value: bool | None) -> Items:
    """Return the collection of a truth: ``None``, unknown, is none."""
    return [] if value is None else [TRUE if value else FALSE]


def computed(value: System | None) -> Items:
    """Return the collection of a computed value; ``None`` and overflow are none."""
    if value is None:
        return []
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        value = number(value)
        if value is None:
            return []
    return [system(value)]


def plain(item: Item) -> System | None:
    """Return what an item is as a System value, ``None`` when it is none, as ``HumanName``.

    hl7.org/fhir/R4/fhirpath.html#types.  What JSON holds counts, where it contradicts the type.
    """
    value = item.value
    kind = type(value)
    if kind is str:
        known = _TEMPORAL.get(item.type)
        return value if known is None else _parsed(known, value)
    if kind is bool or kind is Temporal or kind is Quantity:
        return value  # type: ignore[no-any-return]  # `kind` tells which
    if kind is int:
        return Decimal(value) if item.type == "decimal" else value
    if kind is dict:
        return _quantity(value) if item.type in _QUANTITIES else None
    if kind is float:
        return Decimal(repr(value)) if isfinite(value) else None
    return value if isinstance(value, Decimal) and abs(value.adjusted()) < _MAX_EXPONENT else None


def _parsed(kind: temporal.Kind, value: str) -> System:
    found = temporal.parse(kind, value)
    return value if found is None else found


def _quantity(value: dict[str, Any]) -> Quantity | None:
    """Return a FHIR Quantity as one of System, ``None`` for one that is no single number."""
    told, unit = value.get("value"), value.get("unit")
    if value.get("comparator") is not None or isinstance(told, bool):
        return None
    if not isinstance(told, int | float | Decimal):
        return None
    amount = Decimal(repr(told)) if isinstance(told, float) else Decimal(told)
    if not amount.is_finite() or abs(amount.adjusted()) > _MAX_EXPONENT:
        return None
    code = value.get("code")
    if value.get("system") == _UCUM and isinstance(code, str):
        return Quantity(amount, code)
    named = unit if isinstance(unit, str) else code
    return Quantity(amount, named if isinstance(named, str) else "1")


def member(name: str) -> Callable[[Items], Items]:
    """Return what takes the elements called ``name`` of items; choices by their plain name."""
    if len(name) > _LONGEST_NAME:
        return lambda items: []
    known: dict[str, tuple[_Property, ...]] = {}

    def take(items: Items) -> Items:
        found: Items = []
        for item in items:
            properties = known.get(item.content)
            if properties is None:
                properties = known[item.content] = _named(item.content, name)
            if properties:
                _collect(item, properties, found)
        return found

    return take


def children(item: Item) -> Items:
    """Return all child elements, in the order that JSON has them."""
    holder = _holder(item)
    if holder is None:
        return []
    known = definitions.children(item.content)
    names = (str(key).removeprefix("_") for key in holder)
    properties = tuple(
        _property(child) for name in dict.fromkeys(names) if (child := known.get(name)) is not None
    )
    found: Items = []
    _collect(item, properties, found)
    return found


def _holder(item: Item) -> dict[str, Any] | None:
    holder = item.value if type(item.value) is dict else item.element
    return holder if type(holder) is dict else None


@lru_cache(maxsize=8192)
def _named(content: str, name: str) -> tuple[_Property, ...]:
    if content == TYPE_INFO and name in ("namespace", "name"):
        return (_Property(name, "System.String", "System.String", False),)
    known = definitions.children(content)
    found = known.get(name)
    if found is not None and found.choice is None:
        return (_property(found),)
    return tuple(_property(child) for child in known.values() if child.choice == name)


@cache
def _property(child: Child) -> _Property:
    type_ = child.types[0] if child.types else "BackboneElement"
    return _Property(child.name, type_, child.content, is_primitive(type_))


def _collect(item: Item, properties: tuple[_Property, ...], found: Items) -> None:
    holder = item.value if type(item.value) is dict else item.element
    if type(holder) is not dict:
        return
    for key, type_, content, primitive in properties:
        part = holder.get(key)
        if primitive:
            extra = holder.get("_" + key)
            if extra is not None:
                found += _with_extensions(item, key, type_, part, extra)
                continue
        if part is None:
            continue
        if type(part) is list:
            for at, one in enumerate(part):
                if one is not None:
                    found.append(_child(one, type_, content, item, (key, at)))
        else:
            found.append(_child(part, type_, content, item, (key,)))


def _child(value: Any, type_: str, content: str, parent: Item, step: Path) -> Item:
    if content == "Resource":
        type_ = content = _resource_type(value) or content
    return Item(value, type_, content, None, parent, step)


def _with_extensions(parent: Item, key: str, type_: str, part: Any, extra: Any) -> Iterator[Item]:
    """Yield the primitives of which at least one has an id or extensions."""
    if type(part) is not list and type(extra) is not list:
        if part is not None or type(extra) is dict:
            yield Item(part, type_, type_, extra, parent, (key,))
        return
    values = part if type(part) is list else []
    extras = extra if type(extra) is list else []
    for at in range(max(len(values), len(extras))):
        value = values[at] if at < len(values) else None
        element = extras[at] if at < len(extras) else None
        if value is not None or type(element) is dict:
            yield Item(value, type_, type_, element, parent, (key, at))


def _resource_type(value: Any) -> str | None:
    told = value.get("resourceType") if type(value) is dict else None
    return told if type(told) is str and told in definitions.resource_types() else None


def _name(value: System) -> str:
    if isinstance(value, Temporal):
        return _TEMPORAL_NAMES[value.kind]
    return "System.Decimal"  # a subclass that keeps how a number was written
