"""Request parameters -> :class:`server.search.query.Search`.  R4 search.html.

What cannot be understood is an error or is told, never dropped in silence (search.html#errors): a
name that the server does not know is reported, or refused where handling is strict; a value,
prefix or modifier that it cannot read is always refused.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from server.fhir import definitions
from server.fhir.errors import InvalidSearch
from server.search import chain, criteria, filter_meaning, lists, result_parameters
from server.search.catalog import R4, Catalog
from server.search.chain import HAS, LIST, Asking
from server.search.containers import containers
from server.search.query import EVERYTHING, AllOf, Include, Predicate, Query, Reported, Search
from server.search.size import size
from server.search.value import refused, shown, unsupported

Pairs = Sequence[tuple[str, str]]

MAX_PARAMETERS = 100  # in one request
MAX_VALUE_LENGTH = 4096  # characters of one value

# Of a value, in terms: a composite has several ways to be met, an address many steps above it.
_COSTS = {"composite": 10, "uri": 10}

_ABOUT_FORMAT = frozenset(("_format", "_pretty"))
_ONCE = (
    "_type",
    "_sort",
    "_count",
    "_total",
    "_summary",
    "_elements",
    "_contained",
    "_containedType",
    "_explain",
    "_cursor",
)
_INCLUDES = ("_include", "_revinclude")
_SPECIAL = frozenset((LIST, "_filter"))


@dataclass(slots=True)
class _Reading:
    """What has been understood so far."""

    types: tuple[str, ...]
    asking: Asking
    where: list[Predicate] = field(default_factory=list)
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
    catalog: Catalog = R4,
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
    reading = _Reading(_narrowed(named, once), Asking(base_url, catalog))
    for name, text in pairs:
        if name.partition(":")[0] in _ONCE and ":" in name:
            raise refused(name, f"{name.partition(':')[0]} has no modifiers")
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
    plain = name.partition(":")[0]
    if plain == "_query":
        raise unsupported(name, "there are no named queries here")
    known = plain in _SPECIAL or plain in _INCLUDES or plain == HAS
    if not known and not _is_known(reading, name):
        return
    if text == "":
        reading.reported.append(Reported(shown(name), "it has no value"))
    elif plain in _INCLUDES:
        _read_include(reading, name, text)
    else:
        found = _criterion(reading, name, text)
        reading.asking.count_asked(name, size(found))
        reading.where.append(found)
        reading.used.append((name, text))


def _criterion(reading: _Reading, name: str, text: str) -> Predicate:
    if name.partition(":")[0] == "_filter":
        if name != "_filter":
            raise refused(name, "_filter has no modifiers")
        return filter_meaning.predicate(reading.types, text, reading.asking)
    hops, code, modifier = chain.split_name(name)

    def leaf(types: tuple[str, ...]) -> Predicate:
        return _asked(types, code, modifier, text, reading.asking, name)

    if not hops:
        return leaf(reading.types)
    return chain.follow(reading.types, hops, code, leaf, reading.asking, name)


def _asked(
    types: tuple[str, ...], code: str, modifier: str | None, text: str, asking: Asking, name: str
) -> Predicate:
    """Return what one criterion asks of ``types``, which all have the parameter."""
    if code == LIST:
        if modifier is not None:
            raise refused(name, "_list has no modifiers")
        asking.count_branches(name, text.count(",") + 1)
        return lists.predicate(name, text, asking.base_url)
    parameter = criteria.common_parameter(types, code, catalog=asking.catalog)
    if parameter is None:  # whoever calls has looked it up
        raise refused(name, f"there is no such parameter of {', '.join(types[:5])}")
    cost = _COSTS.get(parameter.type, 1) * len(types)
    asking.count_terms(name, cost * (text.count(",") + 1))
    return criteria.predicate(
        types, parameter, modifier, text, asking.base_url, catalog=asking.catalog
    )


def _is_known(reading: _Reading, name: str) -> bool:
    """Tell whether all types have the parameter that a name begins with; report it if not."""
    code = name.partition(".")[0].partition(":")[0]
    catalog = reading.asking.catalog
    if criteria.common_parameter(reading.types, code, catalog=catalog) is not None:
        return True
    if all(code in catalog.parameters(type_) for type_ in reading.types):
        kinds = {catalog.parameters(type_)[code].type for type_ in reading.types}
        if len(kinds) == 1:
            raise unsupported(name, "nothing can be searched by this parameter")
    if len(reading.types) == 1:
        why = f"{reading.types[0]} has no such search parameter"
    else:
        why = "not every type searched has such a search parameter"
    reading.reported.append(Reported(shown(name), why))
    return False


def _read_include(reading: _Reading, name: str, text: str) -> None:
    found = result_parameters.include(reading.types, name, text, reading.asking.catalog)
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
    for name, read in _READ.items():
        if name in once:
            search = read(search, once[name])
    if "_sort" in once:
        keys = result_parameters.sort(reading.types, once["_sort"], reading.asking)
        search = replace(search, sort=keys)
    if search.contained != "false":
        search = replace(search, containers=containers(search.query))
    return search


_READ: Mapping[str, Callable[[Search, str], Search]] = {
    "_total": lambda search, text: replace(search, total=result_parameters.total(text)),
    "_summary": lambda search, text: replace(search, summary=result_parameters.summary(text)),
    "_elements": lambda search, text: replace(search, elements=result_parameters.elements(text)),
    "_contained": lambda search, text: replace(search, contained=result_parameters.contained(text)),
    "_containedType": lambda search, text: replace(
        search, contained_as=result_parameters.contained_as(text)
    ),
    "_explain": lambda search, text: replace(search, explain=result_parameters.explain(text)),
}


def _unknown(reported: Sequence[Reported]) -> InvalidSearch:
    names = tuple(dict.fromkeys(one.param for one in reported))
    text = "; ".join(f"{one.param}: {one.why}" for one in reported)
    return InvalidSearch(text, expression=names)
