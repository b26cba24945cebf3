"""What was done beside the server, at the command line: told to audit by the server.

Only the server that has the data writes resources.  So whoever works beside it leaves word in the
commit of the change itself, and the server, when it runs, makes the AuditEvent of it: neither
without the other, and each once.
"""

from dataclasses import asdict, dataclass

from server.access.context import AccessContext
from server.audit.audit_event import Event, audit_event
from server.audit.port import Action
from server.fhir import json as fhir_json
from server.interactions.services import Services
from server.store.port import CommitConflict, Record, RecordWrite

KIND = "audit-later"
MOST = 100  # words of one commit
CLIENT = "command line"


@dataclass(frozen=True, slots=True)
class Word:
    """One thing that was done; members as of :class:`server.audit.port.Told`.

    ``principal`` is who did it, ``operator/NAME``.
    """

    at: int
    action: Action
    interaction: str
    principal: str
    entities: tuple[str, ...] = ()
    patient: str | None = None
    query: str | None = None
    labels: tuple[str, ...] = ()

    def left(self, id_: str) -> RecordWrite:
        """Return what keeps it until the server tells of it; ``id_`` is a new one."""
        return RecordWrite(KIND, f"{self.at:020}-{id_}", fhir_json.dumps(asdict(self)), if_rev=0)


async def tell(services: Services) -> int:
    """Make the AuditEvents of what was left; return how many."""
    told = 0
    while found := await services.store.find_records(KIND, limit=MOST):
        events = [
            audit_event(_event(one), services.new_id(), services.base_url, services.catalog)
            for one in found
        ]
        gone = [RecordWrite(KIND, one.key, None, if_rev=one.rev) for one in found]
        try:
            await services.store.commit(events, records=gone)
        except CommitConflict:  # another server told of them
            continue
        told += len(found)
    return told


def _event(record: Record) -> Event:
    said = fhir_json.loads(record.value)
    access = AccessContext(said["principal"], CLIENT, ())
    return Event(
        said["at"],
        said["action"],
        said["interaction"],
        access,
        said["patient"],
        tuple((entity, "") for entity in said["entities"]),
        said["query"],
        tuple(said["labels"]),
    )
