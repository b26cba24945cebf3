"""What is posted for a part of a file: always a Bundle of type transaction or batch.  Pure."""

from collections.abc import Sequence
from typing import Any

from server.fhir.errors import InvalidRequest

Resource = dict[str, Any]

_AS_SENT = ("transaction", "batch")
_OF_RESOURCES = ("collection", "searchset")


def to_bundle(resource: Any) -> Resource:
    """Return the Bundle that loads one JSON document.

    A transaction or batch is sent as it is; of a collection or searchset every resource is stored;
    any other resource, documents and messages included, is stored as itself.

    Raises:
        InvalidRequest: the document is not a resource, or a Bundle that cannot be loaded.

    >>> made = to_bundle({"resourceType": "Patient", "id": "a"})
    >>> made["type"], made["entry"][0]["request"]
    ('transaction', {'method': 'PUT', 'url': 'Patient/a'})
    """
    if not isinstance(resource, dict) or resource.get("resourceType") != "Bundle":
        return transaction([resource])
    if resource.get("type") in _AS_SENT:
        return resource
    if resource.get("type") == "history":
        raise InvalidRequest("a history Bundle cannot be loaded: versions are made here only")
    if resource.get("type") not in _OF_RESOURCES:
        return transaction([resource])
    entries = resource.get("entry", [])
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [_entry(e["resource"], e.get("fullUrl")) for e in entries if "resource" in e],
    }


def transaction(resources: Sequence[Any]) -> Resource:
    """Return a transaction that stores ``resources``: under their ids, or under new ones.

    Raises:
        InvalidRequest: one of them is not a resource.
    """
    entries = [_entry(resource, None) for resource in resources]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def _entry(resource: Any, full_url: str | None) -> Resource:
    type_ = resource.get("resourceType") if isinstance(resource, dict) else None
    if not isinstance(type_, str):
        raise InvalidRequest("this is not a FHIR resource: it has no resourceType")
    id_ = resource.get("id")
    request = (
        {"method": "PUT", "url": f"{type_}/{id_}"} if id_ else {"method": "POST", "url": type_}
    )
    made = {"resource": resource, "request": request}
    return {"fullUrl": full_url, **made} if full_url else made
