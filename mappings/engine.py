"""Run the rules of a map over one message and make the plan.  Pure and deterministic.

In order: which resources there will be, so that references can point ahead; their elements; their
identities; one resource where two are the same; what had to be dropped, and references to it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from mappings.draft import Draft, united
from mappings.feed import Feed
from mappings.memory import Memory
from mappings.parse import Message
from mappings.paths import Path
from mappings.plan import Identity, Plan, PlannedResource, QuarantineReason
from mappings.resource import ResourceRule, complete
from mappings.source import Run, Scope
from mappings.structure import Group
from mappings.tables import Table
from mappings.unread import Why, explain_unread

_ONCE = frozenset({"MSH", "EVN"})
_HEAD = (
    ("sending_application", 3),
    ("sending_facility", 4),
    ("message_time", 7),
    ("control_id", 10),
    ("processing_id", 11),
    ("version", 12),
)
_EVENT = (
    ("event_recorded", 2),
    ("event_reason", 4),
    ("operator", 5),
    ("event_occurred", 6),
    ("event_facility", 7),
)

_NOTHING_GONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class CompiledMap:
    """The rules for some message types; ``reads`` are the fields that any of them looks at."""

    name: str
    on: tuple[str, ...]
    rules: tuple[ResourceRule, ...]
    precedence: tuple[Path, ...]
    segments: frozenset[str]
    reads: Mapping[str, frozenset[int]]
    targets: Mapping[tuple[str, int], frozenset[str]]  # field -> elements that it reaches
    expected: Mapping[str, int]  # the bits of fields of each segment that need no explanation


class _Quarantine(Exception):
    def __init__(self, reason: str, problem: str) -> None:
        super().__init__(problem)
        self.reason = cast(QuarantineReason, reason)


def plan(
    map_: CompiledMap,
    message: Message,
    feed: Feed,
    tables: Mapping[str, Table],
    version: str,
    why: Why = lambda _code, _segment, _field: "",
    memory: Memory | None = None,
) -> Plan:
    """Return the plan; one that must not be applied says why in ``quarantine``.

    ``why`` gives the reason for which a field (0: a segment) is not mapped, for the explanation.
    ``memory`` is that of the load of maps and tables that ``map_`` and ``tables`` are of.
    """
    run = Run(message, feed, tables, memory)
    reason: QuarantineReason | None = None
    problem = ""
    planned: tuple[PlannedResource, ...] = ()
    drafts: list[Draft] = []
    try:
        drafts = _drafts(map_, run)
        explain_unread(run, map_.segments, map_.expected, why)
        planned = _planned(map_, run, drafts)
    except _Quarantine as found:
        reason, problem = found.reason, str(found)
    made = Plan(
        message_type=message.type,
        resources=planned,
        lane=_lane(drafts, feed),
        map_version=version,
        explain=run.explain,
        unmapped=tuple(run.unmapped),
        warnings=tuple(run.warnings),
        quarantine=reason,
        problem=problem,
        extra=_extra(message),
    )
    run.end()
    return made


def _extra(message: Message) -> dict[str, str]:
    made: dict[str, str] = {}
    for segment, names in ((message.segments[0], _HEAD), (message.first("EVN"), _EVENT)):
        if segment is None:
            continue
        fields = segment.fields
        for name, field in names:
            if field < len(fields) and fields[field] and (text := message.text_of(segment, field)):
                made[name] = text
    return made


# -- which resources ------------------------------------------------------------------------------


def _drafts(map_: CompiledMap, run: Run) -> list[Draft]:
    made: list[Draft] = []
    for rule in map_.rules:
        if rule.segment in run.segments:
            _instances(rule, run, made)
        elif rule.missing.startswith("patient"):
            raise _Quarantine(rule.missing, f"there is no {rule.segment}: {rule.type} is unknown")
    for draft in made:
        _fill(draft, run)
    made += [Draft(instance, None) for instance in run.made.values()]
    for draft in made:
        _identify(draft, run)
    return made


def _instances(rule: ResourceRule, run: Run, made: list[Draft]) -> None:
    """Add a draft for each segment that the rule speaks of, in each group for the first."""
    seen: Group | None = None
    for segment, group in run.segments[rule.segment]:
        if (rule.every or group is not seen) and not (
            rule.needs and not segment.sent & rule.needs  # quietly not made
        ):
            _instance(rule, Scope(run, segment, group), made)
        seen = group


def _instance(rule: ResourceRule, scope: Scope, made: list[Draft]) -> None:
    assert scope.segment is not None
    if rule.when is not None and not rule.when(scope):
        if not rule.quiet:
            scope.run.row(rule.type, scope.segment.label, f"not made: when {rule.when_text}")
        return
    made.append(Draft(scope.run.add(rule.type, scope), rule))
    for inner in rule.emit:
        _instance(inner, scope, made)


# -- what is in them ------------------------------------------------------------------------------


def _fill(draft: Draft, run: Run) -> None:
    rule, scope = draft.rule, draft.instance.scope
    assert rule is not None
    assert scope is not None
    run.nulls = set()
    values = draft.instance.values
    label = draft.label
    for entry in rule.live.among(scope):
        value = entry.rule(scope, label + entry.below)
        if value is None:
            continue
        if entry.merge:
            values |= value
        else:
            values[entry.name] = value
    if run.nulls:
        draft.nulls = run.nulls - values.keys()


def _identify(draft: Draft, run: Run) -> None:
    rule, scope = draft.rule, draft.instance.scope
    if rule is None:
        draft.any_of = tuple([(("identifier", token),) for token in draft.instance.tokens])
        return
    assert scope is not None
    found = rule.identity(scope, draft.instance.values, 1)
    if found is None:
        _unidentified(rule, draft, run)
        return
    if rule.numbered:
        number = run.numbers.get(found.any_of, 0) + 1
        run.numbers[found.any_of] = number
        if number > 1:
            again = rule.identity(scope, draft.instance.values, number)
            found = again if again is not None else found
    draft.any_of = found.any_of
    if found.derived is not None:
        draft.instance.values.setdefault("identifier", []).append(found.derived)
        run.row(f"{draft.label}.identifier", "", "derived identity", found.derived["value"])


def _unidentified(rule: ResourceRule, draft: Draft, run: Run) -> None:
    assert draft.instance.scope is not None
    assert draft.instance.scope.segment is not None
    where = draft.instance.scope.segment.label
    if rule.missing != "drop":
        raise _Quarantine(rule.missing, f"{rule.type} of {where} has no identity")
    run.dropped.add(draft.label)
    run.row(draft.label, where, "DROPPED: it has no identity")
    run.warnings.append(f"{rule.type} of {where} was not made: it has no identity")


# -- the plan -------------------------------------------------------------------------------------


def _planned(map_: CompiledMap, run: Run, drafts: list[Draft]) -> tuple[PlannedResource, ...]:
    kept = [draft for draft in drafts if draft.any_of]
    dropped = run.dropped
    kept, same = united(kept, run)
    if dropped or same:
        for draft in kept:
            draft.relink(dropped, same)
    for draft in kept:
        if draft.rule is not None:
            _complete(draft, draft.rule)
    return tuple([_resource(draft, map_, run) for draft in kept])


def _complete(draft: Draft, rule: ResourceRule) -> None:
    scope = draft.instance.scope
    assert scope is not None
    assert scope.segment is not None
    draft.filled, missing = complete(rule, scope, draft.label, draft.instance.values)
    if missing:
        where = f"{rule.type} of {scope.segment.label}"
        raise _Quarantine("required-missing", f"{where}: {missing} is required and was not sent")


def _resource(draft: Draft, map_: CompiledMap, run: Run) -> PlannedResource:
    rule, instance = draft.rule, draft.instance
    values, type_ = instance.values, instance.type
    touched = frozenset(values.keys() - draft.filled) if draft.filled else frozenset(values)
    identity = Identity(draft.any_of)
    whole = {"resourceType": type_, **values}
    if rule is None:
        return PlannedResource(
            draft.label, type_, whole, identity, touched, _NOTHING_GONE, None, "merge", True
        )
    choices = rule.rivals
    rivals: set[str] = set()
    if not choices.keys().isdisjoint(touched):
        rivals = {other for name in touched if name in choices for other in choices[name]}
    scope = instance.scope
    assert scope is not None
    return PlannedResource(
        draft.label,
        type_,
        whole,
        identity,
        touched,
        _deletes(rule, draft, rivals, run.event),
        _precedence(rule.precedence or map_.precedence, scope, run),
        rule.update_of(scope),
    )


def _deletes(rule: ResourceRule, draft: Draft, rivals: set[str], event: str) -> frozenset[str]:
    values = draft.instance.values
    gone = _NOTHING_GONE
    if rule.snapshot or draft.nulls or rivals:
        gone = (rule.snapshot | draft.nulls | rivals).difference(values, rule.required_names)
    for path in rule.clear.get(event, ()):
        name, _, inner = path.partition(".")
        if not inner or inner not in values.get(name, {}):
            gone |= {path}
    return gone


def _precedence(paths: tuple[Path, ...], scope: Scope, run: Run) -> int | None:
    """Return the first time of ``paths``; of those that stand once in a message, asked once."""
    key = id(paths)
    if key in run.precedence:
        return run.precedence[key]
    found = None
    for path in paths:
        if (text := path.text(scope)) and (found := run.moment(text)) is not None:
            break
    if all(path.segment in _ONCE for path in paths):
        run.precedence[key] = found
    return found


def _lane(drafts: list[Draft], feed: Feed) -> str:
    """The first patient's best identifier; its order is that of ``prefer``."""
    for draft in drafts:
        if draft.instance.type == "Patient" and draft.any_of:
            return draft.any_of[0][-1][1]
    return f"feed:{feed.name}"
