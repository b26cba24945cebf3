"""The listener over real sockets: limits, time limits, order of answers, shutdown."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from server.feeds.ack import Fault
from server.feeds.framing import frame
from server.feeds.mllp import Answer, Limits, Listener

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Echo:
    """Answers each message with itself; ``later:`` only when released."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.held: list[asyncio.Future[bytes | None]] = []
        self.released = False

    async def receive(self, body: bytes) -> Sequence[Answer]:
        self.received.append(body)
        if body.startswith(b"later") and not self.released:
            self.held.append(asyncio.get_running_loop().create_future())
            return [self.held[-1]]
        if body == b"quiet":
            return []
        return [b"got " + body]

    def refuse(self, head: bytes, fault: Fault) -> bytes:
        return b"no " + head[:4] + fault.code.encode()

    def release(self) -> None:
        for n, answer in enumerate(self.held):
            if not answer.done():
                answer.set_result(b"late %d" % n)


@asynccontextmanager
async def listening(
    echo: Echo, limits: Limits | None = None
) -> AsyncIterator[tuple[Listener, Callable[[], Awaitable[Streams]]]]:
    listener = Listener(echo, limits=limits)
    await listener.start()
    opened: list[asyncio.StreamWriter] = []

    async def connect() -> Streams:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port, limit=4_000_000)
        opened.append(writer)
        return reader, writer

    try:
        yield listener, connect
    finally:
        echo.released = True
        echo.release()
        await listener.stop()
        for writer in opened:
            writer.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what is waited for happens on a socket
            await asyncio.sleep(0.001)


