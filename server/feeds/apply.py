"""Apply a plan: find, merge, check, and commit everything at once.

One commit holds the new versions, their Provenance, the message's new state, what the feed said
(ownership), and the outbox row; so a message is applied wholly, or not at all, and once.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from mappings.feed import Feed
from mappings.plan import Plan, PlannedResource
from server.access.context import SYSTEM
from server.feeds import merge, ownership
from server.feeds.audit import audit_events, in_their_compartment, labelled
from server.feeds.identity import PLAN, Resolution, Target
from server.feeds.inbox import Entry, explain_write
from server.feeds.ownership import OWNED, Ownership
from server.feeds.provenance import provenance
from server.feeds.refused import RefusedMessage
from server.fhir.errors import Conflict, VersionConflict
from server.fhir.references import rewrite
from server.interactions import labelling
from server.interactions.concerned import patients_in
from server.interactions.labelling import Ref
from server.interactions.prepare import to_write
from server.interactions.services import Services
from server.search import extract
from server.store.port import CommitConflict, Expect, OutboxWrite, RecordWrite, Write
from server.validation import validate

TRIES = 20  # plans; each failed one means that somebody else's commit came first
OUTBOX_TOPIC = "feed"


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


async def apply(
    services: Services,
    entry: Entry,
    plan: Plan,
    feed: Feed,
    *,
    finish: Callable[[Entry], Entry],
    also: Callable[[Entry], list[RecordWrite]] = lambda _entry: [],
) -> Entry:
    """Apply the plan and return the message as it is now stored.

    Args:
        finish: puts the acknowledgement into the finished message.
        also: further records for the same commit.

    Raises:
        RefusedMessage: it belongs in quarantine; nothing was written.
        Conflict: others' commits came first :data:`TRIES` times; nothing was written.
        StoreUnavailable, DeadlineExceeded: try again later; nothing was written.
    """
    for attempt in range(TRIES):
        prepared = await prepare(services, entry, plan, feed)
        done = finish(_finished(services, entry, plan, prepared))
        try:
            await _commit(services, entry, done, plan, prepared, also(done))
        except (CommitConflict, VersionConflict):
            await asyncio.sleep(random.random() * 0.002 * attempt)  # noqa: S311 - only a pause
            continue
        return replace(done, rev=entry.rev + 1)
    raise Conflict(f"the record changed under this message {TRIES} times")


def _finished(services: Services, entry: Entry, plan: Plan, prepared: Prepared) -> Entry:
    return replace(
        entry,
        state="applied",
        reason="",
        problem="",
        issues=(),
        warnings=prepared.warnings,
        unmapped=tuple(f"{row.table} {row.code}" for row in plan.unmapped),
        produced=prepared.produced,
        map_version=plan.map_version,
        attempts=entry.attempts + 1,
        updated=services.now(),
    )


async def _commit(
    services: Services,
    entry: Entry,
    done: Entry,
    plan: Plan,
    prepared: Prepared,
    also: list[RecordWrite],
) -> None:
    beside = {_ref(one): one.resource for one in prepared.changed if one.resource is not None}
    known = {_ref(one): one.target.resource for one in (*prepared.changed, *prepared.unchanged)}
    writes = [await _write(services, working, beside, known) for working in prepared.changed]
    if writes:
        made = provenance(
            services.new_id(),
            entry,
            prepared.produced,
            recorded=services.now(),
            map_version=plan.map_version,
        )
        told_of = to_write(
            labelled(made, writes),
            base_url=services.base_url,
            method="POST",
            must_be_new=True,
            catalog=services.catalog,
        )
        told = audit_events(services, entry, writes, prepared.produced)
        writes += [in_their_compartment(told_of, writes), *told]
    records = [done.write(), explain_write(done, plan), *also]
    for working in (*prepared.changed, *prepared.unchanged):
        records += working.records()
    outbox = [_outbox_row(done)] if writes else []
    await services.store.commit(
        writes, expect=_distinct(prepared.expects), records=records, outbox=outbox
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
    made = [(planned, rewrite(planned.values, references)) for planned in plan.resources]
    return [p if values is p.values else replace(p, values=values) for p, values in made]


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


def _distinct(expects: tuple[Expect, ...]) -> list[Expect]:
    return list({expect.claim: expect for expect in expects}.values())


def _outbox_row(done: Entry) -> OutboxWrite:
    row = {"message": done.id, "feed": done.feed, "mode": done.mode, "written": done.produced}
    return OutboxWrite(OUTBOX_TOPIC, orjson.dumps(row))
