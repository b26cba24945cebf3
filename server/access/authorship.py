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
