"""Which versions a stored form or document cites: it is looked at again when one is corrected."""

from collections.abc import Iterator
from typing import Any, Final

from server.continuity.confirm import KNOWN
from server.continuity.extract.facts import is_in_error
from server.continuity.extract.items import value_of
from server.fhir.references import split_reference

TYPES: Final = frozenset(("QuestionnaireResponse", "Composition", "Bundle"))

Resource = dict[str, Any]


def cites(resource: Resource, base_url: str) -> frozenset[str]:
    """Return the versioned references that a resource cites, as ``Type/id/_history/n``.

    Of a QuestionnaireResponse the sources of its answers, of a Composition the entries of its
    sections, of a document Bundle those of its Composition.  What was entered in error cites none.
    """
    if is_in_error(resource):
        return frozenset()
    found = set()
    for text in _references(resource):
        named = split_reference(text, base_url)
        if named.local is not None and (named.version or "").isdigit():
            found.add(f"{named.local}/_history/{named.version}")
    return frozenset(found)


def subject_of(resource: Resource, base_url: str) -> str | None:
    """Return the patient (``Patient/x``) that a form or document is about."""
    made = _composition(resource) if resource.get("resourceType") == "Bundle" else resource
    text = ((made or {}).get("subject") or {}).get("reference")
    named = split_reference(str(text), base_url)
    return named.local if named.type == "Patient" else None


def author_of(resource: Resource, base_url: str) -> str | None:
    """Return who wrote a form or document, ``Practitioner/x``."""
    made = _composition(resource) if resource.get("resourceType") == "Bundle" else resource
    author = (made or {}).get("author")
    first = author[0] if isinstance(author, list) and author else author
    named = split_reference(str((first or {}).get("reference")), base_url)
    return named.local


def _references(resource: Resource) -> Iterator[str]:
    match resource.get("resourceType"):
        case "QuestionnaireResponse":
            yield from _sources(resource)
        case "Composition":
            for section in resource.get("section") or ():
                yield from _entries(section)
        case "Bundle":
            inside = _composition(resource)
            yield from _references(inside) if inside is not None else ()


def _composition(bundle: Resource) -> Resource | None:
    if bundle.get("type") != "document" or not bundle.get("entry"):
        return None
    first = bundle["entry"][0].get("resource") or {}
    return first if first.get("resourceType") == "Composition" else None


def _entries(section: Resource) -> Iterator[str]:
    for entry in section.get("entry") or ():
        yield str(entry.get("reference"))
    for inner in section.get("section") or ():
        yield from _entries(inner)


def _sources(holder: Resource) -> Iterator[str]:
    for extension in holder.get("extension") or ():
        if extension.get("url") == KNOWN:
            for part in extension.get("extension") or ():
                named = value_of(part) if part.get("url") == "source" else None
                if isinstance(named, dict):
                    yield str(named.get("reference"))
    for name in ("item", "answer"):
        for inner in holder.get(name) or ():
            yield from _sources(inner)
