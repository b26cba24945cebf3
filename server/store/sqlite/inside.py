"""Compartments of those that a query finds, settled at every hop before a search is planned."""

from typing import Any

from server.search.query import (
    AllOf,
    AnyOf,
    InCompartmentOf,
    Mentioned,
    Not,
    Predicate,
    Query,
    ReferredBy,
    Refers,
)
from server.store.sqlite.compile import Inside
from server.store.sqlite.drive import Look


def inside(query: Query, look: Look) -> Query:
    """Return the query with the compartments that it asks for settled, at every hop."""
    return Query(query.types, _inside(query.where, look))


def _inside(where: Predicate, look: Look) -> Predicate:
    # What is settled stands for a predicate where it is asked behind a hop.
    settled: Any = where
    match where:
        case InCompartmentOf():
            settled = Inside(where, look.compartments_of(where))
        case AllOf(of):
            settled = AllOf(tuple([_inside(one, look) for one in of]))
        case AnyOf(of):
            settled = AnyOf(tuple([_inside(one, look) for one in of]))
        case Not(inner):
            settled = Not(_inside(inner, look))
        case Refers(type_, param, to):
            settled = Refers(type_, param, inside(to, look))
        case ReferredBy(by, param):
            settled = ReferredBy(inside(by, look), param)
        case Mentioned(by):
            settled = Mentioned(inside(by, look))
    return settled  # type: ignore[no-any-return]
