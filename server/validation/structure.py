"""Level L1: is it an R4 resource?  R4 json.html, resource.html, datatypes.html.

One walk over the parsed JSON, against shapes compiled from the definitions: types, cardinality,
choices, unknown properties, primitive formats, ``_name`` properties, required bindings, reference
targets, contained resources, narrative.  Invariants are level L2.
"""

from typing import Any

from server.fhir import definitions, xhtml
from server.fhir.errors import Issue
from server.fhir.json import MAX_DEPTH
from server.validation.limits import MAX_ISSUES
from server.validation.primitives import PREDICATES, fault, json_name
from server.validation.report import EnoughError, Place, Report
from server.validation.rules import check_binding, check_contained, check_reference
from server.validation.shapes import Mode, Property, Shape, shape

_PRIMITIVE, _PRIMITIVES = int(Mode.PRIMITIVE), int(Mode.PRIMITIVES)
_OBJECT, _OBJECTS, _RESOURCE = int(Mode.OBJECT), int(Mode.OBJECTS), int(Mode.RESOURCE)
_ELEMENT = shape("Element")


def validate(resource: Any) -> list[Issue]:
    """Return everything that is wrong with a resource, in the order found; empty when it is valid.

    After ``MAX_ISSUES`` issues a note says that there may be more.  Never raises for any value
    that JSON can hold.
    """
    report = Report()
    type_ = resource.get("resourceType") if isinstance(resource, dict) else None
    name = type_ if isinstance(type_, str) and type_ in definitions.resource_types() else "Resource"
    try:
        _resource(resource, (None, name, None), 0, report)
    except EnoughError:
        note = f"only the first {MAX_ISSUES} issues are reported; there may be more"
        report.issues.append(Issue("information", "incomplete", note))
    return report.issues


def _resource(value: Any, place: Place, depth: int, report: Report) -> None:
    if type(value) is not dict:
        report.add("structure", f"a resource is an object, not {_a(value)}", place)
        return
    type_ = value.get("resourceType")
    if type(type_) is not str or type_ not in definitions.resource_types():
        if type_ is None:
            report.add("required", "resourceType is required", (place, "resourceType", None))
        else:
            report.add("structure", "not a resource type of R4", (place, "resourceType", None))
        return
    if place[1] == "contained":
        _object(value, shape(type_), place, depth, report)
        check_contained(value, place, report)
        return
    outer, report.root = report.root, value
    _object(value, shape(type_), place, depth, report)
    report.root = outer


def _object(
    value: dict[str, Any], expected: Shape, place: Place, depth: int, report: Report
) -> None:
    """Walk one object.  Long, because a call for each property would double the time."""
    if depth > MAX_DEPTH:
        report.add("structure", f"more than {MAX_DEPTH} levels", place)
        return
    properties = expected.properties or expected.compile()
    chosen: dict[str, str] | None = None
    here: Place
    for name, inner in value.items():
        found = properties.get(name)
        if found is None:
            _other(value, name, expected, place, depth, report)
            continue
        mode, test, inside, label, choice, rule, _ = found
        if choice is not None:
            chosen = chosen or {}
            if chosen.setdefault(choice, name) != name:
                _two(chosen[choice], name, (place, label, None), report)
        if mode == _PRIMITIVE:
            if not test(inner):
                _primitive(found, inner, (place, label, None), report)
            elif name == "div":
                _narrative(found, inner, (place, label, None), report)
        elif mode == _OBJECT:
            if type(inner) is dict and inner:
                here = (place, label, None)
                _object(inner, inside, here, depth + 1, report)
                if rule is not None:
                    _rule(rule, inner, found, here, report)
            else:
                _no_object(inner, (place, label, None), report)
        elif mode == _RESOURCE:
            _resource(inner, (place, label, None), depth + 1, report)
        elif type(inner) is not list or not inner:
            _no_array(inner, (place, label, None), report)
        elif mode == _OBJECTS:
            for index, item in enumerate(inner):
                here = (place, label, index)
                if type(item) is dict and item:
                    _object(item, inside, here, depth + 1, report)
                    if rule is not None:
                        _rule(rule, item, found, here, report)
                else:
                    _no_object(item, here, report)
        elif mode == _PRIMITIVES:
            for index, item in enumerate(inner):
                if not test(item) and not (item is None and _filled(value, name, index)):
                    _primitive(found, item, (place, label, index), report)
        else:
            for index, item in enumerate(inner):
                _resource(item, (place, label, index), depth + 1, report)
    for label, names in expected.required:
        if names[0] not in value and value.keys().isdisjoint(names):
            report.add("required", f"{label} is required", (place, label, None))


