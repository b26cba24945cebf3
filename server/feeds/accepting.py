"""Accept connections, and do the TLS handshake of those that may have a place.

asyncio's own server keeps everybody who connects and says nothing until its handshake times out,
as many as come: descriptors that all other parts of the server need as well.  Here as many may be
at their handshake as there are places for connections; one more ends the oldest of them.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress

log = logging.getLogger(__name__)

_BACKLOG = 100  # connections that the system keeps until they are accepted
_PAUSE_S = 0.5  # when the system has no descriptors left

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Door:
    """One listening address; ``serve`` gets every connection, behind its handshake.

    ``most``: handshakes at a time, each at most ``handshake_s`` long; ``refused`` is told of those
    that are ended before.
    """

    def __init__(
        self,
        serve: Serve,
        *,
        tls: ssl.SSLContext | None,
        most: int,
        handshake_s: float,
        refused: Callable[[str], None],
    ) -> None:
        self._serve, self._tls, self._refused = serve, tls, refused
        self._most, self._handshake_s = most, handshake_s
        self._sockets: list[socket.socket] = []
        self._accepting: list[asyncio.Task[None]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._greeting: dict[socket.socket, None] = {}  # the oldest first

    async def open(self, host: str, port: int) -> tuple[str, int]:
        """Listen, and return where.

        Raises:
            OSError: the address cannot be bound.
        """
        loop = asyncio.get_running_loop()
        places = await loop.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        try:
            for family, _, _, _, address in dict.fromkeys(places):
                made = socket.create_server(address, family=family, backlog=_BACKLOG)
                made.setblocking(False)
                self._sockets.append(made)
        except OSError:
            self.close()
            raise
        self._accepting = [asyncio.create_task(self._accept(one)) for one in self._sockets]
        bound: tuple[str, int] = self._sockets[0].getsockname()[:2]
        return bound

    def close(self) -> None:
        """Accept nobody more; who is at the handshake is cut off."""
        for task in self._accepting:
            task.cancel()
        for listening in self._sockets:
            # who connects at this moment would be accepted from a socket that is closed
            with suppress(NotImplementedError):
                asyncio.get_running_loop().remove_reader(listening)
            listening.close()
        self._sockets.clear()
        for greeting in self._greeting:
            _cut_off(greeting)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listening)
            except OSError as error:  # no descriptors left, or the peer is gone already
                log.warning("a connection cannot be accepted: %s", error.strerror)
                await asyncio.sleep(_PAUSE_S)
                continue
            task = asyncio.create_task(self._admit(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _admit(self, connection: socket.socket) -> None:
        streams = await self._greeted(connection)
        if streams is not None:
            await self._serve(*streams)

    async def _greeted(
        self, connection: socket.socket
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """Return the streams of a connection; ``None`` when it does not get on with TLS."""
        if len(self._greeting) >= self._most:
            oldest = next(iter(self._greeting))
            del self._greeting[oldest]
            self._refused("too many began TLS and did not go on")
            _cut_off(oldest)
        self._greeting[connection] = None
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            _keep_alive(connection)
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol,
                connection,
                ssl=self._tls,
                ssl_handshake_timeout=self._handshake_s if self._tls is not None else None,
            )
        except OSError:  # SSLError is one: no TLS, no certificate, or one of strangers
            connection.close()
            return None
        finally:
            self._greeting.pop(connection, None)
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


def _cut_off(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it has gone by itself


def _keep_alive(connection: socket.socket) -> None:
    """Have the system find out within minutes that nobody is at the other end any more."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
        if (option := getattr(socket, name, None)) is not None:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
