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

# Deeper ones would exhaust Python's stack, when they are read and when they are evaluated.
MAX_DEPTH = 64  # expressions inside expressions
MAX_HEIGHT = 128  # steps of a path and operators in a row, those inside of them included
MAX_DIGITS = 64  # of a number
MAX_INTEGER = 2**31  # one more than the largest, because of what a minus may stand before

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
        self._height = 0  # of the node made last
        self.token: Token = self._tokens[0]

    def unexpected(self) -> FhirPathError:
        shown = repr(self.token.text) if self.token.kind != "end" else "the end"
        return FhirPathError(f"did not expect {shown}", self.token.at)

    def _raised(self, height: int) -> None:
        """Note the height of the node about to be made."""
        if height > MAX_HEIGHT:
            raise FhirPathError(f"more than {MAX_HEIGHT} steps in a row", self.token.at)
        self._height = height

    def expression(self, binds: int) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise FhirPathError(f"nested deeper than {MAX_DEPTH}", self.token.at)
        node = self._prefixed()
        while self.token.kind in ("op", "id"):
            power = _BINDS.get(self.token.text)
            if power is None or power < binds:
                break
            _, operator, at = self._take()
            height = self._height
            if operator in ("is", "as"):
                node = TypeOp(operator, node, self._type_name(), at)
            else:
                node = Binary(operator, node, self.expression(power + 1), at)
                height = max(height, self._height)
            self._raised(height + 1)
        self._depth -= 1
        return node

    def _prefixed(self) -> Node:
        if self.token.kind == "op" and self.token.text in ("+", "-"):
            _, operator, at = self._take()
            node = self.expression(_UNARY_BINDS)
            self._raised(self._height + 1)
            return Unary(operator, node, at)
        return self._path(self._term())

    def _path(self, node: Node) -> Node:
        while self.token.kind == "op":
            if self.token.text == ".":
                self._take()
                node = self._invocation(node)
            elif self.token.text == "[":
                height, at = self._height, self._take().at
                node = Indexer(node, self.expression(0), at)
                self._raised(max(height, self._height) + 1)
                self._expect("]")
            else:
                break
        return node

    def _term(self) -> Node:
        self._height = 0
        kind, text, at = self.token
        if kind == "id":
            if text in ("true", "false"):
                self._take()
                return Literal("boolean", text == "true", at)
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
        kind, text, at = self.token
        if kind == "string":
            self._take()
            return Literal("string", text, at)
        if kind == "number":
            self._take()
            return self._number(text, at)
        if kind == "date":
            self._take()
            return _date(text, at)
        if kind == "variable":
            self._take()
            return Variable(text, at)
        raise self.unexpected()

    def _number(self, text: str, at: int) -> Node:
        if len(text) > MAX_DIGITS:
            raise FhirPathError(f"a number of more than {MAX_DIGITS} characters", at)
        if self.token.kind == "string":
            return Quantity(Decimal(text), self._take().text, False, at)
        if self.token.kind == "id" and self.token.text in _CALENDAR:
            return Quantity(Decimal(text), self._take().text, True, at)
        if "." in text:
            return Literal("decimal", Decimal(text), at)
        if (number := int(text)) > MAX_INTEGER:
            raise FhirPathError(f"{text} is beyond 2147483647; write {text}.0", at)
        return Literal("integer", number, at)

    def _invocation(self, of: Node | None) -> Node:
        if self.token.kind == "variable" and of is not None and self.token.text[0] == "$":
            _, name, at = self._take()
            return of if name == "$this" else Variable(name, at)
        if self.token.kind != "id":
            raise self.unexpected()
        _, name, at = self._take()
        if not self._at("("):
            self._raised(self._height + 1)
            return Member(of, name, at)
        self._take()
        args: list[Node] = []
        height = self._height
        while not self._at(")"):
            args.append(self.expression(0))
            height = max(height, self._height)
            if not self._at(")"):
                self._expect(",")
                if self._at(")"):
                    raise self.unexpected()
        self._take()
        self._raised(height + 1)
        return Call(of, name, tuple(args), at)

    def _type_name(self) -> str:
        if self.token.kind != "id":
            raise self.unexpected()
        name = self._take().text
        while self._at("."):
            self._take()
            if self.token.kind != "id":
                raise self.unexpected()
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


def _date(text: str, at: int) -> Literal:
    if text.startswith("T"):
        return Literal("time", text[1:], at)
    return Literal("dateTime" if "T" in text else "date", text, at)