def _other(
    value: dict[str, Any],
    name: str,
    expected: Shape,
    place: Place,
    depth: int,
    report: Report,
) -> None:
    """Look at a property that is no element: ``resourceType``, ``_name``, or unknown."""
    if name == "resourceType" and expected.is_resource:
        return
    properties = expected.properties or {}
    found: Property | None = properties.get(name[1:]) if name[:1] == "_" else None
    if found is None or found.mode not in (_PRIMITIVE, _PRIMITIVES):
        report.add("structure", "not an element of R4 here", (place, name, None))
        return
    if found.choice is not None:
        for other in value:
            rival = properties.get(other.removeprefix("_"))
            if rival and rival.choice == found.choice and rival is not found:
                _two(other, name, (place, found.label, None), report)
    if found.mode == _PRIMITIVE:
        _element(value[name], (place, found.label, None), depth, report)
    else:
        _elements(value, name, found.label, place, depth, report)


def _elements(
    value: dict[str, Any], name: str, label: str, place: Place, depth: int, report: Report
) -> None:
    """Look at ``_given``: as long as ``given`` if that is there, ``null`` where it adds nothing."""
    items, plain = value[name], value.get(name[1:])
    if type(items) is not list or not items:
        _no_array(items, (place, label, None), report)
        return
    if type(plain) is list and len(plain) != len(items):
        words = (
            f"{name} has {len(items)} items, {name[1:]} has {len(plain)} (R4 json.html#primitive)"
        )
        report.add("structure", words, (place, label, None))
    for index, item in enumerate(items):
        has_value = type(plain) is list and index < len(plain) and plain[index] is not None
        if item is not None or not has_value:
            _element(item, (place, label, index), depth, report)


def _element(value: Any, place: Place, depth: int, report: Report) -> None:
    """Look at the id and extensions of a primitive."""
    if type(value) is dict and value:
        _object(value, _ELEMENT, place, depth + 1, report)
    else:
        _no_object(value, place, report)


def _filled(value: dict[str, Any], name: str, index: int) -> bool:
    """Tell whether ``_name`` has something where ``name`` has ``null``."""
    items = value.get(f"_{name}")
    return type(items) is list and index < len(items) and items[index] is not None


def _rule(rule: str, value: dict[str, Any], found: Property, place: Place, report: Report) -> None:
    check = check_reference if rule == "reference" else check_binding
    check(value, found.child, place, report)


def _primitive(found: Property, value: Any, place: Place, report: Report) -> None:
    """Report why a primitive is refused: its format, or a code that the binding does not have."""
    type_ = found.child.types[0]
    if found.child.binding and PREDICATES[type_](value):
        words = f"{value[:40]!r} is not a code of {found.child.binding}, which is required"
        report.add("code-invalid", words, place)
        return
    code, words = fault(type_, value)
    report.add(code, words, place)


def _narrative(found: Property, value: str, place: Place, report: Report) -> None:
    if found.child.types == ("xhtml",):
        for words in xhtml.faults(value):
            report.add("invalid", words, place)


def _two(first: str, second: str, place: Place, report: Report) -> None:
    report.add("structure", f"{first} and {second}: only one of a choice may be there", place)


def _no_array(value: Any, place: Place, report: Report) -> None:
    words = "an array must have items" if value == [] else f"must be an array, not {_a(value)}"
    report.add("structure", words, place)


def _no_object(value: Any, place: Place, report: Report) -> None:
    words = (
        "an object must have properties" if value == {} else f"must be an object, not {_a(value)}"
    )
    report.add("structure", words, place)


def _a(value: Any) -> str:
    if value is None:
        return "null"
    name = json_name(value)
    return f"an {name}" if name[0] in "ao" else f"a {name}"
