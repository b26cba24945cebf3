"""create, update (also as create) and delete.  R4 http.html#create, #update, #delete.

``plan_*`` return the :class:`~server.store.port.Write`; the interaction of the same name commits
it.  Transactions plan with the same functions and commit everything at once.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import anyio.to_thread

from server.access.context import SYSTEM, AccessContext
from server.fhir import definitions
from server.fhir.errors import (
    BusinessRule,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    VersionConflict,
)
from server.interactions import rights, search_parameter_check
from server.interactions.commit import commit, replanned
from server.interactions.labelling import NONE_BESIDE, NONE_KNOWN, Ref, labelled
from server.interactions.prepare import to_write
from server.interactions.services import Services
from server.store.port import Method, Version, Write
from server.validation import check

Resource = dict[str, Any]

LARGE = 256 * 1024  # bytes of JSON above which validation leaves the event loop

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")


@dataclass(frozen=True, slots=True)
class Written:
    """What a write came to.

    ``created``: there was no live resource of that id before.  ``version`` is ``None`` when a
    deletion found nothing to delete.  ``changed`` is false when a conditional create found that
    the resource is there; ``version`` then is the one found.
    """

    version: Version | None
    created: bool = False
    changed: bool = True


async def create(
    services: Services,
    access: AccessContext,
    type_: str,
    resource: Any,
    *,
    raw: bytes | None = None,
) -> Written:
    """Store ``resource`` under a new id; an id inside it is ignored.

    ``raw`` is the JSON that it came in; with it, issues name lines.

    Raises:
        InvalidRequest: ``resource`` is not a ``type_``.
        InvalidResource: it is not valid R4; all issues at once.
        Forbidden: it would lie outside the caller's limits.
    """
    rights.demand(access, "create", type_)
    await accepted(type_, resource, raw)
    write = await plan_create(services, access, resource, services.new_id())
    (version,) = await commit(services, access, [write])
    return Written(version, created=True)


async def update(
    services: Services,
    access: AccessContext,
    type_: str,
    id_: str,
    resource: Any,
    *,
    raw: bytes | None = None,
    if_match: int | None = None,
    must_be_new: bool = False,
) -> Written:
    """Store ``resource`` as the next version of ``type_``/``id_``, the first one included.

    ``if_match``: the version that must be the latest; ``must_be_new``: there must be none.

    Raises:
        InvalidRequest: type or id inside ``resource`` are not those of the address.
        MethodNotAllowed: it would be created, and the server chooses ids itself.
        VersionConflict: ``if_match`` or ``must_be_new`` does not hold.
        Others as :func:`create`.
    """
    rights.demand(access, "update", type_)
    await accepted(type_, resource, raw)
    demand_id(resource, id_)

    async def attempt() -> Written:
        current = await rights.live(services, type_, id_)
        write = await plan_update(
            services, access, resource, current, if_match=if_match, must_be_new=must_be_new
        )
        (version,) = await commit(services, access, [write])
        return Written(version, created=current is None and await _is_first(services, version))

    return await replanned(attempt, versions=if_match is None and not must_be_new)


async def _is_first(services: Services, version: Version) -> bool:
    """Tell whether the version follows none, or a deletion; others may have raced to make it."""
    if version.number == 1:
        return True
    before = await services.store.vread(SYSTEM, version.type, version.id, version.number - 1)
    return before is None or before.body is None


async def delete(
    services: Services,
    access: AccessContext,
    type_: str,
    id_: str,
    *,
    if_match: int | None = None,
) -> Written:
    """Delete; what is not there, or is not there for the caller, is no error.

    Raises:
        BusinessRule: the operator does not allow deletion of the type.
        VersionConflict: ``if_match`` is not the latest version.
    """
    rights.demand(access, "delete", type_)
    demand_deletable(services, type_)

    async def attempt() -> Written:
        current = await rights.live(services, type_, id_)
        write = await plan_delete(services, access, type_, id_, current, if_match=if_match)
        if write is None:
            return Written(None)
        (version,) = await commit(services, access, [write])
        return Written(version)

    return await replanned(attempt, versions=if_match is None)


async def accepted(type_: str, resource: Any, raw: bytes | None) -> None:
    """As :func:`accept`; what takes long does not stop the other requests."""
    if raw is not None and len(raw) > LARGE:
        await anyio.to_thread.run_sync(accept, type_, resource, raw)
    else:
        accept(type_, resource, raw)


def accept(type_: str, resource: Any, raw: bytes | None = None) -> None:
    """Raise unless ``resource`` is a valid R4 resource of the type (L1)."""
    found = resource.get("resourceType") if isinstance(resource, dict) else None
    if isinstance(found, str) and found != type_ and found in definitions.resource_types():
        raise InvalidRequest(
            f"the body is a {found}, the address is for {type_}", expression=(found,)
        )
    check(resource, raw)


def demand_id(resource: Resource, id_: str) -> None:
    """Raise unless the resource's own id is the one of the address (R4 http.html#update)."""
    if not _ID.fullmatch(id_):
        raise InvalidRequest(
            f"{id_[:80]!r} is not an id: 1 to 64 letters, digits, '-' and '.'", expression=("id",)
        )
    where = (f"{resource['resourceType']}.id",)
    if "id" not in resource:
        raise InvalidRequest(f"the body has no id; it must be {id_!r}", expression=where)
    if resource["id"] != id_:
        raise InvalidRequest(
            f"the id in the body is {resource['id']!r}, in the address {id_!r}", expression=where
        )


