"""Provenance of what a client wrote.  R4 provenance.html.

``target`` are exactly the versions written; the user is the author, the program acts on the user's
behalf.  A client that knows more sends a Provenance itself (``X-Provenance``).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import orjson

from server.access.context import AccessContext
from server.audit.audit_event import is_enforced
from server.audit.codes import LOGIN, concept
from server.fhir import json as fhir_json
from server.fhir.dates import instant_text
from server.search import extract
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

_PARTICIPANT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
_OPERATION = "http://terminology.hl7.org/CodeSystem/v3-DataOperation"
_OPERATIONS = {"POST": "CREATE", "PUT": "UPDATE", "PATCH": "UPDATE", "DELETE": "DELETE"}
_OF_STORE = ("versionId", "lastUpdated")
_MILLISECOND = 1000


@dataclass(frozen=True, slots=True)
class Targets:
    """What one Provenance is about.

    ``versions`` are (``Type/id``, number); ``compartments`` and ``labels`` those that they share:
    who may see the versions may see where they come from.  ``methods`` as of the writes.
    """

    versions: tuple[tuple[str, int], ...]
    methods: tuple[str, ...]
    compartments: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    @property
    def references(self) -> list[str]:
        """The versions as references."""
        return [f"{local}/_history/{number}" for local, number in self.versions]


def provenance(
    access: AccessContext,
    targets: Targets,
    id_: str,
    *,
    recorded: int,
    base_url: str,
    catalog: Catalog = R4,
) -> Write:
    """Return the write of the Provenance that the server makes itself."""
    if catalog.custom or not all(map(is_enforced, targets.labels)):
        made = resource(access, targets, recorded=recorded)
        return sent(made, targets, id_, base_url=base_url, catalog=catalog)
    operation = _operation(targets.methods)
    of_patient = any(local.startswith("Patient/") for local, _ in targets.versions)
    frame = _frame(access.principal, access.client, access.person, operation, base_url, of_patient)
    recorded -= recorded % _MILLISECOND
    keys: list[int] = []
    references: list[tuple[int, int]] = []
    texts: list[bytes] = []
    own = {*frame.compartments, *targets.compartments, *map(label_mark, targets.labels)}
    for local, number in targets.versions:
        version = f"{local}/_history/{number}"
        texts.append(b'{"reference":"%b"}' % version.encode())
        hashed = hash64(local)
        keys.append(hash64(f"Provenance|target|v|{version}"))
        references.append((_TARGET, hashed))
        if local.startswith("Patient/"):
            keys.append(hash64(f"Provenance|patient|v|{version}"))
            references.append((_PATIENT, hashed))
            own.add(local)
    for label in targets.labels:
        system, _, code = label.rpartition("|")
        tails = [*token_keys(system or None, code), "?"]
        keys += [hash64(f"Provenance|_security|{tail}") for tail in tails]
    security = b"}"
    if targets.labels:
        security = b',"security":%b}' % orjson.dumps(labels_of(targets.labels))
    tail = b'%b,"target":[%b],"recorded":"%b"%b' % (
        security,
        b",".join(texts),
        instant_text(recorded).encode(),
        frame.behind,
    )
    framed = Framed(
        frame.rows,
        tuple(keys),
        tuple(one for one in references if one not in frame.rows.references),
        frozenset(hash64(compartment_key(one)) for one in own),
        recorded,
        ((_RECORDED, recorded, recorded + _MILLISECOND),),
    )
    shared = frame.targets and not frame.targets.isdisjoint([target for _, target in references])
    rows = whole(framed) if shared or targets.labels else framed
    head = b'{"resourceType":"Provenance","id":"%b","meta":{' % id_.encode()
    return Write(
        "Provenance", id_, Body(head, tail), rows, tuple(sorted(own)), "POST", must_be_new=True
    )


def resource(access: AccessContext, targets: Targets, *, recorded: int) -> dict[str, Any]:
    """Return the Provenance as JSON objects, without an id."""
    return {
        "resourceType": "Provenance",
        "target": [{"reference": one} for one in targets.references],
        "recorded": instant_text(recorded),
        **_behind(access.principal, access.client, access.person, _operation(targets.methods)),
    }


def sent(
    made: dict[str, Any],
    targets: Targets,
    id_: str,
    *,
    base_url: str,
    catalog: Catalog = R4,
) -> Write:
    """Return the write of a Provenance (valid but for its target) that is about ``targets``."""
    meta = {k: v for k, v in made.get("meta", {}).items() if k not in _OF_STORE}
    there = [(one.get("system"), one.get("code")) for one in meta.get("security", ())]
    labels = labels_of(targets.labels)
    new = [one for one in labels if (one.get("system"), one["code"]) not in there]
    if new:
        meta["security"] = [*meta.get("security", ()), *new]
    rest = {k: v for k, v in made.items() if k not in ("resourceType", "id", "meta", "target")}
    rest = {"target": [{"reference": one} for one in targets.references], **rest}
    whole = {"resourceType": "Provenance", "id": id_, **({"meta": meta} if meta else {}), **rest}
    rows, found = extract.indexed(whole, base_url, catalog=catalog)
    rows, own = in_compartments(rows, found, targets.compartments)
    head = b'{"resourceType":"Provenance","id":"%b","meta":{' % id_.encode()
    tail = (b"," + fhir_json.dumps(meta)[1:]) if meta else b"}"
    return Write(
        "Provenance", id_, Body(head, tail + b"," + fhir_json.dumps(rest)[1:]), rows, own, "POST",
        must_be_new=True,
    )  # fmt: skip


def in_compartments(
    rows: IndexRows, found: Sequence[str], more: Sequence[str]
) -> tuple[IndexRows, tuple[str, ...]]:
    """Return rows and compartments of what also belongs to ``more`` of them."""
    own = tuple(sorted({*found, *more}))
    keys = rows.keys.union(hash64(compartment_key(one)) for one in more)
    return replace(rows, keys=keys), own


def labels_of(labels: Sequence[str]) -> list[dict[str, str]]:
    """Return the Codings of ``system|code`` texts."""
    found = []
    for label in labels:
        system, _, code = label.rpartition("|")
        found.append({"system": system, "code": code} if system else {"code": code})
    return found


@dataclass(frozen=True, slots=True)
class _Frame:
    """What is equal for all Provenances of one caller and operation."""

    behind: bytes
    rows: IndexRows
    targets: frozenset[int]  # of its references
    compartments: tuple[str, ...]


@lru_cache(maxsize=2048)
def _frame(
    principal: str,
    client: str,
    person: str | None,
    operation: str | None,
    base_url: str,
    of_patient: bool,
) -> _Frame:
    behind = _behind(principal, client, person, operation)
    made = {"resourceType": "Provenance", "recorded": instant_text(0), **behind}
    rows, compartments = extract.indexed(made, base_url)
    within = frozenset(hash64(compartment_key(one)) for one in compartments)
    there = {_TARGET_THERE, _PATIENT_THERE} if of_patient else {_TARGET_THERE}
    rows = replace(rows, keys=(rows.keys - within) | there, dates=())
    own = frozenset(target for _, target in rows.references)
    return _Frame(b"," + fhir_json.dumps(behind)[1:], rows, own, compartments)


def _behind(
    principal: str, client: str, person: str | None, operation: str | None
) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if operation is not None:
        made["activity"] = concept((_OPERATION, operation))
    program = {"identifier": {"value": client}}
    if principal == f"client/{client}":
        return {**made, "agent": [{"type": concept((_PARTICIPANT, "author")), "who": program}]}
    user: dict[str, Any] = {"reference": person} if person else {}
    user["identifier"] = {"system": LOGIN, "value": principal}
    made["agent"] = [
        {"type": concept((_PARTICIPANT, "author")), "who": user},
        {"type": concept((_PARTICIPANT, "assembler")), "who": program, "onBehalfOf": user},
    ]
    return made


def _operation(methods: Sequence[str]) -> str | None:
    """Return the code of v3-DataOperation; none when several things were done at once."""
    found = {_OPERATIONS[method] for method in methods}
    return found.pop() if len(found) == 1 else None


_TARGET = param_hash("Provenance", "target")
_PATIENT = param_hash("Provenance", "patient")
_PATIENT_THERE = hash64("Provenance|patient|?")
_TARGET_THERE = hash64("Provenance|target|?")
_RECORDED = param_hash("Provenance", "recorded")
