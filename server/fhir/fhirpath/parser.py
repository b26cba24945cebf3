"""FHIRPath tokens -> syntax tree, by operator precedence (hl7.org/fhirpath/N1, section 6.8)."""

from decimal import Decimal

from server.fhir.fhirpath.ast import (
    Binary,
    Call,
    Empty,
    Indexer,
    Literal,
    Member,
    Node,
    Quantity,
    TypeOp,
    Unary,
    Variable,
)
from server.fhir.fhirpath.errors import FhirPathError
from server.fhir.fhirpath.lexer import Token, tokens

MAX_DEPTH = 64  # expressions inside expressions; deeper ones would exhaust Python's stack

_BINDS = {
    **dict.fromkeys(("*", "/", "div", "mod"), 9),
    **dict.fromkeys(("+", "-", "&"), 8),
    **dict.fromkeys(("is", "as"), 7),
    "|": 6,
    **dict.fromkeys(("<=", "<", ">", ">="), 5),
    **dict.fromkeys(("=", "~", "!=", "!~"), 4),
    **dict.fromkeys(("in", "contains"), 3),
    "and": 2,
    **dict.fromkeys(("or", "xor"), 1),
    "implies": 0,
}
_UNARY_BINDS = 10
_CALENDAR = frozenset(
    unit + end
    for unit in ("year", "month", "week", "day", "hour", "minute", "second", "millisecond")
    for end in ("", "s")
)


def parse(expression: str) -> Node:
    """Return the syntax tree.  Raises :class:`FhirPathError`, which says where.

    >>> parse("a.b | c").op
    '|'
    """
    parser = _Parser(expression)
    node = parser.expression(0)
    if parser.token.kind != "end":
        raise parser.unexpected()
    return node


class _Parser:
    def __init__(self, expression: str) -> None:
        self._tokens = tokens(expression)
        self._next = 1
        self._depth = 0
        self.token: Token = self._tokens[0]

    def unexpected(self) -> FhirPathError:
        shown = repr(self.token.text) if self.token.kind != "end" else "the end"
        return FhirPathError(f"did not expect {shown} at {self.token.at}")

    def expression(self, binds: int) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise FhirPathError(f"nested deeper than {MAX_DEPTH}")
        node = self._prefixed()
        while self.token.kind in ("op", "id"):
            power = _BINDS.get(self.token.text)
            if power is None or power < binds:
                break
            operator = self._take().text
            if operator in ("is", "as"):
                node = TypeOp(operator, node, self._type_name())
            else:
                node = Binary(operator, node, self.expression(power + 1))
        self._depth -= 1
        return node

    def _prefixed(self) -> Node:
        if self.token.kind == "op" and self.token.text in ("+", "-"):
            return Unary(self._take().text, self.expression(_UNARY_BINDS))
        return self._path(self._term())

    def _path(self, node: Node) -> Node:
        while self.token.kind == "op":
            if self.token.text == ".":
                self._take()
                node = self._invocation(node)
            elif self.token.text == "[":
                self._take()
                node = Indexer(node, self.expression(0))
                self._expect("]")
            else:
                break
        return node

    def _term(self) -> Node:
        kind, text, _ = self.token
        if kind == "id":
            if text in ("true", "false"):
                self._take()
                return Literal("boolean", text == "true")
            return self._invocation(None)
        if kind == "op" and text in ("(", "{"):
            self._take()
            if text == "{":
                self._expect("}")
                return Empty()
            node = self.expression(0)
            self._expect(")")
            return node
        return self._constant()

    def _constant(self) -> Node:
        kind, text, _ = self.token
        if kind == "string":
            self._take()
            return Literal("string", text)
        if kind == "number":
            self._take()
            return self._number(text)
        if kind == "date":
            self._take()
            return _date(text)
        if kind == "variable":
            self._take()
            return Variable(text)
        raise self.unexpected()

    def _number(self, text: str) -> Node:
        if self.token.kind == "string":
            return Quantity(Decimal(text), self._take().text, calendar=False)
        if self.token.kind == "id" and self.token.text in _CALENDAR:
            return Quantity(Decimal(text), self._take().text, calendar=True)
        return Literal("decimal", Decimal(text)) if "." in text else Literal("integer", int(text))

    def _invocation(self, of: Node | None) -> Node:
        if self.token.kind == "variable" and of is not None:
            return Variable(self._take().text)
        if self.token.kind != "id":
            raise self.unexpected()
        name = self._take().text
        if not self._at("("):
            return Member(of, name)
        self._take()
        args: list[Node] = []
        while not self._at(")"):
            args.append(self.expression(0))
            if not self._at(")"):
                self._expect(",")
        self._take()
        return Call(of, name, tuple(args))

    def _type_name(self) -> str:
        if self.token.kind != "id":
            raise self.unexpected()
        name = self._take().text
        while self._at("."):
            self._take()
            name = f"{name}.{self._take().text}"
        return name

    def _at(self, operator: str) -> bool:
        return self.token.kind == "op" and self.token.text == operator

    def _expect(self, operator: str) -> None:
        if not self._at(operator):
            raise self.unexpected()
        self._take()

    def _take(self) -> Token:
        taken = self.token
        if taken.kind != "end":
            self.token = self._tokens[self._next]
            self._next += 1
        return taken


def _date(text: str) -> Literal:
    if text.startswith("T"):
        return Literal("time", text[1:])
    return Literal("dateTime" if "T" in text else "date", text)
