"""Security labels and release of a resource that is to be written, as the site's policy says.

Labels come from a resource's codes and from what it refers to.  Of what it refers to, only that
counts which the writer may see: else a label, or a refusal for want of clearance, would tell that
something is there.  R4 security-labels.html.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from server.access import labels as rules
from server.access.context import AccessContext
from server.access.policy import Policy
from server.access.write import for_write
from server.fhir import json as fhir_json
from server.fhir.references import split_reference
from server.interactions.services import Services
from server.search.marks import RELEASE_URL, labels
from server.store.port import Version

Resource = dict[str, Any]
Ref = tuple[str, str]

_RELEASE = RELEASE_URL.encode()

NONE_BESIDE: Mapping[Ref, Resource] = {}
NONE_KNOWN: Mapping[Ref, Resource | None] = {}


async def labelled(
    services: Services,
    access: AccessContext,
    resource: Resource,
    before: Version | None,
    *,
    beside: Mapping[Ref, Resource] = NONE_BESIDE,
    known: Mapping[Ref, Resource | None] = NONE_KNOWN,
) -> Resource:
    """Return the resource as it is to be stored; the one given where nothing is to be changed.

    ``before``: the live version that it replaces.  ``beside``: what the same commit writes, by
    type and id.  ``known``: what is stored, ``None`` for nothing, of what the caller has read, with
    rights that see it all; the rest is read here.
    """
    policy = services.access_policy
    if policy is None:
        return resource
    there: Resource | None = None
    own = resource["resourceType"], resource["id"]
    if own in known:
        there = known[own]
    elif before is not None and before.body is not None:
        there = _looked_at(before.body)
    referenced = await _referenced(services, access, policy, resource, (beside, known))
    return for_write(policy, access, resource, there, referenced, services.now())


async def read_ahead(
    services: Services,
    access: AccessContext,
    beside: Mapping[Ref, Resource],
    new: Iterable[Ref],
) -> dict[Ref, Resource | None]:
    """Return ``known`` for all that one commit writes, by one read instead of one for each.

    ``new``: those of ``beside`` of which nothing is stored.  What else the commit writes is left
    out, as it is read with its version.
    """
    policy = services.access_policy
    if policy is None:
        return {}
    refs = {ref for one in beside.values() for ref in _handing_on(services, policy, one)}
    refs -= beside.keys()
    read = await services.store.read_many(access, sorted(refs)) if refs else {}
    known: dict[Ref, Resource | None] = dict.fromkeys([*refs, *new])
    return known | {ref: _looked_at(one.body or b"{}") for ref, one in read.items()}


async def _referenced(
    services: Services,
    access: AccessContext,
    policy: Policy,
    resource: Resource,
    at_hand: tuple[Mapping[Ref, Resource], Mapping[Ref, Resource | None]],
) -> list[tuple[str, ...]]:
    """Return the labels of all that hands them on, through what is written beside as well."""
    beside, known = at_hand
    found: list[tuple[str, ...]] = []
    stored: set[Ref] = set()
    seen: set[Ref] = set()
    todo = [resource]
    while todo:
        for ref in _handing_on(services, policy, todo.pop()) - seen:
            seen.add(ref)
            if (near := beside.get(ref)) is not None:
                found.append((*labels(near), *rules.assigned(policy, near)))
                todo.append(near)
            if ref not in known:
                stored.add(ref)
            elif (there := known[ref]) is not None:
                found.append(labels(there))
    if stored:
        read = await services.store.read_many(access, sorted(stored))
        found += [labels(fhir_json.glance(one.body or b"{}")) for one in read.values()]
    return found


def _handing_on(services: Services, policy: Policy, resource: Resource) -> set[Ref]:
    named = (split_reference(r, services.base_url) for r in rules.handing_on(policy, resource))
    return {(one.type, one.id) for one in named if one.type is not None and one.id is not None}


def _looked_at(body: bytes) -> Resource:
    """Return what is stored, to look at; of it only a release is written again, literally."""
    seen: Resource = fhir_json.loads(body) if _RELEASE in body else fhir_json.glance(body)
    return seen
