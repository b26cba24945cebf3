"""Which resources a form may see at all: those about the patient, and those about nobody (C5, C3).

A form that forgets to name the patient in a query must not show somebody else's findings, however
they are computed on the way.  So what does not belong here never enters: not by a query, a context,
a reference, nor inside a Bundle.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from server.fhir.references import split_reference
from server.search import extract

OTHER: Final = "it is about somebody else"
DENIED: Final = "it was withdrawn or denied"

_ABOUT: Final = ("subject", "patient", "beneficiary", "for", "individual")
_DENIED: Final = frozenset(
    ("entered-in-error", "cancelled", "not-done", "not-taken", "rejected", "nullified", "refuted")
)


def unfit(resource: dict[str, Any], patient: str, base_url: str) -> str:
    """Return why a valid resource never answers an item of this patient's; empty when it may.

    >>> unfit({"resourceType": "Observation", "focus": [{}]}, "p", "")
    'it is about somebody else'
    >>> unfit({"resourceType": "Practitioner", "id": "x"}, "p", "")
    ''
    """
    if _is_other(resource, f"Patient/{patient}", base_url):
        return OTHER
    return DENIED if _is_denied(resource) else ""


def _is_other(resource: dict[str, Any], patient: str, base_url: str) -> bool:
    type_ = resource.get("resourceType")
    if type_ == "Patient":
        return f"Patient/{resource.get('id')}" != patient
    if resource.get("focus") and type_ == "Observation":
        return True
    if type_ == "FamilyMemberHistory":
        return True
    named = [one for name in _ABOUT for one in _references(resource.get(name), base_url)]
    if named:
        return patient not in named
    about = extract.compartments(resource, base_url)
    patients = [one for one in about if one.startswith("Patient/")]
    return bool(patients) and patient not in patients


def _references(value: Any, base_url: str) -> Iterator[str]:
    """Yield what an element refers to; what has no address here is somebody unknown."""
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, dict) and ("reference" in one or "identifier" in one):
            yield split_reference(str(one.get("reference", "")), base_url).local or ""


def _is_denied(resource: Mapping[str, Any]) -> bool:
    concept = resource.get("verificationStatus")
    codings = concept.get("coding", ()) if isinstance(concept, dict) else ()
    codes = [one.get("code") for one in codings]
    negated = resource.get("doNotPerform") is True
    return negated or any(isinstance(one, str) and one in _DENIED for one in (
        resource.get("status"), *codes))  # fmt: skip


def fitting(resource: dict[str, Any], patient: str, base_url: str) -> dict[str, Any] | None:
    """Return a resource as far as it fits: a Bundle without what does not, ``None`` for nothing."""
    if resource.get("resourceType") != "Bundle":
        return None if unfit(resource, patient, base_url) else resource
    kept = []
    for entry in resource.get("entry", ()):
        inner = entry.get("resource")
        if inner is None:
            kept.append(entry)
        elif (fits := fitting(inner, patient, base_url)) is not None:
            kept.append({**entry, "resource": fits})
    return {**{k: v for k, v in resource.items() if k != "entry"}, "entry": kept}
