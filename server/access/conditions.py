"""The conditions of a granular scope -> a predicate.  SMART App Launch 2.2.0,
scopes-and-launch-context.html#finer-grained-resource-constraints-using-search-parameters.

Any search parameter will do that is about the resource itself: not a chain, and nothing that only
terminology or a list could answer, because such an answer may change while a token lives.
"""

from collections.abc import Collection

from server.access.context import shared_types
from server.access.scopes import Pair, Scope, Scopes
from server.access.types import record_types
from server.fhir.errors import InvalidSearch
from server.search.catalog import R4, Catalog
from server.search.parse import parse_search
from server.search.query import (
    EVERYTHING,
    AllOf,
    AnyOf,
    CodesOf,
    InCompartmentOf,
    Mentioned,
    Not,
    Predicate,
    ReferredBy,
    Refers,
)

_COMMON = frozenset(("_id", "_lastUpdated", "_profile", "_security", "_source", "_tag"))


class NoCondition(ValueError):
    """A scope whose conditions this server cannot put on; the text says why."""


def condition(
    types: Collection[str], query: tuple[Pair, ...], catalog: Catalog = R4, base_url: str = ""
) -> Predicate:
    """Return what ``query`` asks of resources of any of ``types``.

    Raises:
        NoCondition: it is not about the resources themselves, or cannot be read.
    """
    if not query:
        return EVERYTHING
    for name, _ in query:
        if name.startswith("_") and name.partition(":")[0] not in _COMMON:
            raise NoCondition(f"{name} is no condition of a scope")
    try:
        asked = parse_search(
            tuple(sorted(types)),
            query,
            base_url=base_url,
            default_count=1,
            max_count=1,
            strict=True,
            catalog=catalog,
        )
    except InvalidSearch as error:
        raise NoCondition(error.diagnostics) from error
    if not _is_own(asked.query.where):
        raise NoCondition("it asks for other resources, or for what only terminology knows")
    return asked.query.where


def grantable(
    scopes: Scopes, catalog: Catalog = R4, base_url: str = ""
) -> tuple[Scopes, tuple[str, ...]]:
    """Return the scopes whose conditions can be put on, and for each other the reason.

    What cannot be put on must not be granted: an app would believe that it may see something.
    """
    kept: list[Scope | str] = []
    reasons: list[str] = []
    for one in scopes.of:
        try:
            if isinstance(one, Scope):
                condition(types_of(one), one.query, catalog, base_url)
            kept.append(one)
        except NoCondition as error:
            reasons.append(f"{one}: {error}")
    return Scopes(tuple(kept), scopes.dropped), tuple(reasons)


def types_of(scope: Scope) -> frozenset[str]:
    """Return the types that a scope is about, of those that tokens can open at all."""
    return record_types() | shared_types() if scope.type == "*" else frozenset((scope.type,))


def _is_own(where: Predicate) -> bool:
    match where:
        case AllOf(of) | AnyOf(of):
            return all(map(_is_own, of))
        case Not(of):
            return _is_own(of)
        case Refers() | ReferredBy() | Mentioned() | InCompartmentOf() | CodesOf():
            return False
        case _:
            return True
