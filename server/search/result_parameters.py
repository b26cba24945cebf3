"""How the answer of a search looks: order, page, totals, includes.  R4 search.html#return.

Every function reads the text of one parameter and raises InvalidSearch that names it.
"""

import re
from collections.abc import Sequence
from typing import Literal, get_args

from server.fhir import definitions
from server.search import parameters
from server.search.catalog import R4, Catalog
from server.search.chain import MAX_HOPS, Asking
from server.search.criteria import common_parameter
from server.search.query import Hop, Include, Query, SortKey, Summary, Total
from server.search.value import refused, unsupported

MAX_SORT_KEYS = 8
MAX_INCLUDES = 50
MAX_ELEMENTS = 200

_ELEMENT = re.compile(r"[A-Za-z][A-Za-z0-9.]{0,99}", re.ASCII)
_STORE_KEYS: dict[str, Literal["id", "updated"]] = {"_id": "id", "_lastUpdated": "updated"}

# STU3 said ``recurse`` for what R4 calls ``iterate``; clients still do.
_ITERATES = frozenset(("iterate", "recurse"))


def count(text: str) -> int:
    """Return the page size asked for; 0 asks for the total alone."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise refused("_count", f"{text!r} is not a whole number from 0 up")
    return int(text)


def sort(types: tuple[str, ...], text: str, asking: Asking | None = None) -> tuple[SortKey, ...]:
    """Return the keys of ``_sort=-date,subject:Patient.family``.

    All types must have each of the parameters; a chain goes on from those types that can go on.
    """
    names = text.split(",")
    if len(names) > MAX_SORT_KEYS:
        raise refused("_sort", f"{len(names)} keys; at most {MAX_SORT_KEYS}")
    return tuple(_sort_key(types, name, asking or Asking()) for name in names)


def _sort_key(types: tuple[str, ...], name: str, asking: Asking) -> SortKey:
    descending, text = name.startswith("-"), name.removeprefix("-")
    *steps, code = text.split(".")
    if len(steps) > MAX_HOPS:
        raise refused("_sort", f"{text!r} has more than {MAX_HOPS} hops")
    through = _through(types, steps, code, text, asking.catalog)
    asking.count_branches("_sort", sum(len(hop.to.types) for hop in through))
    last = through[-1].to.types if through else types
    if code in _STORE_KEYS:
        return SortKey(code, _STORE_KEYS[code], descending, through)
    parameter = common_parameter(last, code, catalog=asking.catalog)
    if parameter is None:
        known = all(code in parameters.searchable(t, catalog=asking.catalog) for t in last)
        hint = "; name the type, as in subject:Patient.name" if through and known else ""
        raise refused("_sort", f"{_shown(last)} cannot be sorted by {text!r}{hint}")
    match parameter.type:
        case "string" | "date" | "number" | "quantity" | "token" | "reference" | "uri" as kind:
            code = parameters.in_rows(last, code, asking.catalog)
            return SortKey(code, kind, descending, through)
        case other:
            raise unsupported("_sort", f"sorting by a {other} parameter is not supported")


def _through(
    types: tuple[str, ...], steps: Sequence[str], code: str, text: str, catalog: Catalog
) -> tuple[Hop, ...]:
    """Return the hops of a chain, each to those types from which the rest of it can be walked."""
    hops: list[Hop] = []
    names = [*(step.partition(":")[0] for step in steps), code]
    for step, next_code in zip(steps, names[1:], strict=True):
        param, colon, type_ = step.partition(":")
        targets = _chained_targets(types, param, text, catalog)
        if colon:
            if type_ not in targets:
                raise refused("_sort", f"{param!r} of {text!r} cannot refer to {type_!r}")
            targets = (type_,)
        types = tuple(
            target
            for target in targets
            if next_code in _STORE_KEYS
            or next_code in parameters.searchable(target, catalog=catalog)
        )
        if not types:
            raise refused("_sort", f"{_shown(targets)} cannot be sorted by {next_code!r}")
        hops.append(Hop(param, Query(types)))
    return tuple(hops)


def _chained_targets(
    types: tuple[str, ...], param: str, text: str, catalog: Catalog
) -> tuple[str, ...]:
    parameter = common_parameter(types, param, catalog=catalog)
    if parameter is None or parameter.type != "reference":
        raise refused("_sort", f"{_shown(types)} cannot be sorted through {param!r} of {text!r}")
    found: dict[str, None] = {}
    for type_ in types:
        own = parameters.searchable(type_, catalog=catalog)[param].target
        found |= dict.fromkeys(own or sorted(definitions.resource_types()))
    return tuple(found)


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


def contained(text: str) -> Literal["false", "true", "both"]:
    """Return the value of ``_contained``."""
    match text:
        case "false" | "true" | "both":
            return text
    raise refused("_contained", f"{text!r} is not one of false, true, both")


def contained_as(text: str) -> Literal["container", "contained"]:
    """Return the value of ``_containedType``."""
    match text:
        case "container" | "contained":
            return text
    raise refused("_containedType", f"{text!r} is not one of container, contained")


def explain(text: str) -> bool:
    """Return the value of ``_explain``."""
    if text not in ("true", "false"):
        raise refused("_explain", f"{text!r} is not one of true, false")
    return text == "true"


def include(types: Sequence[str], name: str, text: str, catalog: Catalog = R4) -> Include:
    """Return what ``_include`` or ``_revinclude`` asks for, checked against the definitions.

    ``*`` is every reference parameter of every type, ``Type:*`` every one of the type.
    """
    plain, colon, modifier = name.partition(":")
    if colon and modifier not in _ITERATES:
        raise refused(name, f"{plain} has no :{modifier}, only :iterate")
    reverse, iterate = plain == "_revinclude", bool(colon)
    if text == "*":
        return Include("*", "*", None, reverse, iterate)
    type_, code, target = _source(name, text)
    allowed = _referred(name, type_, code, catalog)
    if not reverse and not iterate and type_ not in types:
        raise refused(name, f"{type_} is not searched here, only {_shown(types)}")
    if target is not None and target not in allowed:
        raise refused(name, f"{type_}:{code} cannot refer to {target!r}")
    reached = {target} if target else allowed
    if reverse and not iterate and reached.isdisjoint(types):
        raise refused(name, f"{type_}:{code} cannot refer to {_shown(types)}")
    return Include(type_, code, target, reverse, iterate)


def _source(name: str, text: str) -> tuple[str, str, str | None]:
    match text.split(":"):
        case [type_, code]:
            return type_, code, None
        case [type_, code, target] if target:
            return type_, code, target
    raise refused(name, f"{text!r} is not Type:parameter, Type:parameter:TargetType, Type:* or *")


def _referred(name: str, type_: str, code: str, catalog: Catalog) -> set[str]:
    """Return the types that a parameter, or all of them (``*``), may refer to."""
    every = definitions.resource_types()
    if type_ not in every:
        raise refused(name, f"{type_!r} is not a resource type")
    known = parameters.searchable(type_, catalog=catalog)
    found = [p for p in known.values() if p.type == "reference" and code in ("*", p.code)]
    if not found:
        raise refused(name, f"{type_} has no reference parameter {code!r}")
    return {target for parameter in found for target in (parameter.target or every)}


def _shown(types: Sequence[str]) -> str:
    return types[0] if len(types) == 1 else f"all of the {len(types)} types"
