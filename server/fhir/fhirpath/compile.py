"""Syntax tree -> branches, against the R4 definitions: every type is known before any data is seen.

What is here suffices for the search parameters of R4, and is fast.  What is not raises
:class:`FhirPathError` when it is compiled, never when it runs; the whole language is in
:mod:`~server.fhir.fhirpath.expression`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from server.fhir import definitions
from server.fhir.fhirpath import ast
from server.fhir.fhirpath.branches import Branch, Compute, Field, Items, Keep, Nth
from server.fhir.fhirpath.errors import FhirPathError
from server.fhir.fhirpath.parser import parse
from server.fhir.references import reference_type

Branches = tuple[Branch, ...]

_LONGEST_KEPT = 2_048  # characters of an expression; the longest of R4 has 1,386
_ABSTRACT = frozenset(("Resource", "DomainResource"))
_SUPERTYPES = {
    **dict.fromkeys(("code", "id", "markdown"), "string"),
    **dict.fromkeys(("canonical", "oid", "url", "uuid"), "uri"),
    **dict.fromkeys(("positiveInt", "unsignedInt"), "integer"),
    **dict.fromkeys(("Age", "Count", "Distance", "Duration"), "Quantity"),
}
_RESOLVED = "?resolved"  # a resource of which the text of a reference tells no more than the type


def syntax(expression: str) -> ast.Node:
    """Return the syntax tree; search parameters of many types share one expression."""
    return (_syntax if len(expression) <= _LONGEST_KEPT else parse)(expression)


@lru_cache(maxsize=4096)
def _syntax(expression: str) -> ast.Node:
    return parse(expression)


def compile_path(expression: str, type_: str) -> Branches:
    """Return the branches of ``expression`` asked of a resource or element of ``type_``.

    Branches that no value of the type can take are left out: ``()`` when none is left.  Their
    values are JSON values, and taking them never raises.

    Raises :class:`FhirPathError` for what is no path, or needs the rules of dates and quantities.

    >>> [b.type for b in compile_path("Observation.value as Quantity", "Observation")]
    ['Quantity']
    """
    focus = (Branch(type_, type_),)
    return tuple(
        [
            branch
            for begins, node in _operands(expression)
            if begins is None or begins == type_ or begins in _ABSTRACT
            for branch in _branches(node, focus)
        ]
    )


def _operands(expression: str) -> tuple[tuple[str | None, ast.Node], ...]:
    """Return what ``|`` joins, each with the resource type that its path begins with.

    Parameters of many types share one expression, of which each type wants its own part only.
    """
    split = _split if len(expression) <= _LONGEST_KEPT else _split.__wrapped__
    return split(expression)


@lru_cache(maxsize=4096)
def _split(expression: str) -> tuple[tuple[str | None, ast.Node], ...]:
    node, last_first = syntax(expression), []
    while isinstance(node, ast.Binary) and node.op == "|":
        last_first.append(node.right)
        node = node.left
    return tuple((_begins(part), part) for part in (node, *reversed(last_first)))


def _begins(node: ast.Node | None) -> str | None:
    while isinstance(node, ast.Member | ast.Call | ast.Indexer | ast.TypeOp):
        if isinstance(node, ast.Member) and node.of is None:
            return node.name if node.name in definitions.resource_types() else None
        node = node.of
    return None


def _branches(node: ast.Node | None, focus: Branches) -> Branches:
    if type(node) is ast.Member:  # nearly all are, and `match` takes its time
        return _member(node.of, node.name, focus)
    match node:
        case None:
            return focus
        case ast.Call(of, name, args):
            return _call(name, args, _branches(of, focus))
        case ast.Binary("|", left, right):
            return _branches(left, focus) + _branches(right, focus)
        case ast.Binary(op, left, right):
            return _computed("boolean", _operator(op, left, right, focus), focus)
        case ast.TypeOp(op, of, type_):
            return _typed(op, type_, _branches(of, focus))
        case ast.Indexer(of, ast.Literal("integer", int(index))):
            return tuple(b.then(Nth(index)) for b in _branches(of, focus))
        case ast.Literal(type_, value):
            return tuple(b.to(type_, Compute(_constant(value))) for b in focus[:1])
        case ast.Variable("$this"):
            return focus
        case _:
            raise FhirPathError("more than a path is not supported here", getattr(node, "at", None))


def _constant(value: Any) -> Callable[[Any], Items]:
    return lambda _: [value]


def _member(of: ast.Node | None, name: str, focus: Branches) -> Branches:
    if of is None and name[0].isupper():
        return tuple([b for b in focus if b.type == name or _is_abstract(name, b.type)])
    before = _branches(of, focus)
    if not before:
        return ()
    return tuple(
        [branch.child(child) for branch in before for child in _children(branch.content, name)]
    )


@lru_cache(maxsize=8192)
def _children(content: str, name: str) -> tuple[definitions.Child, ...]:
    """Return the properties called ``name``, or those of the choice of that name."""
    known = definitions.children(content)
    found = known.get(name)
    if found is not None:
        return (found,)
    return tuple(child for child in known.values() if child.choice == name)


def _is_abstract(name: str, type_: str) -> bool:
    return name in _ABSTRACT and type_ in definitions.resource_types()


def _is_a(type_: str, wanted: str) -> bool:
    return type_ == wanted or _SUPERTYPES.get(type_) == wanted or _is_abstract(wanted, type_)


def _typed(op: str, type_: str, of: Branches) -> Branches:
    wanted = type_.rpartition(".")[2]
    if wanted not in definitions.types():
        raise FhirPathError(f"{type_} is no type that an element has")
    if op == "as":
        return tuple(b for b in of if _is_a(b.type, wanted))
    if all(b.type == _RESOLVED for b in of):
        return tuple(b.to("boolean", Compute(lambda found: [found == wanted])) for b in of)
    return tuple(b.to("boolean", Compute(_constant(_is_a(b.type, wanted)))) for b in of)


def _call(name: str, args: tuple[ast.Node, ...], of: Branches) -> Branches:
    match name, args:
        case "where", (criteria,):
            return tuple(b.then(Keep(_test(criteria, b))) for b in of)
        case "exists", (criteria,):
            return _call("exists", (), _call("where", (criteria,), of))
        case (("exists" | "hasValue"), ()):
            return _computed("boolean", lambda item: [_any(of, item)], of)
        case "empty", ():
            return _computed("boolean", lambda item: [not _any(of, item)], of)
        case "not", ():
            return tuple(b.to("boolean", Compute(lambda value: [value is not True])) for b in of)
        case "first", ():
            return tuple(b.then(Nth(0)) for b in of)
        case (("as" | "ofType" | "is"), (type_,)):
            return _typed("is" if name == "is" else "as", _type_name(type_), of)
        case "extension", (ast.Literal("string", str(url)),):
            extensions = [b.to("Extension", Field("extension")) for b in of]
            return tuple(b.then(Keep(_has_url(url))) for b in extensions)
        case "hasExtension", _:
            return _call("exists", (), _call("extension", args, of))
        case "resolve", ():
            resolved = (b for b in of if b.type == "Reference")
            return tuple(b.to(_RESOLVED, Compute(_target)) for b in resolved)
        case _:
            raise FhirPathError(f"{name}() with {len(args)} arguments is not supported here")


def _type_name(node: ast.Node) -> str:
    match node:
        case ast.Member(None, name) | ast.Member(ast.Member(None, "FHIR" | "System"), name):
            return name
        case _:
            raise FhirPathError("a type name is wanted")


@dataclass(frozen=True, slots=True)
class PointsTo:
    """The test ``resolve() is Type`` of a reference, as far as the reference itself tells."""

    type: str

    def __call__(self, reference: Any) -> bool:
        """Tell whether a reference points to a resource of the type."""
        return _target(reference) == [self.type]


def _has_url(url: str) -> Callable[[Any], bool]:
    return lambda extension: bool(extension.get("url") == url)


def _target(reference: Any) -> Items:
    """Return the type that a reference points to, as its text or else its ``type`` tells."""
    text = reference.get("reference")
    told = reference_type(text) if isinstance(text, str) else None
    type_ = told or reference.get("type")
    return [type_] if type_ else []


def _test(criteria: ast.Node, branch: Branch) -> Callable[[Any], bool]:
    match criteria:
        # The two forms of nearly all search parameters, without the machinery.
        case ast.Binary("=", ast.Member(None, name), ast.Literal("string", value)):
            child = definitions.children(branch.content).get(name)
            if child is not None and child.max == 1:
                return lambda item: type(item) is dict and item.get(name) == value
        case ast.TypeOp("is", ast.Call(None, "resolve", ()), type_) if branch.type == "Reference":
            return PointsTo(type_)
    inner = _branches(criteria, (Branch(branch.type, branch.content),))
    return lambda item: _truth(_all(inner, item)) is True


def _computed(type_: str, run: Callable[[Any], Items], of: Branches) -> Branches:
    """Return one branch that starts anew: ``run`` goes the steps of ``of`` itself."""
    return (Branch(type_, type_, (Compute(run),)),) if of else ()


def _all(branches: Branches, item: Any) -> Items:
    return [value for branch in branches for value in branch.values(item)]


def _any(branches: Branches, item: Any) -> bool:
    return any(branch.values(item) for branch in branches)


def _truth(values: Items) -> bool | None:
    """Return a collection as a boolean (singleton evaluation); ``None`` when it is empty."""
    if not values:
        return None
    return values[0] if type(values[0]) is bool else True


def _operator(op: str, left: ast.Node, right: ast.Node, focus: Branches) -> Callable[[Any], Items]:
    combine = _OPERATORS.get(op)
    if combine is None or (op in ("=", "!=") and not _is_plain(right)):
        raise FhirPathError(f"the operator {op} is not supported here")
    lefts, rights = _branches(left, focus), _branches(right, focus)
    return lambda item: combine(_all(lefts, item), _all(rights, item))


def _is_plain(node: ast.Node) -> bool:
    """Return whether equality with it is that of Python: no date, no number, no quantity."""
    return isinstance(node, ast.Literal) and node.type in ("string", "boolean")


def _equal(left: Items, right: Items) -> Items:
    return [_same(left, right)] if left and right else []


def _unequal(left: Items, right: Items) -> Items:
    return [not _same(left, right)] if left and right else []


def _same(left: Items, right: Items) -> bool:
    return left == right and [type(v) is bool for v in left] == [type(v) is bool for v in right]


def _and(left: Items, right: Items) -> Items:
    truths = (_truth(left), _truth(right))
    return [False] if False in truths else [] if None in truths else [True]


def _or(left: Items, right: Items) -> Items:
    truths = (_truth(left), _truth(right))
    return [True] if True in truths else [] if None in truths else [False]


_OPERATORS: dict[str, Callable[[Items, Items], Items]] = {
    "=": _equal,
    "!=": _unequal,
    "and": _and,
    "or": _or,
}
