"""Syntax tree -> closures: what is known of an expression is decided once, not at each evaluation.

A closure takes the focus, which is ``$this`` of where it stands, and the environment.
"""

from collections.abc import Callable
from decimal import Decimal
from functools import cache

from server.fhir import definitions
from server.fhir.fhirpath import ast, temporal
from server.fhir.fhirpath.environment import Environment
from server.fhir.fhirpath.errors import FhirPathError
from server.fhir.fhirpath.functions import FUNCTIONS
from server.fhir.fhirpath.functions.function import Run
from server.fhir.fhirpath.functions.sorting import sorted_by
from server.fhir.fhirpath.items import FALSE, TRUE, Items, computed, member, plain, system
from server.fhir.fhirpath.numbers import MAX_INTEGER
from server.fhir.fhirpath.operators import OPERATORS
from server.fhir.fhirpath.quantity import Quantity
from server.fhir.fhirpath.singleton import single, truth, value
from server.fhir.fhirpath.types import Names, named
from server.fhir.fhirpath.variables import variable

_TYPE_FUNCTIONS = frozenset(("is", "as", "ofType"))


def build(node: ast.Node) -> Run:
    """Return the closure of a syntax tree.  Raises :class:`FhirPathError` for unknown names."""
    match node:
        case ast.Member(of, name):
            return _path(of, _named_type(name) if of is None else None, name)
        case ast.Call(of, name, args):
            return _call(node, of, name, args)
        case ast.Binary(op, left, right):
            return _binary(node, op, left, right)
        case ast.Literal(type_, constant):
            return _literal(node, type_, constant)
        case ast.Variable(name):
            return variable(name, node.at)
        case ast.TypeOp(op, of, type_):
            return _typed(op, build(of), named(type_, node.at), node.at)
        case ast.Indexer(of, index):
            return _indexer(build(of), build(index), node.at)
        case ast.Unary(op, of):
            return _unary(node, op, of)
        case ast.Quantity(amount, unit, calendar):
            found = [system(Quantity(amount, unit, calendar))]
            return lambda focus, env: found
        case ast.Empty():
            return lambda focus, env: []


def _literal(node: ast.Literal, type_: str, constant: object) -> Run:
    if type_ in ("date", "dateTime", "time"):
        parsed = temporal.parse(type_, str(constant))  # type: ignore[arg-type]  # just compared
        if parsed is None:
            raise FhirPathError(f"there is no {type_} {constant}", node.at)
        found = [system(parsed)]
    elif constant == MAX_INTEGER + 1 and type_ == "integer":
        raise FhirPathError(f"{constant} is beyond {MAX_INTEGER}", node.at)
    else:
        found = [system(constant)]  # type: ignore[arg-type]  # what the parser makes
    return lambda focus, env: found


def _named_type(name: str) -> Names | None:
    """Return the types that a path may begin with: ``Patient.name``, ``Resource.meta``."""
    if name[0].isupper() and name in definitions.types():
        return _named(name)
    return None


@cache
def _named(type_: str) -> Names:
    return named(f"FHIR.{type_}")


def _path(of: ast.Node | None, types: Names | None, name: str) -> Run:
    take = member(name)
    if types is not None:

        def typed(focus: Items, env: Environment) -> Items:
            env.spend(len(focus))
            return [item for item in focus if item.type in types]

        return typed
    if of is None:

        def first(focus: Items, env: Environment) -> Items:
            found = take(focus)
            env.left -= len(found) + len(focus)
            if env.left < 0:
                env.over()
            return found

        return first
    before = build(of)

    def step(focus: Items, env: Environment) -> Items:
        items = before(focus, env)
        if not items:
            return items
        found = take(items)
        env.left -= len(found) + len(items)
        if env.left < 0:
            env.over()
        return found

    return step


def _call(node: ast.Call, of: ast.Node | None, name: str, args: tuple[ast.Node, ...]) -> Run:
    before = _focus if of is None else _counted(build(of))
    if name in _TYPE_FUNCTIONS:
        if len(args) != 1:
            raise FhirPathError(f"{name}() takes one type", node.at)
        return _typed(name, before, named(type_name(args[0], node.at), node.at), node.at)
    if name == "sort":
        keys = [(build(_unsigned(arg)), _unsigned(arg) is not arg) for arg in args]
        return _located(lambda focus, env: sorted_by(env, before(focus, env), keys), node.at)
    function = FUNCTIONS.get(name)
    if function is None:
        raise FhirPathError(f"there is no function {name}()", node.at)
    if not function.least <= len(args) <= function.most:
        raise FhirPathError(f"{name}() takes {function.takes}, not {len(args)}", node.at)
    run, at = function.run, node.at
    given = tuple(build(arg) for arg in args)
    if function.lazy:
        return _located(lambda focus, env: run(env, before(focus, env), focus, *given), at)
    if not given:
        return _located(lambda focus, env: run(env, before(focus, env)), at)
    return _located(
        lambda focus, env: run(env, before(focus, env), *[arg(focus, env) for arg in given]), at
    )


