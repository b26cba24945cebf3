"""What was done -> AuditEvent, as IHE BALP shapes it.  R4 auditevent.html.

An AuditEvent is made for every read, so it is made fast: what is equal for all events of a caller
and kind, a :class:`_Frame`, is made once and kept: its bytes, and its index rows by the generic
walk.  What differs is put between.  A test holds the rows equal to those of ``search.extract``.
"""

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

import orjson

from server.access.context import AccessContext
from server.audit import codes
from server.audit.codes import KINDS, LOGIN, SERVER, coding, concept
from server.fhir import definitions
from server.fhir.dates import instant_text
from server.search import extract, marks
from server.search.catalog import R4, Catalog
from server.search.rows import (
    Framed,
    IndexRows,
    compartment_key,
    hash64,
    label_mark,
    param_hash,
    whole,
)
from server.search.token import token_keys
from server.store.port import Body, Write

NOBODY = "-"  # principal and client of a caller who is not known

_REFERENCE = re.compile(r"([A-Z][A-Za-z]{2,})/([A-Za-z0-9\-.]{1,64})(?:/_history/([0-9]{1,15}))?")
_MILLISECOND = 1000


class Event(NamedTuple):
    """One AuditEvent to be made.

    ``patient`` is ``Patient/x``; ``data`` are (reference, lifecycle or ``""``); ``query`` the
    question as asked; ``labels`` are ``system|code``; ``at`` microseconds.
    """

    at: int
    action: str
    interaction: str
    access: AccessContext
    patient: str | None = None
    data: tuple[tuple[str, str], ...] = ()
    query: str | None = None
    labels: tuple[str, ...] = ()
    outcome: str = "0"
    why: str = ""


def audit_event(event: Event, id_: str, base_url: str, catalog: Catalog = R4) -> Write:
    """Return the write that keeps an event under a new id."""
    if _is_unusual(event) or catalog.custom:
        return _generic(event, id_, base_url, catalog)
    frame = _frame_of(event, base_url)
    recorded = event.at - event.at % _MILLISECOND
    entities, keys, references = _entities(event, frame)
    tail = b"".join(
        (
            b"}" if not event.labels else b',"security":%b}' % orjson.dumps(_labels(event.labels)),
            frame.before,
            instant_text(recorded).encode(),
            frame.between,
            b",".join(entities),
            b"]}" if entities else b"}",
        )
    )
    compartments = _compartments(event, frame)
    if event.labels:
        keys += [key for label in event.labels for key in _label_keys(label)]
    rows = _rows(event, frame, keys, references, compartments, recorded)
    body = Body(b'{"resourceType":"AuditEvent","id":"%b","meta":{' % id_.encode(), tail)
    return Write("AuditEvent", id_, body, rows, compartments, "POST", must_be_new=True)


def resource(event: Event, base_url: str) -> dict[str, Any]:
    """Return the AuditEvent as JSON objects, without an id."""
    made: dict[str, Any] = {"resourceType": "AuditEvent"}
    if event.labels:
        made["meta"] = {"security": _labels(event.labels)}
    made |= _head(event.interaction, event.action)
    made["recorded"] = instant_text(event.at)
    made["outcome"] = event.outcome
    if event.why:
        made["outcomeDesc"] = event.why
    trace = event.access.trace
    made |= _middle(
        event.interaction,
        event.access.principal,
        event.access.client,
        event.access.person,
        trace.address if trace is not None else "",
        trace.purpose if trace is not None else (),
        base_url,
    )
    if found := list(_entity_list(event)):
        made["entity"] = found
    return made


def _generic(event: Event, id_: str, base_url: str, catalog: Catalog) -> Write:
    made = resource(event, base_url)
    meta = made.pop("meta", {})
    rest = {name: value for name, value in made.items() if name != "resourceType"}
    whole = {"resourceType": "AuditEvent", "id": id_, "meta": meta, **rest}
    if not meta:
        del whole["meta"]
    rows, compartments = extract.indexed(whole, base_url, catalog=catalog)
    head = b'{"resourceType":"AuditEvent","id":"%b","meta":{' % id_.encode()
    kept = b"," + orjson.dumps(meta)[1:] if meta else b"}"
    tail = kept + b"," + orjson.dumps(rest)[1:]
    return Write("AuditEvent", id_, Body(head, tail), rows, compartments, "POST", must_be_new=True)


def _head(interaction: str, action: str) -> dict[str, Any]:
    kind = KINDS[interaction]
    return {"type": coding(kind.type), "subtype": [coding(kind.subtype)], "action": action}


