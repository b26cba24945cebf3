"""One HTTP connection: uvicorn's, with limits for what comes before a handler can look at it.

The parser keeps a request line and headers of any length until they are complete, and waits for
them, and for the body, for ever.  Design: reliability-security, "Inputs".
"""

import asyncio
import logging
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

log = logging.getLogger("tellonce")

MAX_HEAD_BYTES = 64 * 1024  # request line and headers; what comes in one read may be longer
HEAD_S = 30.0  # until request line and headers are here, from the first byte or the connection on
STALL_S = 30.0  # without a byte of a body

_TOO_LONG = (
    b'{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"too-long",'
    b'"diagnostics":"request line and headers are longer than %d bytes: search with POST"}]}'
)


class Connection(HttpToolsProtocol):
    """Refuses heads that are too long (431), ends connections that keep it waiting."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head = False
        self._incomplete = True  # a request is expected from the start
        self._head_bytes = 0
        self._head_since = self._last = self.loop.time()
        self._watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._in_head = True
        self._watch = self.loop.call_later(HEAD_S, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of the timer."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser; whatever it has not completed by then is watched."""
        super().data_received(data)
        if not self._incomplete:
            return
        self._last = self.loop.time()
        if self._watch is None and not self.transport.is_closing():
            self._watch = self.loop.call_later(min(HEAD_S, STALL_S), self._look)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_head = self._incomplete = True
        self._head_bytes = 0
        self._head_since = self.loop.time()

    def on_headers_complete(self) -> None:
        """The rest is body."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is here."""
        self._incomplete = False
        super().on_message_complete()

    def _look(self) -> None:
        """End a connection that keeps a request waiting, or look again later."""
        self._watch = None
        if not self._incomplete or self.transport.is_closing():
            return
        now = self.loop.time()
        due = self._head_since + HEAD_S if self._in_head else self._last + STALL_S
        if due <= now and not self.flow.read_paused:
            log.info("a connection was ended: its request did not arrive")
            self.transport.close()
            return
        self._watch = self.loop.call_later(max(due - now, 1.0), self._look)

    def _refuse(self) -> None:
        body = _TOO_LONG % MAX_HEAD_BYTES
        self.transport.write(
            b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
            b"content-type: application/fhir+json; charset=utf-8\r\n"
            b"content-length: %d\r\nconnection: close\r\n\r\n%b" % (len(body), body)
        )
        self.transport.close()
