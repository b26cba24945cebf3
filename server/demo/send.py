"""The demo's sending systems: one MLLP connection each, one message under way on it.

Messages of one patient keep their order over all connections, as they would have in a day that
takes a day: a laboratory's result follows the admission that it belongs to.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from server.demo.day import DemoMessage
from server.demo.hospital import SystemName
from server.feeds.framing import Frame, Framer, frame
from server.feeds.header import read_header

ACK_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 5.0

OnAck = Callable[[DemoMessage, str], None]


class SendingFailed(Exception):
    """A connection was refused or lost, or an answer did not come or was to another message."""


@dataclass(slots=True)
class Sent:
    """Acknowledgement codes (MSA-1) and how often each came, by sending system."""

    codes: dict[SystemName, Counter[str]] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """How many messages were acknowledged, in whatever way."""
        return sum(counter.total() for counter in self.codes.values())


async def send(
    messages: Sequence[DemoMessage],
    host: str,
    port: int,
    *,
    on_ack: OnAck = lambda message, code: None,
    ack_timeout_s: float = ACK_TIMEOUT_S,
) -> Sent:
    """Send the messages, in their order per system and per patient, and return the answers.

    Raises:
        SendingFailed: see there; what was acknowledged before is in the record.
    """
    done = {id(message): asyncio.Event() for message in messages}
    before = _waits_for(messages)
    sent = Sent()

    async def system(name: SystemName) -> None:
        counter = sent.codes.setdefault(name, Counter())
        connection = await _Connection.open(host, port, ack_timeout_s)
        try:
            for message in messages:
                if message.source != name:
                    continue
                if earlier := before.get(id(message)):
                    await done[id(earlier)].wait()
                code = await connection.exchange(message)
                counter[code] += 1
                on_ack(message, code)
                done[id(message)].set()
        finally:
            connection.close()

    try:
        async with asyncio.TaskGroup() as group:
            for name in dict.fromkeys(message.source for message in messages):
                group.create_task(system(name))
    except* SendingFailed as failed:
        raise failed.exceptions[0] from None
    return sent


def _waits_for(messages: Sequence[DemoMessage]) -> dict[int, DemoMessage]:
    """Return, by identity, the message of the same patient that comes before."""
    last: dict[int, DemoMessage] = {}
    before = {}
    for message in messages:
        if message.patient is not None:
            if message.patient in last:
                before[id(message)] = last[message.patient]
            last[message.patient] = message
    return before


class _Connection:
    """One MLLP connection."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, timeout_s: float
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._timeout_s = timeout_s
        self._framer = Framer()

    @classmethod
    async def open(cls, host: str, port: int, timeout_s: float) -> "_Connection":
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                return cls(*await asyncio.open_connection(host, port), timeout_s)
        except OSError as error:  # TimeoutError is one
            raise SendingFailed(f"no connection to {host}:{port}: {error}") from error

    def close(self) -> None:
        self._writer.close()

    async def exchange(self, message: DemoMessage) -> str:
        """Send a message and return MSA-1 of its acknowledgement."""
        header = read_header(message.content)
        control_id = header.control_id if header is not None else b""
        self._writer.write(frame(message.content))
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await self._frame()
        except OSError as error:
            name = control_id.decode("ascii", "replace")
            raise SendingFailed(
                f"no acknowledgement of {message.source} {name}: {error}"
            ) from error
        code, answered = _msa(answer)
        if answered != control_id:
            raise SendingFailed(f"{message.source}: the acknowledgement is of another message")
        return code

    async def _frame(self) -> bytes:
        while True:
            data = await self._reader.read(65536)
            if not data:
                raise ConnectionError("the server closed the connection")
            for found in self._framer.feed(data):
                if isinstance(found, Frame):
                    return found.body


def _msa(answer: bytes) -> tuple[str, bytes]:
    for segment in answer.split(b"\r"):
        if segment.startswith(b"MSA"):
            fields = segment.split(segment[3:4])
            return fields[1].decode("ascii", "replace"), fields[2] if len(fields) > 2 else b""
    raise SendingFailed("the answer has no MSA segment")
