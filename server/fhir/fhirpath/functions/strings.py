"""Strings (hl7.org/fhirpath/N1, section 5.6; encode, escape, trim, split, join of 2.1)."""

import base64
import binascii
import html
import json
import re
from collections.abc import Callable

from server.fhir.fhirpath import pattern
from server.fhir.fhirpath.environment import Environment
from server.fhir.fhirpath.errors import FhirPathError
from server.fhir.fhirpath.functions.function import Function
from server.fhir.fhirpath.items import Items, boolean, computed
from server.fhir.fhirpath.operators import check_length
from server.fhir.fhirpath.singleton import integer, text

_SHORT = 100  # characters, which count as none
_JSON_ESCAPE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|\\u(?![dD][89a-fA-F])[0-9a-fA-F]{4}|\\[\"\\/bfnrt]"
)


def _text(env: Environment, items: Items) -> str | None:
    """Return the only item as a string, and count what it takes to look through it."""
    found = text(items)
    if found is not None and len(found) > _SHORT:
        env.spend(len(found) / 100)
    return found


def _index_of(env: Environment, items: Items, wanted: Items) -> Items:
    found, part = _text(env, items), text(wanted)
    return [] if found is None or part is None else computed(found.find(part))


def _last_index_of(env: Environment, items: Items, wanted: Items) -> Items:
    found, part = _text(env, items), text(wanted)
    return [] if found is None or part is None else computed(found.rfind(part))


def _substring(env: Environment, items: Items, start: Items, *length: Items) -> Items:
    found, at = _text(env, items), integer(start)
    count = integer(length[0]) if length else None
    if found is None or at is None or not 0 <= at < len(found):
        return []
    end = len(found) if count is None else at + max(0, count)
    return computed(found[at:end])


def _told(test: Callable[[str, str], bool]) -> Function:
    def run(env: Environment, items: Items, other: Items) -> Items:
        found, part = _text(env, items), text(other)
        return [] if found is None or part is None else boolean(test(found, part))

    return Function(run, 1, 1)


def _made(make: Callable[[str], str]) -> Function:
    def run(env: Environment, items: Items) -> Items:
        found = _text(env, items)
        return [] if found is None else computed(make(found))

    return Function(run)


def _replace(env: Environment, items: Items, part: Items, by: Items) -> Items:
    found, old, new = _text(env, items), text(part), text(by)
    if found is None or old is None or new is None:
        return []
    check_length(len(found) + found.count(old) * (len(new) - len(old)), env)
    return computed(found.replace(old, new))


def _matches(*, full: bool) -> Function:
    def run(env: Environment, items: Items, regex: Items) -> Items:
        found, wanted = _text(env, items), text(regex)
        if found is None or wanted is None:
            return []
        return boolean(pattern.matches(wanted, found, env.spend, full=full))

    return Function(run, 1, 1)


def _replace_matches(env: Environment, items: Items, regex: Items, by: Items) -> Items:
    found, wanted, new = _text(env, items), text(regex), text(by)
    if found is None or wanted is None or new is None:
        return []
    if not wanted:
        return computed(found)
    made = pattern.replaced(wanted, found, new, env.spend, lambda size: check_length(size, env))
    return computed(made)


def _length(env: Environment, items: Items) -> Items:
    found = _text(env, items)
    return computed(None if found is None else len(found))


def _to_chars(env: Environment, items: Items) -> Items:
    found = _text(env, items) or ""
    env.spend(len(found))
    return [item for character in found for item in computed(character)]


def _split(env: Environment, items: Items, separator: Items) -> Items:
    found, mark = _text(env, items), text(separator)
    if found is None or mark is None:
        return []
    parts = found.split(mark) if mark else list(found)
    env.spend(len(parts))
    return [item for part in parts for item in computed(part)]


def _join(env: Environment, items: Items, *separator: Items) -> Items:
    mark = (text(separator[0]) if separator else None) or ""
    parts = [part for item in items if (part := text([item])) is not None]
    check_length(sum(map(len, parts)) + len(mark) * len(parts), env)
    return computed(mark.join(parts)) if items else []


def _coded(methods: dict[str, Callable[[str], str]], called: str) -> Function:
    """Return a function whose argument names how."""

    def run(env: Environment, items: Items, how: Items) -> Items:
        found, name = _text(env, items), text(how)
        if found is None or name is None:
            return []
        method = methods.get(name)
        if method is None:
            raise FhirPathError(f"{called}() knows {', '.join(methods)}, not {name[:40]}")
        check_length(len(found) * 6, env)
        try:
            return computed(method(found))
        except (binascii.Error, ValueError):  # not in that form: no answer
            return []

    return Function(run, 1, 1)


def _unescaped_json(value: str) -> str:
    return _JSON_ESCAPE.sub(lambda found: str(json.loads(f'"{found[0]}"')), value)


_ENCODE: dict[str, Callable[[str], str]] = {
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "urlbase64": lambda value: base64.urlsafe_b64encode(value.encode()).decode(),
    "hex": lambda value: value.encode().hex(),
}
_DECODE: dict[str, Callable[[str], str]] = {
    "base64": lambda value: base64.b64decode(value, validate=True).decode(),
    "urlbase64": lambda value: base64.b64decode(value, altchars=b"-_", validate=True).decode(),
    "hex": lambda value: bytes.fromhex(value).decode(),
}
_ESCAPE: dict[str, Callable[[str], str]] = {
    "html": lambda value: html.escape(value, quote=True),
    "json": lambda value: json.dumps(value, ensure_ascii=False)[1:-1],
}
_UNESCAPE: dict[str, Callable[[str], str]] = {"html": html.unescape, "json": _unescaped_json}

FUNCTIONS = {
    "indexOf": Function(_index_of, 1, 1),
    "lastIndexOf": Function(_last_index_of, 1, 1),
    "substring": Function(_substring, 1, 2),
    "startsWith": _told(str.startswith),
    "endsWith": _told(str.endswith),
    "contains": _told(str.__contains__),
    "upper": _made(str.upper),
    "lower": _made(str.lower),
    "trim": _made(str.strip),
    "replace": Function(_replace, 2, 2),
    "matches": _matches(full=False),
    "matchesFull": _matches(full=True),
    "replaceMatches": Function(_replace_matches, 2, 2),
    "length": Function(_length),
    "toChars": Function(_to_chars),
    "split": Function(_split, 1, 1),
    "join": Function(_join, 0, 1),
    "encode": _coded(_ENCODE, "encode"),
    "decode": _coded(_DECODE, "decode"),
    "escape": _coded(_ESCAPE, "escape"),
    "unescape": _coded(_UNESCAPE, "unescape"),
}
