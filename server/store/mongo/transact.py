"""Transactions that are tried until there is an answer.

What MongoDB calls transient is tried anew: another process was writing, or the primary went.  When
the answer to a commit is lost, the commit is asked for again, which is safe as often as one likes:
it says whether it happened.  A caller is told "nothing was kept" only after MongoDB said so.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import pymongo
from bson.errors import InvalidDocument
from pymongo import WriteConcern
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import ConnectionFailure, InvalidOperation, PyMongoError
from pymongo.read_concern import ReadConcern

from server.fhir.errors import StoreUnavailable
from server.store.mongo.abandoned import FIRST_LOOK_S
from server.store.mongo.commit import Definitions, Refused, Transaction
from server.store.mongo.connect import MAJORITY, Address, explained, meaning
from server.store.mongo.reading import Reading
from server.store.mongo.search import Searches
from server.store.mongo.texts import Texts
from server.store.mongo.writer import Job

log = logging.getLogger("tellonce")

PATIENCE_S = 15.0  # that commits wait for a new primary; an election takes 2 to 12 seconds
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.002, 0.02  # another process takes 5 to 20 ms for its turn
_AWAY_PAUSE_S = 0.25
_WAIT_S = 0.5  # for the counter: what a killed process holds has to be ended by somebody
_ABORT_S = 1.0
_SHARED_S = 1.0  # that a process which was met is taken to go on writing
_TRANSIENT = "TransientTransactionError"
_UNKNOWN = "UnknownTransactionCommitResult"


class Committer:
    """Applies batches of jobs, each as one transaction.

    ``reading`` returns what a session reads with; ``made_by`` says what new rows are labelled with.
    ``end_abandoned`` is called again and again while others have had their turn for long.
    """

    def __init__(
        self,
        address: Address,
        reading: Callable[[AsyncClientSession], Reading],
        sessions: Callable[[], AsyncClientSession],
        searches: Searches,
        texts: Texts,
        made_by: Callable[[], Definitions],
        now: Callable[[], int],
        end_abandoned: Callable[[], Awaitable[int]],
        state: AsyncCollection[dict[str, Any]],
    ) -> None:
        self._address = address
        self._reading, self._sessions = reading, sessions
        self._searches, self._texts = searches, texts
        self._made_by, self._now = made_by, now
        self._end_abandoned = end_abandoned
        # Nothing rests on what is written there: nobody waits for a majority.
        self._state = state.with_options(write_concern=WriteConcern(1))
        self._shared_until = 0.0
        self._away = False  # the last batch found no database: the next does not wait for it

    @property
    def shared(self) -> bool:
        """True while other processes write as well."""
        return time.monotonic() < self._shared_until

    async def apply(
        self, jobs: list[Job], more: Callable[[Sequence[Job]], list[Job]] = lambda _: []
    ) -> None:
        """Set ``made`` or ``error`` of every job.  Raises FhirError: nothing of any was kept.

        ``more`` gives what came while another process had its turn; it is added to ``jobs``.
        """
        live = list(jobs)
        began = time.monotonic()
        end = began + (0.0 if self._away else PATIENCE_S)
        pause_s = 0.0
        while live:
            try:
                if self.shared:
                    await self._let_others_end()
                await self._attempt(live, end)
                self._away = False
                return
            except Refused as refused:
                refused.job.made, refused.job.error = [], refused.error
                live.remove(refused.job)
            except (PyMongoError, InvalidDocument) as error:
                if not _is_transient(error):
                    await self._apart(live, error)
                    return
                if time.monotonic() > end:
                    self._away = isinstance(error, ConnectionFailure)
                    raise self._told(error) from None
                if isinstance(error, ConnectionFailure):
                    self._texts.forget()
                    pause_s = _AWAY_PAUSE_S
                else:
                    self._shared_until = time.monotonic() + _SHARED_S
                    if time.monotonic() > began + FIRST_LOOK_S:
                        await self._end_abandoned()
                # Those that wait for the same must not come back together again and again.
                await asyncio.sleep(pause_s * (0.5 + random.random()))  # noqa: S311 - no secret
                pause_s = min(2 * pause_s or _FIRST_PAUSE_S, _LONGEST_PAUSE_S)
                came = more(jobs)
                jobs += came
                live += came

    async def _let_others_end(self) -> None:
        """Return when the counter is free, or after half a second.

        A transaction that meets another fails at once.  A write outside of one waits, in the
        database, until the other has ended, and so begins us when there is something to win.
        """
        with suppress(PyMongoError), pymongo.timeout(_WAIT_S):  # we are told of it by what follows
            await self._state.update_one({"_id": "commit"}, {"$inc": {"claims": 1}})

    async def _apart(self, live: Sequence[Job], error: Exception) -> None:
        """Try the jobs one by one, since one of them makes the database refuse all."""
        if len(live) == 1:
            with explained(self._address):
                raise error
        for job in live:
            try:
                await self.apply([job])
            except Exception as alone:  # its caller's, whatever it was
                job.made, job.error = [], alone

    async def _attempt(self, jobs: Sequence[Job], end: float) -> None:
        for job in jobs:
            job.made, job.error = [], None
        async with self._sessions() as session:
            await session.start_transaction(
                read_concern=ReadConcern("snapshot"), write_concern=MAJORITY
            )
            reading = self._reading(session)
            batch = Transaction(reading, self._searches, self._texts, self._made_by(), self._now)
            try:
                await batch.run(jobs, claim=self.shared)
            except BaseException:
                # What it was is told already; should nobody hear of it, others end it.
                with suppress(PyMongoError, InvalidOperation), pymongo.timeout(_ABORT_S):
                    await session.abort_transaction()
                raise
            await self._commit(session, batch, reading, end)

    async def _commit(
        self, session: AsyncClientSession, batch: Transaction, reading: Reading, end: float
    ) -> None:
        unknown = False
        while True:
            try:
                await session.commit_transaction()
                return
            except PyMongoError as error:
                if error.has_error_label(_UNKNOWN):
                    unknown = True
                    if time.monotonic() > end + PATIENCE_S:
                        raise StoreUnavailable(
                            "the store did not say whether the write was kept: read it before you"
                            " write it again",
                            retry_after_s=5,
                        ) from None
                    await asyncio.sleep(_AWAY_PAUSE_S)
                    continue
                if unknown and await _is_kept(batch, reading):
                    return
                raise

    def _told(self, error: Exception) -> Exception:
        if isinstance(error, PyMongoError):
            return meaning(error, self._address)
        return error


def _is_transient(error: Exception) -> bool:
    return isinstance(error, PyMongoError) and error.has_error_label(_TRANSIENT)


async def _is_kept(batch: Transaction, reading: Reading) -> bool:
    """Tell whether the versions of a batch are there, whose commit had no clear answer."""
    if batch.last is None:
        return False
    found = await reading.db.versions.find_one(batch.last, {"_id": 1})
    return found is not None
