"""Who may be said to have said it: patients and proxies speak for nobody of the staff.

Whoever writes may write down what others say: a nurse does, a desk does.  A patient's or a proxy's
app may not name a clinician or an organization as who said or measured something: the record would
believe it (who said it decides what is known, and what is a conflict).  What a clinician wrote and
the patient brings is a DocumentReference.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from server.access.context import AccessContext, Interaction

_WHO_SAYS: Final[Mapping[str, tuple[str, ...]]] = {
    "AllergyIntolerance": ("recorder", "asserter"),
    "Communication": ("sender",),
    "Condition": ("recorder", "asserter"),
    "Goal": ("expressedBy",),
    "Media": ("operator",),
    "MedicationStatement": ("informationSource",),
    "Observation": ("performer",),
    "Procedure": ("recorder", "asserter"),
    "QuestionnaireResponse": ("author", "source"),
}
"""The elements, by type, that name who says what the resource says."""

SERVER_SYSTEMS: Final = "urn:tellonce:"
"""What the systems of identifiers and tags begin with that the server itself gives."""

_STAFF: Final = frozenset(
    ("CareTeam", "HealthcareService", "Organization", "Practitioner", "PractitionerRole")
)


def speaks_for_staff(
    access: AccessContext, interaction: Interaction, resource: dict[str, Any]
) -> str | None:
    """Return the element that names somebody of the staff though a lay person writes it.

    ``None``: there is none, or the caller is not of those from whom anything is kept back
    (:attr:`~server.access.context.Permit.released`), which patients and proxies are.
    """
    type_ = resource["resourceType"]
    permits = access.covering(type_, interaction)
    if not permits or any(permit.released is None for permit in permits):
        return None
    for element in _WHO_SAYS.get(type_, ()):
        if any(_type(one) in _STAFF for one in _references(resource.get(element))):
            return f"{type_}.{element}"
    return None


def speaks_for_server(access: AccessContext, resource: dict[str, Any]) -> str | None:
    """Return the element by which a Provenance would be the server's own, or a feed's.

    By those it knows what a feed replayed, whose login wrote an answer, and who knows of a
    correction already.  ``None``: there is none, or the caller is a backend service, which may
    bring the Provenances of another server, or nothing is kept back from them.
    """
    if resource.get("resourceType") != "Provenance" or access.unrestricted:
        return None
    if access.principal.startswith("client/"):
        return None
    for tag in (resource.get("meta") or {}).get("tag") or ():
        if _is_servers(tag):
            return "Provenance.meta.tag"
    for agent in resource.get("agent") or ():
        for name in ("who", "onBehalfOf"):
            if _is_servers((agent.get(name) or {}).get("identifier") or {}):
                return f"Provenance.agent.{name}"
    return None


def _is_servers(coded: dict[str, Any]) -> bool:
    return str(coded.get("system", "")).startswith(SERVER_SYSTEMS)


def _references(value: Any) -> Iterator[dict[str, Any]]:
    yield from (one for one in (value if isinstance(value, list) else [value]) if one)


def _type(reference: dict[str, Any]) -> str:
    """Return the type that a Reference names, in its address or beside it.

    >>> _type({"reference": "https://h.test/fhir/Practitioner/x/_history/2"})
    'Practitioner'
    >>> _type({"type": "Organization", "identifier": {"value": "1"}})
    'Organization'
    """
    path = str(reference.get("reference", "")).partition("/_history/")[0].split("/")
    return path[-2] if len(path) > 1 else str(reference.get("type", ""))
