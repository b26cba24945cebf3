"""Searches by parameters whose index is still being made: told, or refused where that is safer.

After a SearchParameter was added, or the server was upgraded, index rows are made anew while the
server runs.  Until that ends, a search by such a parameter finds only a part.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from server.fhir.errors import IndexUnfinished, Issue
from server.interactions import referring
from server.interactions.services import Services
from server.search.query import (
    AllOf,
    AnyOf,
    CodesOf,
    DateIs,
    HasKey,
    Near,
    Not,
    NumberIs,
    Predicate,
    Query,
    ReferredBy,
    Refers,
    Search,
    StringIs,
    TextIs,
    Words,
)

RETRY_S = 10


@dataclass(frozen=True, slots=True)
class _Used:
    """A parameter that a search depends on."""

    type: str
    code: str


def issues(services: Services, search: Search) -> tuple[Issue, ...]:
    """Return a warning for each parameter of the search that does not find everything yet."""
    left = services.searchable.left
    to_go = "" if left is None else f", {left} resources to go"
    return tuple(
        Issue(
            "warning",
            "incomplete",
            f"{code}: not everything is found yet, its index is being made{to_go}",
            (code,),
        )
        for code in _codes(services, search)
    )


def demand_finished(services: Services, search: Search) -> None:
    """Raise ``IndexUnfinished`` when the search depends on a parameter that misses something.

    For who asked for strict handling, and for conditions: "there is none" must be true.
    """
    if codes := _codes(services, search):
        told = "; ".join(issue.diagnostics for issue in issues(services, search))
        raise IndexUnfinished(told, expression=tuple(codes), retry_after_s=RETRY_S)


def _codes(services: Services, search: Search) -> list[str]:
    unfinished = services.searchable.unfinished
    if unfinished is not None and not unfinished:
        return []
    found: dict[str, None] = {}
    for used in _used(services, search):
        known = services.catalog.parameters(used.type).get(used.code)
        if unfinished is None or (known is not None and known.url in unfinished):
            found[used.code] = None
    return list(found)


def _used(services: Services, search: Search) -> Iterator[_Used]:
    yield from _asked(search.query)
    for key in search.sort:
        types = search.query.types
        for hop in key.through:
            yield from (_Used(type_, hop.param) for type_ in types)
            yield from _asked(hop.to)
            types = hop.to.types
        if key.kind not in ("id", "updated"):
            yield from (_Used(type_, key.param) for type_ in types)
    for include in search.includes:
        if include.reverse:
            for source, param, _ in referring.parameters(services.catalog, include):
                yield _Used(source, param)


def _asked(query: Query) -> Iterator[_Used]:
    todo: list[Predicate] = [query.where]
    while todo:
        match todo.pop():
            case AllOf(of) | AnyOf(of):
                todo += of
            case Not(inner):
                todo.append(inner)
            case HasKey(keys):
                yield from _of_keys(keys)
            case StringIs() | TextIs() | DateIs() | NumberIs() | Near() | CodesOf() as asked:
                yield _of_rows(asked.type, asked.param)
            case Words(of):
                yield from (_Used(type_, f"_{of}") for type_ in query.types)
            case Refers(type_, param, to):
                yield _of_rows(type_, param)
                yield from _asked(to)
            case ReferredBy(by, param):
                yield _of_rows(by.types[0], param)
                yield from _asked(by)
            case _:
                pass


def _of_keys(keys: tuple[str, ...]) -> Iterator[_Used]:
    for place in dict.fromkeys(tuple(key.split("|", 2)[:2]) for key in keys if "|" in key):
        if place[0] != "compartment":
            yield _of_rows(*place)


def _of_rows(type_: str, param: str) -> _Used:
    """Return the parameter that rows are of: ``#Type`` is that of contained resources, and behind
    ``:`` or ``$`` stands which rows of the parameter they are."""
    return _Used(type_.removeprefix("#"), param.partition(":")[0].partition("$")[0])
