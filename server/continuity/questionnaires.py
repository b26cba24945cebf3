"""Finding a stored Questionnaire by what names it: its id, its URL, its URL and version.

R4 references.html#canonical: without a version the newest one that is active is meant.
"""

from typing import Any, Final

from server.access.context import AccessContext
from server.continuity.form import Form, form_of
from server.fhir import json as fhir_json
from server.fhir.errors import InvalidParameter, NotFound
from server.fhir.references import split_reference
from server.interactions.read import looked_up
from server.interactions.rights import demand
from server.interactions.services import Services
from server.search.query import HasKey, Query
from server.store.port import Version

_VERSIONS: Final = 200  # resources that may share one URL


async def form(
    services: Services,
    access: AccessContext,
    reference_or_canonical: str,
    place: str = "questionnaire",
) -> Form:
    """Return the form that ``Questionnaire/id``, ``id``, ``url`` or ``url|version`` names.

    ``place``: what named it, to be told as the place of the fault; "" where the address did.

    Raises:
        InvalidParameter: the text names no Questionnaire.
        NotFound, Gone, Forbidden: as of a read; nothing of the URL is there for the caller.
        InvalidResource, TooCostly: as of :func:`server.continuity.form.form_of`.
    """
    return form_of(await questionnaire(services, access, reference_or_canonical, place))


async def questionnaire(
    services: Services,
    access: AccessContext,
    reference_or_canonical: str,
    place: str = "questionnaire",
) -> dict[str, Any]:
    """Return the Questionnaire itself; see :func:`form`."""
    text = reference_or_canonical.strip()
    if not text:
        raise InvalidParameter("questionnaire is empty", expression=_told(place))
    named = split_reference(text, services.base_url)
    if named.type not in (None, "Questionnaire"):
        raise InvalidParameter(f"a Questionnaire is needed, not {text}", expression=_told(place))
    if ":" not in text or named.id is not None:
        id_ = named.id or text
        found = await looked_up(services, access, "Questionnaire", id_, place=_told(place))
        return _parsed(found)
    return await _canonical(services, access, text, place)


async def _canonical(
    services: Services, access: AccessContext, text: str, place: str
) -> dict[str, Any]:
    for interaction in ("read", "search"):
        demand(access, interaction, "Questionnaire")
    url, _, version = text.partition("|")
    page = await services.store.search(
        access,
        Query(("Questionnaire",), HasKey((f"Questionnaire|url|u|{url}",))),
        limit=_VERSIONS,
        deadline_s=services.policy.deadline_s,
    )
    every = [(found, _parsed(found)) for found in page.versions]
    fit = [
        (found, made)
        for found, made in every
        if (made.get("version") == version if version else made.get("status") == "active")
    ]
    if not fit:
        told = f"version {version}" if version else "active version"
        raise NotFound(f"there is no {told} of the Questionnaire {url}", expression=_told(place))
    return max(fit, key=_newer)[1]


def _told(place: str) -> tuple[str, ...]:
    return (place,) if place else ()


def _newer(one: tuple[Version, dict[str, Any]]) -> tuple[bool, str, int]:
    found, made = one
    return made.get("status") == "active", str(made.get("date", "")), found.seq


def _parsed(found: Version) -> dict[str, Any]:
    made: dict[str, Any] = fhir_json.loads(found.body or b"{}")
    return made
