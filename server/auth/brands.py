"""User-access brands: under which names and logos people find this record in their apps.

SMART App Launch 2.2.0, brands.html.  A Bundle of Organizations (brands) and Endpoints, from the
operator's file, or made of the organization's name.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from server.auth.unfit import Unfit
from server.fhir import json as fhir_json
from server.fhir.dates import instant_text
from server.fhir.errors import FhirError, InvalidJson
from server.store.port import CommitConflict, RecordWrite, Store
from server.validation import check

PROFILE = "http://hl7.org/fhir/smart-app-launch/StructureDefinition/user-access-"
ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
REASONS = ("asked-declined", "asked-unknown")  # brands.html#must-support-definition-ms
URI = "urn:ietf:rfc:3986"
MAX_BYTES = 20 * 1024 * 1024  # logos may be in it
OWN_ENDPOINT = "tellonce"

_KIND, _KEY = "brands", "published"


class UnfitBrands(Unfit):
    """The file of brands cannot be published; the text says where and why."""


@dataclass(frozen=True, slots=True)
class Brands:
    """What is published.  ``identifier`` is that of the primary brand; ``etag`` is weak."""

    body: bytes
    etag: str
    identifier: dict[str, Any]


def default_brand(base_url: str, organization: str) -> list[dict[str, Any]]:
    """Return one brand for the whole server: the organization, found at its own address."""
    site = _site(base_url)
    brand = {
        "resourceType": "Organization",
        "id": OWN_ENDPOINT,
        "meta": {"profile": [PROFILE + "brand"]},
        "identifier": [{"system": URI, "value": _without_www(site)}],
        "active": True,
        "name": organization,
        "telecom": [{"system": "url", "value": site}],
        "endpoint": [{"reference": f"Endpoint/{OWN_ENDPOINT}"}],
    }
    return [brand, own_endpoint(base_url, organization)]


def own_endpoint(base_url: str, organization: str) -> dict[str, Any]:
    """Return the Endpoint of this server (brands.html#endpoint-profile)."""
    return {
        "resourceType": "Endpoint",
        "id": OWN_ENDPOINT,
        "meta": {"profile": [PROFILE + "endpoint"]},
        "extension": [
            {
                "url": "http://hl7.org/fhir/StructureDefinition/endpoint-fhir-version",
                "valueCode": "4.0.1",
            }
        ],
        "status": "active",
        "connectionType": {
            "system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type",
            "code": "hl7-fhir-rest",
        },
        "name": f"FHIR R4 of {organization}",
        "contact": [{"system": "url", "value": _site(base_url)}],
        "payloadType": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/endpoint-payload-type",
                        "code": "none",
                    }
                ]
            }
        ],
        "address": base_url,
    }


def read_brands(file: Path, base_url: str) -> list[dict[str, Any]]:
    """Return the brands and endpoints of the operator's file; the first brand is the primary one.

    The file is a Bundle as it is published, in JSON.  When no Endpoint in it is this server, ours
    is added, and belongs to the primary brand.

    Raises:
        UnfitBrands: it cannot be read, is no valid FHIR, or breaks a rule of brands.html.
    """
    try:
        if file.stat().st_size > MAX_BYTES:
            raise UnfitBrands(f"{file}: brands have at most {MAX_BYTES} bytes")
        bundle = fhir_json.loads(file.read_bytes())
        check({**bundle, "type": "collection"} if isinstance(bundle, dict) else bundle)
    except (OSError, InvalidJson, FhirError) as error:
        told = error.diagnostics if isinstance(error, FhirError) else error.strerror
        raise UnfitBrands(f"{file}: {told}") from error
    if bundle.get("resourceType") != "Bundle":
        raise UnfitBrands(f"{file}: it holds a {bundle.get('resourceType')}, not a Bundle")
    found = [entry["resource"] for entry in bundle.get("entry", []) if "resource" in entry]
    try:
        return checked(found, base_url)
    except UnfitBrands as error:
        raise UnfitBrands(f"{file}: {error}") from error


def checked(found: list[dict[str, Any]], base_url: str) -> list[dict[str, Any]]:
    """Return brands and endpoints as they are published; raise UnfitBrands."""
    others = {one["resourceType"] for one in found} - {"Organization", "Endpoint"}
    if others:
        raise UnfitBrands(f"brands are Organizations and Endpoints, no {', '.join(sorted(others))}")
    brands = [one for one in found if one["resourceType"] == "Organization"]
    if not brands:
        raise UnfitBrands("there is no brand: no Organization")
    if not any(_is_at(one, base_url) for one in found):
        primary = brands[0]
        reference = {"reference": f"Endpoint/{OWN_ENDPOINT}"}
        extended = {**primary, "endpoint": [*primary.get("endpoint", []), reference]}
        found = [extended if one is primary else one for one in found]
        found.append(own_endpoint(base_url, str(primary.get("name", ""))))
    names = [f"{one['resourceType']}/{one.get('id', '')}" for one in found]
    _check_names(names)
    for name, one in zip(names, found, strict=True):
        _check_one(name, one, names)
    _check_primary(found)
    return found


