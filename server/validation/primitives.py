"""Formats of primitive values.  R4 datatypes.html#primitive.

A predicate for each type.  None of the specification's own regular expressions is used: the one
of base64Binary takes exponential time.  These here are linear, and ``[0-9]`` means ASCII.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from math import isfinite
from types import MappingProxyType
from typing import Any, Final

from server.fhir.errors import IssueType
from server.validation.limits import MAX_STRING_LENGTH

Predicate = Callable[[Any], bool]

_YEAR = r"(?!0000)([0-9]{4})"
_MONTH = r"(0[1-9]|1[0-2])"
_DAY = r"(0[1-9]|[12][0-9]|3[01])"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
_ZONE = r"(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"

_date = re.compile(rf"{_YEAR}(?:-{_MONTH}(?:-{_DAY})?)?").fullmatch
_date_time = re.compile(rf"{_YEAR}(?:-{_MONTH}(?:-{_DAY}(?:T{_TIME}{_ZONE})?)?)?").fullmatch
_instant = re.compile(rf"{_YEAR}-{_MONTH}-{_DAY}T{_TIME}{_ZONE}").fullmatch
_time = re.compile(_TIME).fullmatch
_id = re.compile(r"[A-Za-z0-9.-]{1,64}").fullmatch
_oid = re.compile(r"urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+").fullmatch
_uuid = re.compile(r"urn:uuid:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
_base64 = re.compile(r"[A-Za-z0-9+/]+={0,2}").fullmatch
# XML 1.0 has no way to write these, so a string with one of them could not leave as XML.
_control = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]").search
# White space is what XML Schema means by it: a no-break space is a character like others.
_NO_SPACE = r"[^\x00-\x20\ufffe\uffff]+"
_uri = re.compile(_NO_SPACE).fullmatch
_code = re.compile(rf"{_NO_SPACE}(?: {_NO_SPACE})*").fullmatch

_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def is_boolean(value: Any) -> bool:
    """Tell whether it is ``true`` or ``false``."""
    return value is True or value is False


def is_integer(value: Any) -> bool:
    """Tell whether it is a signed integer of 32 bits."""
    return type(value) is int and -2_147_483_648 <= value <= 2_147_483_647


def is_unsigned_int(value: Any) -> bool:
    """Tell whether it is 0 to 2,147,483,647."""
    return type(value) is int and 0 <= value <= 2_147_483_647


def is_positive_int(value: Any) -> bool:
    """Tell whether it is 1 to 2,147,483,647."""
    return type(value) is int and 1 <= value <= 2_147_483_647


def is_decimal(value: Any) -> bool:
    """Tell whether it is a JSON number; a float is one that the server itself has made."""
    if type(value) is int:
        return True
    if isinstance(value, Decimal):
        return value.is_finite()
    return type(value) is float and isfinite(value)


def is_string(value: Any) -> bool:
    """Tell whether it is text with something to see, within the limit."""
    return (
        type(value) is str
        and value != ""
        and not value.isspace()
        and len(value) <= MAX_STRING_LENGTH
        and (value.isprintable() or not _control(value))
    )


def is_xhtml(value: Any) -> bool:
    """Tell whether it is text at all; what it holds is for ``xhtml.py`` to say."""
    return type(value) is str and value != "" and not value.isspace()


def is_code(value: Any) -> bool:
    """Tell whether it is words with one space between, none around."""
    return type(value) is str and (_is_plain(value) or _code(value) is not None)


def is_uri(value: Any) -> bool:
    """Tell whether it is text without white space; also url and canonical."""
    return type(value) is str and (_is_plain(value) or _uri(value) is not None)


def _is_plain(value: str) -> bool:
    """Tell whether there is neither a space nor anything unseen: nearly always, and fast."""
    return value != "" and " " not in value and value.isprintable()


def is_id(value: Any) -> bool:
    """Tell whether it is 1 to 64 letters, digits, ``-`` and ``.``."""
    return type(value) is str and _id(value) is not None


def is_oid(value: Any) -> bool:
    """Tell whether it is ``urn:oid:`` and an object identifier."""
    return type(value) is str and _oid(value) is not None


def is_uuid(value: Any) -> bool:
    """Tell whether it is ``urn:uuid:`` and a UUID in lower case."""
    return type(value) is str and _uuid(value) is not None


def is_base64(value: Any) -> bool:
    """Tell whether it is groups of four, white space allowed."""
    if type(value) is not str:
        return False
    if _base64(value) is None:
        value = "".join(value.split())
    return len(value) % 4 == 0 and _base64(value) is not None


def is_date(value: Any) -> bool:
    """Tell whether it is a year, month or day that exists."""
    return type(value) is str and _exists(_date(value))


def is_date_time(value: Any) -> bool:
    """Tell whether it is a date, or a date with time and zone; ``:60`` is a leap second."""
    return type(value) is str and _exists(_date_time(value))


def is_instant(value: Any) -> bool:
    """Tell whether it is a date with time, to the second or finer, and zone."""
    return type(value) is str and _exists(_instant(value))


def is_time(value: Any) -> bool:
    """Tell whether it is a time of day to the second or finer, without zone."""
    return type(value) is str and _time(value) is not None


def _exists(match: re.Match[str] | None) -> bool:
    """Tell whether the day is in the calendar; the regex has seen to all but the month's end."""
    if match is None:
        return False
    year, month, day = match.groups()
    if day is None or day <= "28":
        return True
    if month == "02":
        leap = int(year) % 4 == 0 and (int(year) % 100 != 0 or int(year) % 400 == 0)
        return bool(day == "29" and leap)
    return int(day) <= _DAYS[int(month) - 1]


