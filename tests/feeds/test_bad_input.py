"""What senders get wrong, over real sockets: each has its answer, and the next message goes on."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from server.feeds.ack import Fault
from server.feeds.framing import frame
from server.feeds.mllp import Answer, Limits, Listener
from server.feeds.service import Port
from server.interactions.services import Services
from tests.feeds.conftest import index, services_on
from tests.feeds.test_mllp import until
from tests.feeds.test_service import FailingStore, Running, Sender, message, running

QUICK = Port(limits=Limits(frame_s=0.2, fs_s=0.05))


@pytest.fixture
def failing(now: Callable[[], int]) -> Services:
    return services_on(FailingStore(now=now, index=index), now)


async def raw(server: Running, data: bytes) -> Sender:
    sender = await server.connect()
    sender.writer.write(data)
    return sender


async def reasons(server: Running) -> list[tuple[str, str]]:
    await server.service.settle()
    return [(entry.state, entry.reason) for entry in await server.entries()]


async def test_a_frame_that_is_never_closed_is_refused_and_not_kept(services: Services) -> None:
    async with running(services, port=QUICK) as server:
        sender = await raw(server, b"\x0b" + message("1")[:-10])
        told = await sender.answer()
        assert told[1] == "MSA|AR|1|the frame was not closed with FS CR in time"
        with pytest.raises(asyncio.IncompleteReadError):
            await sender.answer()
        assert await server.send(message("1")) == "MSA|AA|1"
        assert await reasons(server) == [("applied", "")]


async def test_twenty_megabytes_of_zeros_outside_a_frame_are_skipped(services: Services) -> None:
    async with running(services, port=QUICK) as server:
        sender = await raw(server, bytes(20 * 1024 * 1024))
        assert (await sender.send(message("1")))[1] == "MSA|AA|1"
        sender.writer.close()
        await server.stop()
        assert server.service.listeners[0].counters.skipped_bytes == 20 * 1024 * 1024


async def test_twenty_megabytes_of_zeros_in_a_frame_are_refused(services: Services) -> None:
    async with running(services) as server:
        sender = await raw(server, b"\x0b" + bytes(20 * 1024 * 1024) + b"\x1c\r")
        refused = "MSA|AR||the message is larger than this server accepts"
        assert (await sender.answer())[1] == refused
        assert (await sender.send(message("1")))[1] == "MSA|AA|1"
        assert await reasons(server) == [("applied", "")]


async def test_a_message_of_zeros_is_kept_in_quarantine(services: Services) -> None:
    async with running(services) as server:
        sender = await raw(server, frame(bytes(100_000)))
        assert (await sender.answer())[1].startswith("MSA|AR|")
        assert await reasons(server) == [("quarantined", "unparsable")]


async def test_of_interleaved_frames_the_last_whole_one_is_taken(services: Services) -> None:
    first, second = message("1"), message("2", mrn="78")
    async with running(services) as server:
        sender = await raw(server, b"\x0b" + first[:60] + b"\x0b" + second + b"\x1c\r")
        assert (await sender.answer())[1] == "MSA|AA|2"
        sender.writer.write(first[60:] + b"\x1c\r" + frame(first))
        assert (await sender.answer())[1] == "MSA|AA|1"
        assert await reasons(server) == [("applied", ""), ("applied", "")]


async def test_two_messages_woven_into_one_frame_cost_nobody_else(services: Services) -> None:
    pairs = zip(message("1").split(b"\r"), message("2", mrn="78").split(b"\r"), strict=True)
    woven = b"\r".join(line for pair in pairs for line in pair)
    async with running(services) as server:
        answer = await (await raw(server, frame(woven))).answer()
        assert answer[1].split("|")[1] in ("AA", "AR")
        assert {state for state, _ in await reasons(server)} <= {"quarantined", "applied"}
        assert await server.send(message("9")) == "MSA|AA|9"


@pytest.mark.parametrize("charset", ["KLINGON", "8859/99", "GB 18030-2000", "ISO IR87", "~"])
async def test_a_charset_that_nobody_knows_is_read_as_well_as_can_be(
    services: Services, resources: Any, charset: str
) -> None:
    more = "||||||" + charset
    async with running(services) as server:
        answer = await server.send(message("1", name="Müller^J", more=more))
        assert answer == "MSA|AA|1"
        assert await reasons(server) == [("applied", "")]
    (patient,) = await resources("Patient")
    assert patient["name"][0]["family"].startswith("M")


@pytest.mark.parametrize(
    "body",
    [b"PID|1||77^^^HOSP^MR\r", b"\r\r\r", b"MS", b"MSH", b"MSH|", b"\xff\xfeM\x00S\x00H\x00|\x00"],
)
async def test_without_a_header_it_is_kept_and_refused(services: Services, body: bytes) -> None:
    async with running(services) as server:
        sender = await raw(server, frame(body))
        assert (await sender.answer())[1].split("|")[1] in ("AR", "AA")
        ((state, reason),) = await reasons(server)
        assert state == "quarantined"
        assert reason in ("unparsable", "unsupported-message")
        (entry,) = await server.entries()
        assert await server.service.inbox.received_body(entry) == body


async def test_an_impossible_date_is_left_out_with_a_warning(
    services: Services, resources: Any
) -> None:
    async with running(services) as server:
        assert await server.send(message("1", born="19700231")) == "MSA|AA|1"
        (entry,) = await server.entries()
    assert any("PID-7" in warning for warning in entry.warnings)
    (patient,) = await resources("Patient")
    assert "birthDate" not in patient


async def test_two_patients_for_one_identifier_list_are_in_quarantine(services: Services) -> None:
    async with running(services) as server:
        await server.send(message("1", mrn="77"))
        await server.send(message("2", mrn="78"))
        assert await server.send(message("3", mrn="77^^^HOSP^MR~78")) == "MSA|AA|3"
        assert (await reasons(server))[2] == ("quarantined", "patient-conflict")


async def test_while_the_store_is_down_no_answer_is_positive(failing: Services) -> None:
    async with running(failing, ack_timeout_s=0.1) as server:
        failing.store.down = lambda _: True  # type: ignore[attr-defined]
        codes = set()
        for n, more in enumerate(["", "|||AL|AL", "|||AL|NE", "|||ER|ER"]):
            codes.add((await server.send(message(str(n), more=more))).split("|")[1])
        assert codes == {"AR", "CR"}
        failing.store.down = bool  # type: ignore[attr-defined] # the inbox, but not the record
        assert (await server.send(message("8"))).split("|")[1] == "AE"
        failing.store.down = lambda _: False  # type: ignore[attr-defined]
        await server.service.settle()
        assert await server.send(message("8")) == "MSA|AA|8"


async def test_a_sender_that_never_reads_its_answers_is_cut_off_and_harms_nobody(
    services: Services,
) -> None:
    port = Port(limits=Limits(write_s=0.2))
    async with running(services, port=port) as server:
        sender = await server.connect()
        sender.writer.transport.pause_reading()  # type: ignore[attr-defined] # as a stuck process
        for n in range(200):
            sender.write(message(str(n), mrn=str(n % 3)))
        assert await server.send(message("other")) == "MSA|AA|other"


async def test_a_version_of_thousands_of_digits_is_none(services: Services) -> None:
    body = message("1").replace(b"|2.5.1", b"|" + b"1" * 5000)
    async with running(services) as server:
        assert await server.send(body) == "MSA|AA|1"
        assert await reasons(server) == [("applied", "")]


@pytest.mark.parametrize("failing", ["receive", "answer"])
async def test_a_bug_in_receiving_ends_one_connection_and_tells_no_value(
    services: Services, caplog: pytest.LogCaptureFixture, failing: str
) -> None:
    class Broken:
        async def receive(self, body: bytes) -> list[Answer]:
            failed: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
            failed.set_exception(ValueError("Jane Doe"))
            if failing == "receive":
                await failed
            return [failed]

        def refuse(self, head: bytes, fault: Fault) -> bytes:
            raise NotImplementedError

    listener = Listener(Broken(), limits=Limits(pipelined=2))
    await listener.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(frame(b"MSH|") * 100)
    with suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(), 10) == b""
    writer.close()
    await until(lambda: listener.open_connections == 0)
    await listener.stop()
    told = [row.getMessage() for row in caplog.records]
    assert any("ValueError at " in row for row in told)
    assert "Jane Doe" not in caplog.text


async def test_a_message_that_comes_to_no_end_keeps_nobody_waiting(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bytes:
        raise ValueError("Jane Doe")

    async with running(services) as server:
        working = server.service._answering.stamp
        monkeypatch.setattr(server.service._queueing.worker, "_stamp", fail)
        sender = await server.connect()
        sender.write(message("1"))
        await until(lambda: server.service.moment().unfinished == 0)
        monkeypatch.setattr(server.service._queueing.worker, "_stamp", working)
        assert (await sender.send(message("1")))[1] == "MSA|AA|1"
        assert await reasons(server) == [("applied", "")]
