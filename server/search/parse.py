"""Request parameters -> :class:`server.search.query.Search`.  R4 search.html.

What cannot be understood is an error or is told, never dropped in silence (search.html#errors): a
name that the server does not know is reported, or refused where handling is strict; a value,
prefix or modifier that it cannot read is always refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from server.fhir import definitions
from server.fhir.errors import InvalidSearch
from server.search import criteria, result_parameters
from server.search.parameters import NOT_INDEXED
from server.search.query import EVERYTHING, AllOf, Include, Predicate, Query, Reported, Search
from server.search.value import refused, shown, unsupported

Pairs = Sequence[tuple[str, str]]

MAX_PARAMETERS = 100  # in one request
MAX_VALUE_LENGTH = 4096  # characters of one value
MAX_TERMS = 10_000  # values times types, all parameters together: what a store can bind at once

_ABOUT_FORMAT = frozenset(("_format", "_pretty"))
_ONCE = ("_type", "_sort", "_count", "_total", "_summary", "_elements", "_cursor")
_INCLUDES = ("_include", "_revinclude")
_NOT_YET = frozenset(
    ("_contained", "_containedType", "_content", "_filter", "_has", "_list", "_query", "_text")
)


@dataclass(slots=True)
class _Reading:
    """What has been understood so far."""

    types: tuple[str, ...]
    base_url: str
    where: list[Predicate] = field(default_factory=list)
    terms: int = 0
    includes: list[Include] = field(default_factory=list)
    used: list[tuple[str, str]] = field(default_factory=list)
    reported: list[Reported] = field(default_factory=list)


def parse_search(
    types: tuple[str, ...] | str,
    pairs: Pairs,
    *,
    base_url: str = "",
    default_count: int,
    max_count: int,
    strict: bool = False,
) -> Search:
    """Return the search that decoded parameters ask for, of one type or of several.

    Of several types, only parameters that all of them have can be used.  ``used`` holds what was
    understood: criteria and includes in their order, then the others; parsed again it makes an
    equal search.  A ``_count`` above ``max_count`` is lowered, and reported.

    Raises:
        InvalidSearch: a value, modifier or limit; with ``strict`` also a name that is not known.
    """
    named = (types,) if isinstance(types, str) else types
    _check_limits(pairs)
    once = _once(pairs)
    reading = _Reading(_narrowed(named, once), base_url)
    for name, text in pairs:
        if name in _ONCE and text == "":
            reading.reported.append(Reported(shown(name), "it has no value"))
        elif name not in _ABOUT_FORMAT and name not in _ONCE:
            _read(reading, name, text)
    if strict and reading.reported:
        raise _unknown(reading.reported)
    return _with_results(reading, once, default_count, max_count)


def _check_limits(pairs: Pairs) -> None:
    if len(pairs) > MAX_PARAMETERS:
        raise InvalidSearch(f"{len(pairs)} parameters; at most {MAX_PARAMETERS}")
    for name, text in pairs:
        if len(text) > MAX_VALUE_LENGTH or len(name) > MAX_VALUE_LENGTH:
            raise refused(name, f"longer than {MAX_VALUE_LENGTH} characters")
        if not (_is_text(name) and _is_text(text)):
            raise refused("parameters", "a name or value is not Unicode text")


def _is_text(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _once(pairs: Pairs) -> dict[str, str]:
    """Return the parameters that may be given once; an empty value counts as not given."""
    found: dict[str, str] = {}
    for name, text in pairs:
        if name in _ONCE and text:
            if name in found:
                raise refused(name, "given twice")
            found[name] = text
    return found


def _narrowed(types: tuple[str, ...], once: dict[str, str]) -> tuple[str, ...]:
    if "_type" not in once:
        return types
    wanted = tuple(dict.fromkeys(once["_type"].split(",")))
    for type_ in wanted:
        if type_ not in definitions.resource_types():
            raise refused("_type", f"{type_!r} is not a resource type")
        if type_ not in types:
            raise refused("_type", f"{type_} is not searched here")
    return wanted


def _read(reading: _Reading, name: str, text: str) -> None:
    plain, _, modifier = name.partition(":")
    if plain in _NOT_YET:
        raise unsupported(plain, "not supported yet")
    if plain in _INCLUDES:
        if text:
            _read_include(reading, name, text)
        else:
            reading.reported.append(Reported(shown(name), "it has no value"))
        return
    code, chained, _ = plain.partition(".")
    parameter = criteria.common_parameter(reading.types, code)
    if parameter is None:
        _report(reading, name, code)
        return
    if chained or "." in modifier:
        raise unsupported(name, "chained parameters are not supported yet")
    if text == "":
        reading.reported.append(Reported(shown(name), "it has no value"))
        return
    reading.terms += len(reading.types) * (text.count(",") + 1)
    if reading.terms > MAX_TERMS:
        raise refused(name, f"values times types are more than {MAX_TERMS}; ask for fewer")
    asked = criteria.predicate(
        reading.types, parameter, modifier if ":" in name else None, text, reading.base_url
    )
    reading.where.append(asked)
    reading.used.append((name, text))


def _report(reading: _Reading, name: str, code: str) -> None:
    """Report a name that is not known; what R4 has but is not indexed is refused instead."""
    everywhere = [definitions.search_parameters(type_).get(code) for type_ in reading.types]
    known = everywhere[0] if None not in everywhere else None
    if known is not None and known.type in NOT_INDEXED:
        raise unsupported(name, f"{known.type} parameters are not supported yet")
    if len(reading.types) == 1:
        why = f"{reading.types[0]} has no such search parameter"
    else:
        why = "not every type searched has such a search parameter"
    reading.reported.append(Reported(shown(name), why))


def _read_include(reading: _Reading, name: str, text: str) -> None:
    found = result_parameters.include(reading.types, name, text)
    if found in reading.includes:
        return
    reading.includes.append(found)
    reading.used.append((name, text))
    if len(reading.includes) > result_parameters.MAX_INCLUDES:
        raise refused(name, f"more than {result_parameters.MAX_INCLUDES} includes")


def _with_results(
    reading: _Reading, once: dict[str, str], default_count: int, max_count: int
) -> Search:
    if "_count" in once:
        asked = result_parameters.count(once["_count"])
        once["_count"] = str(min(asked, max_count))
        if asked > max_count:
            why = f"lowered to {max_count}, the largest page"
            reading.reported.append(Reported("_count", why))
    where = AllOf(tuple(dict.fromkeys(reading.where))) if reading.where else EVERYTHING
    search = Search(
        Query(reading.types, where),
        count=int(once.get("_count", default_count)),
        includes=tuple(reading.includes),
        cursor=once.get("_cursor"),
        used=(*reading.used, *((name, once[name]) for name in _ONCE if name in once)),
        reported=tuple(reading.reported),
    )
    if "_sort" in once:
        search = replace(search, sort=result_parameters.sort(reading.types, once["_sort"]))
    if "_total" in once:
        search = replace(search, total=result_parameters.total(once["_total"]))
    if "_summary" in once:
        search = replace(search, summary=result_parameters.summary(once["_summary"]))
    if "_elements" in once:
        search = replace(search, elements=result_parameters.elements(once["_elements"]))
    return search


def _unknown(reported: Sequence[Reported]) -> InvalidSearch:
    names = tuple(dict.fromkeys(one.param for one in reported))
    text = "; ".join(f"{one.param}: {one.why}" for one in reported)
    return InvalidSearch(text, expression=names)
