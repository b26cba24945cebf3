"""A search request, understood: its parameters read, and what is asked limited to a compartment."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any

import anyio.to_thread

from server.access.context import AccessContext
from server.fhir import definitions
from server.fhir.errors import Forbidden
from server.interactions import rights, words
from server.interactions.services import Services
from server.search.parse import parse_search
from server.search.query import AllOf, HasKey, Query, Search
from server.search.rows import compartment_key
from server.search.size import size

Pairs = Sequence[tuple[str, str]]

SHORT = 1_000  # characters of names and values; longer questions are read in a thread
MAX_REMEMBERED = 1_000  # questions
_SMALL = 200  # keys and values of a question that is remembered

_remembered: dict[Any, Search] = {}


async def parsed(
    services: Services,
    access: AccessContext,
    type_: str | None,
    pairs: Pairs,
    *,
    compartment: str | None = None,
    strict: bool = False,
) -> Search:
    """Return the search that the parameters ask for, within the compartment.

    It is to be expanded (:mod:`.expand`) before a store sees it.

    Raises:
        InvalidSearch: a parameter cannot be read.
        Forbidden: the caller may not search any of the types.
    """
    policy = services.policy
    read = partial(
        parse_search,
        (type_,) if type_ is not None else _types(compartment, named=_names_types(pairs)),
        tuple(pairs),
        base_url=services.base_url,
        default_count=policy.default_page,
        max_count=policy.max_page,
        strict=strict,
        catalog=services.catalog,
    )
    if sum(len(name) + len(text) for name, text in pairs) > SHORT:
        # Ten thousand values take a tenth of a second, in which the others are to be answered.
        wanted = await anyio.to_thread.run_sync(read)
    else:
        wanted = _known(read)
    words.demand_kept(services, wanted)
    if not any(access.covering(searched, "search") for searched in wanted.query.types):
        if type_ is not None:
            rights.demand(access, "search", type_)
        raise Forbidden("this token does not allow search of any of these types")
    return wanted if compartment is None else _within(wanted, compartment)


def _known(read: "partial[Search]") -> Search:
    """Return what ``read`` returns; programs ask the same again, and a walk on every page."""
    key = (*read.args, *read.keywords.values())
    found = _remembered.get(key)
    if found is None:
        found = read()
        if size(found.query.where) <= _SMALL:
            if len(_remembered) >= MAX_REMEMBERED:
                del _remembered[next(iter(_remembered))]
            _remembered[key] = found
    return found


def _within(wanted: Search, compartment: str) -> Search:
    member = HasKey((compartment_key(compartment),))

    def limited(query: Query) -> Query:
        return replace(query, where=AllOf((member, query.where)))

    around = limited(wanted.containers) if wanted.containers is not None else None
    return replace(wanted, query=limited(wanted.query), containers=around)


def _names_types(pairs: Pairs) -> bool:
    return any(name == "_type" for name, _ in pairs)


def _types(compartment: str | None, *, named: bool) -> tuple[str, ...]:
    """Return all types, or those that can be in the compartment, with the one that it is of.

    AuditEvents are among them only where ``_type`` is ``named``: a walk over the record is not to
    be one over its own traces.
    """
    return _sorted_types(compartment.partition("/")[0] if compartment else None, named)


@cache
def _sorted_types(own: str | None, read_only: bool) -> tuple[str, ...]:
    found = set(definitions.resource_types())
    if own is not None:
        found = {own, *definitions.compartments()[own]}
    return tuple(sorted(found if read_only else found - rights.READ_ONLY))
