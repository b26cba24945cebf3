"""Marks: what access must know of a version beside its search values.

They stand among its compartments: its security labels, and that its release is limited.  A mark is
there in doubt: what cannot be read hides the resource rather than shows it.
"""

from collections.abc import Iterable
from typing import Any

from server.fhir.dates import InvalidDate, interval
from server.fhir.references import split_reference
from server.search.gather import Gathered
from server.search.rows import ANY_TYPE, MAX_TIME, RELEASE, RELEASE_MARK, label_mark, param_hash

CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
SENSITIVITY = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
ENFORCED = frozenset((CONFIDENTIALITY, SENSITIVITY))
"""The systems whose labels access looks at; others are kept, and mean nothing here."""

LEVELS = ("U", "L", "M", "N", "R", "V")
"""The codes of v3-Confidentiality, from unrestricted to very restricted."""

RELEASE_URL = "https://tellonce.org/fhir/StructureDefinition/release"

# Compartments that R4 does not know of, for access and $everything; the element that names one.
_OF_PATIENT = {"Task": "for", "Device": "patient"}
_OWNERS = frozenset(("Device", "Encounter", "Patient", "Practitioner", "RelatedPerson"))


def enter(resource: dict[str, Any], rows: Gathered) -> None:
    """Write the marks of a resource, and the row that says when it is released."""
    type_ = resource["resourceType"]
    if type_ in _ODD:
        _enter_odd(type_, resource, rows)
    meta = resource.get("meta")
    if meta is not None and "security" in meta:
        rows.compartments.update(map(label_mark, labels(resource)))
    if "extension" in resource and (at := release(resource)) is not None:
        rows.compartments.add(RELEASE_MARK)
        rows.dates.append((param_hash(ANY_TYPE, RELEASE), at, at + 1))


def labels(resource: dict[str, Any]) -> tuple[str, ...]:
    """Return the enforced security labels of a resource as ``system|code``, sorted.

    A code without a system may be of either; a level that is not known, and a label of an enforced
    system, or of none, without a code, is the highest level.
    """
    meta = resource.get("meta")
    if not meta or "security" not in meta:
        return ()
    found: set[str] = set()
    for coding in meta["security"] or ():
        if coding is not None:
            found.update(_labels(coding.get("system"), coding.get("code")))
    return tuple(sorted(found))


def release(resource: dict[str, Any]) -> int | None:
    """Return from when on patients may see a resource, in microseconds; ``None``: always.

    ``MAX_TIME`` is never: held without an end, or with something that cannot be read.
    """
    said = [one for one in resource.get("extension") or () if _is_release(one)]
    return max(map(_from, said), default=None)


def _is_release(extension: Any) -> bool:
    return isinstance(extension, dict) and extension.get("url") == RELEASE_URL


def _from(extension: dict[str, Any]) -> int:
    """Return the moment that one release extension says: the later of ``at`` and ``until``."""
    parts = [one for one in extension.get("extension") or () if isinstance(one, dict)]
    moments = [_moment(one) for one in parts if one.get("url") in ("at", "until")]
    held = any(one.get("url") == "hold" for one in parts)
    ends = any(one.get("url") == "until" for one in parts)
    return MAX_TIME if not moments or (held and not ends) else max(moments)


def _moment(extension: dict[str, Any]) -> int:
    try:
        return interval(extension["valueInstant"])[0]
    except (KeyError, TypeError, InvalidDate):
        return MAX_TIME


def _labels(system: str | None, code: str | None) -> Iterable[str]:
    if system is not None and system not in ENFORCED:
        return
    if code is None or (system == CONFIDENTIALITY and code not in LEVELS):
        yield f"{CONFIDENTIALITY}|{LEVELS[-1]}"
        return
    for one in (system,) if system is not None else ENFORCED:
        yield f"{one}|{code}"


def _enter_odd(type_: str, resource: dict[str, Any], rows: Gathered) -> None:
    match type_:
        case "Patient":
            # Access never follows Patient.link: who is linked to has a record of their own.
            own = f"Patient/{resource.get('id')}"
            others = {c for c in rows.compartments if c.startswith("Patient/") and c != own}
            rows.compartments -= others
        case "Binary":
            _enter_named(resource.get("securityContext"), _OWNERS, rows)
        case "Bundle":
            for entry in resource.get("entry") or ():
                inside = entry.get("resource") if isinstance(entry, dict) else None
                if isinstance(inside, dict):
                    rows.compartments.update(map(label_mark, labels(inside)))
        case _:
            _enter_named(resource.get(_OF_PATIENT[type_]), frozenset(("Patient",)), rows)


_ODD = frozenset(("Patient", "Binary", "Bundle", *_OF_PATIENT))


def _enter_named(reference: Any, types: frozenset[str], rows: Gathered) -> None:
    text = reference.get("reference") if isinstance(reference, dict) else None
    if isinstance(text, str):
        found = split_reference(text, rows.base_url)
        if found.local is not None and found.type in types:
            rows.compartments.add(found.local)