def _middle(
    interaction: str,
    principal: str,
    client: str,
    person: str | None,
    address: str,
    purpose: tuple[str, ...],
    base_url: str,
) -> dict[str, Any]:
    """Return the agents and the source.  BALP: client, server, and the user where there is one."""
    kind = KINDS[interaction]
    user = None if principal in (NOBODY, f"client/{client}") else principal
    asking: dict[str, Any] = {"type": concept(kind.client)}
    if client != NOBODY:
        asking["who"] = {"identifier": {"value": client}}
    asking["requestor"] = user is None
    if address:
        asking["network"] = {"address": address, "type": "2"}
    agents = [
        asking,
        {
            "type": concept(kind.server),
            "who": {"identifier": {"value": SERVER}},
            "requestor": False,
            "network": {"address": base_url, "type": "5"},
        },
    ]
    if user is not None:
        who: dict[str, Any] = {"reference": person} if person else {}
        who["identifier"] = {"system": LOGIN, "value": user}
        acting: dict[str, Any] = {"type": concept(kind.user), "who": who, "requestor": True}
        if purpose:
            acting["purposeOfUse"] = [concept((codes.PURPOSE, code)) for code in purpose]
        agents.append(acting)
    return {"agent": agents, "source": {"observer": {"identifier": {"value": SERVER}}}}


_PATIENT: dict[str, Any] = {
    "type": coding((codes.ENTITY_TYPE, "1")),
    "role": coding((codes.OBJECT_ROLE, "1")),
}
_DATA: dict[str, Any] = {
    "type": coding((codes.ENTITY_TYPE, "2")),
    "role": coding((codes.OBJECT_ROLE, "4")),
}
_QUERY: dict[str, Any] = {
    "type": coding((codes.ENTITY_TYPE, "2")),
    "role": coding((codes.OBJECT_ROLE, "24")),
}
_REQUEST: dict[str, Any] = {"type": coding((codes.REQUEST_ID, "XrequestId"))}


def _entity_list(event: Event) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if event.patient is not None:
        found.append({"what": {"reference": event.patient}, **_PATIENT})
    for ref, lifecycle in event.data:
        what = {"reference": ref} if _is_reference(ref) else {"identifier": {"value": ref}}
        more = {"lifecycle": coding((codes.LIFECYCLE, lifecycle))} if lifecycle else {}
        found.append({"what": what, **_DATA, **more})
    if event.query is not None:
        found.append({**_QUERY, "query": b64encode(event.query.encode()).decode()})
    if event.access.trace is not None:
        request_id = event.access.trace.request_id
        found.append({"what": {"identifier": {"value": request_id}}, **_REQUEST})
    return found


@dataclass(frozen=True, slots=True)
class _Frame:
    """What is equal for all events of one caller, kind and outcome."""

    before: bytes
    between: bytes
    rows: IndexRows
    targets: frozenset[int]  # of its references
    compartments: tuple[str, ...]


def _frame_of(event: Event, base_url: str) -> _Frame:
    access, trace = event.access, event.access.trace
    return _frame(
        event.interaction,
        event.action,
        event.outcome,
        access.principal,
        access.client,
        access.person,
        trace.address if trace is not None else "",
        trace.purpose if trace is not None else (),
        base_url,
        event.patient is not None,
        bool(event.data),
        event.query is not None,
        trace is not None,
    )


@lru_cache(maxsize=4096)
def _frame(
    interaction: str,
    action: str,
    outcome: str,
    principal: str,
    client: str,
    person: str | None,
    address: str,
    purpose: tuple[str, ...],
    base_url: str,
    patient: bool,
    data: bool,
    query: bool,
    request: bool,
) -> _Frame:
    head = _head(interaction, action)
    middle = _middle(interaction, principal, client, person, address, purpose, base_url)
    listed = [
        one
        for one, there in ((_PATIENT, patient), (_DATA, data), (_QUERY, query), (_REQUEST, request))
        if there
    ]
    made = {
        "resourceType": "AuditEvent",
        **head,
        "recorded": instant_text(0),
        "outcome": outcome,
        **middle,
    }
    rows, compartments = extract.indexed({**made, "entity": listed} if listed else made, base_url)
    keys = rows.keys - frozenset(map(_compartment, compartments))
    if patient or data or request:
        keys |= {hash64("AuditEvent|entity|?")}
    if patient:
        keys |= {_PATIENT_PRESENT}
    before = b"," + orjson.dumps(head)[1:-1] + b',"recorded":"'
    between = b'",' + orjson.dumps({"outcome": outcome, **middle})[1:-1]
    if listed:
        between += b',"entity":['
    targets = frozenset(target for _, target in rows.references)
    return _Frame(before, between, replace(rows, keys=keys, dates=()), targets, compartments)


