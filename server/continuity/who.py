"""Who said something, told from a reference.  C6: patient, proxy, clinician and device stay
distinct."""

from collections.abc import Mapping
from typing import Any, Final

from server.continuity.statement import Author, AuthorKind
from server.fhir.references import split_reference

_KINDS: Final[Mapping[str, AuthorKind]] = {
    "Patient": "patient",
    "RelatedPerson": "proxy",
    "Practitioner": "clinician",
    "PractitionerRole": "clinician",
    "Device": "device",
}


def author(reference: Any, base_url: str = "") -> Author:
    """Return the author that a Reference names; an Organization is nobody in particular.

    >>> author({"reference": "RelatedPerson/mum", "display": "Mum"})
    Author(kind='proxy', reference='RelatedPerson/mum', display='Mum')
    """
    if not isinstance(reference, dict):
        return Author()
    text = reference.get("reference")
    named = split_reference(text, base_url) if isinstance(text, str) else None
    type_ = (named.type if named is not None else None) or reference.get("type")
    return Author(
        _KINDS.get(str(type_), "unknown"),
        (named.local or text) if named is not None else None,
        reference.get("display"),
    )
