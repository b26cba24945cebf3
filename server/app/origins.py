"""The origins of registered browser apps, known without waiting: CORS is asked on each request."""

import asyncio
import logging
from contextlib import suppress

from server.auth.client_checks import origins_of
from server.auth.clients import Clients
from server.fhir.errors import StoreUnavailable

log = logging.getLogger("tellonce")

EVERY_S = 1.5  # an app that was just registered works within two seconds


class RegisteredOrigins:
    """Looked up again and again, from :meth:`start` to :meth:`stop`."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._known: frozenset[str] = frozenset()
        self._task: asyncio.Task[None] | None = None

    def __call__(self, origin: str) -> bool:
        """Tell whether an active client's pages call from ``origin``."""
        return origin in self._known

    async def start(self) -> None:
        """Look once, and go on."""
        await self._look()
        self._task = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self._look()
            except StoreUnavailable as error:
                log.warning("origins of apps stay as they were: %s", error)
            except Exception as error:  # a bug must be seen, not end this unheard
                log.error("origins of apps stay as they were: %s", type(error).__name__)

    async def _look(self) -> None:
        found = [origins_of(client) async for client in self._clients.walk() if client.active]
        self._known = frozenset().union(*found)
