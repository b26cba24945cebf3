"""Whose turn it is, among the server processes that share a store: a lease that is held for long.

Nothing is made safe by a turn alone: a process may sleep through its end.  What two processes must
not both do is guarded in the commit itself, by the revision of a record; turns keep them from
trying.
"""

import asyncio
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from secrets import token_hex

from server.fhir.errors import FhirError
from server.store import lease
from server.store.port import Store

TTL_S = 10.0  # after which a process that was killed has no turn any more
_RENEWED = 2 / 3  # with this share of the time left a turn is renewed
_PARTING_S = 2.0  # that the end of a process waits for a store that is away
_SURE = 1 / 3  # with less it is no turn any more: the other may have a faster clock


def process_name() -> str:
    """Return a name that no other process has or had, on this machine or another."""
    return f"{socket.gethostname()}/{os.getpid()}/{token_hex(4)}"


class Turn:
    """The turn of one piece of work.  ``owner=None``: nobody shares the store, it is always ours.

    ``now`` gives microseconds; the clocks of the machines may differ by a third of ``ttl_s``.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        owner: str | None,
        now: Callable[[], int],
        *,
        ttl_s: float = TTL_S,
    ) -> None:
        self._store, self._name, self._owner = store, name, owner
        self._now, self._ttl_s = now, ttl_s
        self._until = float("-inf")

    @property
    def held(self) -> bool:
        """Tell whether it is ours for some time yet, without asking the store."""
        return self._owner is None or self._left() > self._ttl_s * _SURE

    async def mine(self) -> bool:
        """Take it or renew it when that is due; tell if it is ours.  Raises StoreUnavailable."""
        if self._owner is None or self._left() > self._ttl_s * _RENEWED:
            return True
        began = asyncio.get_running_loop().time()
        ours = await lease.acquire(
            self._store,
            self._name,
            self._owner,
            now=self._now(),
            ttl=int(self._ttl_s * 1e6),
        )
        self._until = began + self._ttl_s if ours else float("-inf")
        return ours

    async def give_back(self) -> None:
        """Let another have it at once; if the store is away it ends by itself."""
        if self._owner is None or self._until == float("-inf"):
            return
        self._until = float("-inf")
        with suppress(FhirError, TimeoutError):
            async with asyncio.timeout(_PARTING_S):
                await lease.release(self._store, self._name, self._owner)

    def _left(self) -> float:
        return self._until - asyncio.get_running_loop().time()


def presence(store: Store, owner: str | None, now: Callable[[], int]) -> Turn:
    """Return the turn that only ``owner`` takes: while it has it, the process is there."""
    return Turn(store, f"process/{owner}", owner, now)


async def is_present(store: Store, owner: str, now: int) -> bool:
    """Tell whether a process has said lately that it is there."""
    held = await store.get_record(lease.KIND, f"process/{owner}")
    return held is not None and int(held.value.decode().partition(" ")[0]) > now
