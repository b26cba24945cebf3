"""``_summary`` and ``_elements``: parts of a resource, marked SUBSETTED.  R4 search.html#summary.

Mandatory and modifier elements are always there, as are type, id and meta.
"""

from functools import lru_cache
from typing import Any

from server.fhir import definitions
from server.fhir import json as fhir_json
from server.search.query import Summary

_ALWAYS = frozenset(("resourceType", "id", "meta"))
_SUBSETTED = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
}


def shaped(
    body: bytes, type_: str, summary: Summary | None, elements: tuple[str, ...] = ()
) -> bytes:
    """Return the part of a stored resource that was asked for; all of it is returned verbatim.

    ``elements`` are names, or ``Type.name`` for included types; they count when no summary is
    asked for (R4 search.html#elements).  ``name.family`` is all of ``name``.
    """
    if summary in (None, "false", "count"):
        names = frozenset(filter(None, (_element(path, type_) for path in elements)))
        if not names:
            return body
        return _dump(body, _ALWAYS | _mandatory(type_) | names)
    resource = fhir_json.loads(body)
    if summary == "data":
        return _subsetted({k: v for k, v in resource.items() if k not in ("text", "_text")})
    if summary == "text":
        return _dump(body, _ALWAYS | _mandatory(type_) | {"text"})
    return _dump(body, _ALWAYS | _mandatory(type_) | _in_summary(type_))


def _element(path: str, type_: str) -> str | None:
    """Return the element of ``type_`` that is meant, ``None`` when it is one of another type.

    >>> _element("name.family", "Patient"), _element("Patient.name", "Observation")
    ('name', None)
    """
    first, _, rest = path.partition(".")
    if rest and first in definitions.resource_types():
        return rest.partition(".")[0] if first == type_ else None
    return first


def _dump(body: bytes, names: frozenset[str]) -> bytes:
    resource = fhir_json.loads(body)
    choices = _choices(resource["resourceType"])
    kept = {}
    for name, value in resource.items():
        plain = name.removeprefix("_")
        if plain in names or choices.get(plain) in names:
            kept[name] = value
    return _subsetted(kept)


def _subsetted(resource: dict[str, Any]) -> bytes:
    meta = resource.get("meta", {})
    tags = [*meta.get("tag", ()), _SUBSETTED]
    return fhir_json.dumps({**resource, "meta": {**meta, "tag": tags}})


@lru_cache(maxsize=256)
def _mandatory(type_: str) -> frozenset[str]:
    children = definitions.children(type_).values()
    return frozenset(child.name for child in children if child.min > 0 or child.modifier)


@lru_cache(maxsize=256)
def _in_summary(type_: str) -> frozenset[str]:
    return frozenset(c.name for c in definitions.children(type_).values() if c.summary)


@lru_cache(maxsize=256)
def _choices(type_: str) -> dict[str, str]:
    """``valueQuantity`` -> ``value``: elements of several types are named by their base."""
    children = definitions.children(type_).values()
    return {child.name: child.choice for child in children if child.choice}
