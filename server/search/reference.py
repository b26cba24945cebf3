"""Reference search: ``[parameter]=[id]``, ``[type]/[id]``, ``[url]``.  R4 search.html#reference.

An absolute address below the server's own base is the relative reference.  A reference to a version
is found without the version too.
"""

import re
from functools import lru_cache
from typing import Any

from server.fhir import definitions
from server.fhir.references import Reference, split_reference
from server.search import token
from server.search.asked import Asked
from server.search.gather import Gathered, Indexer
from server.search.query import Predicate
from server.search.rows import LONGEST_KEPT, compartment_key, hash64, key_hash
from server.search.uri import canonical_forms
from server.search.value import refused, unescape

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
_TYPES = frozenset(("Reference", "canonical", "uri", "Resource"))


def reference_keys(reference: Reference) -> list[str]:
    """Return the keys under which a stored reference is found, behind ``Type|param|``.

    >>> reference_keys(split_reference("Patient/x/_history/2"))
    ['r|Patient/x', 'i|x', 'v|Patient/x/_history/2']
    """
    if reference.local is not None:
        versioned = f"v|{reference.local}/_history/{reference.version}"
        found = [f"r|{reference.local}", f"i|{reference.id}"]
        return [*found, versioned] if reference.version else found
    return [f"r|{reference.url}"] if reference.url else []


def wanted_key(raw: str, type_: str | None, base_url: str, name: str) -> str:
    """Return the key that one asked value must find; ``type_`` is that of ``:[type]``.

    >>> wanted_key("x", None, "", "subject"), wanted_key("x", "Patient", "", "subject")
    ('i|x', 'r|Patient/x')
    """
    text = unescape(raw)
    if _ID.fullmatch(text):
        return f"r|{type_}/{text}" if type_ else f"i|{text}"
    asked = split_reference(text, base_url)
    if asked.local is not None:
        if asked.type not in definitions.resource_types():
            raise refused(name, f"{asked.type!r} is not a resource type")
        if type_ is not None and asked.type != type_:
            raise refused(name, f"{text!r} is not a {type_}")
        version = f"/_history/{asked.version}" if asked.version else ""
        return f"v|{asked.local}{version}" if version else f"r|{asked.local}"
    if asked.url is None or ":" not in asked.url:
        raise refused(name, f"{text!r} is not an id, Type/id or an absolute address")
    return f"r|{text}" if "|" in text else f"r|{asked.url}"


def predicate(asked: Asked) -> Predicate:
    """Return what ``asked`` means; modifiers: none, ``identifier`` and resource types."""
    if asked.modifier == "identifier":
        return asked.has_key([f"n|{token.wanted_key(raw, asked.name)}" for raw in asked.values])
    return asked.has_key(
        [wanted_key(raw, asked.modifier, asked.base_url, asked.name) for raw in asked.values]
    )


def indexer(
    type_: str, param: str, fhir_type: str, compartments: frozenset[str] = frozenset()
) -> Indexer | None:
    """Return what writes the rows of a value of ``fhir_type``; ``None`` if it is no reference.

    ``compartments``: the types whose compartments the resource is in by this parameter.
    """
    if fhir_type not in _TYPES:
        return None
    prefix = f"{type_}|{param}|"
    presence = hash64(f"{prefix}?")

    def index(value: Any, rows: Gathered) -> None:
        rows.keys.add(presence)
        text = text_of(fhir_type, value)
        if text is not None:
            hashed = _hashed if len(text) <= LONGEST_KEPT else _hashed.__wrapped__
            keys, type_, local = hashed(prefix, text, rows.base_url)
            rows.keys.update(keys)
            if type_ in compartments and local is not None:
                rows.compartments.add(local)
        if fhir_type == "Reference" and (identifier := value.get("identifier")) is not None:
            rows.keys.update(_identified(prefix, identifier.get("system"), identifier.get("value")))

    return index


def texts(fhir_type: str, value: Any) -> list[str]:
    """Return the reference as it is written, for sorting."""
    text = text_of(fhir_type, value)
    return [text] if text is not None else []


def text_of(fhir_type: str, value: Any) -> str | None:
    """Return the text of a Reference, canonical or uri; of a resource inside, its ``Type/id``."""
    if fhir_type == "Reference":
        text = value.get("reference")
        return text if isinstance(text, str) else None
    if fhir_type == "Resource":
        return f"{value.get('resourceType')}/{value['id']}" if "id" in value else None
    return value if fhir_type in _TYPES and isinstance(value, str) else None


@lru_cache(maxsize=32768)
def compartment_hash(reference: str) -> int:
    """Return the hash of the key of a compartment, such as that of ``Patient/x``."""
    return hash64(compartment_key(reference))


@lru_cache(maxsize=32768)
def _hashed(
    prefix: str, text: str, base_url: str
) -> tuple[tuple[int, ...], str | None, str | None]:
    reference = split_reference(text, base_url)
    keys = reference_keys(reference)
    if "|" in text:
        keys += [f"r|{form}" for form in canonical_forms(text)]
    hashed = tuple(key_hash(prefix + key) for key in dict.fromkeys(keys))
    return hashed, reference.type, reference.local


def _identified(prefix: str, system: str | None, value: str | None) -> tuple[int, ...]:
    return tuple(hash64(f"{prefix}n|{key}") for key in token.token_keys(system, value))
