"""What goes between the server and its makers (:mod:`.makers`): pickled tuples, length before them.

Only between a server and the processes that it started itself, through pipes that nobody else has.
Tuples, because data classes with slots take five times as long to pickle.
"""

import pickle
from dataclasses import replace
from typing import Any, NamedTuple

from mappings.feed import Feed, Mode
from mappings.plan import Identity, Plan, PlannedResource, Unmapped
from server.feeds.inbox import Entry, explained
from server.feeds.packed import PackedPlan
from server.feeds.refused import RefusedMessage
from server.feeds.unmapped import unmapped

HEADER_BYTES = 4
NUMBER_BYTES = 8
TO_PLAN, TO_MAKE, TO_BOTH = b"p", b"m", b"b"
"""What a question begins with; its number follows, with which its answer begins."""

About = tuple[str, str, int, str, str, Mode]
"""What making looks at of an :class:`Entry`."""


class Asked(NamedTuple):
    """A message that is to be made; explanation and unmapped codes of its plan stay behind."""

    entry: Entry
    plan: Plan
    feed: Feed


def question(kind: bytes, number: int, body: bytes) -> bytes:
    """Return the frame of a question of one of the kinds above."""
    return framed(kind + number.to_bytes(NUMBER_BYTES, "big") + body)


def framed(body: bytes) -> bytes:
    """Return the bytes with their length before them."""
    return len(body).to_bytes(HEADER_BYTES, "big") + body


class Frames:
    """Takes what comes through a pipe apart, in whatever pieces it comes."""

    def __init__(self) -> None:
        self._left = bytearray()

    def add(self, data: bytes) -> list[bytes]:
        """Return the frames that are complete now, without their lengths."""
        left, made, begin = self._left, list[bytes](), 0
        left += data
        while (body := begin + HEADER_BYTES) <= len(left):
            end = body + int.from_bytes(left[begin:body], "big")
            if end > len(left):
                break
            made.append(bytes(left[body:end]))
            begin = end
        del left[:begin]
        return made


def pack_asked(entry: Entry, plan: Plan, feed: bytes) -> bytes:
    """Return a message as bytes; ``feed`` is a pickled :class:`Feed`."""
    resources = plan.packed if isinstance(plan, PackedPlan) else _pack_resources(plan)
    told = plan.message_type, plan.lane, plan.map_version, plan.warnings, plan.extra
    return pickle.dumps((_about(entry), told, resources, feed), pickle.HIGHEST_PROTOCOL)


def _pack_resources(plan: Plan) -> bytes:
    resources = [
        (
            one.label,
            one.type,
            one.values,
            one.identity.any_of,
            one.touched,
            one.deletes,
            one.precedence,
            one.update,
            one.shared,
        )
        for one in plan.resources
    ]
    return pickle.dumps(resources, pickle.HIGHEST_PROTOCOL)


def read_asked(body: bytes, feeds: dict[bytes, Feed]) -> Asked:
    """Return a message that :func:`pack_asked` packed; ``feeds`` keeps those that came before."""
    about, told, resources, packed = pickle.loads(body)  # noqa: S301 - from who started us
    if packed not in feeds:
        feeds[packed] = pickle.loads(packed)  # noqa: S301
    type_, lane, map_version, warnings, extra = told
    return Asked(
        _entry(about),
        Plan(
            type_,
            _resources(resources),
            lane,
            map_version,
            warnings=warnings,
            extra=extra,
        ),
        feeds[packed],
    )


def _about(entry: Entry) -> About:
    return entry.id, entry.feed, entry.received, entry.sender, entry.type, entry.mode


def _entry(about: About) -> Entry:
    id_, feed, received, sender, message_type, mode = about
    return Entry(id_, feed, received, sender=sender, type=message_type, mode=mode)


def pack_body(version: str, feed: str, body: bytes, entry: Entry | None = None) -> bytes:
    """Return a message that is to be planned by the maps of ``version``, as bytes.

    ``entry``: how it stands in the inbox, when what it comes to is made at once.
    """
    about = _about(entry) if entry is not None else None
    return pickle.dumps((version, feed, body, about), pickle.HIGHEST_PROTOCOL)


def read_body(asked: bytes) -> tuple[str, str, bytes, Entry | None]:
    """Return what :func:`pack_body` packed."""
    version, feed, body, about = pickle.loads(asked)  # noqa: S301 - from who started us
    return version, feed, body, _entry(about) if about is not None else None


def pack_planned(plan: Plan | None, refused: RefusedMessage | None, ahead: bytes = b"") -> bytes:
    """Return what became of a message's planning as bytes, with what was made of it."""
    why = (refused.reason, refused.problem, refused.issues) if refused is not None else None
    if plan is None:
        return pickle.dumps((True, None, why), pickle.HIGHEST_PROTOCOL)
    patients = [(r.label, r.identity.any_of) for r in plan.resources if r.type == "Patient"]
    told = (
        plan.message_type,
        patients,
        plan.lane,
        plan.map_version,
        [(one.table, one.code, one.source) for one in unmapped(plan)],
        plan.warnings,
        plan.quarantine,
        plan.problem,
        plan.extra,
        _pack_resources(plan),
        len(plan.resources),
        explained(plan),
        ahead,
    )
    return pickle.dumps((True, told, why), pickle.HIGHEST_PROTOCOL)


def read_planned(body: bytes) -> tuple[Plan | None, RefusedMessage | None] | None:
    """Return what :func:`pack_planned` packed, ``None`` when planning failed."""
    done, told, *rest = pickle.loads(body)  # noqa: S301 - from a process that we started
    if not done:
        return None
    refused = RefusedMessage(*rest[0]) if rest[0] is not None else None
    if told is None:
        return None, refused
    type_, patients, lane, version, unmapped, warnings, quarantine, problem, extra, *packed = told
    named = tuple(
        PlannedResource(label, "Patient", {}, Identity(any_of), frozenset())
        for label, any_of in patients
    )
    plan = PackedPlan(
        type_,
        named,
        lane,
        version,
        (),
        tuple(Unmapped(*one) for one in unmapped),
        warnings,
        quarantine,
        problem,
        extra,
        *packed,
    )
    return plan, refused


def unpacked(plan: Plan) -> Plan:
    """Return a plan with all of its resources; what explains them stays packed."""
    if not isinstance(plan, PackedPlan):
        return plan
    return replace(plan, resources=_resources(plan.packed))


def _resources(packed: bytes) -> tuple[PlannedResource, ...]:
    rows = pickle.loads(packed)  # noqa: S301 - of one of our processes
    return tuple(_planned(one) for one in rows)


def _planned(row: tuple[Any, ...]) -> PlannedResource:
    label, type_, values, any_of, touched, deletes, precedence, update, shared = row
    return PlannedResource(
        label,
        type_,
        values,
        Identity(any_of),
        touched,
        deletes,
        precedence,
        update,
        shared,
    )
