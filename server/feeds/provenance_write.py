"""The write of a message's Provenance, of which nearly everything is equal for all of one sender.

That, a :class:`_Frame`, is made once by the generic walk and kept; targets, time and the message's
id are put between.  A test holds body and rows equal to those of the generic walk.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from server.feeds.audit import in_their_compartment, labelled
from server.feeds.inbox import Entry
from server.feeds.provenance import MESSAGE_SYSTEM, message_name, provenance
from server.fhir import json as fhir_json
from server.fhir.dates import instant_text
from server.interactions.concerned import labels_in, patients_in
from server.interactions.prepare import to_write
from server.interactions.services import Services
from server.search import extract
from server.search.reference import compartment_hash
from server.search.rows import LONGEST_KEPT, IndexRows, hash64, param_hash
from server.search.token import token_keys
from server.store.port import Body, Write

_MILLISECOND = 1000


def provenance_write(
    services: Services,
    entry: Entry,
    produced: Sequence[str],
    writes: Sequence[Write],
    map_version: str,
) -> Write:
    """Return the write of the Provenance of ``writes``, which make the versions ``produced``."""
    id_, now = services.new_id(), services.now()
    if _is_unusual(services, entry, writes):
        return _generic(services, entry, produced, writes, map_version, id_, now)
    frame = _frame(entry.feed, entry.sender, entry.type, map_version, services.base_url)
    recorded = now - now % _MILLISECOND
    keys = [hash64(tail) for tail in _entity_keys(entry.id)]
    references: dict[tuple[int, int], None] = {}
    own = set()
    for version in produced:
        local = version.partition("/_history/")[0]
        target = hash64(local)
        keys += (hash64(f"Provenance|target|v|{version}"), _TARGET ^ target)
        references[_TARGET, target] = None
        if local.startswith("Patient/"):
            keys += (hash64(f"Provenance|patient|v|{version}"), _PATIENT ^ target, _PATIENT_THERE)
            references[_PATIENT, target] = None
            own.add(local)
    patients = {one for write in writes for one in patients_in(write.compartments)}
    own |= patients if len(patients) == 1 else set()
    keys += map(compartment_hash, own)
    rows = IndexRows(
        frame.rows.keys.union(keys),
        recorded,
        dates=((_RECORDED, recorded, recorded + _MILLISECOND),),
        texts=frame.rows.texts,
        references=tuple(references),
        content=frame.rows.content,
    )
    tail = b'},"target":[%b],"recorded":"%b"%b%b%b' % (
        b",".join([b'{"reference":"%b"}' % version.encode() for version in produced]),
        instant_text(recorded).encode(),
        frame.before,
        fhir_json.dumps(message_name(entry.id)),
        frame.behind,
    )
    head = b'{"resourceType":"Provenance","id":"%b","meta":{' % id_.encode()
    return Write(
        "Provenance", id_, Body(head, tail), rows, tuple(sorted(own)), "POST", must_be_new=True
    )


def _is_unusual(services: Services, entry: Entry, writes: Sequence[Write]) -> bool:
    """Tell whether there is more to a Provenance than its frame and its targets."""
    if services.catalog.custom or entry.mode != "live":
        return True
    if len(entry.sender) + len(entry.type) > LONGEST_KEPT:
        return True
    return any(labels_in(write.compartments) for write in writes)


def _generic(
    services: Services,
    entry: Entry,
    produced: Sequence[str],
    writes: Sequence[Write],
    map_version: str,
    id_: str,
    now: int,
) -> Write:
    made = provenance(id_, entry, produced, recorded=now, map_version=map_version)
    told_of = to_write(
        labelled(made, writes),
        base_url=services.base_url,
        method="POST",
        must_be_new=True,
        catalog=services.catalog,
    )
    return in_their_compartment(told_of, writes)


@dataclass(frozen=True, slots=True)
class _Frame:
    """Rows without targets, time and message; the bytes before and behind the message's name."""

    rows: IndexRows
    before: bytes
    behind: bytes


@lru_cache(maxsize=1024)
def _frame(feed: str, sender: str, type_: str, map_version: str, base_url: str) -> _Frame:
    entry = Entry(_NO_MESSAGE, feed, 0, sender=sender, type=type_)
    made = provenance("x", entry, (), recorded=0, map_version=map_version)
    rest = {k: v for k, v in made.items() if k not in ("resourceType", "id", "target", "recorded")}
    name = fhir_json.dumps(message_name(_NO_MESSAGE))
    before, _, behind = (b"," + fhir_json.dumps(rest)[1:]).partition(name)
    rows, _ = extract.indexed({"resourceType": "Provenance", **rest}, base_url)
    keys = rows.keys.difference(map(hash64, _entity_keys(_NO_MESSAGE)))
    return _Frame(replace(rows, keys=keys | {_TARGET_THERE, _RECORDED_THERE}), before, behind)


def _entity_keys(message: str) -> list[str]:
    """Return the keys of the message that only it has."""
    tails = token_keys(MESSAGE_SYSTEM, message_name(message))
    return [f"Provenance|entity|n|{tail}" for tail in tails if not tail.startswith("y|")]


_NO_MESSAGE = "00000000-0000-0000-0000-000000000000"
_TARGET = param_hash("Provenance", "target")
_TARGET_THERE = hash64("Provenance|target|?")
_PATIENT = param_hash("Provenance", "patient")
_PATIENT_THERE = hash64("Provenance|patient|?")
_RECORDED = param_hash("Provenance", "recorded")
_RECORDED_THERE = hash64("Provenance|recorded|?")
