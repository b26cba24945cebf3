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
from server.interactions import write
from server.interactions.rights import READ_ONLY
from server.interactions.services import Services
from server.operations.registry import Operation, Registry
from server.rest.compression import gzipped
from server.search.catalog import Catalog
from server.search.criteria import common_parameter
from server.search.parameters import OF_WORDS

_READING = ("read", "vread", "history-instance", "history-type", "search-type")
_WRITING = ("create", "update", "patch")
_SYSTEM_INTERACTIONS = ("transaction", "batch", "search-system", "history-system")

OAUTH_URIS = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
_SERVICE = {
    "coding": [
        {
            "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
            "code": "SMART-on-FHIR",
            "display": "SMART-on-FHIR",
        }
    ],
    "text": "OAuth2 using SMART-on-FHIR profile (see http://docs.smarthealthit.org)",
}

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
    services: Services,
    registry: Registry,
    *,
    version: str,
    secured: bool,
    cors: bool,
    oauth: Mapping[str, str] = {},
) -> Callable[[], Prepared]:
    """Return a function that returns the JSON and its ETag, made when first asked for, and again
    when other search parameters are in force.

    ``secured``: tokens are demanded.  ``oauth``: the endpoints of the authorization server by their
    names in the ``oauth-uris`` extension (``authorize``, ``token``, ``register``, ``introspect``,
    ``revoke``); none without one.  The ``date`` is that of the start, or of the change.
    """
    started = instant_text(services.now())
    first = services.catalog
    made: dict[Catalog, Prepared] = {}

    def once() -> Prepared:
        catalog = services.catalog
        if catalog not in made:
            date = started if catalog == first else instant_text(services.now())
            security = _security(secured, cors, oauth)
            statement = _statement(services, registry, version, date, security)
            body = fhir_json.dumps(statement)
            etag = b'W/"%b"' % blake2b(body, digest_size=12).hexdigest().encode()
            made.clear()
            made[catalog] = Prepared(body, gzipped(body, level=6), etag)
        return made[catalog]

    return once


def _statement(
    services: Services, registry: Registry, version: str, date: str, security: dict[str, Any]
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
                "security": security,
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


def _security(secured: bool, cors: bool, oauth: Mapping[str, str]) -> dict[str, Any]:
    """Programs that know no ``.well-known`` find the endpoints here (SMART 1.0 conformance)."""
    told = (
        "Every request but this one needs a token: Authorization: Bearer ..."
        if secured
        else "No tokens are asked for; the server is bound to its own machine."
    )
    if not oauth:
        return {"cors": cors, "description": told}
    named = [{"url": name, "valueUri": address} for name, address in oauth.items()]
    extension = [{"url": OAUTH_URIS, "extension": named}]
    return {"extension": extension, "cors": cors, "service": [_SERVICE], "description": told}


def _resource(services: Services, registry: Registry, type_: str) -> dict[str, Any]:
    parameters = _parameters(services, (type_,))
    includes = [f"{type_}:{p['name']}" for p in parameters if p["type"] == "reference"]
    reverse = _reverse(services.catalog).get(type_, ())
    read_only = type_ in READ_ONLY
    return {
        "type": type_,
        "profile": f"http://hl7.org/fhir/StructureDefinition/{type_}",
        **_interactions(services, type_),
        "referencePolicy": ["literal", "logical", "local"],
        **({"searchInclude": ["*", f"{type_}:*", *includes]} if includes else {}),
        **({"searchRevInclude": ["*", *reverse]} if reverse else {}),
        "searchParam": parameters,
        **_operations(
            [op for op in registry.of_type(type_) if not (read_only and op.affects_state)]
        ),
    }


def _interactions(services: Services, type_: str) -> dict[str, Any]:
    """Return what works, under the operator's rules: what nobody may is not claimed."""
    policy, writes = services.policy, type_ not in READ_ONLY
    deletes = writes and write.is_deletable(services, type_)
    codes = (*_READING, *(_WRITING if writes else ()), *(("delete",) if deletes else ()))
    return {
        "interaction": [{"code": code} for code in codes],
        "versioning": "versioned",
        "readHistory": True,
        "updateCreate": writes and policy.update_creates,
        "conditionalCreate": writes,
        "conditionalRead": "full-support",
        "conditionalUpdate": writes,
        "conditionalDelete": policy.conditional_delete if deletes else "not-supported",
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