def _counted(before: Run) -> Run:
    """Return a closure that pays for the items that a function is about to go through."""

    def counted(focus: Items, env: Environment) -> Items:
        items = before(focus, env)
        env.left -= len(items)
        if env.left < 0:
            env.over()
        return items

    return counted


def _unsigned(key: ast.Node) -> ast.Node:
    """Return the key of a sort without the ``-`` in front, which asks for a descending order."""
    return key.of if isinstance(key, ast.Unary) and key.op == "-" else key


def _located(run: Run, at: int) -> Run:
    """Return a closure whose errors say where they come from."""

    def located(focus: Items, env: Environment) -> Items:
        env.left -= 1
        if env.left < 0:
            env.over()
        try:
            return run(focus, env)
        except FhirPathError as error:
            if error.at is None:
                error.at = at
            raise

    return located


def _focus(focus: Items, env: Environment) -> Items:
    return focus


def type_name(node: ast.Node, at: int) -> str:
    """Return the type that an argument names: ``Patient``, ``FHIR.Patient``."""
    match node:
        case ast.Member(None, name):
            return name
        case ast.Member(ast.Member(None, namespace), name):
            return f"{namespace}.{name}"
        case _:
            raise FhirPathError("a type name is wanted", at)


def _typed(op: str, before: Run, types: Names, at: int) -> Run:
    """Return the closure of ``is``, ``as`` and ``ofType``.

    ``as`` is for single items (N1, section 6.3.4), but rules of R4 itself, dom-3 among them, ask it
    of many: it keeps those of the type, as ``ofType`` does.  The strict check refuses it.
    """
    if op != "is":
        return lambda focus, env: [item for item in before(focus, env) if item.type in types]

    def typed(focus: Items, env: Environment) -> Items:
        found = before(focus, env)
        if not found:
            return []
        if len(found) > 1:
            raise FhirPathError("is takes a single item", at)
        return [TRUE if found[0].type in types else FALSE]

    return typed


def _indexer(before: Run, index: Run, at: int) -> Run:
    def indexed(focus: Items, env: Environment) -> Items:
        found = before(focus, env)
        wanted = single(index(focus, env), "an index")
        if wanted is None:
            return []
        number = plain(wanted)
        if not isinstance(number, int) or isinstance(number, bool):
            raise FhirPathError("an index is an integer", at)
        return found[number : number + 1] if number >= 0 else []

    return _located(indexed, at)


def _unary(node: ast.Unary, op: str, of: ast.Node) -> Run:
    match of:
        case ast.Literal("integer", int(number)) if op == "-":
            found = [system(-number)]
            return lambda focus, env: found
    before = build(of)

    def signed(focus: Items, env: Environment) -> Items:
        number = value(before(focus, env), "a number")
        if isinstance(number, Quantity):
            return computed(number.as_written(-number.value if op == "-" else number.value))
        if number is None or (isinstance(number, int | Decimal) and not isinstance(number, bool)):
            return computed(number if number is None or op == "+" else -number)
        raise FhirPathError(f"{op} takes a number")

    return _located(signed, node.at)


def _binary(node: ast.Binary, op: str, left: ast.Node, right: ast.Node) -> Run:
    one, other, at = build(left), build(right), node.at
    logic = _LOGIC.get(op)
    if logic is not None:
        return _located(logic(one, other), at)
    run = OPERATORS[op]
    return _located(lambda focus, env: run(one(focus, env), other(focus, env), env), at)


def _and(one: Run, other: Run) -> Run:
    def both(focus: Items, env: Environment) -> Items:
        left = truth(one(focus, env))
        if left is False:
            return [FALSE]
        right = truth(other(focus, env))
        if right is False:
            return [FALSE]
        return [TRUE] if left and right else []

    return both


def _or(one: Run, other: Run) -> Run:
    def either(focus: Items, env: Environment) -> Items:
        left = truth(one(focus, env))
        if left:
            return [TRUE]
        right = truth(other(focus, env))
        if right:
            return [TRUE]
        return [FALSE] if left is False and right is False else []

    return either


def _xor(one: Run, other: Run) -> Run:
    def exclusive(focus: Items, env: Environment) -> Items:
        left, right = truth(one(focus, env)), truth(other(focus, env))
        if left is None or right is None:
            return []
        return [TRUE if left is not right else FALSE]

    return exclusive


def _implies(one: Run, other: Run) -> Run:
    def implied(focus: Items, env: Environment) -> Items:
        left = truth(one(focus, env))
        if left is False:
            return [TRUE]
        right = truth(other(focus, env))
        if right:
            return [TRUE]
        return [FALSE] if left and right is False else []

    return implied


_LOGIC: dict[str, Callable[[Run, Run], Run]] = {
    "and": _and,
    "or": _or,
    "xor": _xor,
    "implies": _implies,
}
