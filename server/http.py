"""The HTTP server (uvicorn with httptools and uvloop) on a socket that is already bound."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from server.connection import Connection
from server.settings import Settings

KEEP_ALIVE_S = 75
STARTED_POLL_S = 0.01


class _Quiet(uvicorn.Server):
    """Leaves signals to the composition root, which drains feeds and HTTP together."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpServer:
    """Serves ``application`` on ``bound`` from :meth:`start` until :meth:`finish`."""

    def __init__(self, application: Any, settings: Settings, bound: socket.socket) -> None:
        self._bound = bound
        self._server = _Quiet(
            uvicorn.Config(
                application,
                http=Connection,
                loop="none",
                lifespan="off",
                access_log=False,  # the dispatcher writes its own line, without queries and ids
                log_config=None,
                server_header=False,
                date_header=True,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=settings.shutdown_s,
                ssl_certfile=settings.tls_cert,
                ssl_keyfile=settings.tls_key,
                proxy_headers=False,  # links come from the base URL, never from a header
            )
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return once connections are accepted; raise what kept it from starting."""
        if self._task is not None:
            return
        self._task = asyncio.create_task(self._server.serve([self._bound]))
        while not self._server.started:
            if self._task.done():
                self._task.result()
                raise RuntimeError("the HTTP server ended before it started")
            await asyncio.sleep(STARTED_POLL_S)

    async def until(self, stop: asyncio.Event) -> None:
        """Return when ``stop`` is set, or raise what ended the server by itself."""
        assert self._task is not None
        waiting = asyncio.create_task(stop.wait())
        await asyncio.wait({self._task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self._task.done():
            self._task.result()

    async def finish(self) -> None:
        """Accept nothing more, let requests in flight end, and return."""
        self._server.should_exit = True
        if self._task is not None:
            await asyncio.wait({self._task})
