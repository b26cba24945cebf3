"""The MLLP listener: sockets in, answers out; what a message means is its receiver's business.

One connection's messages are received one after the other and answered in their order, even when
the sender does not wait for answers.  Pressure is passed on: while the receiver waits for a free
place nothing is read from that socket.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from server.feeds.accepting import Door
from server.feeds.ack import NOT_CLOSED, TOO_LARGE, Fault
from server.feeds.failure import where
from server.feeds.framing import MAX_MESSAGE_BYTES, Frame, Framer, TooLarge, frame
from server.feeds.tls import certified_names
from server.feeds.wiring import Peer

log = logging.getLogger(__name__)

Answer = bytes | asyncio.Future[bytes | None]
_READ_BYTES = 65536
_TELL_EVERY_S = 60.0  # that connections are refused


@dataclass(frozen=True, slots=True)
class Limits:
    """What one listener allows.  Times are seconds without a byte.

    ``pipelined``: messages of one connection that may wait for their answers; ``fs_s``: how long
    the CR behind an FS is waited for; ``rest_s``: after which a connection that is at rest gives
    its place to a new one, when there are too many.  ``large``: connections that may be in the
    middle of a message of more than ``large_bytes``; others wait before they read more of theirs.
    """

    max_message_bytes: int = MAX_MESSAGE_BYTES
    max_connections: int = 64
    pipelined: int = 32
    idle_s: float = 3600.0
    frame_s: float = 30.0
    fs_s: float = 0.5
    write_s: float = 30.0
    rest_s: float = 30.0
    large: int = 8
    large_bytes: int = 1024 * 1024


class Receiver(Protocol):
    """Whoever a listener hands its messages to."""

    async def receive(self, body: bytes) -> Sequence[Answer]:
        """Take one frame's message; return its answers, to be sent in this order.

        Returns when the message is durable and queued, or refused.  Must not raise.
        """

    def refuse(self, head: bytes, fault: Fault) -> bytes:
        """Return the negative answer to a message of which only the first bytes are known."""


@dataclass(slots=True)
class Counters:
    """What a listener saw since it started."""

    connections: int = 0
    refused_connections: int = 0
    frames: int = 0
    refused_frames: int = 0
    skipped_bytes: int = 0
    restarts: int = 0


class Listener:
    """One listening address.

    ``receiver`` gets every frame of every connection; or it is a function that returns the receiver
    for a peer, ``None`` for one that is not listened to.
    """

    def __init__(
        self,
        receiver: Receiver | Callable[[Peer], Receiver | None],
        *,
        limits: Limits | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.counters = Counters()
        self.host, self.port = "", 0
        self._receiver = receiver
        self._limits = limits or Limits()
        self._door = Door(
            self._accept,
            tls=tls,
            most=self._limits.max_connections,
            handshake_s=self._limits.frame_s,
            refused=self._refused,
        )
        self._open: dict[_Connection, asyncio.Task[None]] = {}
        self._large = asyncio.Semaphore(self._limits.large)
        self._told = -_TELL_EVERY_S

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; ``port`` 0 takes any free one, to be read from :attr:`port`.

        Raises:
            OSError: the address cannot be bound.
        """
        self.host, self.port = await self._door.open(host, port)

    @property
    def open_connections(self) -> int:
        """How many senders are connected."""
        return len(self._open)

    @property
    def receivers(self) -> list[Receiver]:
        """The receivers of the open connections."""
        return [connection.receiver for connection in self._open]

    async def stop(self, *, grace_s: float = 20.0) -> None:
        """Accept nothing more, answer what was received, close.

        A message of which only a part came is not answered; its sender sends it again.
        """
        self._door.close()
        tasks = list(self._open.values())
        for connection in list(self._open):
            connection.stop_reading()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=grace_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._has_place():
            self._refused(f"{len(self._open)} are open")
            writer.transport.abort()
            return
        of_all = self._receiver
        receiver = of_all(_peer(writer)) if callable(of_all) else of_all
        if receiver is None:
            self._refused("nobody may send from there")
            writer.transport.abort()
            return
        self.counters.connections += 1
        connection = _Connection(reader, writer, receiver, self._limits, self.counters, self._large)
        task = asyncio.ensure_future(connection.serve())
        self._open[connection] = task
        try:
            await task
        finally:
            del self._open[connection]
            writer.close()  # of one that was ended before it began

    def _has_place(self) -> bool:
        """Tell whether there is a place; the connection at rest for the longest time may leave one.

        Senders that lost theirs without a word, behind a firewall say, connect again and again.
        """
        if len(self._open) < self._limits.max_connections:
            return True
        resting = max(self._open, key=lambda one: one.rests_s)
        if resting.rests_s < self._limits.rest_s:
            return False
        log.info("a connection at rest for %d s leaves its place", resting.rests_s)
        resting.stop_reading()
        return True

    def _refused(self, why: str) -> None:
        """Count a connection that is closed; tell so once in a while, for it may be thousands."""
        self.counters.refused_connections += 1
        now = asyncio.get_running_loop().time()
        if now - self._told >= _TELL_EVERY_S:
            self._told = now
            refused = self.counters.refused_connections
            log.warning("connection refused (%d so far): %s", refused, why)


