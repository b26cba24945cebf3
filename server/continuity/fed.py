"""What a feed of messages brought, and nobody signed: who sent it (C6).  R4 provenance.html.

A message names a system and not a person: what it says is confirmed by somebody before it is known.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from server.access.context import AccessContext
from server.continuity.statement import Author, Source
from server.fhir import json as fhir_json
from server.fhir.errors import FhirError
from server.fhir.references import split_reference
from server.interactions.rights import demand
from server.interactions.services import Services
from server.search.query import HasKey, Query

FEED: Final = "urn:tellonce:feed"
"""The system of feeds' names in a Provenance."""

_AT_ONCE: Final = 300  # versions of which the Provenances are looked for in one search
_MOST: Final = 1_000  # Provenances of them; what is beyond has no sender


def sender(provenance: Mapping[str, Any]) -> str | None:
    """Return what a feed's sender is called, ``None`` where no feed wrote it.

    >>> agent = {"who": {"identifier": {"system": FEED, "value": "main"}}}
    >>> sender({"agent": [{**agent, "onBehalfOf": {"display": "Epic^1.2.840^ISO Ward^3^DNS"}}]})
    'Epic Ward'
    """
    for agent in _listed(provenance.get("agent")):
        who = agent.get("who") or {}
        if (who.get("identifier") or {}).get("system") == FEED:
            told = str((agent.get("onBehalfOf") or who).get("display") or FEED)
            # MSH-3 and MSH-4 by their names, without the numbers behind them (HD)
            named = " ".join(one.partition("^")[0] for one in told.split())
            return " ".join(named.split()) or told
    return None


async def fed(
    services: Services, access: AccessContext, sources: Iterable[Source]
) -> dict[str, Author]:
    """Return by versioned reference who sent a version that a feed wrote, as far as may be seen."""
    names = sorted({one.reference for one in sources})
    found: dict[str, Author] = {}
    if not names or not _may(access):
        return found
    for first in range(0, len(names), _AT_ONCE):
        part = frozenset(names[first : first + _AT_ONCE])
        page = await services.store.search(
            access,
            Query(("Provenance",), HasKey(tuple(f"Provenance|target|v|{one}" for one in part))),
            limit=_MOST,
            deadline_s=services.policy.deadline_s,
        )
        for version in page.versions:
            provenance = fhir_json.loads(version.body or b"{}")
            who = sender(provenance)
            for target in provenance.get("target", ()) if who is not None else ():
                named = split_reference(str(target.get("reference")), services.base_url)
                reference = f"{named.local}/_history/{named.version}"
                if reference in part:
                    found[reference] = Author("feed", None, who)
    return found


def _may(access: AccessContext) -> bool:
    try:
        demand(access, "search", "Provenance")
    except FhirError:
        return False
    return True


def _listed(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value or () if isinstance(one, dict)]
