"""The value of a FHIRPath Patch operation, as the element that it is to be.  R4 fhirpatch.html."""

from typing import Any

from server.fhir import definitions
from server.fhir.definitions import Child
from server.interactions.patch_places import Elements, Pair, is_primitive


class NoValue(Exception):
    """The value cannot be what is asked for; the text says why."""


def named(content: str, name: str, part: dict[str, Any]) -> Child:
    """Return the property ``name`` of a type or backbone that a value is meant for.

    For a choice, its type is that of the value: ``value`` and ``valueQuantity`` both name it.

    Raises:
        NoValue: there is no such property, or the choice does not have the type.
    """
    known = definitions.children(content)
    if name in known and known[name].choice is None:
        return known[name]
    choices = [child for child in known.values() if name in (child.choice, child.name)]
    if not choices:
        raise NoValue(f"{content} has no element {name[:80]!r}")
    return chosen(choices, name, part)


def alternative(content: str, child: Child, part: dict[str, Any]) -> Child:
    """Return ``child``, or for a choice the property that has the type of the value."""
    if child.choice is None:
        return child
    known = definitions.children(content).values()
    return chosen([each for each in known if each.choice == child.choice], child.choice, part)


def chosen(choices: list[Child], name: str, part: dict[str, Any]) -> Child:
    """Return the one of several properties of a choice that has the type of the value."""
    type_, _, _ = _stated(part)
    for child in choices:
        if child.types == (type_,):
            return child
    given = f"be a {type_}" if type_ else "be built of parts: which type is meant cannot be told"
    raise NoValue(f"{name} cannot {given}")


def value_of(child: Child, part: dict[str, Any]) -> Pair:
    """Return (value, id and extensions) that the part of a Parameters resource holds.

    Raises:
        NoValue: it is of another type, or there is none.
    """
    if child.types == ("Resource",):
        return _resource(part), None
    type_, value, extra = _stated(part)
    if type_ is None:
        return _built(child, part), None
    if is_primitive(child):
        if isinstance(value, dict):
            raise NoValue(f"{child.name} is a {child.types[0]}, not a {type_}")
        return value, extra
    if "." in child.content:
        raise NoValue(f"{child.name} has no type of its own: build it of parts")
    if not isinstance(value, dict) or not _fits(type_, child.types[0]):
        raise NoValue(f"{child.name} is a {child.types[0]}, not a {type_}")
    return value, None


def _stated(part: dict[str, Any]) -> tuple[str | None, Any, dict[str, Any] | None]:
    """Return type, value, and id and extensions; no type when the part has no ``value[x]``."""
    for key in part:
        child = definitions.children("Parameters.parameter").get(key.removeprefix("_"))
        if child is not None and child.choice == "value":
            return child.types[0], part.get(child.name), part.get(f"_{child.name}")
    return None, None, None


def _fits(type_: str, wanted: str) -> bool:
    """Tell whether a value of a type can be where another is wanted: an Age is a Quantity."""
    return type_ == wanted or wanted in _above(type_) or type_ in _above(wanted)


def _above(type_: str) -> set[str]:
    """Return what a type is derived from, but for what all are."""
    found: set[str] = set()
    known = definitions.types().get(type_)
    while known is not None and known.base not in ("", "Element", "BackboneElement"):
        found.add(known.base)
        known = definitions.types().get(known.base)
    return found


def _built(child: Child, part: dict[str, Any]) -> dict[str, Any]:
    """Return an object whose properties are the inner parts."""
    if is_primitive(child):
        raise NoValue(f"{child.name} is a {child.types[0]}: it needs a value")
    made: dict[str, Any] = {}
    for inner in part.get("part", ()):
        property_ = named(child.content, str(inner.get("name")), inner)
        elements = Elements(made, property_)
        add(elements, value_of(property_, inner))
    if not made:
        raise NoValue("it has neither a value nor parts")
    return made


def add(elements: Elements, pair: Pair) -> None:
    """Append to a list, or set what is not there yet; a choice can be there under another type.

    Raises:
        NoValue: it is there already, and does not repeat.
    """
    child, pairs = elements.child, elements.read()
    if pairs and not elements.repeats:
        raise NoValue(f"{child.name} is there already: replace it")
    if child.choice is not None:
        for key in elements.holder:
            other = key.removeprefix("_")
            if other != child.name and _is_choice(elements, other):
                raise NoValue(f"{other} is there already: replace it")
    elements.write([*pairs, pair])


def _is_choice(elements: Elements, key: str) -> bool:
    """Tell whether a property is the same choice under another type."""
    child = elements.child
    assert child.choice is not None
    content = child.path.rpartition(".")[0]
    other = definitions.children(content).get(key)
    return other is not None and other.choice == child.choice


def _resource(part: dict[str, Any]) -> dict[str, Any]:
    found = part.get("resource")
    if not isinstance(found, dict):
        raise NoValue("a resource is needed here")
    return found
