"""JSON in and out without changing a character of any number.  R4 json.html, level L0.

In: the standard library's parser, with what FHIR does not allow refused.  Out: orjson, which
would round decimals; they go through it as fragments.
"""

import json
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NoReturn

import orjson

from server.fhir import locate
from server.fhir.errors import InvalidJson, Issue

MAX_DEPTH: Final = 64  # objects and arrays inside each other
MAX_NUMBER_LENGTH: Final = 1_000  # characters; longer ones cost quadratic time to compute with
MAX_EXPONENT: Final = 9_999  # 1e999999999 is a small text, but a gigabyte as an integer

_OUTLINE = bytes.maketrans(b"[]", b"{}")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


class LiteralDecimal(Decimal):
    """A decimal whose text is not the one Python would write, such as ``1e2`` or ``-0``."""

    __slots__ = ("_literal",)
    _literal: str

    def __new__(cls, literal: str) -> "LiteralDecimal":
        """Return the decimal that ``literal`` is, which is not checked here."""
        made = super().__new__(cls, literal)
        made._literal = literal
        return made

    def __str__(self) -> str:
        return self._literal

    def __repr__(self) -> str:
        return f"LiteralDecimal({self._literal!r})"

    def __reduce__(self) -> tuple[type["LiteralDecimal"], tuple[str]]:
        return LiteralDecimal, (self._literal,)


class _RefusedError(ValueError):
    """A hook of the parser says no; it does not know where it is."""

    def __init__(self, why: str, literal: str | None = None) -> None:
        super().__init__(why)
        self.why, self.literal = why, literal


def loads(data: bytes) -> Any:
    """Return the value that UTF-8 JSON text holds.

    Objects are dicts in the order sent, numbers without ``.`` and ``e`` are ``int``, all others
    ``Decimal`` that print as they were sent.  So do ``-0`` and integers beyond 64 bits.

    Raises ``InvalidJson`` with line and column for anything that is not JSON, and for duplicate
    keys, ``NaN``, a byte order mark, half a surrogate pair, and more than ``MAX_DEPTH`` levels.

    >>> str(loads(b'{"value": 1.50}')["value"])
    '1.50'
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        _refuse("the body is not UTF-8 (RFC 8259 section 8.1)", before, len(before))
    _check_depth(data, text)
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        _refuse(_syntax(error, text), text, error.pos)
    except _RefusedError as refused:
        _explain(refused, text)
    if "\\u" in text and (offset := locate.lone_surrogate(text)) is not None:
        _refuse("an escaped surrogate without its other half", text, offset)
    return value


def glance(stored: bytes) -> Any:
    """Return the value of JSON that :func:`loads` has read before, in a tenth of the time.

    Numbers have no literal form any more: good for looking at, not for keeping.

    >>> glance(b'{"value":1.50}')
    {'value': 1.5}
    """
    try:
        return orjson.loads(stored)
    except orjson.JSONDecodeError:  # a number beyond a double
        return loads(stored)


def dumps(value: Any) -> bytes:
    """Return compact UTF-8 JSON: keys in their order, decimals literally.

    Raises ``TypeError`` for what JSON cannot hold (a bug of the caller, not of a client).

    >>> dumps({"b": Decimal("1.50"), "a": [1, None]})
    b'{"b":1.50,"a":[1,null]}'
    """
    return orjson.dumps(value, default=_fragment)


def _fragment(value: object) -> orjson.Fragment:
    if isinstance(value, Decimal) and value.is_finite():
        return orjson.Fragment(str(value))
    raise TypeError(f"{type(value).__name__} {value!r} has no JSON form")


def _check_depth(data: bytes, text: str) -> None:
    """Refuse too many levels before the parser, which recurses, sees them."""
    if data.count(b"{") + data.count(b"[") <= MAX_DEPTH:
        return
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside_strings = b"".join(data.split(b'"')[::2])
    outline = outside_strings.translate(_OUTLINE, _NOT_BRACKETS)
    for _ in range(MAX_DEPTH):  # each round takes the innermost level away
        outline = outline.replace(b"{}", b"")
        if not outline:
            return
    offset = locate.too_deep(text, MAX_DEPTH)
    if offset is not None:
        _refuse(f"more than {MAX_DEPTH} objects and arrays inside each other", text, offset)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _RefusedError("duplicate key")
    return made


def _decimal(literal: str) -> Decimal:
    if len(literal) > MAX_NUMBER_LENGTH:
        raise _RefusedError(f"a number longer than {MAX_NUMBER_LENGTH} characters", literal)
    try:
        made = Decimal(literal)
    except InvalidOperation:  # an exponent of 19 digits
        raise _RefusedError(f"an exponent beyond {MAX_EXPONENT}", literal) from None
    if abs(made.adjusted()) > MAX_EXPONENT:
        raise _RefusedError(f"an exponent beyond {MAX_EXPONENT}", literal)
    return made if str(made) == literal else LiteralDecimal(literal)


def _integer(literal: str) -> int | Decimal:
    if len(literal) < 19:
        number = int(literal)
        return number if number or literal == "0" else LiteralDecimal(literal)
    number_or_decimal = _decimal(literal)
    fits = -(2**63) <= number_or_decimal < 2**64  # what orjson writes
    return int(number_or_decimal) if fits else number_or_decimal


def _constant(literal: str) -> NoReturn:
    raise _RefusedError(f"{literal} is not a JSON number", literal)


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_float=_decimal,
    parse_int=_integer,
    parse_constant=_constant,
)


def _syntax(error: json.JSONDecodeError, text: str) -> str:
    if not text.strip(" \t\r\n"):
        return "the body is empty"
    if text.startswith("\ufeff"):
        return "the body starts with a byte order mark (RFC 8259 section 8.1)"
    return f"not JSON: {error.msg}"


def _explain(refused: _RefusedError, text: str) -> NoReturn:
    if refused.literal is not None:
        _refuse(refused.why, text, locate.scalar(text, refused.literal) or 0)
    name, offset = locate.duplicate_key(text) or ("", 0)
    _refuse(f"the property {name!r} is there twice in one object", text, offset)


def _refuse(why: str, text: str, offset: int) -> NoReturn:
    line, column = locate.position(text, offset)
    where = f"{why} (line {line}, column {column})"
    raise InvalidJson(
        where, issues=[Issue("error", InvalidJson.issue, where, line=line, column=column)]
    ) from None