def _entities(event: Event, frame: _Frame) -> tuple[list[bytes], list[int], list[tuple[int, int]]]:
    """Return the entities of an event as JSON, their keys but those of references, and these."""
    made: list[bytes] = []
    keys: list[int] = []
    references: list[tuple[int, int]] = []
    if event.patient is not None:
        target = _named(event.patient)
        made.append(_PATIENT_JSON % event.patient.encode())
        references += ((_PATIENT_PARAM, target), (_ENTITY, target))
    for ref, lifecycle in event.data:
        if ":" in ref or not _is_reference(ref):
            made.append(_named_json(lifecycle) % orjson.dumps(ref))
            keys += _identified(ref)
            continue
        made.append(_data_json(lifecycle) % ref.encode())
        local = ref.partition("/_history/")[0]
        target = _named(local)
        references.append((_ENTITY, target))
        if local is not ref:
            keys.append(hash64(f"AuditEvent|entity|v|{ref}"))
        if ref.startswith("Patient/"):
            if _PATIENT_PRESENT not in frame.rows.keys:
                keys.append(_PATIENT_PRESENT)
            references.append((_PATIENT_PARAM, target))
            if local is not ref:
                keys.append(hash64(f"AuditEvent|patient|v|{ref}"))
    if event.query is not None:
        made.append(_QUERY_JSON % b64encode(event.query.encode()))
    if event.access.trace is not None:
        request_id = event.access.trace.request_id
        made.append(_REQUEST_JSON % orjson.dumps(request_id))
        keys += _identified(request_id)
    if references and frame.rows.references:
        references = [one for one in references if one not in frame.rows.references]
    return made, keys, references


def _rows(
    event: Event,
    frame: _Frame,
    keys: list[int],
    references: list[tuple[int, int]],
    compartments: tuple[str, ...],
    recorded: int,
) -> IndexRows | Framed:
    made = Framed(
        frame.rows,
        tuple(set(keys)),  # a caller's request id can be what it asked for
        tuple(dict.fromkeys(references)),  # a patient can be data as well
        frozenset(map(_compartment, compartments)),
        recorded,
        ((_DATE, recorded, recorded + _MILLISECOND),),
    )
    shared = frame.targets and not frame.targets.isdisjoint(map(itemgetter(1), references))
    return whole(made) if shared or event.labels or _PATIENT_PRESENT in keys else made


def _compartments(event: Event, frame: _Frame) -> tuple[str, ...]:
    found = [one.partition("/_history/")[0] for one, _ in event.data if one.startswith("Patient/")]
    if event.patient is not None:
        found.append(event.patient)
    if event.labels:
        found += map(label_mark, event.labels)
    return tuple(sorted({*frame.compartments, *found})) if found else frame.compartments


def _labels(labels: Sequence[str]) -> list[dict[str, str]]:
    """Return the Codings of ``system|code`` texts."""
    found = []
    for label in labels:
        system, _, code = label.rpartition("|")
        found.append({"system": system, "code": code} if system else {"code": code})
    return found


@lru_cache(maxsize=1024)
def _label_keys(label: str) -> tuple[int, ...]:
    system, _, code = label.rpartition("|")
    tails = [*token_keys(system or None, code), "?"]
    return tuple(hash64(f"AuditEvent|_security|{tail}") for tail in tails)


@lru_cache(maxsize=65536)
def _named(reference: str) -> int:
    return hash64(reference)


@lru_cache(maxsize=65536)
def _compartment(reference: str) -> int:
    return hash64(compartment_key(reference))


@lru_cache(maxsize=8)
def _data_json(lifecycle: str) -> bytes:
    more = {"lifecycle": coding((codes.LIFECYCLE, lifecycle))} if lifecycle else {}
    return b'{"what":{"reference":"%b"},' + orjson.dumps({**_DATA, **more})[1:]


@lru_cache(maxsize=8)
def _named_json(lifecycle: str) -> bytes:
    more = {"lifecycle": coding((codes.LIFECYCLE, lifecycle))} if lifecycle else {}
    return b'{"what":{"identifier":{"value":%b}},' + orjson.dumps({**_DATA, **more})[1:]


def _identified(value: str) -> tuple[int, int]:
    return hash64(f"AuditEvent|entity|n|c|{value}"), hash64(f"AuditEvent|entity|n|s||{value}")


def _is_unusual(event: Event) -> bool:
    """Tell whether an event has texts for people, or odd labels."""
    return bool(event.why) or not all(map(is_enforced, event.labels))


@lru_cache(maxsize=1024)
def is_enforced(label: str) -> bool:
    """Tell whether a label is one that access looks at, so that it is its own mark."""
    system, _, code = label.rpartition("|")
    known = code in marks.LEVELS if system == marks.CONFIDENTIALITY else bool(code)
    return system in marks.ENFORCED and known


def _is_reference(text: str) -> bool:
    found = _REFERENCE.fullmatch(text)
    return found is not None and found[1] in definitions.resource_types()


_ENTITY = param_hash("AuditEvent", "entity")
_PATIENT_PARAM = param_hash("AuditEvent", "patient")
_PATIENT_PRESENT = hash64("AuditEvent|patient|?")
_DATE = param_hash("AuditEvent", "date")
_PATIENT_JSON = b'{"what":{"reference":"%b"},' + orjson.dumps(_PATIENT)[1:]
_QUERY_JSON = b"{" + orjson.dumps(_QUERY)[1:-1] + b',"query":"%b"}'
_REQUEST_JSON = b'{"what":{"identifier":{"value":%b}},' + orjson.dumps(_REQUEST)[1:]
