"""Conditional create, update, patch and delete.  R4 http.html#ccreate, #cond-update, #3.1.0.7.1.

What the condition found is expected again at commit (``Expect``), so of any number of racing
conditional creates one creates, and the others are told what it made.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from server.access.context import AccessContext
from server.access.narrow import narrow
from server.fhir.errors import (
    Conflict,
    InvalidRequest,
    InvalidSearch,
    MethodNotAllowed,
    MultipleMatches,
    NotFound,
    TooCostly,
    VersionConflict,
)
from server.interactions import rights, unfinished, words, write
from server.interactions.commit import commit, replanned
from server.interactions.expand import asks
from server.interactions.services import Services
from server.interactions.write import Resource, Written
from server.search.parse import parse_search
from server.search.query import Query
from server.store.port import Expect, Version

Pairs = Sequence[tuple[str, str]]

# They say how an answer looks, and nothing about what is in it.
_SHAPE = frozenset(("_count", "_elements", "_sort", "_summary", "_total", "_type"))


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition, ready to be asked; ``claim`` is equal for equal conditions."""

    type: str
    query: Query
    claim: str

    def expect(self, found: Sequence[Version]) -> Expect:
        """Return the expectation that the condition still finds exactly ``found``."""
        return Expect(self.claim, self.query, frozenset(version.id for version in found))


def condition(
    services: Services, access: AccessContext, type_: str, pairs: Pairs, *, where: str
) -> Condition:
    """Read a condition, narrowed to what the caller may see.

    ``where`` names the header or element that it came in.

    Raises:
        InvalidRequest: there is no criterion at all; it would match everything.
        InvalidSearch: a criterion that this server does not know.
        IndexUnfinished: a criterion does not find everything yet.
    """
    rights.demand(access, "search", type_)
    try:
        search = parse_search(
            type_,
            pairs,
            base_url=services.base_url,
            default_count=2,
            max_count=2,
            strict=True,
            catalog=services.catalog,
        )
    except InvalidSearch as error:
        raise InvalidSearch(f"{where}: {error.diagnostics}", expression=(where,)) from error
    if search.includes or search.contained != "false" or search.explain:
        told = f"{where}: a condition finds no other resources; leave out includes and _contained"
        raise InvalidSearch(told, expression=(where,))
    criteria = sorted(pair for pair in search.used if pair[0] not in _SHAPE)
    if not criteria:
        raise InvalidRequest(f"{where}: a condition needs a search parameter", expression=(where,))
    if asks(search):
        told = f"{where}: a condition cannot ask by value sets or hierarchies; name the codes"
        raise InvalidSearch(told, expression=(where,))
    words.demand_kept(services, search)
    unfinished.demand_finished(services, search)
    return Condition(type_, narrow(search.query, access), f"{type_}?{criteria!r}")


async def found_by(
    services: Services, access: AccessContext, wanted: Condition, *, limit: int = 2
) -> tuple[Version, ...]:
    """Return at most ``limit`` live matches that the caller may see."""
    with rights.discreet(access):
        page = await services.store.search(
            access, wanted.query, limit=limit, deadline_s=services.policy.deadline_s
        )
    return page.versions


def demand_one_at_most(wanted: Condition, found: Sequence[Version]) -> Version | None:
    """Return the match, if there is one; raise ``MultipleMatches`` if there are more."""
    if len(found) > 1:
        raise MultipleMatches(f"the condition matches more than one {wanted.type}")
    return found[0] if found else None


async def conditional_create(
    services: Services,
    access: AccessContext,
    type_: str,
    resource: Any,
    pairs: Pairs,
    *,
    raw: bytes | None = None,
) -> Written:
    """Create unless the condition (``If-None-Exist``) matches; then return the match.

    Raises:
        MultipleMatches: it matches several.
        Others as :func:`server.interactions.write.create`.
    """
    rights.demand(access, "create", type_)
    await write.accepted(type_, resource, raw)
    wanted = condition(services, access, type_, pairs, where="If-None-Exist")

    async def attempt() -> Written:
        found = await found_by(services, access, wanted)
        if there := demand_one_at_most(wanted, found):
            if services.audit is not None:
                services.audit.shown(access, "read", (there,), None)
            return Written(there, changed=False)
        made = await write.plan_create(services, access, resource, services.new_id())
        (version,) = await commit(services, access, [made], expect=[wanted.expect(found)])
        return Written(version, created=True)

    return await replanned(attempt)


