"""The patch of an entry: a Binary that holds JSON Patch, or Parameters.  R4 http.html#patch."""

from base64 import b64decode
from binascii import Error as NotBase64
from typing import Any

from server.fhir import json as fhir_json
from server.fhir.errors import InvalidJson, InvalidRequest, UnsupportedMediaType
from server.interactions.entries import Entry
from server.interactions.patch import Patch
from server.validation import check

JSON_PATCH = "application/json-patch+json"


def operations(entry: Entry) -> Patch:
    """Return the patch of a PATCH entry, read.

    Raises:
        UnsupportedMediaType: it is neither of the two.
        InvalidRequest, InvalidJson: the Binary holds no JSON.
        InvalidResource: the Parameters are not valid R4.
    """
    resource = entry.resource
    if resource.get("resourceType") == "Parameters":
        check(resource)
        return Patch("fhirpath", resource)
    if resource.get("resourceType") != "Binary" or resource.get("contentType") != JSON_PATCH:
        raise UnsupportedMediaType(
            f"a patch is a Parameters resource, or a Binary with contentType {JSON_PATCH}",
            expression=(entry.where("resource.contentType"),),
        )
    return Patch("json", _content(entry, resource))


def _content(entry: Entry, resource: dict[str, Any]) -> Any:
    where = (entry.where("resource.data"),)
    try:
        data = b64decode(resource.get("data", "").encode("ascii"), validate=True)
    except (NotBase64, UnicodeEncodeError, AttributeError):
        raise InvalidRequest("the patch is not base64", expression=where) from None
    try:
        return fhir_json.loads(data)
    except InvalidJson as error:
        raise InvalidJson(f"inside the patch: {error.diagnostics}", expression=where) from None
