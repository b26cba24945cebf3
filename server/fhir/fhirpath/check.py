"""What is known of an expression from the types alone, before any data is seen.

With it a misspelt element is refused where it is written, instead of yielding nothing for ever.
"""

from dataclasses import dataclass, replace
from typing import NoReturn

from server.fhir import definitions
from server.fhir.fhirpath import ast
from server.fhir.fhirpath.closures import type_name
from server.fhir.fhirpath.errors import FhirPathError
from server.fhir.fhirpath.items import TYPE_INFO
from server.fhir.fhirpath.types import named

Type = tuple[str, str]
"""Name of the type, and where its elements are defined (``fhir.definitions.children``)."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a collection can hold: ``types``, ``None`` for anything.

    ``ordered``: it has an order.  ``many``: by the definitions there may be more than one.
    """

    types: frozenset[Type] | None = None
    ordered: bool = True
    many: bool = False


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ANYTHING = Known()
_MANY_ROUNDS = 32  # of repeat(); the definitions go round in fewer

_ON_EACH = frozenset(("where", "select", "all", "exists", "repeat", "aggregate", "trace", "sort"))
_SAME = _words("""where distinct single first last tail skip take intersect exclude trace sort""")
_ONE = frozenset(("single", "first", "last", "where"))  # of which there may be just one
_NEEDS_ORDER = frozenset(("first", "last", "tail", "skip", "take"))
_UNORDERED = frozenset(("children", "descendants"))
_BOOLEAN = _words(
    """empty exists all allTrue anyTrue allFalse anyFalse not subsetOf supersetOf
    isDistinct startsWith endsWith contains matches matchesFull hasValue hasExtension
    htmlChecks memberOf subsumes subsumedBy conformsTo comparable is"""
)
_STRING = _words(
    """substring upper lower replace replaceMatches toChars trim split join encode
    decode escape unescape toString"""
)
_INTEGER = frozenset(("count", "length", "indexOf", "lastIndexOf", "toInteger", "precision"))
_OTHERS = {
    "toBoolean": "Boolean",
    "toDecimal": "Decimal",
    "toDate": "Date",
    "toDateTime": "DateTime",
    "toTime": "Time",
    "toQuantity": "Quantity",
    "now": "DateTime",
    "today": "Date",
    "timeOfDay": "Time",
}
_COMPARISONS = frozenset(
    ("=", "!=", "~", "!~", "<", ">", "<=", ">=", "and", "or", "xor", "implies", "in", "contains")
)
_LITERALS = {
    "boolean": "Boolean",
    "string": "String",
    "integer": "Integer",
    "decimal": "Decimal",
    "date": "Date",
    "dateTime": "DateTime",
    "time": "Time",
}


def check(node: ast.Node, type_: str) -> None:
    """Raise :class:`FhirPathError` for what can never yield anything when asked of ``type_``."""
    _Checker(type_, strict=True).known(node, _of(type_))


def _of(type_: str) -> Known:
    return Known(frozenset({(type_, type_)}))


def _system(name: str) -> Known:
    return Known(frozenset({(f"System.{name}", f"System.{name}")}))


