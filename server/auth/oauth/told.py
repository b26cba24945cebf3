"""What audit is told of grants and tokens, and from where they were asked for."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Literal

from server.access.context import AccessContext, Trace
from server.audit.port import Audit, Told
from server.auth.limits import Buckets, Rate, network_of
from server.auth.records import Client, Grant
from server.fhir.errors import Throttled

NOBODY = "-"  # who is not known, in audit
MAX_WHY = 500  # characters
TOLD_APART = Rate(20, 10)  # refusals from one address; the others are only counted

TRACE: ContextVar[Trace | None] = ContextVar("trace", default=None)
"""Of the request that is answered now; authlib's thread has it as well."""


class Telling:
    """Tells an audit, if there is one; ``now`` gives microseconds."""

    def __init__(self, now: Callable[[], int], audit: Audit | None) -> None:
        self._now, self._audit = now, audit
        self._refusals = Buckets(TOLD_APART, now, "refusals")

    def granted(self, interaction: str, grant: Grant, scope: str) -> None:
        """Tell that a ``grant`` was made, or a ``token`` of it."""
        self._of_grant("C", interaction, grant, scope)

    def ended(self, grant: Grant, why: str) -> None:
        """Tell that a grant ended, with all its tokens."""
        self._of_grant("D", "revoke", grant, why)

    def refused(self, interaction: str, client: str | None, why: str) -> None:
        """Tell that something was refused to who says to be a client; ``None``: nobody known."""
        if self._audit is not None and not self.counted():
            principal = f"client/{client}" if client is not None else NOBODY
            access = AccessContext(principal, client or NOBODY, (), trace=TRACE.get())
            told = Told(self._now(), "E", interaction, access, outcome="4", why=why[:MAX_WHY])
            self._audit.tell(told)

    def counted(self) -> bool:
        """Count a refusal; tell whether that is all, as too many come from there.

        Each event is kept for years: a stranger must not be able to fill the disk with them.
        """
        trace = TRACE.get()
        address = trace.address if trace is not None else ""
        try:
            self._refusals.take(network_of(address))
        except Throttled:
            if self._audit is not None:
                self._audit.refused(address)
            return True
        return False

    def registered(self, client: Client) -> None:
        """Tell that a client registered itself."""
        if self._audit is not None:
            access = AccessContext(f"client/{client.id}", client.id, (), trace=TRACE.get())
            told = Told(self._now(), "C", "administer", access, why="registered itself")
            self._audit.tell(told)

    async def settled(self) -> None:
        """Return when an answer may leave: where the operator asks for it, audit is on disk."""
        if self._audit is not None and self._audit.durable:
            await self._audit.settled()

    def answered(self, trace: Trace) -> None:
        """Tell that nothing more will be told of a request."""
        if self._audit is not None:
            self._audit.take(trace)

    def _of_grant(
        self, action: Literal["C", "D"], interaction: str, grant: Grant, why: str
    ) -> None:
        if self._audit is None:
            return
        patient = f"Patient/{grant.patient}" if grant.patient is not None else None
        access = AccessContext(
            f"user/{grant.user}" if grant.user is not None else f"client/{grant.client}",
            grant.client,
            (),
            patient=patient,
            grant=grant.id,
            trace=TRACE.get(),
        )
        patients = (patient,) if patient is not None else ()
        told = Told(self._now(), action, interaction, access, patients=patients, why=why[:MAX_WHY])
        self._audit.tell(told)
