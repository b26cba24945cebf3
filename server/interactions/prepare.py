"""A resource, ready to be committed: id and meta in place, index rows and compartments made."""

from typing import Any

from server.fhir import json as fhir_json
from server.search import extract
from server.search.catalog import R4, Catalog
from server.store.port import Body, Method, Write

_DECIDED_BY_SERVER = ("versionId", "lastUpdated")


def to_write(
    resource: dict[str, Any],
    *,
    base_url: str,
    method: Method,
    if_version: int | None = None,
    must_be_new: bool = False,
    catalog: Catalog = R4,
) -> Write:
    """Return the write that stores ``resource`` (valid, with ``resourceType`` and ``id``)."""
    rows, compartments = extract.indexed(resource, base_url, catalog=catalog)
    return Write(
        resource["resourceType"],
        resource["id"],
        body_of(resource),
        rows,
        compartments,
        method,
        if_version,
        must_be_new,
    )


def body_of(resource: dict[str, Any]) -> Body:
    """Serialise ``resource`` in its own order, cut inside ``meta`` (made when there is none).

    >>> body_of({"resourceType": "Patient", "id": "a", "active": True})
    Body(head=b'{"resourceType":"Patient","id":"a","meta":{', tail=b'},"active":true}')
    >>> body_of({"id": "a", "resourceType": "Patient"}).head
    b'{"id":"a","resourceType":"Patient","meta":{'
    >>> body_of({"id": "a", "meta": {"versionId": "9", "tag": [{"code": "x"}]}}).tail
    b',"tag":[{"code":"x"}]}}'
    """
    if "meta" not in resource and (usual := _usual(resource)) is not None:
        return usual
    names = list(resource)
    cut = names.index("meta") if "meta" in resource else _behind_id(names)
    before = {name: resource[name] for name in names[:cut]}
    after = {name: resource[name] for name in names[cut:] if name != "meta"}
    kept = {k: v for k, v in resource.get("meta", {}).items() if k not in _DECIDED_BY_SERVER}
    head = fhir_json.dumps(before)[:-1] + (b',"meta":{' if before else b'"meta":{')
    tail = (b"," + fhir_json.dumps(kept)[1:]) if kept else b"}"
    return Body(head, tail + ((b"," + fhir_json.dumps(after)[1:]) if after else b"}"))


def _usual(resource: dict[str, Any]) -> Body | None:
    """Return the body of a resource that begins with type and id: serialised as a whole, then cut.

    ``None``: it does not.
    """
    start = b'{"resourceType":"%b","id":"%b"' % (
        str(resource.get("resourceType")).encode("utf-8", "replace"),
        str(resource.get("id")).encode("utf-8", "replace"),
    )
    whole = fhir_json.dumps(resource)
    if not whole.startswith(start):
        return None
    return Body(start + b',"meta":{', b"}" + whole[len(start) :])


def _behind_id(names: list[str]) -> int:
    placed = [names.index(name) + 1 for name in ("resourceType", "id") if name in names]
    return max(placed, default=0)
