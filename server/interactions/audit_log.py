"""Who did what: AuditEvents and Provenances, made when something is told and kept by the store.

What is told of a write is in the write's own commit.  What is told of reads, refusals and logins
waits in a buffer that goes to the store twice a second, many in one commit; an answer that
must not leave before (``durable``) waits for the next of these.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

from server.access.context import SYSTEM, AccessContext, Trace
from server.audit.audit_event import Event, audit_event
from server.audit.port import Action, Told
from server.fhir.errors import StoreUnavailable
from server.interactions.audit_beside import Beside
from server.interactions.audit_query import shown_to
from server.interactions.audit_refusals import Refusals
from server.interactions.audit_seal import Sealer
from server.interactions.concerned import Subjects
from server.interactions.services import Searchable
from server.store.port import Store, Version, Write

log = logging.getLogger("tellonce")

MOST_WAITING = 10_000  # events; when they cannot be kept nothing more is shown
FLUSH_AT = 1_000  # events of one commit; so many are not made to wait for others
PARTING_S = 20.0  # that the end waits for a store
FLUSH_EVERY_S = 0.5  # the more come together, the fewer pages of the index each one changes
RETRY_S = 1.0
GATHER_S = 0.003  # that answers wait for company, when those before had some
AT_ONCE = 32  # events made one after the other cost half of what each costs between requests


class AuditLog:
    """See :class:`server.audit.port.Audit`.  ``start`` once, ``stop`` before the store closes.

    Args:
        now: microseconds since 1970-01-01T00:00:00Z.
        base_url: of the server, without a slash at its end.
        durable: no answer leaves before what it shows is in the audit.
        searchable: the search parameters in force; those of R4 if it is not given.
        owner: this process, of several that share the store.
    """

    def __init__(
        self,
        store: Store,
        now: Callable[[], int],
        new_id: Callable[[], str],
        base_url: str,
        *,
        durable: bool = False,
        searchable: Searchable | None = None,
        owner: str | None = None,
    ) -> None:
        self._store = store
        self._now = now
        self._new_id = new_id
        self._base_url = base_url
        self._durable = durable
        self._searchable = searchable or Searchable()
        self._subjects = Subjects(base_url)
        self._refusals = Refusals()
        self._beside = Beside(now, new_id, base_url, self._searchable)
        self._sealer = Sealer(store, now, owner)
        self._together = 0
        self._told: list[Event] = []
        self._waiting: list[Write] = []
        self._known: set[int] = set()
        self._some = asyncio.Event()
        self._hurry = asyncio.Event()
        self._settling: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def durable(self) -> bool:
        """See :attr:`server.audit.port.Audit.durable`."""
        return self._durable

    @property
    def waiting(self) -> int:
        """How many AuditEvents are not on disk yet."""
        return len(self._told) + len(self._waiting)

    async def start(self) -> None:
        """Begin to keep what is told."""
        self._task = asyncio.create_task(self._run())
        await self._sealer.start()

    async def stop(self, within_s: float = PARTING_S) -> None:
        """Keep what was told, then end.  What the store does not take is logged as lost.

        ``within_s``: that the store may take for a part of it.
        """
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        self._tell_refusals(everything=True)
        with suppress(TimeoutError):
            worked = True
            while self.waiting and worked:
                async with asyncio.timeout(within_s):
                    worked = await self._flush()
        if self.waiting:
            log.error("%d audit events could not be kept", self.waiting)
        await self._sealer.stop()

    def beside(self, access: AccessContext, writes: Sequence[Write]) -> list[Write]:
        """See :meth:`server.audit.port.Audit.beside`."""
        if access.principal == SYSTEM.principal:
            return []
        made = self._beside.writes(access, writes)
        self._know(access)
        return made

    def tell(self, told: Told) -> None:
        """See :meth:`server.audit.port.Audit.tell`."""
        self._demand_room()
        data = tuple((ref, "") for ref in told.entities)
        for patient in told.patients or (None,):
            self._keep(
                Event(
                    told.at,
                    told.action,
                    told.interaction,
                    told.access,
                    patient,
                    data,
                    told.query,
                    told.labels,
                    told.outcome,
                    told.why,
                )
            )
        self._know(told.access)

    def shown(
        self,
        access: AccessContext,
        interaction: str,
        versions: Sequence[Version],
        query: str | None,
    ) -> None:
        """See :meth:`server.audit.port.Audit.shown`."""
        if access.principal == SYSTEM.principal:
            return
        self._demand_room()
        at = self._now()
        action: Action = "R" if query is None or interaction.startswith("history") else "E"
        if query is None and len(versions) == 1:
            version = versions[0]
            found = self._subjects.of(version)
            data = ((f"{version.type}/{version.id}/_history/{version.number}", ""),)
            for patient in found.patients or (None,):
                self._keep(
                    Event(at, action, interaction, access, patient, data, labels=found.labels)
                )
        else:
            patients = self._subjects.of_all(versions)
            for patient, labels, text in shown_to(access, patients, query):
                self._keep(Event(at, action, interaction, access, patient, (), text, labels))
        self._know(access)

    async def settled(self) -> None:
        """See :meth:`server.audit.port.Audit.settled`."""
        if not self.waiting:
            return
        if self._settling is None:
            self._settling = asyncio.get_running_loop().create_future()
        self._hurry.set()
        await asyncio.shield(self._settling)

    def take(self, trace: Trace) -> bool:
        """See :meth:`server.audit.port.Audit.take`."""
        try:
            self._known.remove(id(trace))
        except KeyError:
            return False
        return True

    def refused(self, address: str) -> None:
        """See :meth:`server.audit.port.Audit.refused`."""
        self._refusals.count(address)
        self._some.set()

    def _demand_room(self) -> None:
        if self.waiting >= MOST_WAITING:
            raise StoreUnavailable(
                f"{MOST_WAITING} audit events wait for the store, and nothing is shown without one",
                retry_after_s=5,
            )

    def _know(self, access: AccessContext) -> None:
        if access.trace is not None:
            self._known.add(id(access.trace))

    def _keep(self, event: Event) -> None:
        self._told.append(event)
        self._some.set()
        if len(self._told) >= AT_ONCE:
            self._make()
            if len(self._waiting) >= FLUSH_AT:
                self._hurry.set()

    def _make(self) -> None:
        """Make what is to be written of what was told.  What cannot be made stays, and is heard of:

        when there is no more room nothing is shown.
        """
        catalog = self._searchable.catalog
        self._waiting += [
            audit_event(event, self._new_id(), self._base_url, catalog) for event in self._told
        ]
        self._told.clear()

    async def _run(self) -> None:
        while True:
            await self._some.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_EVERY_S):
                    await self._hurry.wait()
            if self._settling is not None and self._together > 1:
                # Those that were just answered together will soon be back together.
                await asyncio.sleep(GATHER_S)
            self._tell_refusals()
            if not await self._flush():
                await asyncio.sleep(RETRY_S)

    async def _flush(self) -> bool:
        """Commit what waits, or a part of it; return whether that worked."""
        self._hurry.clear()
        settling = None
        try:
            self._make()
            batch = self._waiting[:FLUSH_AT]
            if len(batch) == len(self._waiting):
                settling, self._settling = self._settling, None
                if self._refusals.empty:
                    self._some.clear()
            if batch:
                await self._store.commit(batch)
        except asyncio.CancelledError:
            self._some.set()
            raise
        # Whatever it was, the events stay and are tried again: losing them is not a choice.
        except Exception as error:
            told = error if isinstance(error, StoreUnavailable) else StoreUnavailable("no audit")
            log.error("audit events wait: %s", type(error).__name__)
            self._some.set()
            self._end(settling, told)
            settling, self._settling = self._settling, None
            self._end(settling, told)
            return False
        self._together = len(batch)
        del self._waiting[: len(batch)]
        if self.waiting:
            self._some.set()
            if len(self._waiting) >= FLUSH_AT or self._settling is not None:
                self._hurry.set()
        self._end(settling, None)
        return True

    @staticmethod
    def _end(settling: "asyncio.Future[None] | None", error: StoreUnavailable | None) -> None:
        if settling is None or settling.done():
            return
        if error is None:
            settling.set_result(None)
            return
        settling.set_exception(error)
        settling.exception()  # nobody need be waiting any more

    def _tell_refusals(self, *, everything: bool = False) -> None:
        now = self._now()
        for access, why in self._refusals.due(now, everything=everything):
            self._keep(Event(now, "E", "refused", access, outcome="4", why=why))
