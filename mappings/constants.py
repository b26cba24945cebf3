"""``const:``, ``default:`` and ``event:`` values, checked against R4's definitions."""

from collections.abc import Callable
from typing import Any

from mappings.language import Entries, Items, Node, Text
from mappings.numbers import decimal_of
from mappings.spelling import hint
from server.fhir.definitions import Child, children, required_codes

Problem = Callable[[Node, str], None]


def constant(node: Node, child: Child, problem: Problem) -> Any:
    """Return the value of a constant of an element; faults go to ``problem``."""
    if isinstance(node, Items):
        problem(node, "a constant is one value")
        return None
    if isinstance(node, Entries):
        return _object(node, child.content, problem)
    return _literal(node, child, problem)


def fresh(value: Any) -> Any:
    """Return a copy: a constant stands in many resources, and who gets one may change it."""
    if isinstance(value, dict):
        return {name: fresh(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [fresh(inner) for inner in value]
    return value


def maker(value: Any) -> Callable[[], Any]:
    """Return what makes copies of a constant."""
    if isinstance(value, list):
        makers = [maker(one) for one in value]
        if len(makers) == 1:
            only = makers[0]
            return lambda: [only()]
        return lambda: [make() for make in makers]
    if not isinstance(value, dict):
        return lambda: value
    inner = {name: maker(one) for name, one in value.items() if isinstance(one, (dict, list))}
    if not inner:
        return value.copy
    if len(inner) == 1:
        return _around(value, *inner.popitem())
    return lambda: value | {name: make() for name, make in inner.items()}


def _around(value: dict[str, Any], name: str, make: Callable[[], Any]) -> Callable[[], Any]:
    """Return what copies a dict in which one value is more than a text: most concepts."""
    inner = value[name]
    if len(value) == 1:
        if isinstance(inner, list) and len(inner) == 1:
            first = maker(inner[0])
            return lambda: {name: [first()]}
        return lambda: {name: make()}

    def copy() -> dict[str, Any]:
        made = value.copy()
        made[name] = make()
        return made

    return copy


def _object(node: Entries, content: str, problem: Problem) -> dict[str, Any]:
    known, made = children(content), {}
    for name, value in node.items():
        child = known.get(name)
        if child is None:
            problem(value, f"{content} has no element {name!r}{hint(name, known)}")
        elif isinstance(value, Items):
            made[name] = [constant(one, child, problem) for one in value]
        else:
            one = constant(value, child, problem)
            made[name] = one if child.max == 1 else [one]
    return made


def _literal(node: Text, child: Child, problem: Problem) -> Any:
    text = str(node)
    if children(child.content).keys() - {"id", "extension", "value"}:
        problem(node, f"{child.name} is a {child.content}, not a text")
    if child.content == "boolean":
        if text not in ("true", "false"):
            problem(node, f"{child.name} is true or false")
        return text == "true"
    if child.content == "decimal":
        return number if (number := decimal_of(text)) is not None else problem(node, "no number")
    if child.content in ("integer", "positiveInt", "unsignedInt"):
        return int(text) if text.isdecimal() else problem(node, f"{text!r} is no number")
    allowed = allowed_codes(child)
    if allowed is not None and text not in allowed:
        problem(node, f"{child.path} has no code {text!r}{hint(text, allowed)}")
    return text


def allowed_codes(child: Child) -> frozenset[str] | None:
    """Return the codes of a required binding, ``None`` where there is none to check."""
    if child.content != "code" or child.binding is None:
        return None
    known = required_codes(child.binding)
    return frozenset().union(*known.values()) if known else None
