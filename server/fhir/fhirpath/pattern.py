"""Regular expressions that cannot run away: RE2 takes time in proportion to the text.

hl7.org/fhirpath/N1 leaves the dialect open.  RE2's has no back references and no look-around, which
are what makes other engines exponential.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import re2

from server.fhir.fhirpath.errors import FhirPathError

MAX_PATTERN = 1_000  # characters
_GROUP = re.compile(r"\$(?:(\d{1,2})|\{(\w{1,64})\})", re.ASCII)
_SIZE = 1_600  # characters times instructions of RE2 that take as long as a step
_MAX_MEMORY = 1024 * 1024  # bytes, for the automaton of one expression


@lru_cache(maxsize=128)
def _compiled(regex: str) -> Any:
    if len(regex) > MAX_PATTERN:
        raise FhirPathError(f"a regular expression of more than {MAX_PATTERN:,} characters")
    options = re2.Options()
    options.dot_nl = True  # single-line mode: a point is a line end, too
    options.log_errors = False
    options.max_mem = _MAX_MEMORY
    try:
        return re2.compile(regex, options)
    except (re2.error, UnicodeEncodeError) as error:
        told = error.args[0] if error.args else error
        shown = told.decode("utf-8", "replace") if isinstance(told, bytes) else str(told)
        raise FhirPathError(f"the regular expression is not understood: {shown}") from None


def matches(regex: str, text: str, spend: Callable[[float], None], *, full: bool) -> bool:
    """Return whether the text, or with ``full=False`` some part of it, is as the regex says.

    ``spend`` is told before what the search may take, in steps, and refuses what is too much.
    """
    found = _compiled(regex)
    spend(_search(found, len(text)))
    try:
        return (found.fullmatch(text) if full else found.search(text)) is not None
    except UnicodeEncodeError:
        raise FhirPathError("half a surrogate pair is no text") from None


def replaced(
    regex: str,
    text: str,
    by: str,
    spend: Callable[[float], None],
    allow: Callable[[int], None],
) -> str:
    """Return the text with each match replaced; ``$1`` and ``${name}`` stand for groups.

    ``spend``: as for :func:`matches`, told of every search: each may look at all that is left.
    ``allow`` is told, again and again, how long the result is, and refuses what is too long.
    """
    compiled = _compiled(regex)
    parts: list[str] = []
    size, end = 0, 0
    spend(_search(compiled, len(text)))
    try:
        for found in compiled.finditer(text):
            spend(_search(compiled, len(text) - found.end()))
            parts += (text[end : found.start()], _expanded(found, by))
            size += len(parts[-1]) + len(parts[-2])
            end = found.end()
            allow(size)
    except UnicodeEncodeError:
        raise FhirPathError("half a surrogate pair is no text") from None
    parts.append(text[end:])
    allow(size + len(parts[-1]))
    return "".join(parts)


def _search(compiled: Any, length: int) -> float:
    """Return what it takes at worst to look through so many characters, in steps."""
    return float(length * compiled.programsize / _SIZE)


def _expanded(found: Any, by: str) -> str:
    if "$" not in by:
        return by
    return _GROUP.sub(lambda reference: _group(found, reference), by)


def _group(found: Any, reference: re.Match[str]) -> str:
    name = reference[1] or reference[2]
    try:
        return found.group(int(name) if name.isdigit() else name) or ""
    except (IndexError, KeyError, re2.error):
        raise FhirPathError(f"the regular expression has no group {name}") from None
