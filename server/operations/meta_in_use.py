"""``$meta`` of a type or of the whole record: what is in use.  R4 resource-operation-meta.html."""

from collections.abc import AsyncIterator
from typing import Any

from server.fhir import definitions
from server.fhir import json as fhir_json
from server.fhir.errors import Forbidden, TooCostly
from server.interactions import rights
from server.operations.registry import Call
from server.search.query import HasKey, Query
from server.store.port import Scalar

MAX_LOOKED_AT = 50_000  # resources; about a second
_AT_ONCE = 500

LISTS = ("profile", "security", "tag")


async def in_use(call: Call) -> dict[str, list[Any]]:
    """Return each profile, security label and tag once, sorted; lists that are empty are absent.

    Codings are equal by system and code.

    Raises:
        Forbidden: the caller may not search the type, or none.
        TooCostly: more than :data:`MAX_LOOKED_AT` resources have any.
    """
    query = _stating(_types(call))
    deadline_s = call.services.policy.deadline_s
    number = await call.services.store.count(call.access, query, deadline_s=deadline_s)
    if number > MAX_LOOKED_AT:
        raise TooCostly(
            f"{number} resources have profiles, tags or labels, $meta looks at {MAX_LOOKED_AT}: "
            "ask for a type, or search with _profile, _tag and _security"
        )
    used: dict[str, dict[tuple[str, ...], Any]] = {name: {} for name in LISTS}
    async for meta in _metas(call, query):
        for name in LISTS:
            for item in meta.get(name, ()):
                used[name].setdefault(_key(item), item)
    return {name: [found[key] for key in sorted(found)] for name, found in used.items() if found}


def _types(call: Call) -> tuple[str, ...]:
    if call.type is not None:
        rights.demand(call.access, "search", call.type)
        return (call.type,)
    known = sorted(definitions.resource_types() - rights.READ_ONLY)
    found = tuple(type_ for type_ in known if call.access.covering(type_, "search"))
    if not found:
        raise Forbidden("this token does not allow search of any type")
    return found


def _stating(types: tuple[str, ...]) -> Query:
    """Return the query for resources that state any of the lists."""
    return Query(types, HasKey(tuple(f"{type_}|_{name}|?" for type_ in types for name in LISTS)))


async def _metas(call: Call, query: Query) -> AsyncIterator[dict[str, Any]]:
    after: tuple[Scalar, ...] | None = None
    while True:
        page = await call.services.store.search(
            call.access,
            query,
            limit=_AT_ONCE,
            after=after,
            deadline_s=call.services.policy.deadline_s,
        )
        for version in page.versions:
            yield fhir_json.glance(version.body or b"{}")["meta"]
        after = page.after
        if after is None:
            return


def _key(item: Any) -> tuple[str, ...]:
    if isinstance(item, dict):
        return (item.get("system", ""), item.get("code") or item.get("display", ""))
    return (str(item),)