class _Connection:
    """One sender."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        receiver: Receiver,
        limits: Limits,
        counters: Counters,
        large: asyncio.Semaphore,
    ) -> None:
        self._reader, self._writer = reader, writer
        self.receiver, self._limits, self._counters = receiver, limits, counters
        self._framer = Framer(limits.max_message_bytes)
        self._answers: asyncio.Queue[Answer | None] = asyncio.Queue(limits.pipelined)
        self._deadline: asyncio.Timeout | None = None  # while bytes are waited for
        self._stopped = False
        self._unanswered = 0
        self._large, self._is_large = large, False
        self._heard = asyncio.get_running_loop().time()

    @property
    def rests_s(self) -> float:
        """How long nothing has come, in seconds; 0 in a frame, or before all is answered."""
        if self._stopped or self._framer.inside or self._unanswered:
            return 0.0
        return asyncio.get_running_loop().time() - self._heard

    def stop_reading(self) -> None:
        """Take no further bytes; what was received is still answered."""
        self._stopped = True
        if self._deadline is not None and not self._deadline.expired():
            self._deadline.reschedule(asyncio.get_running_loop().time())

    async def serve(self) -> None:
        """Read and answer until the sender, a time limit or :meth:`stop_reading` ends it."""
        answering = asyncio.ensure_future(self._answer())
        try:
            await self._read()
            await self._answers.put(None)
            await answering
        except OSError as error:  # the sender is gone; what it sent is in the inbox
            log.info("connection lost: %s", type(error).__name__)
        except Exception as error:  # its text, which asyncio would log, may hold patient data
            log.error("connection closed: %s", where(error))
        finally:
            answering.cancel()
            if self._is_large:
                self._large.release()
            self._counters.skipped_bytes += self._framer.skipped
            self._counters.restarts += self._framer.restarts
            self._writer.close()

    async def _read(self) -> None:
        while (data := await self._bytes()) is not None:
            if data:
                self._heard = asyncio.get_running_loop().time()
                for found in self._framer.feed(data):
                    await self._take(found)
                await self._weigh()
            elif found_late := self._framer.flush():
                await self._take(found_late)
            elif self._framer.inside:
                await self._refuse(self._framer.head, NOT_CLOSED)
                return
            else:
                log.info("connection closed: nothing came for %g s", self._limits.idle_s)
                return
        if found_late := self._framer.flush():  # FS was the last byte before the end
            await self._take(found_late)

    async def _weigh(self) -> None:
        """Wait for a place when the message has become a large one; leave it when it is queued."""
        is_large = self._framer.kept_bytes > self._limits.large_bytes
        if is_large and not self._is_large:
            await self._large.acquire()
        elif self._is_large and not is_large:
            self._large.release()
        self._is_large = is_large

    async def _bytes(self) -> bytes | None:
        """Return what came, ``b""`` when nothing came in time, ``None`` at the end."""
        if self._stopped:
            return None
        limits = self._limits
        wait_s = limits.frame_s if self._framer.inside else limits.idle_s
        if self._framer.ending:
            wait_s = limits.fs_s
        self._deadline = deadline = asyncio.timeout(wait_s)
        try:
            async with deadline:
                return await self._reader.read(_READ_BYTES) or None
        except TimeoutError:
            if not deadline.expired():
                raise  # the network's
            return None if self._stopped else b""
        finally:
            self._deadline = None

    async def _take(self, found: Frame | TooLarge) -> None:
        if isinstance(found, TooLarge):
            log.warning("a message of %d bytes is too large", found.size)
            await self._refuse(found.head, TOO_LARGE)
            return
        self._counters.frames += 1
        self._unanswered += 1
        answers = await self.receiver.receive(found.body)
        for answer in answers:
            self._unanswered += 1
            await self._answers.put(answer)
        self._unanswered -= 1

    async def _refuse(self, head: bytes, fault: Fault) -> None:
        self._counters.refused_frames += 1
        self._unanswered += 1
        await self._answers.put(self.receiver.refuse(head, fault))

    async def _answer(self) -> None:
        """Send the answers in order; a sender that does not read them is cut off."""
        try:
            while (answer := await self._answers.get()) is not None:
                # shielded: an answer that is cancelled ends as none, and the cancellation with it
                message = answer if isinstance(answer, bytes) else await asyncio.shield(answer)
                if message is not None:
                    self._writer.write(frame(message))
                    async with asyncio.timeout(self._limits.write_s):
                        await self._writer.drain()
                self._unanswered -= 1
        except (OSError, TimeoutError) as error:
            log.info("answers cannot be sent: %s", type(error).__name__)
            await self._give_up()
        except Exception as error:  # a bug in one answer; without an end the reader would wait
            log.error("an answer failed: %s", where(error))
            await self._give_up()

    async def _give_up(self) -> None:
        self.stop_reading()
        self._writer.transport.abort()
        while (answer := await self._answers.get()) is not None:  # the reader may wait for a place
            if isinstance(answer, asyncio.Future):
                answer.add_done_callback(_heard)


def _heard(answer: asyncio.Future[bytes | None]) -> None:
    """Take an answer that nobody waits for; asyncio would log the text of one that failed."""
    if not answer.cancelled():
        answer.exception()


def _peer(writer: asyncio.StreamWriter) -> Peer:
    address = writer.get_extra_info("peername") or ("",)
    certificate = writer.get_extra_info("peercert") or {}
    return Peer(str(address[0]), certified_names(certificate))
