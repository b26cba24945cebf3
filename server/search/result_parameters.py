"""How the answer of a search looks: order, page, totals, includes.  R4 search.html#return.

Every function reads the text of one parameter and raises InvalidSearch that names it.
"""

import re
from collections.abc import Sequence
from typing import Literal, get_args

from server.fhir import definitions
from server.search.criteria import common_parameter
from server.search.query import Include, SortKey, Summary, Total
from server.search.value import refused, unsupported

MAX_SORT_KEYS = 8
MAX_INCLUDES = 50
MAX_ELEMENTS = 200

_ELEMENT = re.compile(r"[A-Za-z][A-Za-z0-9.]{0,99}", re.ASCII)
_STORE_KEYS: dict[str, Literal["id", "updated"]] = {"_id": "id", "_lastUpdated": "updated"}


def count(text: str) -> int:
    """Return the page size asked for; 0 asks for the total alone."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise refused("_count", f"{text!r} is not a whole number from 0 up")
    return int(text)


def sort(types: Sequence[str], text: str) -> tuple[SortKey, ...]:
    """Return the keys of ``_sort=-date,_id``; all types must have each of the parameters."""
    names = text.split(",")
    if len(names) > MAX_SORT_KEYS:
        raise refused("_sort", f"{len(names)} keys; at most {MAX_SORT_KEYS}")
    return tuple(_sort_key(types, name) for name in names)


def _sort_key(types: Sequence[str], name: str) -> SortKey:
    descending, code = name.startswith("-"), name.removeprefix("-")
    if code in _STORE_KEYS:
        return SortKey(code, _STORE_KEYS[code], descending)
    parameter = common_parameter(types, code)
    if parameter is None:
        raise refused("_sort", f"{_shown(types)} cannot be sorted by {code!r}")
    match parameter.type:
        case "string" | "date" | "number" | "quantity" | "token" | "reference" | "uri" as kind:
            return SortKey(code, kind, descending)
        case other:
            raise unsupported("_sort", f"sorting by a {other} parameter is not supported")


def total(text: str) -> Total:
    """Return the value of ``_total``."""
    for known in get_args(Total):
        if text == known:
            found: Total = known
            return found
    raise refused("_total", f"{text!r} is not one of {', '.join(get_args(Total))}")


def summary(text: str) -> Summary:
    """Return the value of ``_summary``."""
    for known in get_args(Summary):
        if text == known:
            found: Summary = known
            return found
    raise refused("_summary", f"{text!r} is not one of {', '.join(get_args(Summary))}")


def elements(text: str) -> tuple[str, ...]:
    """Return the names in ``_elements``, once each."""
    names = text.split(",")
    if len(names) > MAX_ELEMENTS:
        raise refused("_elements", f"{len(names)} names; at most {MAX_ELEMENTS}")
    for name in names:
        if _ELEMENT.fullmatch(name) is None:
            raise refused("_elements", f"{name!r} is not the name of an element")
    return tuple(dict.fromkeys(names))


def include(types: Sequence[str], name: str, text: str) -> Include:
    """Return what ``_include`` or ``_revinclude`` asks for, checked against the definitions."""
    plain, _, modifier = name.partition(":")
    if modifier:
        raise unsupported(name, f"the modifier :{modifier} is not supported yet")
    if "*" in text:
        raise unsupported(name, "* is not supported yet; name the parameters")
    source, target = _source(name, text)
    reverse = plain == "_revinclude"
    type_, code = source
    parameter = definitions.search_parameters(type_)[code]
    if not reverse and type_ not in types:
        raise refused(name, f"{type_} is not searched here, only {_shown(types)}")
    allowed = set(parameter.target)
    if target is not None and target not in allowed:
        raise refused(name, f"{type_}:{code} cannot refer to {target!r}")
    reached = {target} if target else allowed
    if reverse and reached.isdisjoint(types):
        raise refused(name, f"{type_}:{code} cannot refer to {_shown(types)}")
    return Include(type_, code, target, reverse)


def _source(name: str, text: str) -> tuple[tuple[str, str], str | None]:
    match text.split(":"):
        case [type_, code]:
            target = None
        case [type_, code, target] if target:
            pass
        case _:
            raise refused(name, f"{text!r} is not Type:parameter or Type:parameter:TargetType")
    if type_ not in definitions.resource_types():
        raise refused(name, f"{type_!r} is not a resource type")
    parameter = definitions.search_parameters(type_).get(code)
    if parameter is None or parameter.type != "reference":
        raise refused(name, f"{type_} has no reference parameter {code!r}")
    return (type_, code), target


def _shown(types: Sequence[str]) -> str:
    return types[0] if len(types) == 1 else f"all of the {len(types)} types"
