"""A JSON Patch inside a Bundle is the data of a Binary.  R4 http.html#patch."""

from base64 import b64decode
from binascii import Error as NotBase64
from typing import Any

from server.fhir import json as fhir_json
from server.fhir.errors import InvalidJson, InvalidRequest, UnsupportedMediaType
from server.interactions.entries import Entry

JSON_PATCH = "application/json-patch+json"


def operations(entry: Entry) -> Any:
    """Return the parsed patch of a PATCH entry."""
    resource = entry.resource
    if resource.get("resourceType") == "Parameters":
        raise UnsupportedMediaType(
            f"FHIRPath Patch is not supported: send a Binary of {JSON_PATCH}",
            expression=(entry.where("resource"),),
        )
    if resource.get("resourceType") != "Binary" or resource.get("contentType") != JSON_PATCH:
        raise UnsupportedMediaType(
            f"a patch is a Binary with contentType {JSON_PATCH}",
            expression=(entry.where("resource.contentType"),),
        )
    where = (entry.where("resource.data"),)
    try:
        data = b64decode(resource.get("data", "").encode("ascii"), validate=True)
    except (NotBase64, UnicodeEncodeError, AttributeError):
        raise InvalidRequest("the patch is not base64", expression=where) from None
    try:
        return fhir_json.loads(data)
    except InvalidJson as error:
        raise InvalidJson(f"inside the patch: {error.diagnostics}", expression=where) from None