class _Checker:
    def __init__(self, root: str, *, strict: bool, repeating: bool = False) -> None:
        self._root = root
        self._strict = strict
        self._repeating = repeating

    def known(self, node: ast.Node | None, focus: Known) -> Known:
        """Return what a node yields, asked of ``focus``."""
        match node:
            case None:
                return focus
            case ast.Member(of, name):
                return self._member(node, of, name, focus)
            case ast.Call(of, name, args):
                return self._call(node, name, args, self.known(of, focus), focus)
            case ast.Binary(op, left, right):
                return self._binary(op, self.known(left, focus), self.known(right, focus))
            case ast.TypeOp(op, of, type_):
                known = self.known(of, focus)
                return self._typed(op, known, type_, node.at)
            case ast.Indexer(of, index):
                self.known(index, focus)
                return replace(self._ordered("[]", self.known(of, focus), node.at), many=False)
            case ast.Literal(kind, _):
                return _system(_LITERALS[kind])
            case ast.Variable(name):
                return self._variable(name, focus)
            case ast.Unary(_, of):
                return self.known(of, focus)
            case ast.Quantity():
                return _system("Quantity")
            case ast.Empty():
                return Known(frozenset())

    def _variable(self, name: str, focus: Known) -> Known:
        if name == "$this":
            return focus
        if name == "$index":
            return _system("Integer")
        return _of(self._root) if name == "%context" else ANYTHING

    def _member(self, node: ast.Member, of: ast.Node | None, name: str, focus: Known) -> Known:
        if of is None and name[0].isupper() and name in definitions.types():
            return self._begun(node, name, focus)
        known = self.known(of, focus)
        if known.types is None:
            return replace(ANYTHING, ordered=known.ordered)
        found = [
            child
            for _, content in known.types
            for child in definitions.children(content).values()
            if (child.name == name and child.choice is None) or child.choice == name
        ]
        contents = {child.content for child in found} | {content for _, content in known.types}
        if not contents.isdisjoint(("Resource", TYPE_INFO)):
            return replace(ANYTHING, ordered=known.ordered)
        if not found and known.types and self._strict:
            _refuse_name(known.types, name, node.at)
        types = frozenset(
            (child.types[0] if child.types else "BackboneElement", child.content) for child in found
        )
        many = known.many or any(child.max != 1 for child in found)
        return Known(types, known.ordered, many)

    def _begun(self, node: ast.Member, name: str, focus: Known) -> Known:
        """Return what is left of the focus by the type name that a path begins with."""
        if focus.types is None:
            return Known(frozenset({(name, name)}))
        wanted = named(f"FHIR.{name}")
        left = frozenset(type_ for type_ in focus.types if type_[0] in wanted)
        if not left and focus.types and self._strict:
            raise FhirPathError(f"this is asked of {_listed(focus.types)}, not {name}", node.at)
        return Known(left, focus.ordered, focus.many)

    def _typed(self, op: str, of: Known, name: str, at: int) -> Known:
        if self._strict and of.many and op != "ofType":
            raise FhirPathError(f"{op} takes a single item; for more there is ofType()", at)
        return _system("Boolean") if op == "is" else _narrowed(of, name, at)

    def _call(
        self,
        node: ast.Call,
        name: str,
        args: tuple[ast.Node, ...],
        of: Known,
        focus: Known,
    ) -> Known:
        if name in ("is", "as", "ofType"):
            type_ = type_name(args[0], node.at) if len(args) == 1 else ""
            return self._typed(name, of, type_, node.at)
        if name in _NEEDS_ORDER:
            self._ordered(f"{name}()", of, node.at)
        on = of if name in _ON_EACH or name == "iif" else focus
        given = [self.known(arg, on) for arg in args]
        return self._result(node, name, of, given)

    def _result(self, node: ast.Call, name: str, of: Known, given: list[Known]) -> Known:
        if name in _SAME:
            return replace(of, many=of.many and name not in _ONE)
        if name == "select":
            return replace(given[0], many=of.many or given[0].many) if given else ANYTHING
        if name == "iif":
            return _either(given[1:])
        if name in ("union", "combine"):
            return _either([of, *given])
        if name == "repeat" and node.args:
            return self._repeated(node.args[0], given)
        if name == "extension":
            return Known(frozenset({("Extension", "Extension")}), of.ordered)
        if name in _UNORDERED:
            return Known(None, ordered=False)
        return _named_result(name)

    def _repeated(self, projection: ast.Node, given: list[Known]) -> Known:
        if self._repeating:  # one inside of another would take rounds times rounds
            return ANYTHING
        inner = _Checker(self._root, strict=False, repeating=True)
        known = _either(given)
        for _ in range(_MANY_ROUNDS):
            grown = _either([known, inner.known(projection, known)])
            if grown == known:
                return known
            known = grown
        return ANYTHING

    def _ordered(self, what: str, of: Known, at: int) -> Known:
        if self._strict and not of.ordered:
            raise FhirPathError(f"{what} asks for an order, and children() have none", at)
        return of

    def _binary(self, op: str, left: Known, right: Known) -> Known:
        if op in _COMPARISONS:
            return _system("Boolean")
        if op == "|":
            return _either([left, right])
        return _system("String") if op == "&" else ANYTHING


def _named_result(name: str) -> Known:
    if name in _BOOLEAN or name.startswith("convertsTo"):
        return _system("Boolean")
    if name in _STRING:
        return _system("String")
    if name in _INTEGER:
        return _system("Integer")
    return _system(_OTHERS[name]) if name in _OTHERS else ANYTHING


def _narrowed(of: Known, name: str, at: int) -> Known:
    wanted = named(name, at)
    if of.types is None:
        return Known(frozenset((type_, type_) for type_ in wanted), of.ordered)
    left = frozenset(type_ for type_ in of.types if type_[0] in wanted)
    return Known(left, of.ordered, of.many)


def _either(known: list[Known]) -> Known:
    ordered = all(part.ordered for part in known)
    types: frozenset[Type] = frozenset()
    for part in known:
        if part.types is None:
            return Known(None, ordered)
        types |= part.types
    return Known(types, ordered, any(part.many for part in known))


def _refuse_name(types: frozenset[Type], name: str, at: int) -> NoReturn:
    for _, content in types:
        child = definitions.children(content).get(name)
        if child is not None and child.choice is not None:
            raise FhirPathError(f"{name} is written {child.choice} in FHIRPath", at)
    raise FhirPathError(f"{_listed(types)} has no {name}", at)


def _listed(types: frozenset[Type]) -> str:
    return " or ".join(sorted({content for _, content in types}))
