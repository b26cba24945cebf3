"""The CapabilityStatement, made from the definitions, the operations and the server's own rules.

R4 capabilitystatement.html.  It says what is true: nothing in it is written by hand twice.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

from server.fhir import definitions
from server.fhir import json as fhir_json
from server.fhir.dates import instant_text
from server.interactions.services import Services
from server.operations.registry import Operation, Registry
from server.rest.compression import gzipped
from server.search.catalog import Catalog
from server.search.criteria import common_parameter
from server.search.parameters import OF_WORDS

_TYPE_INTERACTIONS = (
    "read", "vread", "update", "patch", "delete",
    "history-instance", "history-type", "create", "search-type",
)  # fmt: skip
_SYSTEM_INTERACTIONS = ("transaction", "batch", "search-system", "history-system")

_EVERYWHERE: tuple[dict[str, Any], ...] = (
    {
        "name": "_filter",
        "definition": "http://hl7.org/fhir/SearchParameter/filter",
        "type": "special",
        "documentation": "The whole grammar of R4 search_filter.html.",
    },
    {
        "name": "_has",
        "type": "special",
        "documentation": "_has:Type:reference:parameter, nested and mixed with chains.",
    },
    {
        "name": "_list",
        "type": "special",
        "documentation": "Id of a List, or $current-problems, -medications, -allergies and "
        "-drug-allergies.",
    },
)
_SEARCH = """\
Searches know every prefix and modifier that R4 has for the type of a parameter. Reference \
parameters can be chained (`subject:Patient.organization.name`), and `_sort` by a chain as well. \
`_include` and `_revinclude` take `*`, `Type:*`, a target type and `:iterate`; they come complete, \
on pages of their own when they are many. `_contained` and `_containedType` look inside resources. \
`_sort`, `_count`, `_total`, `_summary`, `_elements`; `_explain=true` tells how a search ran.\
"""


class Prepared(NamedTuple):
    """The JSON of the CapabilityStatement, the same as gzip, and their weak ETag."""

    body: bytes
    gzipped: bytes
    etag: bytes


def capability(
    services: Services, registry: Registry, *, version: str, secured: bool, cors: bool
) -> Callable[[], Prepared]:
    """Return a function that returns the JSON and its ETag, made when first asked for, and again
    when other search parameters are in force.

    ``secured``: tokens are demanded.  The ``date`` is that of the start, or of the change.
    """
    started = instant_text(services.now())
    first = services.catalog
    made: dict[Catalog, Prepared] = {}

    def once() -> Prepared:
        catalog = services.catalog
        if catalog not in made:
            date = started if catalog == first else instant_text(services.now())
            statement = _statement(services, registry, version, date, secured, cors)
            body = fhir_json.dumps(statement)
            etag = b'W/"%b"' % blake2b(body, digest_size=12).hexdigest().encode()
            made.clear()
            made[catalog] = Prepared(body, gzipped(body, level=6), etag)
        return made[catalog]

    return once


def _statement(
    services: Services, registry: Registry, version: str, date: str, secured: bool, cors: bool
) -> dict[str, Any]:
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": date,
        "kind": "instance",
        "software": {"name": "Tellonce", "version": version},
        "implementation": {
            "description": "Tellonce, the record that a patient tells once",
            "url": services.base_url,
        },
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "patchFormat": ["application/json-patch+json", "application/fhir+json"],
        "rest": [
            {
                "mode": "server",
                "documentation": _SEARCH,
                "security": _security(secured, cors),
                "resource": [
                    _resource(services, registry, type_)
                    for type_ in sorted(definitions.resource_types())
                ],
                "interaction": [{"code": code} for code in _SYSTEM_INTERACTIONS],
                "searchParam": _parameters(services, tuple(sorted(definitions.resource_types()))),
                **_operations(registry.of_system()),
            }
        ],
    }


def _security(secured: bool, cors: bool) -> dict[str, Any]:
    told = (
        "Every request but this one needs a token: Authorization: Bearer ..."
        if secured
        else "No tokens are asked for; the server is bound to its own machine."
    )
    return {"cors": cors, "description": told}


def _resource(services: Services, registry: Registry, type_: str) -> dict[str, Any]:
    parameters = _parameters(services, (type_,))
    includes = [f"{type_}:{p['name']}" for p in parameters if p["type"] == "reference"]
    reverse = _reverse(services.catalog).get(type_, ())
    return {
        "type": type_,
        "profile": f"http://hl7.org/fhir/StructureDefinition/{type_}",
        "interaction": [{"code": code} for code in _TYPE_INTERACTIONS],
        "versioning": "versioned",
        "readHistory": True,
        "updateCreate": services.policy.update_creates,
        "conditionalCreate": True,
        "conditionalRead": "full-support",
        "conditionalUpdate": True,
        "conditionalDelete": services.policy.conditional_delete,
        "referencePolicy": ["literal", "logical", "local"],
        **({"searchInclude": ["*", f"{type_}:*", *includes]} if includes else {}),
        **({"searchRevInclude": ["*", *reverse]} if reverse else {}),
        "searchParam": parameters,
        **_operations(registry.of_type(type_)),
    }


def _parameters(services: Services, types: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the search parameters that work: those that the search itself would take."""
    catalog = services.catalog
    left_out = frozenset() if services.policy.words else OF_WORDS
    known = catalog.parameters(types[0])
    named = [
        {"name": code, "definition": parameter.url, "type": parameter.type}
        for code, parameter in sorted(known.items())
        if code not in left_out and common_parameter(types, code, catalog=catalog) is not None
    ]
    return named + list(_EVERYWHERE)


@lru_cache(maxsize=2)
def _reverse(catalog: Catalog) -> Mapping[str, tuple[str, ...]]:
    """Return for each type the includes that lead to it."""
    made: dict[str, list[str]] = {}
    for source in sorted(definitions.resource_types()):
        for code, parameter in sorted(catalog.parameters(source).items()):
            if parameter.type == "reference" and parameter.expression:
                for target in parameter.target or definitions.resource_types():
                    made.setdefault(target, []).append(f"{source}:{code}")
    return {target: tuple(found) for target, found in made.items()}


def _operations(operations: list[Operation]) -> dict[str, Any]:
    listed = [
        {"name": op.code, "definition": op.definition, "documentation": op.documentation}
        for op in operations
    ]
    return {"operation": listed} if listed else {}
