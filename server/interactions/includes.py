"""``_include`` and ``_revinclude``: complete, in pages of their own.  R4 search.html#include.

The includes of a page of matches are one ordered list: first what the matches refer to, by
reference text, then what refers to them, newest first.  A page takes what fits; a position in the
list goes into the cursor.  Nothing is ever cut off.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from server.access.context import AccessContext
from server.fhir import definitions
from server.fhir import json as fhir_json
from server.interactions.services import Services
from server.search import extract
from server.search.query import HasKey, Include, Query
from server.store.port import Scalar, Version

MAX_PER_PAGE = 1_000  # included resources

Ref = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Position:
    """Where the list of includes goes on: behind ``forward``, or ``after`` of the reverse."""

    reverse: bool = False
    forward: str = ""
    after: tuple[Scalar, ...] | None = None


START = Position()


@dataclass(frozen=True, slots=True)
class Included:
    """A part of the list; ``next`` is ``None`` at its end."""

    versions: tuple[Version, ...]
    next: Position | None


async def included(
    services: Services,
    access: AccessContext,
    wanted: Sequence[Include],
    matches: Sequence[Version],
    start: Position,
) -> Included:
    """Return at most :data:`MAX_PER_PAGE` included resources, each of them once.

    What is among ``matches`` is not included again.
    """
    forward = [include for include in wanted if not include.reverse]
    reverse = [include for include in wanted if include.reverse]
    shown = {(m.type, m.id) for m in matches}
    targets = _targets(services, forward, matches) - shown if forward else set()
    found: list[Version] = []
    if not start.reverse and targets:
        part = sorted(ref for ref in targets if "/".join(ref) > start.forward)
        page = sorted(part, key="/".join)[:MAX_PER_PAGE]
        there = await services.store.read_many(access, page)
        found = [there[ref] for ref in page if ref in there]
        if len(part) > len(page):
            return Included(tuple(found), Position(forward="/".join(page[-1])))
    query = _reverse_query(reverse, matches) if reverse else None
    if query is None:
        return Included(tuple(found), None)
    if len(found) >= MAX_PER_PAGE:
        return Included(tuple(found), Position(reverse=True))
    answer = await services.store.search(
        access,
        query,
        limit=MAX_PER_PAGE - len(found),
        after=start.after,
        deadline_s=services.policy.deadline_s,
    )
    hidden = shown | targets
    found += [v for v in answer.versions if (v.type, v.id) not in hidden]
    more = Position(reverse=True, after=answer.after) if answer.after is not None else None
    return Included(tuple(found), more)


def _targets(services: Services, wanted: Iterable[Include], matches: Iterable[Version]) -> set[Ref]:
    return {
        ref
        for match in matches
        for ref in targets_of(services, wanted, match.type, fhir_json.glance(match.body or b"{}"))
    }


def targets_of(
    services: Services, wanted: Iterable[Include], type_: str, resource: dict[str, Any]
) -> set[Ref]:
    """Return the (type, id) of what one resource refers to by the includes wanted."""
    found = set()
    for include in wanted:
        if include.source not in (type_, "*"):
            continue
        for param in _params(type_, include.param):
            for target in extract.targets(resource, param, services.base_url):
                type_there, _, id_ = target.partition("/")
                if include.target in (None, type_there):
                    found.add((type_there, id_))
    return found


def _params(type_: str, param: str) -> Sequence[str]:
    if param != "*":
        return (param,)
    known = definitions.search_parameters(type_)
    return [code for code, known_param in known.items() if known_param.type == "reference"]


def _reverse_query(wanted: Iterable[Include], matches: Sequence[Version]) -> Query | None:
    """One query finds all: its keys name type and parameter."""
    types: dict[str, None] = {}
    keys: dict[str, None] = {}
    for include in wanted:
        sources = (
            sorted(definitions.resource_types()) if include.source == "*" else [include.source]
        )
        for source in sources:
            for param in _params(source, include.param):
                for match in matches:
                    if include.target in (None, match.type):
                        types[source] = None
                        keys[f"{source}|{param}|r|{match.type}/{match.id}"] = None
    return Query(tuple(types), HasKey(tuple(keys))) if keys else None
