"""SearchParameters at run time: what is stored becomes the catalog in force.

After the commit of a SearchParameter the catalog is replaced, the store makes rows by it from then
on, and ``server.background`` makes the rows of what is there already.  Until it is through, the
new parameters count as unfinished (:mod:`.unfinished`); a restart goes on where it was.
"""

import json
import logging
from collections.abc import Iterable
from typing import Any

from server.access.context import SYSTEM
from server.fhir import json as fhir_json
from server.fhir.definitions import SearchParameter
from server.fhir.errors import FhirError, InvalidResource
from server.interactions.search_parameter_check import check, definition
from server.interactions.services import Services
from server.search import extract
from server.search.catalog import R4, Catalog
from server.search.query import Query, SortKey
from server.search.rows import IndexRows
from server.store.port import Index, RecordWrite, Store

log = logging.getLogger("tellonce")

TYPE = "SearchParameter"

_RECORD = ("search-parameters", "index")
_PAGE = 1_000
_OLDEST_FIRST = (SortKey("_lastUpdated", "updated"),)


def index(base_url: str, catalog: Catalog) -> Index:
    """Return the function that makes index rows and compartments of a stored resource."""

    def made(resource: dict[str, Any]) -> tuple[IndexRows, tuple[str, ...]]:
        return extract.indexed(resource, base_url, catalog=catalog)

    return made


def fingerprint(base_url: str, catalog: Catalog) -> str:
    """Return the name of what :func:`index` makes; other rows have another name."""
    return f"{catalog.fingerprint} {base_url}"


async def adopt(services: Services) -> None:
    """Put the stored parameters in force, and make no rows anew."""
    catalog = await stored(services.store, services.catalog.zone)
    if catalog != R4:
        _use(services, catalog)


async def load(services: Services) -> None:
    """Put the stored parameters in force, at the start of the server, before anything is asked."""
    await adopt(services)
    searchable, catalog = services.searchable, services.catalog
    left = await services.store.reindex(batch=0)
    known = await _kept(services)
    name = fingerprint(services.base_url, catalog)
    if left == 0 or known.get("done") == name:
        searchable.unfinished = frozenset()
    elif known.get("doing") == name:
        searchable.unfinished = frozenset(known["unfinished"])
    else:
        searchable.unfinished = None
    searchable.left = left


async def follow(services: Services) -> None:
    """Put what is stored in force, after a commit that changed it; never fails.

    When the store cannot be asked now, the next chore of the background asks again.
    """
    services.searchable.behind = True
    try:
        await refresh(services)
    except FhirError as error:
        log.warning("search parameters wait: %s", error)
        services.searchable.changed.set()


async def refresh(services: Services) -> None:
    """Put what is stored in force, and let rows be made anew if they depend on it."""
    searchable = services.searchable
    async with searchable.lock:
        before = services.catalog
        catalog = await stored(services.store, before.zone)
        searchable.behind = False
        if catalog == before:
            return
        unfinished = searchable.unfinished
        # From here on rows are made by the new catalog.  Those that are on their way to the store
        # were made by the old one: the store's next commit comes behind them, and only then does
        # the store label rows as those of the new one.
        searchable.catalog, searchable.left = catalog, None
        searchable.unfinished = _unfinished(unfinished, before, catalog)
        try:
            await _keep(services)
        except BaseException:
            searchable.catalog, searchable.unfinished = before, unfinished
            searchable.behind = True
            raise
        _use(services, catalog)
        searchable.changed.set()


def _unfinished(before: frozenset[str] | None, old: Catalog, new: Catalog) -> frozenset[str] | None:
    if before is None:
        return None
    fresh = {parameter.url for parameter in new.custom if parameter not in old.custom}
    return (before | fresh) & {parameter.url for parameter in new.custom}


async def finished(services: Services, catalog: Catalog) -> bool:
    """Note that all rows are those of ``catalog``; false when another is in force by now."""
    searchable = services.searchable
    async with searchable.lock:
        if searchable.catalog is not catalog or searchable.behind:
            return False
        searchable.unfinished, searchable.left = frozenset(), 0
        name = fingerprint(services.base_url, catalog)
        if (await _kept(services)).get("done") != name:
            await _write(services, {"done": name})
        return True


def _use(services: Services, catalog: Catalog) -> None:
    services.searchable.catalog = catalog
    name = fingerprint(services.base_url, catalog)
    services.store.use_index(index(services.base_url, catalog), name, catalog)


async def stored(store: Store, zone: str) -> Catalog:
    """Return the catalog of what is stored; of the same address what was stored last counts."""
    found: dict[str, SearchParameter] = {}
    after = None
    while True:
        page = await store.search(
            SYSTEM, Query((TYPE,)), sort=_OLDEST_FIRST, limit=_PAGE, after=after, deadline_s=60.0
        )
        for version in page.versions:
            made = definition(fhir_json.loads(version.body or b"{}"))
            if made is not None:
                found.pop(made.url, None)
                found[made.url] = made
        after = page.after
        if after is None:
            return _usable(found.values(), zone)


def _usable(wanted: Iterable[SearchParameter], zone: str) -> Catalog:
    """Return a catalog without those that no longer can be used beside the others."""
    kept: tuple[SearchParameter, ...] = ()
    waiting = sorted(wanted, key=lambda parameter: parameter.type == "composite")
    for parameter in waiting:
        try:
            check(_as_resource(parameter), Catalog(kept))
        except InvalidResource as error:
            log.warning("a stored search parameter is not used: %s", error)
        else:
            kept = (*kept, parameter)
    return Catalog(kept, zone=zone)


def _as_resource(parameter: SearchParameter) -> dict[str, Any]:
    return {
        "status": "active",
        "url": parameter.url,
        "code": parameter.code,
        "type": parameter.type,
        "base": parameter.base,
        "expression": parameter.expression,
        "target": parameter.target,
        "component": [{"definition": d, "expression": e} for d, e in parameter.components],
    }


async def _kept(services: Services) -> dict[str, Any]:
    record = await services.store.get_record(*_RECORD)
    known: dict[str, Any] = json.loads(record.value) if record is not None else {}
    return known


async def _keep(services: Services) -> None:
    unfinished = services.searchable.unfinished
    if unfinished is None:  # of everything nothing has to be known
        await _write(services, {})
        return
    name = fingerprint(services.base_url, services.catalog)
    await _write(services, {"doing": name, "unfinished": sorted(unfinished)})


async def _write(services: Services, value: dict[str, Any]) -> None:
    kind, key = _RECORD
    made = RecordWrite(kind, key, json.dumps(value).encode())
    await services.store.commit([], records=[made])
