"""transaction: everything or nothing.  R4 http.html#transaction, #trules.

Planned as data, committed once.  What the plan read (matches of conditions, versions to patch or
delete) is expected again at commit; when it changed meanwhile the whole plan is made anew.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import anyio.lowlevel

from server.access.context import SYSTEM, AccessContext, Interaction
from server.fhir.errors import (
    Conflict,
    FhirError,
    InvalidRequest,
    NotFound,
    NotSupported,
    VersionConflict,
)
from server.fhir.references import split_reference
from server.interactions import conditional, entries, labelling, patch_entry, rights, write
from server.interactions.commit import commit, replanned
from server.interactions.conditional import Condition, condition
from server.interactions.entries import Entry, placed
from server.interactions.patch import plan_patch
from server.interactions.rewrite import rewritten
from server.interactions.services import Services
from server.interactions.write import Written
from server.search import extract
from server.search.catalog import R4, Catalog
from server.search.match import matches
from server.store.port import Expect, Version, Write

_ORDER = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2}  # R4 http.html#trules
_NEEDS: dict[str, Interaction] = {
    "DELETE": "delete", "POST": "create", "PUT": "update", "PATCH": "update",
}  # fmt: skip
_TOLD_CHARS = 200  # of a conditional reference that cannot be resolved
_CONDITION = re.compile(rb'"reference"\s*:\s*"[^"]*[?]')
_BREATH = 20  # entries between two moments in which other requests get their turn

Ref = tuple[str, str]


async def transaction(
    services: Services, access: AccessContext, wanted: Sequence[Entry], raw: bytes | None
) -> dict[int, Written]:
    """Commit all writes of a transaction; return what each came to, by index of its entry.

    Raises:
        FhirError: of whatever class a single request would get; its issues name the entries.
        Conflict: the record changed under it, again and again.
    """
    writes = [entry for entry in wanted if entry.method in _ORDER]
    faults = entries.check_full_urls(wanted)
    for at, entry in enumerate(writes):
        try:
            check_entry(services, access, entry)
        except FhirError as error:
            faults.append(placed(error, entry, "resource"))
        if at % _BREATH == 0:
            await anyio.lowlevel.checkpoint()
    entries.raise_all(faults, raw)

    conditions = raw is None or _may_have_conditions(raw)

    async def attempt() -> dict[int, Written]:
        plan = _Plan(
            services, access, writes, may_have_conditions=conditions, catalog=services.catalog
        )
        await plan.identify()
        await plan.refer()
        await plan.prepare()
        return await plan.commit()

    try:
        return await replanned(attempt, versions=True)
    except _Fault as fault:
        entries.raise_all(list(fault.errors), raw)
        raise


def _may_have_conditions(raw: bytes) -> bool:
    """Look at the bytes, which saves a walk through every resource."""
    # Behind an escape there could be the question mark, or a letter of "reference".
    return b"\\u00" in raw or (b"?" in raw and _CONDITION.search(raw) is not None)


def check_entry(services: Services, access: AccessContext, entry: Entry) -> None:
    """Raise what can be told of a write without looking anything up."""
    if any(segment.startswith("$") for segment in entry.path):
        raise NotSupported("operations do not run inside a transaction: send a batch")
    rights.demand(access, _NEEDS[entry.method], entry.type)
    if entry.method == "DELETE":
        write.demand_deletable(services, entry.type)
    elif entry.method == "PATCH":
        patch_entry.operations(entry)
    else:
        write.accept(entry.type, entry.resource)
        if entry.method == "PUT" and entry.id is not None:
            write.demand_id(entry.resource, entry.id)


class _Fault(Exception):
    """Faults of entries that no new plan can mend, not even a ``VersionConflict``."""

    def __init__(self, *errors: FhirError) -> None:
        super().__init__(errors[0].diagnostics)
        self.errors = errors


@dataclass(slots=True)
class _Step:
    """What one entry will do.  ``there`` is the live version that it replaces or has found."""

    entry: Entry
    ref: Ref | None = None
    there: Version | None = None
    unchanged: bool = False
    own_id: bool = False


def _is_created(step: _Step) -> bool:
    """Tell whether the resource of a POST or PUT is new, and so is the id that it was given."""
    made_here = step.entry.id is None and step.there is None and not step.own_id
    return step.entry.method == "POST" or made_here


@dataclass(slots=True)
class _Plan:
    services: Services
    access: AccessContext
    entries: Sequence[Entry]
    steps: list[_Step] = field(default_factory=list)
    expect: dict[str, Expect] = field(default_factory=dict)
    writes: list[tuple[int, Write]] = field(default_factory=list)
    mapping: dict[str, str] = field(default_factory=dict)
    relative: dict[str, dict[str, str]] = field(default_factory=dict)
    merged: dict[str, dict[str, str]] = field(default_factory=dict)
    beside: dict[Ref, Any] = field(default_factory=dict)
    known: Mapping[Ref, Any] = field(default_factory=dict)
    may_have_conditions: bool = True
    binaries: bool = False
    catalog: Catalog = R4

    async def identify(self) -> None:
        """Find out which resource each entry is about, and whether two are about the same."""
        self.steps = [_Step(entry) for entry in self.entries]
        made: dict[str, Ref] = {}
        for step in self.steps:
            await self._guarded(step, self._find(step, made))
        self._refuse_overlaps()
        await self._read_named()
        self._map_full_urls()

    async def _read_named(self) -> None:
        """Read what the entries name by id, at once."""
        named = {
            step.ref: step for step in self.steps if step.ref and (step.entry.id or step.own_id)
        }
        for ref, version in (await self.services.store.read_many(SYSTEM, list(named))).items():
            named[ref].there = version
            if named[ref].own_id:
                told = f"nothing matches the condition, and {'/'.join(ref)} is taken"
                raise _Fault(Conflict(told, expression=(named[ref].entry.where("request.url"),)))

    async def _find(self, step: _Step, made: dict[str, Ref]) -> None:
        entry = step.entry
        if entry.method == "POST" and entry.if_none_exist is None:
            step.ref = (entry.type, self.services.new_id())
        elif entry.id is not None:
            step.ref = (entry.type, entry.id)
        else:
            await self._find_by_condition(step, made)

    async def _find_by_condition(self, step: _Step, made: dict[str, Ref]) -> None:
        entry, services = step.entry, self.services
        create = entry.method == "POST"
        where = entry.where("request.ifNoneExist" if create else "request.url")
        pairs = (entry.if_none_exist or ()) if create else entry.pairs
        wanted = condition(services, self.access, entry.type, pairs, where=where)
        found = await conditional.found_by(services, self.access, wanted)
        there = conditional.demand_one_at_most(wanted, found)
        self.expect[wanted.claim] = wanted.expect(found)
        step.there = there
        if there is not None:
            step.ref, step.unchanged = (there.type, there.id), create
        elif create:
            # The same condition twice: the second entry means what the first one makes.
            step.unchanged = wanted.claim in made
            step.ref = made.setdefault(wanted.claim, (entry.type, services.new_id()))
        elif entry.method == "PUT":
            rights.demand(self.access, "create", entry.type)
            own_id = entry.resource.get("id")
            step.own_id = own_id is not None
            if step.own_id and rights.limited(self.access, "update", entry.type):
                # As elsewhere: that an id is taken would tell that it is there.
                raise rights.not_found(entry.type, own_id)
            step.ref = (entry.type, own_id or services.new_id())
        elif entry.method == "PATCH":
            raise NotFound(f"no {entry.type} matches the condition")

    def _refuse_overlaps(self) -> None:
        seen: dict[Ref, Entry] = {}
        for step in self.steps:
            if step.ref is None or step.unchanged:
                continue
            first = seen.setdefault(step.ref, step.entry)
            if first is not step.entry:
                told = f"entry {first.index} writes {'/'.join(step.ref)} as well"
                where = (step.entry.where("request.url"),)
                raise _Fault(InvalidRequest(told, expression=where))

    def _map_full_urls(self) -> None:
        """Map what the entries call a resource to its name here (R4 bundle.html#references)."""
        for step in self.steps:
            url = step.entry.full_url
            if url is None or step.ref is None or step.entry.method == "DELETE":
                continue
            name = "/".join(step.ref)
            self.mapping[url] = name
            self.binaries = self.binaries or step.ref[0] == "Binary"
            if parts := entries.full_url_parts(url):
                self.relative.setdefault(parts[0], {})[f"{parts[1]}/{parts[2]}"] = name

    async def refer(self) -> None:
        """Resolve the conditional references of all resources to be written, or name each fault."""
        faults: list[FhirError] = []
        failed: dict[str, FhirError] = {}
        for at, step in enumerate(self.steps if self.may_have_conditions else ()):
            if step.unchanged or step.entry.method in ("DELETE", "PATCH"):
                continue
            root = step.entry.where("resource")
            base_url = self.services.base_url
            resource = step.entry.resource
            for where, text in entries.conditional_references(base_url, resource, root):
                if known := failed.get(text):
                    faults.append(type(known)(known.diagnostics, expression=(where,)))
                elif text not in self.mapping:
                    try:
                        self.mapping[text] = await self._resolved(where, text)
                    except FhirError as error:
                        failed[text] = error
                        faults.append(error)
            if at % _BREATH == 0:
                await anyio.lowlevel.checkpoint()
        if faults:
            raise _Fault(*faults)

    async def _resolved(self, where: str, text: str) -> str:
        reference = split_reference(text, self.services.base_url)
        _, pairs = entries.split_url("", f"?{reference.query}")
        try:
            wanted = condition(self.services, self.access, reference.type or "", pairs, where=where)
        except FhirError as error:
            raise type(error)(error.diagnostics, expression=(where,)) from error
        found = await conditional.found_by(self.services, self.access, wanted)
        written = {step.ref for step in self.steps if step.ref is not None and not step.unchanged}
        hits = {(v.type, v.id) for v in found} - written
        hits |= self._matching_here(wanted)
        self.expect[wanted.claim] = wanted.expect(found)
        if len(hits) != 1:
            how_many = "nothing" if not hits else "more than one resource"
            told = f"{text[:_TOLD_CHARS]} matches {how_many}"
            raise InvalidRequest(told, expression=(where,))
        return "/".join(hits.pop())

    def _matching_here(self, wanted: Condition) -> set[Ref]:
        """Return which resources that this transaction writes will match."""
        base_url, now = self.services.base_url, self.services.now()
        found = set()
        for step in self.steps:
            entry = step.entry
            if step.ref is None or step.unchanged or entry.method not in ("POST", "PUT"):
                continue
            if step.ref[0] != wanted.type:
                continue
            resource = {**entry.resource, "id": step.ref[1]}
            rows = extract.index_rows(resource, base_url, catalog=self.services.catalog)
            if matches(wanted.query, resource, rows, updated=now):
                found.add(step.ref)
        return found

    async def prepare(self) -> None:
        """Make the writes, in the order of R4 http.html#trules."""
        await self._rewrite()
        new = [step.ref for step in self.steps if step.ref in self.beside and _is_created(step)]
        self.known = await labelling.read_ahead(self.services, self.access, self.beside, new)
        order = sorted(range(len(self.steps)), key=lambda i: _ORDER[self.steps[i].entry.method])
        for at, index in enumerate(order):
            step = self.steps[index]
            if not step.unchanged:
                made = await self._guarded(step, self._write(step))
                if made is not None:
                    self.writes.append((index, made))
            if at % _BREATH == 0:
                await anyio.lowlevel.checkpoint()

    async def _rewrite(self) -> None:
        """Put the final references into what is to be written."""
        for at, step in enumerate(self.steps):
            if step.ref and not step.unchanged and step.entry.method in ("POST", "PUT"):
                self.beside[step.ref] = self._rewritten(step.entry, step.entry.resource)
            if at % _BREATH == 0:
                await anyio.lowlevel.checkpoint()

    async def _write(self, step: _Step) -> Write | None:
        entry, there, services, access = step.entry, step.there, self.services, self.access
        if step.ref is None:
            return None
        limited = entry.id is not None and rights.limited(access, _NEEDS[entry.method], entry.type)
        if there is None and entry.if_match is not None and not limited:
            raise VersionConflict(f"{'/'.join(step.ref)} is not there, ifMatch names a version")
        if entry.method == "DELETE":
            return await write.plan_delete(
                services, access, *step.ref, there, if_match=entry.if_match
            )
        if entry.method == "PATCH":
            return await self._patch(step)
        resource, beside, known = self.beside[step.ref], self.beside, self.known
        if _is_created(step):
            return await write.plan_create(
                services, access, resource, step.ref[1], beside=beside, known=known
            )
        if entry.id is None and there is not None:
            resource = conditional.with_id_of(resource, there)
        return await write.plan_update(
            services, access, resource, there, if_match=entry.if_match, beside=beside, known=known
        )

    async def _patch(self, step: _Step) -> Write:
        entry, there = step.entry, step.there
        rights.demand(self.access, "read", entry.type)
        if there is not None and rights.limited(self.access, "read", entry.type):
            there = await self.services.store.read(self.access, there.type, there.id)
        if there is None or there.body is None:
            raise rights.not_found(*(step.ref or (entry.type, "")))
        sent = patch_entry.operations(entry)
        patch = replace(sent, operations=self._rewritten(entry, sent.operations))
        return await plan_patch(self.services, self.access, there, patch, if_match=entry.if_match)

    def _rewritten(self, entry: Entry, value: Any) -> Any:
        """Relative references count from the root of the entry's own full URL."""
        if not self.mapping:
            return value
        parts = entries.full_url_parts(entry.full_url) if entry.full_url else None
        beside = self.relative.get(parts[0]) if parts else None
        if parts is None or beside is None:
            return rewritten(value, self.mapping, binaries=self.binaries)
        if parts[0] not in self.merged:
            self.merged[parts[0]] = {**self.mapping, **beside}
        return rewritten(value, self.merged[parts[0]], binaries=self.binaries)

    async def commit(self) -> dict[int, Written]:
        """Commit once; nothing was written before, nothing can fail behind it."""
        versions = await commit(
            self.services,
            self.access,
            [made for _, made in self.writes],
            expect=tuple(self.expect.values()),
            made_by=self.catalog,
        )
        stored = dict(zip((index for index, _ in self.writes), versions, strict=True))
        by_ref = {(version.type, version.id): version for version in versions}
        return {
            step.entry.index: self._written(step, stored.get(index), by_ref)
            for index, step in enumerate(self.steps)
        }

    def _written(self, step: _Step, version: Version | None, by_ref: dict[Ref, Version]) -> Written:
        if step.unchanged:
            there = step.there or by_ref.get(step.ref or ("", ""))
            return Written(there, changed=False)
        return Written(version, created=step.there is None and version is not None)

    async def _guarded(self, step: _Step, work: Any) -> Any:
        """Await; a failure names its entry and ends the transaction for good."""
        try:
            return await work
        except FhirError as error:
            element = "resource" if step.entry.method in ("POST", "PUT") else ""
            raise _Fault(placed(error, step.entry, element)) from error
