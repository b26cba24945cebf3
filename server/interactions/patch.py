"""patch, by id and by condition, with JSON Patch or FHIRPath Patch.  R4 http.html#patch."""

from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from server.access.context import AccessContext
from server.fhir import json as fhir_json
from server.fhir.errors import InvalidResource, Issue
from server.interactions import fhirpath_patch, json_patch, rights, write
from server.interactions.commit import commit, replanned
from server.interactions.conditional import Pairs, condition, matched
from server.interactions.read import read
from server.interactions.services import Services
from server.interactions.write import Written
from server.store.port import Expect, Version, Write
from server.validation import check


@dataclass(frozen=True, slots=True)
class Patch:
    """A patch as sent, read as JSON: an array of operations, or a valid Parameters resource."""

    format: Literal["json", "fhirpath"]
    operations: Any

    def apply(self, resource: Any, *, now: datetime | None = None) -> Any:
        """Return the patched resource, which is not validated; ``resource`` is used up.

        Raises as :func:`server.interactions.json_patch.apply` and
        :func:`server.interactions.fhirpath_patch.apply` do.
        """
        if self.format == "json":
            return json_patch.apply(resource, self.operations)
        # Its values become part of the resource, and a second attempt needs them as they were.
        return fhirpath_patch.apply(resource, deepcopy(self.operations), now=now)


async def patch(
    services: Services,
    access: AccessContext,
    type_: str,
    id_: str,
    operations: Patch,
    *,
    if_match: int | None = None,
) -> Written:
    """Apply a patch to the latest version and store what comes out.

    A patch tells by whether it applies what is there, so it needs the right to read as well.

    Raises:
        NotFound, Gone: as for read.
        VersionConflict: ``if_match`` is not the latest version.
        InvalidRequest, InvalidResource: see :meth:`Patch.apply`; also when the result is not valid
            R4, or has another type or id.
    """
    rights.demand(access, "update", type_)

    async def attempt() -> Written:
        current = await read(services, access, type_, id_)
        planned = await plan_patch(services, access, current, operations, if_match=if_match)
        (version,) = await commit(services, access, [planned])
        return Written(version)

    return await replanned(attempt, versions=if_match is None)


async def conditional_patch(
    services: Services,
    access: AccessContext,
    type_: str,
    operations: Patch,
    pairs: Pairs,
    *,
    if_match: int | None = None,
) -> Written:
    """Patch the one resource that matches; none is ``NotFound``, several ``MultipleMatches``."""
    rights.demand(access, "update", type_)
    wanted = condition(services, access, type_, pairs, where="condition")

    async def attempt() -> Written:
        there, expect = await matched(services, access, wanted)
        return await _patch_matched(services, access, there, expect, operations, if_match)

    return await replanned(attempt, versions=if_match is None)


async def plan_patch(
    services: Services,
    access: AccessContext,
    current: Version,
    operations: Patch,
    *,
    if_match: int | None = None,
) -> Write:
    """Return the write that patches ``current``, a version that the caller may read."""
    await rights.demand_change(services, access, "update", current)
    write.demand_version(current, if_match)
    now = datetime.fromtimestamp(services.now() / 1_000_000, UTC)
    patched = operations.apply(fhir_json.loads(current.body or b""), now=now)
    check(patched)
    if (patched["resourceType"], patched.get("id")) != (current.type, current.id):
        told = "a patch cannot change the type or the id"
        where = (f"{current.type}.id",)
        raise InvalidResource(told, issues=[Issue("error", "business-rule", told, where)])
    return await write.plan_update(
        services, access, patched, current, if_match=current.number, method="PATCH"
    )


async def _patch_matched(
    services: Services,
    access: AccessContext,
    there: Version,
    expect: Expect,
    operations: Patch,
    if_match: int | None,
) -> Written:
    rights.demand(access, "read", there.type)
    planned = await plan_patch(services, access, there, operations, if_match=if_match)
    (version,) = await commit(services, access, [planned], expect=[expect])
    return Written(version)
