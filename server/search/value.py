"""Search values as sent: lists, escapes, prefixes.  R4 search.html#escaping, #prefix."""

import re

from server.fhir.errors import InvalidSearch, Issue
from server.search.query import Comparator

PREFIXES: tuple[Comparator, ...] = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")

MAX_SHOWN = 80  # characters of a parameter's name, in messages

_ESCAPED = re.compile(r"\\([\\,|$])")


def split(text: str, separator: str) -> list[str]:
    r"""Return the parts between separators that are not escaped; escapes stay in the parts.

    >>> split(r"a\,b,c", ",")
    ['a\\,b', 'c']
    """
    if separator not in text:
        return [text]
    if "\\" not in text:
        return text.split(separator)
    parts: list[str] = []
    part: list[str] = []
    escaped = False
    for character in text:
        if character == separator and not escaped:
            parts.append("".join(part))
            part = []
        else:
            part.append(character)
        escaped = character == "\\" and not escaped
    return [*parts, "".join(part)]


def unescape(text: str) -> str:
    r"""Return the text without the backslashes of R4; any other backslash is itself.

    >>> unescape(r"a\,b\|c\\d\e")
    'a,b|c\\d\\e'
    """
    return _ESCAPED.sub(r"\1", text) if "\\" in text else text


def split_prefix(text: str) -> tuple[Comparator, str]:
    """Return the comparator and the rest; ``eq`` when there is none.

    >>> split_prefix("ge2020-01-01")
    ('ge', '2020-01-01')
    """
    for prefix in PREFIXES:
        if text.startswith(prefix):
            return prefix, text[2:]
    return "eq", text


def refused(param: str, why: str) -> InvalidSearch:
    """Return the error for a value, modifier or prefix of ``param`` that cannot be read."""
    named = shown(param)
    return InvalidSearch(f"{named}: {why}", expression=(named,))


def unsupported(param: str, why: str) -> InvalidSearch:
    """Return the error for what R4 has and this server has not (yet)."""
    named = shown(param)
    text = f"{named}: {why}"
    issue = Issue("error", "not-supported", text, (named,))
    return InvalidSearch(text, expression=(named,), issues=(issue,))


def shown(param: str) -> str:
    r"""Return a name as sent so that an OperationOutcome can hold it; FHIR has no empty string.

    >>> shown("name:exact"), shown("a\0"), shown("")
    ('name:exact', "'a\\x00'", "''")
    """
    named = param[:MAX_SHOWN]
    return named if named.strip() and named.isprintable() else repr(named)