async def answer(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(30):
        return (await reader.readuntil(b"\x1c\r"))[1:-2]


async def end(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(30):
        return await reader.read()


async def test_it_listens_on_loopback_unless_told_otherwise() -> None:
    async with listening(Echo()) as (listener, _):
        assert listener.host == "127.0.0.1"


async def test_messages_are_answered_in_order_though_one_takes_longer() -> None:
    echo = Echo()
    async with listening(echo) as (_, connect):
        reader, writer = await connect()
        writer.write(frame(b"later") + frame(b"b") + frame(b"quiet") + frame(b"c"))
        await until(lambda: len(echo.received) == 4)
        echo.release()
        assert [await answer(reader) for _ in range(3)] == [b"late 0", b"got b", b"got c"]


async def test_a_sender_that_does_not_wait_is_slowed_down() -> None:
    echo = Echo()
    async with listening(echo, Limits(pipelined=2)) as (_, connect):
        _, writer = await connect()
        writer.write(b"".join(frame(b"later %d" % n) for n in range(50)))
        await writer.drain()
        await asyncio.sleep(0.05)
        assert len(echo.received) <= 5


async def test_a_message_that_is_too_large_is_refused_and_the_connection_stays() -> None:
    async with listening(Echo(), Limits(max_message_bytes=10)) as (listener, connect):
        reader, writer = await connect()
        writer.write(frame(b"x" * 5000) + frame(b"small"))
        assert await answer(reader) == b"no xxxx207"
        assert await answer(reader) == b"got small"
        assert listener.counters.refused_frames == 1


async def test_only_some_connections_are_in_the_middle_of_a_large_message() -> None:
    limits = Limits(large=2, large_bytes=100_000, frame_s=60)
    async with listening(Echo(), limits) as (listener, connect):
        opened = [await connect() for _ in range(5)]
        for _, writer in opened:
            writer.write(b"\x0b" + b"x" * 3_000_000)
        await asyncio.sleep(0.3)
        kept = sorted(one._framer.kept_bytes for one in listener._open)
        assert kept[3:] == [3_000_000, 3_000_000]
        assert kept[2] < 300_000
        _, gone = opened.pop(0)
        gone.transport.abort()
        for _, writer in opened:
            writer.write(b"\x1c\r")
        for reader, _ in opened:
            assert len(await answer(reader)) == 3_000_004


async def test_fs_without_cr_is_answered_after_a_short_wait() -> None:
    async with listening(Echo(), Limits(fs_s=0.02)) as (_, connect):
        reader, writer = await connect()
        writer.write(b"\x0babc\x1c")
        assert await answer(reader) == b"got abc"


async def test_a_frame_that_is_never_closed_is_refused_and_the_connection_ends() -> None:
    async with listening(Echo(), Limits(frame_s=0.02)) as (_, connect):
        reader, writer = await connect()
        writer.write(b"\x0bMSH|half")
        assert await end(reader) == frame(b"no MSH|100")


async def test_an_idle_connection_is_closed() -> None:
    async with listening(Echo(), Limits(idle_s=0.02)) as (_, connect):
        reader, _ = await connect()
        assert await end(reader) == b""


async def test_one_connection_too_many_is_closed_and_the_others_go_on() -> None:
    async with listening(Echo(), Limits(max_connections=1)) as (listener, connect):
        reader, writer = await connect()
        writer.write(frame(b"a"))
        assert await answer(reader) == b"got a"
        other, _ = await connect()
        assert await end(other) == b""
        writer.write(frame(b"b"))
        assert await answer(reader) == b"got b"
        assert listener.counters.refused_connections == 1


async def test_one_connection_too_many_takes_the_place_of_the_one_that_rests_longest() -> None:
    limits = Limits(max_connections=3, rest_s=0.05, frame_s=60)
    async with listening(Echo(), limits) as (listener, connect):
        in_a_frame, begun = await connect()
        begun.write(b"\x0bMSH")
        unanswered, asked = await connect()
        asked.write(frame(b"later"))
        resting, _ = await connect()
        await until(lambda: listener.counters.frames == 1)
        await asyncio.sleep(0.1)
        latest, writer = await connect()
        writer.write(frame(b"a"))
        assert await answer(latest) == b"got a"
        assert await end(resting) == b""
        refused, _ = await connect()
        assert await end(refused) == b""
        assert listener.counters.refused_connections == 1
        assert not in_a_frame.at_eof()
        assert not unanswered.at_eof()


async def test_thousands_of_refused_connections_are_a_line_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with listening(Echo(), Limits(max_connections=1)) as (listener, connect):
        await connect()
        for _ in range(20):
            assert await end((await connect())[0]) == b""
        assert listener.counters.refused_connections == 20
    assert caplog.text.count("connection refused") == 1


async def test_junk_between_frames_is_counted() -> None:
    async with listening(Echo()) as (listener, connect):
        reader, writer = await connect()
        writer.write(b"GET / HTTP/1.1\r\n\r\n" + frame(b"a"))
        assert await answer(reader) == b"got a"
        writer.close()
        await until(lambda: not listener.open_connections)
        assert listener.counters.skipped_bytes == 14


async def test_stopping_answers_what_is_in_flight_and_accepts_nothing_more() -> None:
    echo = Echo()
    async with listening(echo) as (listener, connect):
        reader, writer = await connect()
        writer.write(frame(b"later") + b"\x0bhalf")
        await until(lambda: bool(echo.held))
        stopping = asyncio.ensure_future(listener.stop(grace_s=5))
        await asyncio.sleep(0.01)
        echo.release()
        await stopping
        assert await end(reader) == frame(b"late 0")
        with pytest.raises(OSError, match=r".*"):
            await connect()


async def test_a_sender_that_hangs_up_harms_nobody() -> None:
    echo = Echo()
    async with listening(echo) as (listener, connect):
        _, writer = await connect()
        writer.write(frame(b"later") * 3)
        await until(lambda: len(echo.held) == 3)
        writer.transport.abort()
        echo.release()
        await until(lambda: not listener.open_connections)
        reader, writer = await connect()
        writer.write(frame(b"a"))
        assert await answer(reader) == b"got a"
