"""What interactions tell audit.  The composition root hands in who keeps it.

Writes are told in their own commit; reads are buffered, and on disk within a second, or before
the answer where the operator asks for that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from server.access.context import AccessContext, Trace
from server.store.port import Version, Write

Action = Literal["C", "R", "U", "D", "E"]
"""AuditEvent.action: create, read, update, delete, execute (also: search)."""


@dataclass(frozen=True, slots=True)
class Told:
    """One thing that was done, tried, or refused.

    ``interaction`` is a code of R4 restful-interaction (``read``, ``search-type``, ``create`` ...)
    or of what is not FHIR: ``login``, ``logout``, ``grant``, ``revoke``, ``token``, ``administer``,
    ``message``, ``refused``; all of them in :data:`server.audit.codes.KINDS`.
    ``entities``: references that it is about (``Observation/1/_history/2``), or names of what has
    none (``client/my-app``).  ``patients``: of whose record (``Patient/x``); one AuditEvent is made
    for each.  ``query``: the parameters of a search, as asked, behind its path.  ``labels``: the
    security labels (``system|code``) of what was seen.
    ``outcome`` as in AuditEvent.outcome: 0 success, 4 the caller's fault, 8 the server's.  ``at``:
    microseconds.  ``why``: said of failures; no secret, and nothing of a patient.
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

    @property
    def durable(self) -> bool:
        """True when no answer may leave before :meth:`settled` returned."""

    def beside(self, access: AccessContext, writes: Sequence[Write]) -> list[Write]:
        """Return the AuditEvents and Provenances to be committed with ``writes``.

        The number of each version must be known (``must_be_new`` or ``if_version``), and deletions
        must say the compartments of what they delete.

        Raises:
            InvalidRequest: the ``X-Provenance`` header of the request is not one.
            Forbidden: the caller may not create a Provenance, and sent one.
        """

    def tell(self, told: Told) -> None:
        """Keep this soon; raise StoreUnavailable when nothing could be kept for long."""

    async def settled(self) -> None:
        """Return when everything told so far is on disk; raise StoreUnavailable if it cannot."""

    def shown(
        self,
        access: AccessContext,
        interaction: str,
        versions: Sequence[Version],
        query: str | None,
    ) -> None:
        """Keep soon that the caller was shown these; raises as :meth:`tell`.

        ``query``: the address below the base with its parameters, for what is not one resource.
        """

    def take(self, trace: Trace) -> bool:
        """Tell whether anything was told of the request, and forget that."""

    def refused(self, address: str) -> None:
        """Count a request of somebody who is not known; told of once a minute and address."""
