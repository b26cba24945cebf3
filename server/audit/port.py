"""What interactions tell audit.  The composition root hands in who keeps it.

Writes are told in their own commit; reads are buffered, and on disk within a second, or before
the answer where the operator asks for that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from server.access.context import AccessContext
from server.store.port import Version, Write

Action = Literal["C", "R", "U", "D", "E"]
"""AuditEvent.action: create, read, update, delete, execute (also: search)."""


@dataclass(frozen=True, slots=True)
class Told:
    """One thing that was done, tried, or refused.

    ``interaction`` is a code of R4 restful-interaction (``read``, ``search-type``, ``create`` ...)
    or of what is not FHIR: ``login``, ``logout``, ``grant``, ``revoke``, ``token``, ``operation``.
    ``entities``: references that it is about (``Observation/1/_history/2``).  ``patients``: of
    whose record (``Patient/x``); one AuditEvent is made for each.  ``query``: the parameters of a
    search, as asked.  ``labels``: the security labels (``system|code``) of what was seen.
    ``outcome`` as in AuditEvent.outcome: 0 success, 4 the caller's fault, 8 the server's.  ``at``:
    microseconds.
    """

    at: int
    action: Action
    interaction: str
    access: AccessContext
    entities: tuple[str, ...] = ()
    patients: tuple[str, ...] = ()
    query: str | None = None
    labels: tuple[str, ...] = ()
    outcome: Literal["0", "4", "8"] = "0"
    why: str = ""


class Audit(Protocol):
    """Keeps what it is told."""

    def beside(self, access: AccessContext, writes: Sequence[Write]) -> list[Write]:
        """Return the AuditEvents and Provenances to be committed with ``writes``.

        Raises:
            InvalidRequest, InvalidResource: the ``X-Provenance`` header of the request is not one.
        """

    def tell(self, told: Told) -> None:
        """Keep this soon; raise StoreUnavailable when nothing could be kept for long."""

    async def settled(self) -> None:
        """Return when everything told so far is on disk."""

    def shown(
        self,
        access: AccessContext,
        interaction: str,
        versions: Sequence[Version],
        query: str | None,
    ) -> None:
        """Keep soon that the caller was shown these."""