async def conditional_update(
    services: Services,
    access: AccessContext,
    type_: str,
    resource: Any,
    pairs: Pairs,
    *,
    raw: bytes | None = None,
    if_match: int | None = None,
) -> Written:
    """Update the one match; without a match create, under the resource's own id if it has one.

    Raises:
        InvalidRequest: the resource has an id, and it is not that of the match.
        MultipleMatches: the condition matches several.
        Conflict: nothing matches, and the resource's own id is taken.
    """
    rights.demand(access, "update", type_)
    await write.accepted(type_, resource, raw)
    wanted = condition(services, access, type_, pairs, where="condition")

    async def attempt() -> Written:
        found = await found_by(services, access, wanted)
        there = demand_one_at_most(wanted, found)
        expect = [wanted.expect(found)]
        if there is None:
            return await _create_unmatched(services, access, resource, expect, if_match)
        made = await write.plan_update(
            services, access, with_id_of(resource, there), there, if_match=if_match
        )
        (version,) = await commit(services, access, [made], expect=expect)
        return Written(version)

    return await replanned(attempt, versions=if_match is None)


async def conditional_delete(
    services: Services, access: AccessContext, type_: str, pairs: Pairs
) -> list[Version]:
    """Delete what the condition matches, several only where the operator allows it.

    Returns the deletions; none matched is no error (R4 http.html#3.1.0.7.1).

    Raises:
        BusinessRule, MultipleMatches: the operator does not allow the type, or several at once.
        TooCostly: more than ``max_bundle_entries`` match; nothing was deleted.
    """
    rights.demand(access, "delete", type_)
    write.demand_deletable(services, type_)
    wanted = condition(services, access, type_, pairs, where="condition")
    several = services.policy.conditional_delete == "multiple"
    most = services.policy.max_bundle_entries if several else 1

    async def attempt() -> list[Version]:
        found = await found_by(services, access, wanted, limit=most + 1)
        if not several:
            demand_one_at_most(wanted, found)
        elif len(found) > most:
            raise TooCostly(f"the condition matches more than {most} resources; narrow it")
        plans = [
            await write.plan_delete(services, access, type_, version.id, version)
            for version in found
        ]
        deletions = [plan for plan in plans if plan is not None]
        return await commit(services, access, deletions, expect=[wanted.expect(found)])

    return await replanned(attempt, versions=True)


def with_id_of(resource: Resource, there: Version) -> Resource:
    """Return ``resource`` with the id of the match; its own must be none or the same."""
    id_ = resource.get("id", there.id)
    if id_ != there.id:
        raise InvalidRequest(
            f"the id in the body is {id_!r}, the condition matches {there.type}/{there.id}",
            expression=(f"{there.type}.id",),
        )
    return {"resourceType": there.type, **resource, "id": there.id}


async def matched(
    services: Services, access: AccessContext, wanted: Condition
) -> tuple[Version, Expect]:
    """Return the one match, and the expectation that it stays the one.

    Raises:
        NotFound: nothing matches.
        MultipleMatches: several match.
    """
    found = await found_by(services, access, wanted)
    there = demand_one_at_most(wanted, found)
    if there is None:
        raise NotFound(f"no {wanted.type} matches the condition")
    return there, wanted.expect(found)


async def _create_unmatched(
    services: Services,
    access: AccessContext,
    resource: Resource,
    expect: list[Expect],
    if_match: int | None,
) -> Written:
    if if_match is not None:
        raise VersionConflict(f"nothing matches the condition, If-Match names version {if_match}")
    own_id = resource.get("id")
    if own_id is not None and not services.policy.update_creates:
        raise MethodNotAllowed("nothing matches, and this server chooses ids itself: send no id")
    if own_id is not None and rights.limited(access, "update", resource["resourceType"]):
        raise rights.not_found(resource["resourceType"], own_id)
    rights.demand(access, "create", resource["resourceType"])
    made = await write.plan_create(services, access, resource, own_id or services.new_id())
    try:
        (version,) = await commit(services, access, [made], expect=expect)
    except VersionConflict as error:
        raise Conflict(
            f"nothing matches the condition, and {made.type}/{made.id} is taken"
        ) from error
    return Written(version, created=True)
