"""Transactions that nobody goes on with: ended by whoever waits for what they hold.

A server process that is killed leaves its transaction open, and that may hold the counter which
every commit changes (decision 0011).  MongoDB ends it after ``transactionLifetimeLimitSeconds``, 60
by default, and up to half as much again.  Nothing is lost when it is ended at once: what it wrote
was never committed, and a process that was only slow is told so and begins anew.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern

log = logging.getLogger("tellonce")

FIRST_LOOK_S = (
    0.5  # that one waits for others, who take some milliseconds, before looking for these
)
GONE_S = 0.4  # without an operation, when the connection is closed: a process that was killed
SILENT_S = 3.5  # when it is open: a machine without power, a process that was stopped
_EVERY_S = 0.5
_NOT_FOR_US = frozenset((13, 59, 8000))  # Unauthorized, CommandNotFound, AtlasError

# A transaction, and how long its operations took: the same as long as there is no new one.
Heard = tuple[bytes, int | None, int | None]

_OURS = {"allUsers": False, "idleSessions": True, "idleConnections": True}
_SEEN = {
    "type": 1,
    "connectionId": 1,
    "session": "$lsid.id",
    "number": "$transaction.parameters.txnNumber",
    "active_us": "$transaction.timeActiveMicros",
}


def application_name(database: str) -> str:
    """Return what the connections of a store call themselves: transactions are told apart by it."""
    return f"tellonce/{database}"


class Abandoned:
    """Ends transactions of processes on ``database`` that are there no more.

    The processes must log in as the same user, who needs no more rights than ``readWrite``.
    """

    def __init__(self, client: AsyncMongoClient[dict[str, Any]], database: str) -> None:
        self._client, self._name = client, application_name(database)
        self._not_before = 0.0
        self._silent_since: dict[Heard, float] = {}
        self._refused = False

    async def end(self) -> int:
        """End them and return how many; looks at most twice a second and raises nothing."""
        now = time.monotonic()
        if self._refused or now < self._not_before:
            return 0
        self._not_before = now + _EVERY_S
        try:
            sessions = await self._found(now)
            if sessions:
                await self._client.admin.command({"killSessions": sessions})
        except PyMongoError as error:  # when it is away, who waits for it will be told
            if isinstance(error, OperationFailure) and error.code in _NOT_FOR_US:
                self._refused = True
                log.warning("MongoDB does not let us end what killed processes left open")
            return 0
        if sessions:
            log.warning("ended %d transactions that a process had left open", len(sessions))
        return len(sessions)

    @asynccontextmanager
    async def ended_meanwhile(self) -> AsyncIterator[None]:
        """End them while the block waits: outside of a transaction MongoDB itself waits."""
        looking = asyncio.create_task(self._keep_looking())
        try:
            yield
        finally:
            looking.cancel()

    async def _keep_looking(self) -> None:
        await asyncio.sleep(FIRST_LOOK_S)
        while True:
            await self.end()
            await asyncio.sleep(_EVERY_S)

    async def _found(self, now: float) -> list[dict[str, Any]]:
        admin = self._client.get_database("admin", read_concern=ReadConcern("local"))
        asked: list[dict[str, Any]] = [
            {"$currentOp": _OURS},
            {"$match": {"appName": self._name}},
            {"$project": _SEEN},
        ]
        async with await admin.aggregate(asked) as cursor:
            seen = await cursor.to_list()
        connected = {one.get("connectionId") for one in seen if one["type"] == "op"}
        idle = {_heard(one): one for one in seen if one["type"] == "idleSession"}
        self._silent_since = {heard: self._silent_since.get(heard, now) for heard in idle}
        return [
            {"id": one["session"]}
            for heard, one in idle.items()
            if now - self._silent_since[heard]
            >= (SILENT_S if one.get("connectionId") in connected else GONE_S)
        ]


def _heard(one: Mapping[str, Any]) -> Heard:
    return bytes(one["session"]), one.get("number"), one.get("active_us")
