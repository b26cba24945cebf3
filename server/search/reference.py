"""Reference search: ``[parameter]=[id]``, ``[type]/[id]``, ``[url]``.  R4 search.html#reference.

An absolute address below the server's own base is the relative reference.  A reference to a version
is found without the version too; so is a canonical.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal

from server.fhir import definitions
from server.fhir.references import Reference, reference_type, split_reference
from server.search import token
from server.search.asked import Asked, any_of
from server.search.catalog import Catalog
from server.search.gather import Gathered, Indexer
from server.search.query import CodesOf, Predicate
from server.search.rows import LONGEST_KEPT, compartment_key, hash64, param_hash
from server.search.value import refused, unescape

HIERARCHIES: Mapping[str, str] = MappingProxyType(
    {
        "CarePlan": "part-of",
        "Communication": "part-of",
        "DeviceDefinition": "parent",
        "Encounter": "part-of",
        "Location": "partof",
        "MedicationStatement": "part-of",
        "Organization": "partof",
        "Procedure": "part-of",
        "ResearchStudy": "partof",
        "Specimen": "parent",
        "Task": "part-of",
    }
)
"""The types that are parts of others of their type, and the parameter that tells of which."""

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
_TYPES = frozenset(("Reference", "canonical", "uri", "Resource"))


def reference_keys(text: str, base_url: str = "") -> list[str]:
    """Return the keys under which a stored reference is found, behind ``Type|param|``.

    >>> reference_keys("Patient/x/_history/2")
    ['r|Patient/x', 'v|Patient/x/_history/2']
    >>> reference_keys("http://x.test/ValueSet/a|2")
    ['r|http://x.test/ValueSet/a|2', 'a|http://x.test/ValueSet/a']
    """
    reference = split_reference(text, base_url)
    target, found = _target(reference, text), _apart(reference, text)
    return [f"r|{target}", *found] if target else found


def wanted_keys(
    raw: str, type_: str | None, base_url: str, name: str, targets: Sequence[str]
) -> list[str]:
    """Return the keys of which one asked value must find one; ``type_`` is that of ``:[type]``.

    A bare id may be that of any of the parameter's ``targets``.

    >>> wanted_keys("x", None, "", "subject", ("Group", "Patient"))
    ['r|Group/x', 'r|Patient/x']
    """
    text = unescape(raw)
    if _ID.fullmatch(text):
        return [f"r|{one}/{text}" for one in ((type_,) if type_ else targets)]
    asked = split_reference(text, base_url)
    if asked.local is not None:
        if asked.type not in definitions.resource_types():
            raise refused(name, f"{asked.type!r} is not a resource type")
        if type_ is not None and asked.type != type_:
            raise refused(name, f"{text!r} is not a {type_}")
        version = f"/_history/{asked.version}" if asked.version else ""
        return [f"v|{asked.local}{version}" if version else f"r|{asked.local}"]
    if asked.url is None or ":" not in asked.url:
        raise refused(name, f"{text!r} is not an id, Type/id or an absolute address")
    return [f"r|{text}"] if "|" in text else [f"r|{asked.url}", f"a|{asked.url}"]


def targets_of(type_: str, param: str, catalog: Catalog) -> tuple[str, ...]:
    """Return the types that a reference parameter may refer to; all where any is allowed."""
    parameter = catalog.parameters(type_).get(param)
    found = parameter.target if parameter else ()
    return found if found and "Resource" not in found else _every_type()


def predicate(asked: Asked) -> Predicate:
    """Return what ``asked`` means; modifiers: none, ``identifier``, types, ``above``, ``below``."""
    match asked.modifier:
        case "identifier":
            return asked.has_key([f"n|{token.wanted_key(raw, asked.name)}" for raw in asked.values])
        case "above" | "below" as relation:
            return _in_hierarchy(asked, relation)
        case type_:
            return asked.has_keys(
                (searched, _tails(asked, searched, type_)) for searched in asked.types
            )


def _tails(asked: Asked, searched: str, type_: str | None) -> list[str]:
    targets = targets_of(searched, asked.param, asked.catalog)
    found = (wanted_keys(raw, type_, asked.base_url, asked.name, targets) for raw in asked.values)
    return [key for keys in found for key in keys]


def _in_hierarchy(asked: Asked, relation: Literal["above", "below"]) -> Predicate:
    """Return what ``:above`` and ``:below`` ask: a resource, and what it is (in) a part of."""
    found: list[Predicate] = []
    for searched in asked.types:
        targets = targets_of(searched, asked.param, asked.catalog)
        parts = [type_ for type_ in targets if type_ in HIERARCHIES]
        if not parts:
            raise refused(asked.name, f"{searched}:{asked.param} refers to nothing that has parts")
        for raw in asked.values:
            keys = wanted_keys(raw, None, asked.base_url, asked.name, parts)
            local = [key.removeprefix("r|") for key in keys if key.startswith("r|")]
            places = [text for text in local if text.partition("/")[0] in parts]
            if not places:
                raise refused(asked.name, f"{raw!r} is none of {', '.join(parts)}")
            found += [CodesOf(searched, asked.param, relation, place) for place in places]
    return any_of(found)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of which References are values.

    ``compartments``: the types whose compartments the resource is in by it; ``only``: the type that
    a reference has to point to, where the expression says ``resolve() is Type``.
    """

    type: str
    param: str
    compartments: frozenset[str] = frozenset()
    only: str | None = None


