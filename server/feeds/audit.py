"""What audit is told of a message: an AuditEvent for each patient, in the commit of its writes.

The feed acts, the sending application sends; the entities are the raw message in the inbox and
what was written.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from server.access.context import AccessContext
from server.audit.audit_event import Event, audit_event
from server.audit.provenance import in_compartments, labels_of
from server.feeds.inbox import Entry
from server.interactions.concerned import labels_in, patients_in
from server.interactions.services import Services
from server.search.rows import whole
from server.store.port import Write


def audit_events(
    services: Services, entry: Entry, writes: Sequence[Write], produced: Sequence[str]
) -> list[Write]:
    """Return the AuditEvents of a message that wrote ``writes``, whose versions are ``produced``.

    None where nothing is audited.
    """
    if services.audit is None:
        return []
    sender = " ".join(entry.sender.replace("|", " ").split())
    access = AccessContext(f"feed/{entry.feed}", sender or entry.feed, ())
    at, message = services.now(), f"urn:uuid:{entry.id}"
    shares: dict[str | None, list[int]] = {}
    for n, write in enumerate(writes):
        for patient in patients_in(write.compartments) or (None,):
            shares.setdefault(patient, []).append(n)
    return [
        audit_event(
            Event(
                at,
                "C",
                "message",
                access,
                patient,
                ((message, ""), *((produced[n], "") for n in own)),
                labels=_labels([writes[n] for n in own]),
            ),
            services.new_id(),
            services.base_url,
            services.catalog,
        )
        for patient, own in shares.items()
    ]


def in_their_compartment(provenance: Write, writes: Sequence[Write]) -> Write:
    """Return the Provenance of ``writes`` as one that their patient may see.

    Of a message that concerns several patients it stays where R4 puts it: it names what is of each
    of them.
    """
    patients = tuple({one for write in writes for one in patients_in(write.compartments)})
    if len(patients) != 1 or provenance.rows is None:
        return provenance
    rows, own = in_compartments(whole(provenance.rows), provenance.compartments, patients)
    return replace(provenance, rows=rows, compartments=own)


def labelled(made: dict[str, Any], writes: Sequence[Write]) -> dict[str, Any]:
    """Return the Provenance with the labels of ``writes``: who may not see them sees no trace."""
    labels = labels_of(_labels(writes))
    return {**made, "meta": {**made.get("meta", {}), "security": labels}} if labels else made


def _labels(writes: Sequence[Write]) -> tuple[str, ...]:
    found = [label for write in writes for label in labels_in(write.compartments)]
    return tuple(dict.fromkeys(found))
