"""The FHIR routes as OpenAPI paths, from the same table that answers them.

The composition root merges them into the document of the FastAPI application.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from server.operations.registry import Operation, Param, Registry
from server.rest.routes import PUBLIC, ROUTES

_WORDS = {
    "/": {"GET": "Search all types", "POST": "Run a batch or transaction Bundle"},
    "/metadata": {"GET": "CapabilityStatement"},
    "/.well-known/smart-configuration": {"GET": "Where the authorization server is (SMART)"},
    "/.well-known/openid-configuration": {"GET": "Where the authorization server is (OpenID)"},
    "/_history": {"GET": "History of the whole record"},
    "/_search": {"POST": "Search all types, by form"},
    "/_async/{job}": {
        "GET": "State of an asynchronous request, and then its answer",
        "DELETE": "Stop an asynchronous request and forget its answer",
    },
    "/{type}": {
        "GET": "Search a type",
        "POST": "Create; with If-None-Exist, conditionally",
        "PUT": "Conditional update",
        "PATCH": "Conditional patch",
        "DELETE": "Conditional delete",
    },
    "/{type}/_search": {"POST": "Search a type, by form"},
    "/{type}/_history": {"GET": "History of a type"},
    "/{type}/{id}": {
        "GET": "Read",
        "PUT": "Update, or create under this id",
        "PATCH": "Patch (JSON Patch, or FHIRPath Patch)",
        "DELETE": "Delete, where the operator allows it",
    },
    "/{type}/{id}/_history": {"GET": "History of a resource"},
    "/{type}/{id}/_history/{vid}": {"GET": "Read a version"},
    "/{type}/{id}/{member}": {"GET": "Search a compartment; * is every type of it"},
    "/{type}/{id}/{member}/_search": {"POST": "Search a compartment, by form"},
}
_SEARCHING = {
    "_id": "Logical ids, with commas between them.",
    "_lastUpdated": "Time of the last change, with a prefix: ge2026-01-01.",
    "_filter": "Criteria with and, or, not: (code eq 8867-4 and date gt 2026).",
    "_has": "Written _has:Type:reference:parameter=value.",
    "_list": "Id of a List, or $current-problems and the like.",
    "_text": "Words of the narrative.",
    "_content": "Words of the whole resource.",
    "_sort": "Parameters in their order, - before those that descend; chains as well.",
    "_count": "Matches on a page; 0 asks for the total alone.",
    "_total": "accurate, estimate or none.",
    "_summary": "true, text, data, count or false.",
    "_elements": "Elements to be shown.",
    "_include": "Type:parameter[:Target], Type:* or *; :iterate goes on from what it found.",
    "_revinclude": "As _include, for what refers to the matches.",
    "_contained": "Whether to look inside resources: false, true or both.",
    "_containedType": "What stands for a match inside: container or contained.",
    "_explain": "true tells how the search ran; for callers without limits.",
}
_SCOPES = {
    "patient/*.rs": "Read and search the record of the patient in context",
    "user/*.cruds": "What the user may do",
    "system/*.rs": "Read and search, as a backend service",
    "launch": "Be launched from an EHR",
    "launch/patient": "Let the user choose a patient",
    "openid": "Who the user is",
    "fhirUser": "The resource that stands for the user",
    "offline_access": "Stay authorized when the user is gone",
    "online_access": "Stay authorized while the user is logged in",
}
_BODY_METHODS = ("POST", "PUT", "PATCH")


def paths(registry: Registry, prefix: str = "/fhir", schemes: Iterable[str] = ()) -> dict[str, Any]:
    """Return ``paths`` of an OpenAPI 3.1 document; each of ``schemes`` opens what is not public."""
    made: dict[str, Any] = {}
    for route, methods in ROUTES.items():
        if "{operation}" in route:
            continue
        address = prefix if route == "/" else prefix + route
        made[address] = {
            method.lower(): _operation(route, method, _WORDS[route][method]) for method in methods
        }
    for operation in registry.operations:
        made.update(_of_operation(operation, prefix))
    any_of = [{name: list[str]()} for name in schemes]
    public = {prefix + route for route in PUBLIC}
    for address, methods_there in made.items():
        for described in methods_there.values():
            described["security"] = [] if address in public else any_of
    return made


def schemes(oauth: Mapping[str, str]) -> dict[str, Any]:
    """Return the OpenAPI security schemes: a token, and how programs get one (``oauth``: the
    endpoints of the authorization server by name; none without one)."""
    made: dict[str, Any] = {
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "description": "An access token, or an administrator's.",
        }
    }
    if "authorize" in oauth and "token" in oauth:
        flow = {"tokenUrl": oauth["token"], "scopes": _SCOPES}
        code = {"authorizationUrl": oauth["authorize"], "refreshUrl": oauth["token"], **flow}
        made["smart"] = {
            "type": "oauth2",
            "description": "SMART App Launch 2.2; PKCE with S256 is demanded.",
            "flows": {"authorizationCode": code, "clientCredentials": flow},
        }
    return made


def _operation(route: str, method: str, summary: str) -> dict[str, Any]:
    names = [part[1:-1] for part in route.split("/") if part.startswith("{")]
    described: dict[str, Any] = {
        "tags": ["FHIR"],
        "summary": summary,
        "parameters": [_in_path(name) for name in names],
        "responses": {
            "200": {"description": "A FHIR resource", "content": _CONTENT},
            "default": {"description": "An OperationOutcome", "content": _CONTENT},
        },
    }
    if method == "GET" and summary.startswith("Search"):
        described["parameters"] += [
            {"name": name, "in": "query", "description": told, "schema": {"type": "string"}}
            for name, told in _SEARCHING.items()
        ]
    if method in _BODY_METHODS:
        types = ["application/fhir+json"]
        if "_search" in route:
            types = ["application/x-www-form-urlencoded"]
        if method == "PATCH":
            types = ["application/json-patch+json", "application/fhir+json"]
        described["requestBody"] = {"content": {type_: {"schema": {}} for type_ in types}}
    return described


def _of_operation(operation: Operation, prefix: str) -> list[tuple[str, dict[str, Any]]]:
    before = {"system": "", "type": "/{type}", "instance": "/{type}/{id}"}
    found = []
    for level in operation.levels:
        for type_ in operation.types or ("{type}",):
            route = before[level].replace("{type}", type_) + f"/${operation.code}"
            item = {"post": _operation(route, "POST", operation.documentation)}
            if not operation.affects_state:
                item["get"] = _operation(route, "GET", operation.documentation)
                item["get"]["parameters"] += [
                    _in_query(param) for param in operation.params if param.in_address
                ]
            found.append((prefix + route, item))
    return found


_CONTENT: dict[str, Any] = {"application/fhir+json": {"schema": {"type": "object"}}}


def _in_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _in_query(param: Param) -> dict[str, Any]:
    return {
        "name": param.name,
        "in": "query",
        "required": param.required,
        "description": param.documentation,
        "schema": {"type": param.type if param.type in ("boolean", "integer") else "string"},
    }
