"""FHIRPath text -> tokens (hl7.org/fhirpath/N1, section 9 and the grammar's lexer rules)."""

import re
from typing import Literal, NamedTuple

from server.fhir.fhirpath.errors import FhirPathError

MAX_LENGTH = 65_536  # characters of an expression; the longest of R4 has 1,386
MAX_TOKENS = 8_192  # it may be made of; more take seconds to compile

Kind = Literal["id", "string", "number", "date", "variable", "op", "end"]


class Token(NamedTuple):
    """One token: delimiters and escapes are resolved in ``text``; ``at`` counts from 0."""

    kind: Kind
    text: str
    at: int


_TOKEN = re.compile(
    r"""(?:\s++|//[^\n]*+|/\*.*?\*/)*+
    (?:(?P<id>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<op>!=|!~|<=|>=|[.,()\[\]{}|=<>~&+*/-])
    |'(?P<string>(?:[^'\\]|\\.)*)'
    |`(?P<quoted>(?:[^`\\]|\\.)*)`
    |(?P<number>\d+(?:\.\d+)?)
    |@(?P<date>\d{4}(?:-\d\d(?:-\d\d)?)?(?:T(?:\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?
        (?:Z|[+-]\d\d:\d\d)?)?)?|T\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?)
    |(?P<variable>\$(?:this|index|total)\b|%(?:vs|ext)-[A-Za-z0-9.-]*[A-Za-z0-9]
        |%[A-Za-z_][A-Za-z0-9_]*|%`[^`]+`|%'[^']+'|%"[^"]+")
    |(?P<end>\Z))""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_PLAIN = frozenset(("id", "op", "number", "date", "end"))  # groups that are tokens as they are
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}


def tokens(expression: str) -> list[Token]:
    """Return the tokens, the last one of kind ``end``.

    >>> [token.text for token in tokens("name.where(use = 'usual')")]
    ['name', '.', 'where', '(', 'use', '=', 'usual', ')', '']
    """
    found: list[Token] = []
    at = 0
    if len(expression) > MAX_LENGTH:
        raise FhirPathError(f"longer than {MAX_LENGTH:,} characters")
    while True:
        match = _TOKEN.match(expression, at)
        if match is None:
            raise FhirPathError(f"cannot read {expression[at : at + 20]!r}", at)
        kind = match.lastgroup or "end"
        if kind in _PLAIN:
            found.append(Token(kind, match[kind], match.start(kind)))  # type: ignore[arg-type]
        else:
            found.append(_token(kind, match))
        at = match.end()
        if kind == "end":
            return found
        if len(found) > MAX_TOKENS:
            raise FhirPathError(f"made of more than {MAX_TOKENS:,} words and signs", found[-1].at)


def _token(kind: str, match: re.Match[str]) -> Token:
    at = match.start(kind)
    text = match[kind]
    if kind == "quoted":
        return Token("id", _unescaped(text), at)
    if kind == "string":
        return Token("string", _unescaped(text), at)
    if kind == "variable" and text[1] in "`'\"":
        return Token("variable", f"%{text[2:-1]}", at)
    return Token("variable", text, at)


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    return _ESCAPE.sub(_character, text)


def _character(match: re.Match[str]) -> str:
    code = match[1]
    return chr(int(code[1:], 16)) if len(code) == 5 else _ESCAPED.get(code, code)