async def plan_create(
    services: Services,
    access: AccessContext,
    resource: Resource,
    id_: str,
    *,
    beside: Mapping[Ref, Resource] = NONE_BESIDE,
    known: Mapping[Ref, Resource | None] = NONE_KNOWN,
) -> Write:
    """Return the write that stores ``resource`` as the first version of ``id_``.

    ``beside``: what the same commit writes.  ``known``: see :func:`labelling.labelled`.
    """
    _demand_usable(services, resource)
    resource = await labelled(
        services, access, _with_id(resource, id_), None, beside=beside, known=known
    )
    write = to_write(
        resource,
        base_url=services.base_url,
        method="POST",
        must_be_new=True,
        catalog=services.catalog,
    )
    await rights.demand_write(services, access, "create", resource, write)
    return write


async def plan_update(
    services: Services,
    access: AccessContext,
    resource: Resource,
    current: Version | None,
    *,
    if_match: int | None = None,
    must_be_new: bool = False,
    method: Method = "PUT",
    beside: Mapping[Ref, Resource] = NONE_BESIDE,
    known: Mapping[Ref, Resource | None] = NONE_KNOWN,
) -> Write:
    """Return the write that makes ``resource``, with its id, the version after ``current``.

    A caller who is limited to a compartment cannot choose the id of a new resource: the refusal
    of one that belongs to somebody else would tell that it is there.
    """
    type_, id_ = resource["resourceType"], resource["id"]
    limited = rights.limited(access, "update", type_)
    if current is None:
        if limited:
            raise rights.not_found(type_, id_)
        if not services.policy.update_creates:
            raise MethodNotAllowed(
                f"{type_}/{id_} is not there, and this server chooses ids itself: use POST"
            )
    else:
        await rights.demand_change(services, access, "update", current)
        demand_version(current, if_match)
        if limited and if_match is None:
            if_match = current.number  # what was checked is what is replaced
    _demand_usable(services, resource)
    resource = await labelled(services, access, resource, current, beside=beside, known=known)
    write = to_write(
        resource,
        base_url=services.base_url,
        method=method,
        if_version=if_match,
        must_be_new=must_be_new,
        catalog=services.catalog,
    )
    await rights.demand_write(services, access, "update", resource, write, current)
    return write


async def plan_delete(
    services: Services,
    access: AccessContext,
    type_: str,
    id_: str,
    current: Version | None,
    *,
    if_match: int | None = None,
) -> Write | None:
    """Return the deletion of ``current``, or ``None`` when there is nothing to delete."""
    if current is not None and rights.limited(access, "delete", type_):
        try:
            await rights.demand_change(services, access, "delete", current)
        except NotFound:
            current = None
    if current is None:
        if if_match is not None:
            raise VersionConflict(f"{type_}/{id_} is not there, If-Match names {if_match}")
        return None
    demand_version(current, if_match)
    return Write(type_, id_, None, None, method="DELETE", if_version=current.number)


def demand_deletable(services: Services, type_: str) -> None:
    """Raise ``BusinessRule`` when the operator's rules keep the type from deletion."""
    if not is_deletable(services, type_):
        raise BusinessRule(
            f"{type_} belongs to the legal record and is not deleted here: correct it (status "
            "entered-in-error, or active false), or let the operator set TELLONCE_DELETE=allow"
        )


def is_deletable(services: Services, type_: str) -> bool:
    """Tell whether the operator's rules let the type be deleted."""
    return services.policy.delete == "allow" or type_ not in clinical_types()


@cache
def clinical_types() -> frozenset[str]:
    """Return the types of the Patient compartment (R4 compartmentdefinition-patient.html)."""
    members = definitions.compartments()["Patient"]
    return frozenset(type_ for type_, params in members.items() if params) | {"Patient"}


def demand_version(current: Version, if_match: int | None) -> None:
    """Raise ``VersionConflict`` when ``if_match`` names another version than ``current``."""
    if if_match is not None and if_match != current.number:
        raise VersionConflict(
            f"{current.type}/{current.id} is at version {current.number}, not {if_match}"
        )


def _demand_usable(services: Services, resource: Resource) -> None:
    """Raise ``InvalidResource`` for a SearchParameter that could not be searched by."""
    if resource["resourceType"] == "SearchParameter":
        search_parameter_check.check(resource, services.catalog)


def _with_id(resource: Resource, id_: str) -> Resource:
    rest = {k: v for k, v in resource.items() if k not in ("resourceType", "id")}
    return {"resourceType": resource["resourceType"], "id": id_, **rest}