async def published(store: Store, resources: list[dict[str, Any]], now: int) -> Brands:
    """Return the Bundle; its timestamp is when what it says was first published here.

    brands.html#brand-bundle-profile: ``Bundle.timestamp`` is that of the last change.
    """
    digest = sha256(fhir_json.dumps(resources)).hexdigest()
    at = instant_text(await _since(store, digest, now))
    entries = [
        {
            "fullUrl": f"https://tellonce.org/brands/{one['resourceType']}/{one['id']}",
            "resource": {**one, "meta": {"lastUpdated": at, **one.get("meta", {})}},
        }
        for one in resources
    ]
    bundle = {
        "resourceType": "Bundle",
        "meta": {"lastUpdated": at, "profile": [PROFILE + "brands-bundle"]},
        "type": "collection",
        "timestamp": at,
        "entry": entries,
    }
    primary = next(one for one in resources if one["resourceType"] == "Organization")
    return Brands(fhir_json.dumps(bundle), f'W/"{digest[:32]}"', _identifier(primary))


async def _since(store: Store, digest: str, now: int) -> int:
    """Return since when the brands are what they are."""
    kept = await store.get_record(_KIND, _KEY)
    if kept is not None:
        known, _, at = kept.value.decode().partition(" ")
        if known == digest:
            return int(at)
    write = RecordWrite(
        _KIND, _KEY, f"{digest} {now}".encode(), if_rev=kept.rev if kept is not None else 0
    )
    try:
        await store.commit([], records=[write])
    except CommitConflict:
        return await _since(store, digest, now)
    return now


def _check_names(names: list[str]) -> None:
    for name in names:
        if name.endswith("/"):
            raise UnfitBrands(f"a {name[:-1]} has no id, so that nothing can refer to it")
        if names.count(name) > 1:
            raise UnfitBrands(f"there are two {name}")


def _check_one(name: str, resource: dict[str, Any], names: list[str]) -> None:
    if resource["resourceType"] == "Organization" and not _said(resource, "name"):
        raise UnfitBrands(f"{name} has no name")
    for reference in _values(resource, "reference"):
        if isinstance(reference, str) and reference not in names:
            raise UnfitBrands(f"{name} refers to {reference}, which is not in the Bundle")
    for extension in _values(resource, "extension"):
        for one in extension if isinstance(extension, list) else []:
            if one.get("url") == ABSENT and one.get("valueCode") not in REASONS:
                raise UnfitBrands(
                    f"{name} gives a reason for absent data that is none of {', '.join(REASONS)}"
                )


def _check_primary(found: list[dict[str, Any]]) -> None:
    """The identifier of smart-configuration belongs to exactly one brand of the Bundle."""
    brands = [one for one in found if one["resourceType"] == "Organization"]
    wanted = _identifier(brands[0])
    if not wanted.get("value"):
        raise UnfitBrands(f"the primary brand, Organization/{brands[0]['id']}, has no identifier")
    same = [one for one in brands if wanted in map(_key, one.get("identifier", []))]
    if len(same) != 1:
        raise UnfitBrands(f"{len(same)} brands have the primary brand's identifier")


def _identifier(brand: dict[str, Any]) -> dict[str, Any]:
    identifiers = [_key(one) for one in brand.get("identifier", [])]
    sites = [one for one in identifiers if one.get("system") == URI]
    return (sites or identifiers or [{}])[0]


def _key(identifier: dict[str, Any]) -> dict[str, Any]:
    return {name: identifier[name] for name in ("system", "value") if name in identifier}


def _said(resource: dict[str, Any], name: str) -> bool:
    return bool(resource.get(name)) or f"_{name}" in resource


def _is_at(resource: dict[str, Any], base_url: str) -> bool:
    return resource["resourceType"] == "Endpoint" and (
        str(resource.get("address", "")).rstrip("/") == base_url
    )


def _values(value: Any, wanted: str) -> Iterator[Any]:
    """Yield what stands under a name, anywhere in a resource."""
    if isinstance(value, dict):
        for name, one in value.items():
            if name == wanted:
                yield one
            yield from _values(one, wanted)
    elif isinstance(value, list):
        for one in value:
            yield from _values(one, wanted)


def _site(base_url: str) -> str:
    parts = urlsplit(base_url)
    return f"{parts.scheme}://{parts.netloc}"


def _without_www(site: str) -> str:
    return site.replace("://www.", "://", 1)
