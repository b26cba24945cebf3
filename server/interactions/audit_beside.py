"""What is committed beside a client's writes: AuditEvents, and the Provenance of all of them.

A commit that concerns several patients has one of each for every patient, so that none of them
meets the others' resources in it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from server.access.context import AccessContext
from server.access.narrow import decide
from server.audit.audit_event import Event, audit_event
from server.audit.codes import LIFECYCLES
from server.audit.port import Action
from server.audit.provenance import Targets, provenance, sent
from server.fhir import json as fhir_json
from server.fhir.errors import FhirError, Forbidden, InvalidRequest
from server.interactions import rights
from server.interactions.concerned import labels_in, patients_in
from server.interactions.services import Searchable
from server.store.port import Write
from server.validation import check

HEADER = "X-Provenance"
MOST_ENTITIES = 500  # resources that one AuditEvent names; more make another one

_ALONE: dict[str, tuple[str, Action]] = {
    "POST": ("create", "C"),
    "PUT": ("update", "U"),
    "PATCH": ("patch", "U"),
    "DELETE": ("delete", "D"),
}
_ABOUT_THEMSELVES = frozenset(("AuditEvent", "Provenance"))


@dataclass(frozen=True, slots=True)
class _Share:
    """The writes of a commit that concern one patient, or (``None``) none."""

    patient: str | None
    writes: list[Write]

    @property
    def labels(self) -> tuple[str, ...]:
        found = [label for write in self.writes for label in labels_in(write.compartments)]
        return tuple(dict.fromkeys(found))


class Beside:
    """Makes them for one server."""

    def __init__(
        self,
        now: Callable[[], int],
        new_id: Callable[[], str],
        base_url: str,
        searchable: Searchable,
    ) -> None:
        self._now = now
        self._new_id = new_id
        self._base_url = base_url
        self._searchable = searchable

    def writes(self, access: AccessContext, writes: Sequence[Write]) -> list[Write]:
        """See :meth:`server.audit.port.Audit.beside`."""
        at = self._now()
        shares = _shares(writes)
        made = [
            audit_event(event, self._new_id(), self._base_url, self._searchable.catalog)
            for share in shares
            for event in _events(access, share, len(writes), at)
        ]
        given = self._given(access)
        for share in shares:
            told = [write for write in share.writes if write.type not in _ABOUT_THEMSELVES]
            if told:
                made.append(self._provenance(access, _Share(share.patient, told), given, at))
        return made

    def _provenance(
        self, access: AccessContext, share: _Share, given: dict[str, Any] | None, at: int
    ) -> Write:
        targets = Targets(
            tuple((f"{write.type}/{write.id}", number_of(write)) for write in share.writes),
            tuple(write.method for write in share.writes),
            (share.patient,) if share.patient is not None else (),
            share.labels,
        )
        id_, base_url, catalog = self._new_id(), self._base_url, self._searchable.catalog
        if given is None:
            return provenance(access, targets, id_, recorded=at, base_url=base_url, catalog=catalog)
        made = sent(given, targets, id_, base_url=base_url, catalog=catalog)
        keys = made.rows.keys if made.rows is not None else frozenset[int]()
        if not decide(access, "create", "Provenance", keys):
            raise Forbidden(f"this token does not allow the Provenance of {HEADER}")
        return made

    def _given(self, access: AccessContext) -> dict[str, Any] | None:
        """Return the Provenance that came with the request; its target is what is written."""
        if access.trace is None or access.trace.provenance is None:
            return None
        rights.demand(access, "create", "Provenance")
        try:
            read = fhir_json.loads(access.trace.provenance)
            if not isinstance(read, dict) or read.get("resourceType") != "Provenance":
                raise InvalidRequest("it is no Provenance")
            if "target" in read:
                raise InvalidRequest("its target is what the request writes, and is not sent")
            check({**read, "target": [{"reference": "Basic/x"}]})
        except FhirError as error:
            told = error.issues[0]
            where = f" ({', '.join(told.expression)})" if told.expression else ""
            raise InvalidRequest(
                f"{HEADER}: {told.diagnostics}{where}", expression=(HEADER,)
            ) from None
        rights.demand_own_word(access, read)
        return read


def number_of(write: Write) -> int:
    """Return the number of the version that a write makes; it must be known."""
    if write.must_be_new:
        return 1
    assert write.if_version is not None, "the version before is known when audit is told of it"
    return write.if_version + 1


def _shares(writes: Sequence[Write]) -> list[_Share]:
    found: dict[str | None, list[Write]] = {}
    for write in writes:
        for patient in patients_in(write.compartments) or (None,):
            found.setdefault(patient, []).append(write)
    return [_Share(patient, own) for patient, own in found.items()]


def _events(access: AccessContext, share: _Share, together: int, at: int) -> list[Event]:
    """Return one event, or several for very many resources."""
    methods = {write.method for write in share.writes}
    interaction, action = "transaction", "E"
    if together == 1 or methods == {"DELETE"}:
        interaction, action = _ALONE[share.writes[0].method]
    data = [
        (
            f"{write.type}/{write.id}/_history/{number_of(write)}",
            LIFECYCLES[write.method] if together > 1 else "",
        )
        for write in share.writes
    ]
    return [
        Event(
            at,
            action,
            interaction,
            access,
            share.patient,
            tuple(data[first : first + MOST_ENTITIES]),
            labels=share.labels,
        )
        for first in range(0, len(data), MOST_ENTITIES)
    ]
