"""What each parameter type makes of a criterion and of a stored value; one file each does it."""

from collections.abc import Callable, Mapping

from server.search import date, number, quantity, reference, special, string, token, uri
from server.search.asked import Asked
from server.search.catalog import Catalog
from server.search.gather import Indexer
from server.search.query import Predicate

PREDICATES: Mapping[str, Callable[[Asked], Predicate]] = {
    "date": date.predicate,
    "number": number.predicate,
    "quantity": quantity.predicate,
    "reference": reference.predicate,
    "special": special.predicate,
    "string": string.predicate,
    "token": token.predicate,
    "uri": uri.predicate,
}

INDEXERS: Mapping[str, Callable[[str, str, str, Catalog], Indexer | None]] = {
    "date": date.indexer,
    "number": number.indexer,
    "quantity": quantity.indexer,
    "special": special.indexer,
    "string": string.indexer,
    "uri": uri.indexer,
}
"""Tokens and references are told more than this; see :func:`server.search.parameters.indexer`."""
