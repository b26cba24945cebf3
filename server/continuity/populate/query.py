"""``application/x-fhir-query``: searches and reads that a form asks for.  SDC 4.0, expressions.

``{{FHIRPath}}`` inside it is replaced by the texts of its result.  It is asked under the caller's
access, of this server alone; an address elsewhere is refused.
"""

import re
from typing import Any, Final
from urllib.parse import parse_qsl, quote

from server.continuity.populate.world import Scope, World
from server.fhir import definitions
from server.fhir.errors import FhirError
from server.fhir.fhirpath.errors import FhirPathError
from server.fhir.fhirpath.items import Item as PathItem
from server.interactions.search import search
from server.store.port import Version

MAX_FOUND: Final = 500  # resources that one query binds; more are refused, never cut
MAX_QUERIES: Final = 50  # of one form
LONGEST: Final = 4_000  # characters

_EMBEDDED = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)


class UnfitQuery(Exception):
    """The query cannot be asked; its text says why."""


async def asked(world: World, text: str, scope: Scope, base: PathItem) -> dict[str, Any]:
    """Return the searchset Bundle of a search, or the resource of a read.

    Raises:
        UnfitQuery: it is not one, leads elsewhere, or finds nothing that may be seen, or too much.
        FhirPathError: what is embedded in it is wrong.
    """
    address = _EMBEDDED.sub(lambda found: _text(world, found[1], scope, base), text.strip())
    if len(address) > LONGEST:
        raise UnfitQuery(f"the query is longer than {LONGEST} characters")
    address = address.removeprefix(f"{world.services.base_url}/").removeprefix("/")
    path, mark, query = address.partition("?")
    if "://" in path or path.partition("/")[0] not in definitions.resource_types():
        raise UnfitQuery("the query is none of this server: it starts with a resource type")
    if not mark and "/" in path:
        found = await world.read(path)
        if found is None:
            raise UnfitQuery("the query reads a resource that is not there")
        return found
    return await _searched(world, path, query)


def _text(world: World, text: str, scope: Scope, base: PathItem) -> str:
    values = [one.value for one in world.evaluate(text, scope, base)]
    if not values:
        raise UnfitQuery(f"nothing is there for {{{{{text.strip()[:80]}}}}}")
    if any(isinstance(one, dict | list) or one is None for one in values):
        raise FhirPathError("an embedded expression gives texts, not whole elements")
    return ",".join(quote(_written(one), safe="") for one in values)


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


async def _searched(world: World, type_: str, query: str) -> dict[str, Any]:
    pairs = [
        (name, value)
        for name, value in parse_qsl(query, keep_blank_values=True, max_num_fields=50)
        if name not in ("_format", "_count", "_total", "_summary", "_elements", "_contained")
    ]
    pairs.append(("_count", str(min(MAX_FOUND, world.services.policy.max_page))))
    try:
        found = await search(world.services, world.access, type_, pairs, strict=True)
    except FhirError as error:
        raise UnfitQuery(f"the query is refused: {error.diagnostics}") from error
    if found.next is not None:
        raise UnfitQuery(f"the query finds more than {MAX_FOUND} resources")
    return _bundle(world, found.matches, found.included)


def _bundle(
    world: World, matches: tuple[Version, ...], included: tuple[Version, ...]
) -> dict[str, Any]:
    def entries(versions: tuple[Version, ...], mode: str) -> list[dict[str, Any]]:
        found = [(one, world.enter(one)) for one in versions]
        full = f"{world.services.base_url}/"
        return [
            {"fullUrl": f"{full}{v.type}/{v.id}", "resource": fits, "search": {"mode": mode}}
            for v, fits in found
            if fits is not None
        ]

    matched = entries(matches, "match")
    listed = matched + entries(included, "include")
    made: dict[str, Any] = {
        "resourceType": "Bundle", "type": "searchset", "total": len(matched)
    }  # fmt: skip
    return {**made, "entry": listed} if listed else made