PREDICATES: Final[Mapping[str, Predicate]] = MappingProxyType(
    {
        "boolean": is_boolean,
        "integer": is_integer,
        "unsignedInt": is_unsigned_int,
        "positiveInt": is_positive_int,
        "decimal": is_decimal,
        "string": is_string,
        "markdown": is_string,
        "xhtml": is_xhtml,
        "code": is_code,
        "uri": is_uri,
        "url": is_uri,
        "canonical": is_uri,
        "id": is_id,
        "oid": is_oid,
        "uuid": is_uuid,
        "base64Binary": is_base64,
        "date": is_date,
        "dateTime": is_date_time,
        "instant": is_instant,
        "time": is_time,
    }
)

_EXPECTED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "boolean": "true or false",
        "integer": "a whole number from -2147483648 to 2147483647",
        "unsignedInt": "a whole number from 0 to 2147483647",
        "positiveInt": "a whole number from 1 to 2147483647",
        "decimal": "a number",
        "code": "text without white space around or twice in a row",
        "uri": "text without white space",
        "url": "text without white space",
        "canonical": "text without white space",
        "id": "1 to 64 letters, digits, '-' and '.'",
        "oid": "urn:oid: followed by digits and dots",
        "uuid": "urn:uuid: followed by a UUID in lower case",
        "base64Binary": "base64",
        "date": "YYYY, YYYY-MM or YYYY-MM-DD, a day that exists",
        "dateTime": "YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss+zz:zz, a day that exists",
        "instant": "YYYY-MM-DDThh:mm:ss+zz:zz, a day that exists",
        "time": "hh:mm:ss",
    }
)
_NUMBERS: Final = frozenset({"integer", "unsignedInt", "positiveInt", "decimal"})


def fault(type_: str, value: Any) -> tuple[IssueType, str]:
    """Return why ``value`` is no ``type_``, which it is known not to be.

    The words do not repeat the value: it may be what must not get into a log.
    """
    if value is None:
        return "structure", "null is not a value; leave the property out (R4 json.html#null)"
    if isinstance(value, dict | list):
        return "structure", f"{type_} is a single value, not {json_name(value)}"
    if value == "":
        return "structure", "an empty string is not a value; leave the property out"
    expected = str if type_ not in _NUMBERS and type_ != "boolean" else None
    if (isinstance(value, str) and expected is None) or (expected and type(value) is not str):
        wanted = _EXPECTED.get(type_, "text")
        return "structure", f"{type_} must be {wanted}, not a JSON {json_name(value)}"
    if type_ in ("string", "markdown", "xhtml"):
        return _string_fault(str(value))
    return "value", f"not a {type_}: expected {_EXPECTED[type_]}"


def _string_fault(value: str) -> tuple[IssueType, str]:
    if len(value) > MAX_STRING_LENGTH:
        return (
            "too-long",
            f"longer than {MAX_STRING_LENGTH:,} characters (R4 datatypes.html#string)",
        )
    if value.isspace():
        return "value", "only white space"
    return "value", "a control character that FHIR's XML could not hold"


def json_name(value: Any) -> str:
    """Return what JSON calls a value."""
    if isinstance(value, dict):
        return "object"
    if isinstance(value, list):
        return "array"
    if isinstance(value, bool):
        return "boolean"
    return "string" if isinstance(value, str) else "number"
