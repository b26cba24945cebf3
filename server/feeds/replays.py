"""Messages applied again: at once, or because a record of the store asks for it."""

import asyncio
import logging

from server.feeds.inbox import REPLAY, Entry, Inbox
from server.feeds.quarantine import reopen
from server.feeds.queueing import Queueing
from server.feeds.work import Job
from server.fhir.errors import FhirError
from server.store.port import CommitConflict, Record, RecordWrite, Store
from server.store.turn import Turn

log = logging.getLogger(__name__)


class Replays:
    """Applies messages again; ``poll_s``: how often it looks whether somebody asks for that.

    ``turn``: of which process it is to look.
    """

    def __init__(
        self, store: Store, inbox: Inbox, queueing: Queueing, *, poll_s: float, turn: Turn
    ) -> None:
        self._store, self._inbox, self._queueing, self._poll_s = store, inbox, queueing, poll_s
        self._turn = turn

    async def replay(self, id_: str, edited: bytes = b"") -> Entry | None:
        """Apply a message again with the current maps; return it as it then is.

        ``edited``: bytes that take the place of those received, which are kept.
        """
        job = await self.again(id_, edited)
        if job is None:
            return None
        await asyncio.shield(job.done)
        return job.entry

    async def again(
        self, id_: str, edited: bytes = b"", *, asked: Record | None = None
    ) -> Job | None:
        """Queue a message once more, behind what it may be doing now; ``None``: there is none.

        ``asked``: the record that asked for it; it is gone when the message is queued.
        """
        while (running := self._queueing.running(id_)) is not None:
            await asyncio.wait({running.done})  # an edit must not be lost to what runs already
        entry = await self._inbox.get(id_)
        if entry is None:
            if asked is not None:
                await self._store.commit([], records=[RecordWrite(REPLAY, asked.key, None)])
            return None
        held = entry.state == "held"  # it goes on, as it would have by itself
        entry = await reopen(
            self._store, self._inbox, entry, edited, replayed=not held, asked=asked
        )
        return await self._queueing.enqueue(entry)

    async def watch(self) -> None:
        """Do what ``tellonce inbox replay`` asked for, also before this start."""
        heard = 0
        while True:
            done = False
            try:
                if await self._turn.mine():
                    done = await self._asked()
            except (FhirError, CommitConflict) as error:  # a conflict: it was asked anew meanwhile
                log.warning("replays wait: %s", type(error).__name__)
            if done:
                heard = await self._store.record_news(REPLAY, heard, self._poll_s)
            else:
                await asyncio.sleep(self._poll_s)

    async def _asked(self) -> bool:
        """Queue everything that was asked for, and return whether that is all.

        One that is at work now comes with the next look.
        """
        after, done = "", True
        while page := await self._store.find_records(REPLAY, after=after):
            for asked in page:
                if self._queueing.running(asked.key) is None:
                    await self.again(asked.key, asked.value, asked=asked)
                else:
                    done = False
            after = page[-1].key
        return done
