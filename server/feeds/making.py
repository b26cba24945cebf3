"""Find what a plan is about, merge, check, and make what is to be committed; nothing is written.

What comes out is data, so that it can be made in another process (:mod:`server.feeds.makers`).
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mappings.feed import Feed
from mappings.plan import Plan, PlannedResource
from server.access.context import SYSTEM
from server.feeds import merge, ownership
from server.feeds.identity import PLAN, Resolution, Target
from server.feeds.inbox import Entry
from server.feeds.merged import without_itself
from server.feeds.ownership import OWNED, Ownership
from server.feeds.provenance_write import provenance_write
from server.feeds.refused import RefusedMessage
from server.fhir.references import rewrite
from server.interactions import labelling
from server.interactions.concerned import patients_in
from server.interactions.labelling import Ref
from server.interactions.prepare import to_write
from server.interactions.services import Services
from server.search import extract
from server.store.port import Expect, RecordWrite, Write
from server.validation import validate


@dataclass(slots=True)
class Working:
    """One resource while the plan's words about it are merged, one after the other."""

    target: Target
    resource: dict[str, Any] | None
    owned: Ownership = field(default_factory=dict)
    rev: int = 0
    stored: bytes = b""  # the ownership record as it is
    changed: bool = False
    settled: bool = True  # it exists, and the message agrees with it: nothing is merged

    @property
    def next_version(self) -> str:
        """The version that a write will make: ``Patient/x/_history/2``."""
        version = self.target.version
        return f"{self.target.reference}/_history/{version.number + 1 if version else 1}"

    def say(self, planned: PlannedResource, feed: str, at: int) -> tuple[str, ...]:
        """Merge one planned resource in; return the warnings."""
        if self.resource is not None and self.settled:
            return ()
        if self.resource is None:
            self.settled = False
            done = merge.create(self.target.id, planned, feed, at)
        else:
            version = self.target.version
            edited = version.at if version is not None else 0
            done = merge.merge(self.resource, edited, self.owned, planned, feed, at)
        self.owned = done.owned
        self.resource = done.resource
        self.changed = self.changed or done.changed
        return done.warnings

    def records(self) -> list[RecordWrite]:
        """Return the ownership record, when it has changed."""
        if self.settled:
            return []
        value = ownership.dump(self.owned)
        if value == self.stored:
            return []
        return [RecordWrite(OWNED, self.target.reference, value, if_rev=self.rev)]


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a plan comes to against the record of this moment; nothing is written yet."""

    changed: tuple[Working, ...]
    unchanged: tuple[Working, ...]
    expects: tuple[Expect, ...]
    warnings: tuple[str, ...]

    @property
    def produced(self) -> tuple[str, ...]:
        """The versions that the commit will make."""
        return tuple(working.next_version for working in self.changed)


async def prepare(services: Services, entry: Entry, plan: Plan, feed: Feed) -> Prepared:
    """Find and merge, without writing.

    Raises:
        RefusedMessage: the message belongs in quarantine.
        StoreUnavailable, DeadlineExceeded: the record could not be searched now.
    """
    found = Resolution(services, feed)
    await found.resolve(plan)
    final = [
        planned
        for planned in _with_references(plan, found.references)
        if planned.label not in found.nothing_to_merge
    ]
    if found.nothing_to_merge:
        own = {label: target.reference for label, target in found.targets.items()}
        final = [without_itself(planned, own[planned.label]) for planned in final]
    work = await _working(services, found, final)
    warnings = [*plan.warnings]
    for planned in final:
        at, warning = merge.precedence(planned.precedence, entry.received)
        warnings += [f"{planned.label}: {warning}"] if warning else []
        told = work[found.targets[planned.label].reference].say(planned, feed.name, at)
        warnings += told
    changed = tuple(working for working in work.values() if working.changed)
    _check(changed)
    return Prepared(
        changed,
        tuple(working for working in work.values() if not working.changed),
        tuple(expect for working in changed for expect in working.target.expects),
        tuple(dict.fromkeys(warnings)),
    )


@dataclass(frozen=True, slots=True)
class Made:
    """What a message comes to against the record of this moment, ready to be committed.

    ``writes`` are the resources, ``produced`` their versions (``Patient/x/_history/2``),
    ``provenance`` tells of them (``None`` where nothing changed), ``records`` what the feed said.
    """

    writes: tuple[Write, ...]
    produced: tuple[str, ...]
    provenance: Write | None
    expects: tuple[Expect, ...]
    records: tuple[RecordWrite, ...]
    warnings: tuple[str, ...]


Maker = Callable[[Services, Entry, Plan, Feed], Awaitable[Made]]


async def make(services: Services, entry: Entry, plan: Plan, feed: Feed) -> Made:
    """Return what the message comes to.

    Raises:
        As :func:`prepare`.
    """
    prepared = await prepare(services, entry, plan, feed)
    beside = {_ref(one): one.resource for one in prepared.changed if one.resource is not None}
    known = {_ref(one): one.target.resource for one in (*prepared.changed, *prepared.unchanged)}
    writes = [await _write(services, working, beside, known) for working in prepared.changed]
    touched = (*prepared.changed, *prepared.unchanged)
    return Made(
        tuple(writes),
        prepared.produced,
        provenance_write(services, entry, prepared.produced, writes, plan.map_version)
        if writes
        else None,
        tuple({expect.claim: expect for expect in prepared.expects}.values()),
        tuple(record for working in touched for record in working.records()),
        prepared.warnings,
    )


def _ref(working: Working) -> Ref:
    type_, _, id_ = working.target.reference.partition("/")
    return type_, id_


async def _write(
    services: Services,
    working: Working,
    beside: Mapping[Ref, dict[str, Any]],
    known: Mapping[Ref, dict[str, Any] | None],
) -> Write:
    version = working.target.version
    assert working.resource is not None
    made = to_write(
        await labelling.labelled(
            services, SYSTEM, working.resource, version, beside=beside, known=known
        ),
        base_url=services.base_url,
        method="POST" if version is None else "PUT",
        if_version=version.number if version is not None else None,
        must_be_new=version is None,
        catalog=services.catalog,
    )
    if made.body is not None and f'"reference":"{PLAN}'.encode() in made.body.tail:
        raise RefusedMessage(
            "map-error", f"the map makes {working.target.type} refer to what it does not make"
        )
    return made


def _with_references(plan: Plan, references: Mapping[str, str]) -> list[PlannedResource]:
    """Return what is planned, with the final references in it."""
    return [with_values(planned, rewrite(planned.values, references)) for planned in plan.resources]


def with_values(one: PlannedResource, values: dict[str, Any]) -> PlannedResource:
    """Return a planned resource with other values; ``dataclasses.replace`` takes three times."""
    if values is one.values:
        return one
    return PlannedResource(
        one.label,
        one.type,
        values,
        one.identity,
        one.touched,
        one.deletes,
        one.precedence,
        one.update,
        one.shared,
    )


async def _working(
    services: Services, found: Resolution, final: Sequence[PlannedResource]
) -> dict[str, Working]:
    """Return the resources to merge into; who said what is read only where something is new."""
    work: dict[str, Working] = {}
    for planned in final:
        target = found.targets[planned.label]
        ref = target.reference
        working = work.setdefault(ref, Working(target, target.resource))
        if target.resource is None or not working.settled or merge.agrees(target.resource, planned):
            continue
        working.settled = False
        record = await services.store.get_record(OWNED, ref)  # a point read, made in place
        if record is None:
            _demand_same_patient(services, planned, target)
        else:
            working.owned = ownership.load(record.value)
            working.rev, working.stored = record.rev, record.value
    return work


def _demand_same_patient(services: Services, planned: PlannedResource, target: Target) -> None:
    """Refuse what no feed ever wrote, when it is in another patient's record.

    Its identifier is what somebody put there by the API: a patient's app, say.  To take it for the
    matter of the message would put one patient's result into the record of another.
    """
    said = {"resourceType": planned.type, **planned.values}
    ours, theirs = (
        set(patients_in(extract.compartments(one, services.base_url, catalog=services.catalog)))
        for one in (said, target.resource or said)
    )
    if planned.type != "Patient" and ours and theirs and ours.isdisjoint(theirs):
        raise RefusedMessage(
            "identity-conflict",
            f"{planned.label} has an identifier of {target.reference}, which is of another patient "
            "and was written by no feed",
        )


def _check(changed: tuple[Working, ...]) -> None:
    """Refuse the message when one of its resources would not be valid R4."""
    issues = [
        f"{working.target.type}: {issue.diagnostics} ({', '.join(issue.expression)})"
        for working in changed
        for issue in validate(working.resource)
        if issue.severity in ("error", "fatal")
    ]
    if issues:
        raise RefusedMessage("invalid-resource", issues[0], issues)
