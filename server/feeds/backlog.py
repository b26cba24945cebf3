"""What an earlier run left of a feed, and what comes in behind it.

A feed whose backlog is long must not keep the others waiting, nor be overtaken by its own new
messages; so it is worked off beside the listeners, and what comes meanwhile is queued after it.
"""

import asyncio

from server.feeds.work import Job

MOST = 10_000  # messages that are remembered; more wait at their sockets


class Backlog:
    """One feed's.  ``done`` is set when everything is queued in order."""

    def __init__(self) -> None:
        self.done = asyncio.Event()
        self._behind: dict[str, Job] = {}
        self._abandoned = False

    async def append(self, job: Job) -> bool:
        """Put a message behind the backlog; ``False``: it waited until there is none any more."""
        if len(self._behind) >= MOST and not self._abandoned:
            await self.done.wait()
            if not self._abandoned:
                return False
        if self._abandoned:
            job.done.cancel()
        else:
            self._behind[job.entry.id] = job
        return True

    def take(self, id_: str) -> Job | None:
        """Return and forget the message if it is here: one of the backlog that was sent again."""
        return self._behind.pop(id_, None)

    def first(self) -> Job | None:
        """Return and forget the first message; ``None`` when nothing is left."""
        first = next(iter(self._behind), None)
        return self._behind.pop(first) if first is not None else None

    def abandon(self) -> None:
        """Give up: what is here, or comes yet, stays in the inbox for the next start."""
        self._abandoned = True
        self.done.set()
        for job in self._behind.values():
            job.done.cancel()
        self._behind.clear()