def indexer(
    type_: str, param: str, fhir_type: str, compartments: frozenset[str] = frozenset()
) -> Indexer | None:
    """Return what writes the rows of a value of ``fhir_type``; ``None`` if it is no reference.

    ``compartments``: the types whose compartments the resource is in by this parameter.
    """
    if fhir_type not in _TYPES:
        return None
    if fhir_type == "Reference":
        return together((Parameter(type_, param, compartments),))
    own = _shared((Parameter(type_, param, compartments),))

    def index(value: Any, rows: Gathered) -> None:
        rows.keys.update(own.presences)
        text = text_of(fhir_type, value)
        if text is not None:
            _enter(own, text, rows)

    return index


def together(parameters: Sequence[Parameter]) -> Indexer:
    """Return what writes the rows of a Reference for all parameters of which it is a value.

    Most references are values of two or three: ``subject`` and ``patient``, say.
    """
    types = {one.only for one in parameters}
    is_typed = types != {None}
    by_type = {
        type_: _shared([one for one in parameters if one.only in (None, type_)]) for type_ in types
    }
    of_others = by_type.get(None) or _shared(())

    def index(value: Any, rows: Gathered) -> None:
        own, text = of_others, value.get("reference")
        if not isinstance(text, str):
            text = None
        if is_typed:
            type_ = (reference_type(text) if text is not None else None) or value.get("type")
            own = by_type.get(type_, of_others)
            if not own.hashes:
                return
        rows.keys.update(own.presences)
        if text is not None:
            _enter(own, text, rows)
        if (identifier := value.get("identifier")) is not None:
            system, code = identifier.get("system"), identifier.get("value")
            for prefix in own.prefixes:
                rows.keys.update(_identified(prefix, system, code))

    return index


@dataclass(frozen=True, slots=True)
class _Shared:
    """What the rows of one value for several parameters are made with."""

    prefixes: tuple[str, ...]
    presences: tuple[int, ...]
    hashes: tuple[int, ...]
    compartments: frozenset[str]


def _shared(parameters: Sequence[Parameter]) -> _Shared:
    prefixes = tuple(f"{one.type}|{one.param}|" for one in parameters)
    return _Shared(
        prefixes,
        tuple(hash64(f"{prefix}?") for prefix in prefixes),
        tuple(param_hash(one.type, one.param) for one in parameters),
        frozenset(type_ for one in parameters for type_ in one.compartments),
    )


def _enter(own: _Shared, text: str, rows: Gathered) -> None:
    """Write the rows of what a reference says."""
    named = _named if len(text) <= LONGEST_KEPT else _named.__wrapped__
    target, apart, entered, local = named(text, rows.base_url)
    if target is not None:
        for hashed in own.hashes:
            rows.keys.add(hashed ^ target)
            rows.references.append((hashed, target))
    if apart:
        rows.keys.update(hash64(prefix + key) for prefix in own.prefixes for key in apart)
    if entered in own.compartments and local is not None:
        rows.compartments.add(local)


def tails(fhir_type: str, value: Any, base_url: str) -> list[str]:
    """Return the keys of one value behind ``Type|param|``, those of its identifier left out."""
    text = text_of(fhir_type, value)
    return reference_keys(text, base_url) if text is not None else []


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


def names(resource: dict[str, Any]) -> tuple[int, ...]:
    """Return hashes of the addresses by which canonical references name a resource.

    A ``url`` that is its own ``Type/id`` is none of them: every resource has that name.
    """
    url, version, type_ = resource.get("url"), resource.get("version"), resource["resourceType"]
    if not isinstance(url, str) or "url" not in _canonical_types(type_):
        return ()
    own = url == f"{type_}/{resource.get('id')}"
    texts = [*([] if own else [url]), *([f"{url}|{version}"] if version else [])]
    return tuple(hash64(text) for text in texts)


@lru_cache(maxsize=32768)
def compartment_hash(reference: str) -> int:
    """Return the hash of the key of a compartment, such as that of ``Patient/x``."""
    return hash64(compartment_key(reference))


@lru_cache(maxsize=32768)
def _named(text: str, base_url: str) -> tuple[int | None, list[str], str | None, str | None]:
    """Return what a text names: hashed target, other keys, type, and ``Type/id`` if local."""
    reference = split_reference(text, base_url)
    target = _target(reference, text)
    hashed = hash64(target) if target else None
    return hashed, _apart(reference, text), reference.type, reference.local


def _target(reference: Reference, text: str) -> str | None:
    """Return what exactly is referred to, as the ``r`` key and the name of the other have it."""
    if reference.local is not None or not reference.url:
        return reference.local
    return (
        f"{reference.url}|{reference.version}" if _is_versioned(reference, text) else reference.url
    )


def _apart(reference: Reference, text: str) -> list[str]:
    """Return the keys beside it: of a local version, of a canonical asked without its version."""
    if reference.local is not None:
        version = reference.version
        return [f"v|{reference.local}/_history/{version}"] if version else []
    return [f"a|{reference.url}"] if reference.url and _is_versioned(reference, text) else []


def _is_versioned(reference: Reference, text: str) -> bool:
    return reference.version is not None and "|" in text


@lru_cache(maxsize=4096)
def _canonical_types(type_: str) -> Mapping[str, Any]:
    """Return the properties of a type that canonical references can name, else none."""
    children = definitions.children(type_)
    named = "url" in children and "version" in children and children["url"].types == ("uri",)
    return children if named else {}


@lru_cache(maxsize=1)
def _every_type() -> tuple[str, ...]:
    return tuple(sorted(definitions.resource_types()))


def _identified(prefix: str, system: str | None, value: str | None) -> tuple[int, ...]:
    return tuple(hash64(f"{prefix}n|{key}") for key in token.token_keys(system, value))
