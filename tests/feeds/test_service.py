"""Messages over real sockets, from bytes to record and back to the acknowledgement."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cache
from ipaddress import ip_network
from typing import Any

import pytest

from mappings.feed import Feed
from mappings.maps import Maps, load_maps
from mappings.parse import Message
from mappings.plan import Plan
from server.access.context import SYSTEM
from server.feeds.framing import frame
from server.feeds.header import read_header
from server.feeds.inbox import Entry, Inbox
from server.feeds.mllp import Limits
from server.feeds.quarantine import Filter, ask_replay, dismiss, dry_run, select
from server.feeds.service import FeedService, Port
from server.feeds.wiring import Wire, Wiring
from server.feeds.work import Job
from server.fhir.errors import Conflict, StoreUnavailable
from server.interactions.services import Services
from server.store.memory import MemoryStore
from tests.feeds.conftest import index, services_on

MSH = "MSH|^~\\&|REG|HOSP|TELL|MAIN|{at}||{type}|{id}|P|2.5.1"
PID = "PID|1||{mrn}^^^HOSP^MR||{name}||{born}|{sex}"


def message(
    id_: str = "1",
    *,
    mrn: str = "77",
    name: str = "Doe^Jane",
    born: str = "19700503",
    sex: str = "F",
    type_: str = "ADT^A04^ADT_A01",
    at: str = "20260102030000",
    more: str = "",
) -> bytes:
    """An ADT message of one patient; ``more`` goes behind MSH-12."""
    msh = MSH.format(at=at, type=type_, id=id_) + more
    pid = PID.format(mrn=mrn, name=name, born=born, sex=sex)
    return "\r".join((msh, f"EVN||{at}", pid, "PV1|1|O", "")).encode()


@cache
def shipped() -> Maps:
    return load_maps()


class FeedMaps(Maps):
    """The shipped maps, with the settings of one feed changed."""

    def __init__(self, **settings: Any) -> None:
        self.adopt(shipped())
        self._settings = settings
        self.broken = False

    def feed(self, name: str) -> Feed:
        return replace(super().feed(name), **self._settings)

    def plan(self, message: Message, feed: Feed) -> Plan:
        if self.broken:
            raise ZeroDivisionError("Jane Doe")
        return super().plan(message, feed)


class Sender:
    """One connection of a sending system."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer

    async def send(self, body: bytes) -> list[str]:
        """Send a message; return the answer's segments."""
        self.write(body)
        return await self.answer()

    def write(self, body: bytes) -> None:
        self.writer.write(frame(body))

    async def answer(self) -> list[str]:
        async with asyncio.timeout(30):
            answer = await self._reader.readuntil(b"\x1c\r")
        return answer[1:-3].decode().split("\r")


class Running:
    """A service that listens, and its senders."""

    def __init__(self, service: FeedService) -> None:
        self.service = service
        self._senders: list[Sender] = []

    async def connect(self) -> Sender:
        port = self.service.listeners[0].port
        self._senders.append(Sender(*await asyncio.open_connection("127.0.0.1", port)))
        return self._senders[-1]

    async def send(self, body: bytes) -> str:
        """Send over a connection of its own; return the MSA segment."""
        return (await (await self.connect()).send(body))[1]

    async def entries(self) -> list[Entry]:
        return [entry async for entry in self.service.inbox.walk()]

    async def stop(self) -> None:
        await self.service.stop(grace_s=2)
        for sender in self._senders:
            sender.writer.close()


@asynccontextmanager
async def running(
    services: Services, maps: Maps | None = None, port: Port | None = None, **options: Any
) -> AsyncIterator[Running]:
    service = FeedService(
        services, maps or FeedMaps(), [port or Port()], **{"replay_poll_s": 0.01, **options}
    )
    await service.start()
    made = Running(service)
    try:
        yield made
    finally:
        await made.stop()


async def test_a_registration_becomes_a_patient_before_it_is_acknowledged(
    services: Services, resources: Any
) -> None:
    async with running(services) as server:
        answer = await (await server.connect()).send(message("MSG1"))
        (patient,) = await resources("Patient")
    assert answer[0].startswith("MSH|^~\\&|TELL|MAIN|REG|HOSP|")
    assert answer[1] == "MSA|AA|MSG1"
    assert patient["name"][0]["family"] == "Doe"
    assert patient["birthDate"] == "1970-05-03"
    assert patient["gender"] == "female"


async def test_the_same_bytes_repeat_the_stored_answer_and_are_not_applied_again(
    services: Services,
) -> None:
    async with running(services) as server:
        sender = await server.connect()
        first = await sender.send(message("MSG1"))
        versions = await services.store.history(SYSTEM, limit=100)
        assert await sender.send(message("MSG1")) == first
        assert await services.store.history(SYSTEM, limit=100) == versions
        assert len(await server.entries()) == 1
        assert server.service.counts["default"].repeated == 1


async def test_a_resend_under_a_new_id_and_time_writes_no_version(services: Services) -> None:
    async with running(services) as server:
        await server.send(message("1"))
        versions = await services.store.history(SYSTEM, limit=100)
        later = message("2").replace(b"MAIN|20260102030000", b"MAIN|20260102030100")
        assert await server.send(later) == "MSA|AA|2"
        assert await services.store.history(SYSTEM, limit=100) == versions


async def test_one_id_for_two_messages_is_processed_and_warned_about(
    services: Services, resources: Any
) -> None:
    async with running(services) as server:
        await server.send(message("1", mrn="77"))
        await server.send(message("1", mrn="78"))
        assert len(await resources("Patient")) == 2
        assert [entry.reused_id for entry in await server.entries()] == [False, True]


async def test_without_msh_10_the_bytes_alone_tell_a_repetition(
    services: Services, resources: Any
) -> None:
    async with running(services) as server:
        assert await server.send(message("", mrn="77")) == "MSA|AA|"
        assert await server.send(message("", mrn="78")) == "MSA|AA|"
        assert await server.send(message("", mrn="78")) == "MSA|AA|"
        assert [entry.reused_id for entry in await server.entries()] == [False, False]
        assert len(await resources("Patient")) == 2


BROKEN = [
    ("no MSH", b"PID|1||77^^^HOSP^MR\r", "AR", "unparsable"),
    ("junk", b"\x00\x01\xfe not a message", "AR", "unparsable"),
    ("empty frame", b"", "AR", "unparsable"),
    ("MSH without separator", b"MSH\rPID|1", "AR", "unparsable"),
    (
        "one character for two delimiters",
        b"MSH|^^\\&|A|B|C|D|1||ADT^A04|9|P|2.5\r",
        "AA",
        "unparsable",
    ),
    ("two MSH", message("9") + b"MSH|~^\\&|other\r", "AA", "unparsable"),
    ("unknown type", message("9", type_="ZZZ^Z99"), "AA", "unsupported-message"),
    ("no type", message("9", type_=""), "AA", "unsupported-message"),
    ("no PID-3", message("9").replace(b"77^^^HOSP^MR", b""), "AA", "patient-unidentified"),
    ("no PID", b"MSH|^~\\&|A|B|C|D|1||ADT^A04^ADT_A01|9|P|2.5\r", "AA", "patient-unidentified"),
]


@pytest.mark.parametrize(
    ("body", "code", "reason"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN]
)
async def test_a_broken_message_is_kept_with_its_reason_and_the_next_one_goes_on(
    services: Services, resources: Any, body: bytes, code: str, reason: str
) -> None:
    async with running(services) as server:
        sender = await server.connect()
        msa = (await sender.send(body))[1]
        assert msa.split("|")[1] == code
        (entry,) = await server.entries()
        assert (entry.state, entry.reason) == ("quarantined", reason)
        assert entry.problem
        assert await server.service.inbox.received_body(entry) == body
        assert (await sender.send(message("10")))[1] == "MSA|AA|10"
        assert len(await resources("Patient")) == 1


async def test_wrong_characters_are_read_as_well_as_can_be(
    services: Services, resources: Any
) -> None:
    declared = (
        message("1", name="M\xfcller^J", more="||||||UNICODE UTF-8").decode().encode("latin-1")
    )
    async with running(services) as server:
        assert await server.send(declared) == "MSA|AA|1"
    assert (await resources("Patient"))[0]["name"][0]["family"] == "Müller"


async def test_a_message_above_the_limit_is_refused_and_not_kept(services: Services) -> None:
    async with running(services, port=Port(limits=Limits(max_message_bytes=1000))) as server:
        sender = await server.connect()
        answer = await sender.send(message("BIG") + b"NTE|" + b"x" * 2000)
        assert answer[1] == "MSA|AR|BIG|the message is larger than this server accepts"
        assert answer[2].startswith("ERR|||207^Application internal error^HL70357|E")
        assert await server.entries() == []
        assert (await sender.send(message("2")))[1] == "MSA|AA|2"


async def test_a_feed_may_answer_ae_and_a_retransmission_is_tried_again(
    services: Services, resources: Any
) -> None:
    maps = FeedMaps(ack_quarantined="AE")
    async with running(services, maps) as server:
        maps.broken = True
        sender = await server.connect()
        answer = await sender.send(message("1"))
        assert answer[1] == "MSA|AE|1|the message could not be applied"
        assert answer[2].startswith("ERR|||207^")
        maps.broken = False
        assert (await sender.send(message("1")))[1] == "MSA|AA|1"
        (entry,) = await server.entries()
        assert (entry.state, entry.mode) == ("applied", "live")


async def test_a_map_with_a_bug_costs_one_message_and_tells_no_value(
    services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    maps = FeedMaps()
    maps.broken = True
    async with running(services, maps) as server:
        assert await server.send(message("1")) == "MSA|AA|1"
        (entry,) = await server.entries()
    assert entry.reason == "map-error"
    assert entry.problem.startswith("the map failed: ZeroDivisionError at ")
    assert "Jane" not in caplog.text + entry.problem


async def test_enhanced_mode_answers_twice(services: Services) -> None:
    async with running(services) as server:
        sender = await server.connect()
        first = await sender.send(message("1", more="|||AL|AL"))
        second = await sender.answer()
        assert (first[1], second[1]) == ("MSA|CA|1", "MSA|AA|1")
        assert first[0].split("|")[9] != second[0].split("|")[9]


async def test_who_wants_errors_only_hears_nothing_of_success(services: Services) -> None:
    async with running(services) as server:
        sender = await server.connect()
        sender.write(message("1", more="|||ER|ER"))
        assert (await sender.send(message("2")))[1] == "MSA|AA|2"


async def test_an_acknowledgement_is_not_answered(services: Services) -> None:
    async with running(services) as server:
        sender = await server.connect()
        sender.write(b"MSH|^~\\&|A|B|C|D|1||ACK|5|P|2.5\rMSA|CA|1\r")
        assert (await sender.send(message("2")))[1] == "MSA|AA|2"
        assert len(await server.entries()) == 1


BATCH = b"BHS|^~\\&|A|H|T|M|1||b||B7\r" + message("1") + message("2", mrn="") + b"BTS|2\r"


async def test_a_batch_is_answered_by_a_batch(services: Services) -> None:
    async with running(services, FeedMaps(ack_quarantined="AE")) as server:
        answer = await (await server.connect()).send(BATCH)
    assert answer[0].startswith("BHS|^~\\&|T|M|A|H|2026")
    assert answer[0].endswith("|B7")
    said = [line for line in answer if line.startswith(("MSA", "BTS"))]
    assert said == ["MSA|AA|1", "MSA|AE|2|no patient identifier", "BTS|2"]


@pytest.mark.parametrize(
    ("how", "expected"),
    [("errors", ["MSA|AE|2|no patient identifier", "BTS|1"]), ("none", []), ("each", None)],
)
async def test_a_feed_may_have_its_batches_answered_in_another_way(
    services: Services, how: Any, expected: list[str] | None
) -> None:
    wiring = Wiring({"default": Wire(batch=how)})
    async with running(services, FeedMaps(ack_quarantined="AE"), wiring=wiring) as server:
        sender = await server.connect()
        sender.write(BATCH)
        if expected is None:
            assert [(await sender.answer())[1][:8] for _ in range(2)] == ["MSA|AA|1", "MSA|AE|2"]
        elif expected:
            answer = await sender.answer()
            assert [line for line in answer if line.startswith(("MSA", "BTS"))] == expected
        assert (await sender.send(message("3")))[1] == "MSA|AA|3"


async def test_what_stands_before_the_first_of_several_messages_is_kept_with_it(
    services: Services,
) -> None:
    torn = b"OBX|1|ST|X||a line of another message\r"
    async with running(services) as server:
        sender = await server.connect()
        sender.write(torn + message("1") + message("2", mrn="78"))
        assert [(await sender.answer())[1] for _ in range(2)] == ["MSA|AA|1", "MSA|AA|2"]
        first, second = await server.entries()
        assert await server.service.inbox.received_body(first) == torn + message("1")
        assert await server.service.inbox.received_body(second) == message("2", mrn="78")


async def test_messages_in_one_frame_without_a_batch_are_answered_one_by_one(
    services: Services,
) -> None:
    async with running(services) as server:
        sender = await server.connect()
        assert (await sender.send(message("1") + message("2", mrn="78")))[1] == "MSA|AA|1"
        assert (await sender.answer())[1] == "MSA|AA|2"


@pytest.mark.parametrize(
    ("how", "more", "expected"),
    [
        ("original", "|||AL|AL", ["AA"]),
        ("enhanced", "", ["CA", "AA"]),
        ("commit", "|||NE|AL", ["CA"]),
    ],
)
async def test_a_feed_may_be_answered_otherwise_than_its_messages_say(
    services: Services, how: Any, more: str, expected: list[str]
) -> None:
    wiring = Wiring({"default": Wire(acknowledge=how)})
    async with running(services, wiring=wiring) as server:
        sender = await server.connect()
        sender.write(message("1", more=more))
        codes = [(await sender.answer())[1].split("|")[1] for _ in expected]
        assert codes == expected
        sender.write(message("2", more=more))
        assert (await sender.answer())[1].endswith("|2")


async def test_only_the_addresses_of_a_feed_are_listened_to(services: Services) -> None:
    elsewhere = (ip_network("10.0.0.0/8"),)
    lab = Wire(senders=frozenset([("LAB", "")]), addresses=elsewhere)
    async with running(services, wiring=Wiring({"lab": lab})) as server:
        sender = await server.connect()
        answer = await sender.send(message("1").replace(b"REG|HOSP", b"LAB|ANY"))
        assert answer[1] == "MSA|AR|1|this sender may not send messages of this feed"
        assert (await sender.send(message("2")))[1] == "MSA|AA|2"
        assert server.service.counts["lab"].refused == 1
        assert [entry.feed for entry in await server.entries()] == ["default"]
    default = Wire(addresses=elsewhere)
    async with running(services, wiring=Wiring({"default": default})) as server:
        sender = await server.connect()
        with pytest.raises((OSError, asyncio.IncompleteReadError)):
            await sender.send(message("3"))
        assert server.service.listeners[0].counters.refused_connections == 1


async def test_what_an_earlier_run_left_is_done_before_what_comes_and_no_other_feed_waits(
    services: Services,
) -> None:
    inbox = Inbox(services.store, now=services.now, new_id=services.new_id)
    for n in range(300):
        body = message(f"old{n}", mrn=str(n % 7), name=f"Doe^J^{n}")
        await inbox.receive(Feed("default"), body, read_header(body))
    wiring = Wiring({"live": Wire(senders=frozenset([("LIVE", "")]))})
    async with running(services, wiring=wiring) as server:
        ended: list[str] = []
        work = server.service._queueing.worker.work

        async def noted(job: Job) -> None:
            await work(job)
            ended.append(job.entry.control_id)

        server.service._queueing.worker.work = noted  # type: ignore[method-assign] # only listens
        behind, live = await server.connect(), await server.connect()
        behind.write(message("new", mrn="0"))
        behind.write(message("old3", mrn="3", name="Doe^J^3"))  # sent again
        assert (await live.send(message("L", mrn="x").replace(b"REG", b"LIVE")))[1] == "MSA|AA|L"
        assert len(ended) < 300
        assert (await behind.answer())[1] == "MSA|AA|new"
        assert (await behind.answer())[1] == "MSA|AA|old3"
        await server.service.settle()
        by_patient = [one for one in ended if one.startswith("old") and int(one[3:]) % 7 == 0]
    in_order = [f"old{n}" for n in range(0, 300, 7)]
    assert len(by_patient) > 40  # the first were done before anybody listened
    assert by_patient == in_order[-len(by_patient) :]
    assert ended.index("new") > ended.index("old294")


async def test_two_connections_racing_for_a_new_patient_make_one(
    services: Services, resources: Any
) -> None:
    async with running(services) as server:
        senders = [await server.connect() for _ in range(6)]
        bodies = [message(str(n), name=f"Doe^Jane^{n}") for n in range(6)]
        sent = [s.send(body) for s, body in zip(senders, bodies, strict=True)]
        answers = await asyncio.gather(*sent)
        assert {answer[1].split("|")[1] for answer in answers} == {"AA"}
        assert len(await resources("Patient")) == 1


async def test_messages_of_a_patient_are_applied_in_order(
    services: Services, resources: Any
) -> None:
    async with running(services) as server:
        sender = await server.connect()
        for n in range(20):
            sender.write(message(str(n), name=f"Doe^Jane^{n}", at=f"202601020300{n:02}"))
        answers = [(await sender.answer())[1] for _ in range(20)]
    assert answers == [f"MSA|AA|{n}" for n in range(20)]
    (patient,) = await resources("Patient")
    assert patient["name"][0]["given"] == ["Jane", "19"]


async def test_what_was_received_and_not_applied_is_applied_at_the_next_start(
    services: Services, resources: Any
) -> None:
    inbox = Inbox(services.store, now=services.now, new_id=services.new_id)
    for n in (1, 2):
        body = message(str(n), name=f"Doe^Jane^{n}", at="20260102030000")
        await inbox.receive(Feed(), body, read_header(body))
    async with running(services) as server:
        await server.service.settle()
        assert [entry.state for entry in await server.entries()] == ["applied", "applied"]
        assert await server.send(body) == "MSA|AA|2"
    (patient,) = await resources("Patient")
    assert patient["name"][0]["given"] == ["Jane", "2"]


class FailingStore(MemoryStore):
    """A store that loses its disk: ``down`` commits fail."""

    down: Callable[[Any], bool] = staticmethod(lambda _writes: False)

    async def commit(self, writes: Any, **options: Any) -> Any:
        if self.down(writes):
            raise StoreUnavailable("the disk is full")
        return await super().commit(writes, **options)


@pytest.fixture
def failing(now: Callable[[], int]) -> Services:
    return services_on(FailingStore(now=now, index=index), now)


@pytest.mark.parametrize(
    ("mode", "answer"),
    [
        ("", "MSA|AR|1|the message could not be stored  send it again later"),
        ("|||AL|AL", "MSA|CR|1|the message could not be stored  send it again later"),
    ],
)
async def test_without_a_store_nothing_is_acknowledged(
    failing: Services, mode: str, answer: str
) -> None:
    async with running(failing) as server:
        failing.store.down = lambda _writes: True  # type: ignore[attr-defined]
        assert (await server.send(message("1", more=mode))).replace(",", " ") == answer
        failing.store.down = lambda _writes: False  # type: ignore[attr-defined]
        assert (await server.send(message("1", more=mode))).split("|")[1] in ("AA", "CA")


async def test_a_message_waits_for_the_store_and_says_so_in_time(failing: Services) -> None:
    async with running(failing, ack_timeout_s=0.05) as server:
        failing.store.down = bool  # type: ignore[attr-defined]
        assert await server.send(message("1")) == (
            "MSA|AE|1|the message is stored and still being retried"
        )
        assert server.service.moment().unfinished == 1
        failing.store.down = lambda _writes: False  # type: ignore[attr-defined]
        await server.service.settle()
        assert await server.send(message("1")) == "MSA|AA|1"
        (entry,) = await server.entries()
        assert entry.state == "applied"


async def test_a_feed_may_be_acknowledged_on_the_inbox_commit(failing: Services) -> None:
    async with running(failing, FeedMaps(ack="inbox")) as server:
        failing.store.down = bool  # type: ignore[attr-defined]
        assert await server.send(message("1")) == "MSA|AA|1"
        assert await server.send(message("1")) == "MSA|AA|1"
        failing.store.down = lambda _writes: False  # type: ignore[attr-defined]


async def test_a_replay_applies_with_the_current_maps(services: Services, resources: Any) -> None:
    maps = FeedMaps()
    maps.broken = True
    async with running(services, maps) as server:
        await server.send(message("1"))
        (entry,) = await select(
            server.service.inbox, Filter(states=("quarantined",), reason="map-error")
        )
        maps.broken = False
        replayed = await server.service.replay(entry.id)
    assert replayed is not None
    assert (replayed.state, replayed.mode, replayed.reason) == ("applied", "replay", "")
    assert len(await resources("Patient")) == 1


async def test_a_replay_of_edited_bytes_keeps_the_received_ones(services: Services) -> None:
    body = message("1").replace(b"77^^^HOSP^MR", b"")
    async with running(services) as server:
        await server.send(body)
        (entry,) = await server.entries()
        await ask_replay(services.store, [entry.id], message("1"))
        async with asyncio.timeout(30):
            while entry.state != "applied":
                await asyncio.sleep(0.01)
                (entry,) = await server.entries()
        assert entry.edits == 1
        assert await server.service.inbox.received_body(entry) == body
        assert await server.service.inbox.body(entry) == message("1")


async def test_a_replay_asked_for_while_an_earlier_one_runs_is_done_as_well(
    services: Services,
) -> None:
    async with running(services) as server:
        await server.send(message("1").replace(b"77^^^HOSP^MR", b""))
        (entry,) = await server.entries()
        work = server.service._queueing.worker.work

        async def mended_meanwhile(job: Job) -> None:
            if not job.entry.edits:
                await ask_replay(services.store, [job.entry.id], message("1"))
            await work(job)

        server.service._queueing.worker.work = mended_meanwhile  # type: ignore[method-assign] # asks too
        await ask_replay(services.store, [entry.id])
        async with asyncio.timeout(30):
            while entry.state != "applied":
                await asyncio.sleep(0.01)
                (entry,) = await server.entries()


async def test_an_edit_that_waits_is_not_lost_to_who_asks_after_it(services: Services) -> None:
    store, mended = services.store, message("1")
    async with running(services, replay_poll_s=3600) as server:
        await server.send(message("1").replace(b"77^^^HOSP^MR", b""))
        (entry,) = await server.entries()
        await asyncio.sleep(0.05)  # it has looked whether somebody asks
        await ask_replay(store, [entry.id])
        await ask_replay(store, [entry.id], mended)
        await ask_replay(store, [entry.id])
        await ask_replay(store, [entry.id], mended)
        with pytest.raises(Conflict, match="another edit of this message waits"):
            await ask_replay(store, [entry.id], message("1", name="Roe^J"))
        (waiting,) = await store.find_records("inbox-replay")
        assert (waiting.key, waiting.value) == (entry.id, mended)


async def test_an_edit_is_not_lost_when_the_message_is_at_work(failing: Services) -> None:
    async with running(failing, FeedMaps(ack="inbox")) as server:
        failing.store.down = bool  # type: ignore[attr-defined]
        await server.send(message("1"))
        (entry,) = await server.entries()
        edited = asyncio.create_task(server.service.replay(entry.id, message("1", name="Roe^J")))
        await asyncio.sleep(0.02)
        failing.store.down = lambda _writes: False  # type: ignore[attr-defined]
        done = await edited
        assert done is not None
        assert (done.state, done.edits) == ("applied", 1)


async def test_a_replay_is_not_done_twice_when_the_server_ends_right_after_it(
    services: Services,
) -> None:
    async with running(services) as server:
        await server.send(message("1"))
        (entry,) = await server.entries()
    async with running(services) as server:
        stuck = asyncio.Event()

        async def never(_job: Job) -> None:
            stuck.set()
            await asyncio.sleep(60)

        server.service._queueing.worker.work = never  # type: ignore[assignment,method-assign] # the power goes
        await ask_replay(services.store, [entry.id])
        async with asyncio.timeout(30):
            await stuck.wait()
        assert await services.store.find_records("inbox-replay") == []
        assert [one.state for one in await server.entries()] == ["received"]
    async with running(services) as server:
        async with asyncio.timeout(30):
            while (await server.entries())[0].state != "applied":  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        (entry,) = await server.entries()
    assert (entry.attempts, entry.mode) == (2, "replay")


async def test_what_comes_after_the_clock_was_set_back_is_behind_what_came_before(
    services: Services,
) -> None:
    ahead = replace(services, new_id=lambda: "019fffff-0000-7000-8000-000000000001")
    now = services.now()
    early = Inbox(services.store, now=lambda: now, new_id=ahead.new_id)
    await early.receive(Feed(), message("1"), read_header(message("1")))

    later = Inbox(services.store, now=lambda: now, new_id=services.new_id)
    await later.resume()
    await later.receive(Feed(), message("2"), read_header(message("2")))

    assert [entry.control_id async for entry in later.walk()] == ["1", "2"]


async def test_a_dry_run_writes_nothing(services: Services, resources: Any) -> None:
    maps = FeedMaps()
    async with running(services, maps) as server:
        await server.send(message("1").replace(b"77^^^HOSP^MR", b""))
        (entry,) = await server.entries()
        body = await server.service.inbox.body(entry)
        refused = await dry_run(services, maps, entry, body)
        done = await dry_run(services, maps, entry, message("1"))
    assert refused.refused is not None
    assert refused.refused.reason == "patient-unidentified"
    assert "Patient" in {resource["resourceType"] for resource in done.resources}
    assert done.plan is not None
    assert done.plan.explain
    assert await resources("Patient") == []


async def test_a_lane_can_be_held_until_its_first_message_is_mended(
    services: Services, resources: Any
) -> None:
    other = message("2", name="Roe^Max", born="19010101", sex="M", at="20260102030100")
    async with running(services, FeedMaps(lane_when_quarantined="hold")) as server:
        await server.send(message("1"))
        assert await server.send(other) == "MSA|AA|2"
        assert await server.send(message("3", at="20260102030200")) == "MSA|AA|3"
        assert await server.send(message("4", at="20260102030300")) == "MSA|AA|4"
        states = [entry.state for entry in await server.entries()]
        assert states == ["applied", "quarantined", "held", "held"]
        second = (await server.entries())[1]
        await server.service.replay(second.id, message("2", at="20260102030100"))
        async with asyncio.timeout(30):
            while states != ["applied"] * 4:
                await asyncio.sleep(0.01)
                states = [entry.state for entry in await server.entries()]
    assert len(await resources("Patient")) == 1


async def test_what_comes_while_a_lane_goes_on_does_not_overtake_what_waited(
    services: Services,
) -> None:
    other = message("2", name="Roe^Max", born="19010101", sex="M", at="20260102030100")
    async with running(services, FeedMaps(lane_when_quarantined="hold")) as server:
        for body in (message("1"), other, message("3"), message("4"), message("5")):
            await server.send(body)
        applied: list[str] = []
        work = server.service._queueing.worker.work

        async def noted(job: Job) -> None:
            await work(job)
            if job.entry.state == "applied":
                applied.append(job.entry.control_id)
            await asyncio.sleep(0.02)

        server.service._queueing.worker.work = noted  # type: ignore[method-assign] # only listens
        holder = (await server.entries())[1]
        replay = asyncio.create_task(server.service.replay(holder.id, message("2")))
        for late in "678":
            await server.send(message(late))
        await replay
        entries = await server.entries()
        async with asyncio.timeout(30):
            while {entry.state for entry in entries} != {"applied"}:
                await asyncio.sleep(0.01)
                entries = await server.entries()
        await server.service.settle()
    assert applied == ["2", "3", "4", "5", "6", "7", "8"]


async def test_a_lane_goes_on_after_a_restart_at_the_worst_moment(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = message("2", name="Roe^Max", born="19010101", sex="M", at="20260102030100")
    async with running(services, FeedMaps(lane_when_quarantined="hold")) as server:
        for body in (message("1"), other, message("3"), message("4")):
            await server.send(body)
        monkeypatch.setattr(server.service._queueing, "_follow", lambda _: asyncio.sleep(0))
        holder = (await server.entries())[1]
        await server.service.replay(holder.id, message("2"))
    async with running(services, FeedMaps(lane_when_quarantined="hold")) as server:
        entries = await server.entries()
        async with asyncio.timeout(30):
            while {entry.state for entry in entries} != {"applied"}:
                await asyncio.sleep(0.01)
                entries = await server.entries()


async def test_a_lane_goes_on_when_the_message_that_holds_it_is_dismissed(
    services: Services,
) -> None:
    other = message("2", name="Roe^Max", born="19010101", sex="M", at="20260102030100")
    async with running(services, FeedMaps(lane_when_quarantined="hold")) as server:
        for body in (message("1"), other, message("3"), message("4")):
            await server.send(body)
        holder = (await server.entries())[1]
        await dismiss(services.store, server.service.inbox, holder, "not ours", 5)
        async with asyncio.timeout(30):
            entries = await server.entries()
            while "held" in {entry.state for entry in entries}:
                await asyncio.sleep(0.01)
                entries = await server.entries()
            await server.service.settle()
        entries = await server.entries()
        assert [entry.state for entry in entries] == ["applied", "dismissed", "applied", "applied"]
        assert {entry.mode for entry in entries} == {"live"}


async def test_no_message_waits_for_one_that_is_dismissed_at_that_moment(
    services: Services,
) -> None:
    other = message("2", name="Roe^Max", born="19010101", sex="M", at="20260102030100")
    async with running(services, FeedMaps(lane_when_quarantined="hold")) as server:
        for body in (message("1"), other):
            await server.send(body)
        holder = (await server.entries())[1]
        hold = server.service._queueing.worker._hold

        async def dismissed_meanwhile(job: Job, holders: Any) -> Entry:
            await dismiss(services.store, server.service.inbox, holder, "not ours", 5)
            server.service._queueing.worker._hold = hold  # type: ignore[method-assign]
            return await hold(job, holders)

        server.service._queueing.worker._hold = dismissed_meanwhile  # type: ignore[method-assign] # race
        assert await server.send(message("3")) == "MSA|AA|3"
        assert [one.state for one in await server.entries()] == ["applied", "dismissed", "applied"]


async def test_a_message_without_a_patient_holds_no_lane(services: Services) -> None:
    async with running(services, FeedMaps(lane_when_quarantined="hold")) as server:
        await server.send(message("1").replace(b"77^^^HOSP^MR", b""))
        await server.send(message("2").replace(b"77^^^HOSP^MR", b""))
        await server.send(message("3"))
        states = [entry.state for entry in await server.entries()]
        assert states == ["quarantined", "quarantined", "applied"]


TWO_PATIENTS = (
    b"MSH|^~\\&|LAB|HOSP|TELL|MAIN|20260102030000||ORU^R01^ORU_R01|%b|P|2.5.1\r"
    b"PID|1||77^^^HOSP^MR||Doe^Jane||19700503|F\r"
    b"OBR|1||F%b|GLU^Glucose^L|||20260102\rOBX|1|NM|GLU^Glucose^L||5|mmol/L|||||F\r"
    b"PID|2||78^^^HOSP^MR||Roe^Max||19010101|M\r"
    b"OBR|2||G%b|GLU^Glucose^L|||20260102\rOBX|1|NM|GLU^Glucose^L||6|mmol/L|||||F\r"
)


async def test_a_report_about_two_patients_waits_in_the_lanes_of_both(services: Services) -> None:
    async with running(services) as server:
        begun: list[str] = []
        gate = asyncio.Event()
        work = server.service._queueing.worker.work

        async def gated(job: Job) -> None:
            begun.append(job.entry.control_id)
            if job.entry.control_id == "1":
                await gate.wait()
            await work(job)

        server.service._queueing.worker.work = gated  # type: ignore[method-assign] # only waits
        sender = await server.connect()
        sender.write(message("1", mrn="78", name="Roe^Max", born="19010101", sex="M"))
        sender.write(TWO_PATIENTS % (b"2", b"2", b"2"))
        sender.write(message("3", mrn="77"))
        sender.write(message("4", mrn="79"))
        async with asyncio.timeout(30):
            while "4" not in begun:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert begun == ["1", "4"]
        gate.set()
        for number in "1234":
            assert (await sender.answer())[1] == f"MSA|AA|{number}"
        assert begun == ["1", "4", "2", "3"]


async def test_two_messages_that_share_one_of_their_numbers_are_in_order(
    services: Services,
) -> None:
    async with running(services) as server:
        await server.send(message("1", mrn="77^^^HOSP^MR~88"))
        begun: list[str] = []
        first, go = asyncio.Event(), asyncio.Event()
        work = server.service._queueing.worker.work

        async def slow(job: Job) -> None:
            begun.append(job.entry.control_id)
            first.set()
            await go.wait()
            await work(job)

        server.service._queueing.worker.work = slow  # type: ignore[method-assign] # only waits
        sender = await server.connect()
        sender.write(message("2", mrn="77^^^HOSP^MR~88"))
        sender.write(message("3", mrn="88"))
        await first.wait()
        await asyncio.sleep(0.03)  # time for the second to begin, if nothing kept it
        assert begun == ["2"]
        go.set()
        assert (await sender.answer())[1] == "MSA|AA|2"
        assert (await sender.answer())[1] == "MSA|AA|3"


async def test_a_dismissed_message_that_comes_again_is_acknowledged_and_not_applied(
    services: Services,
) -> None:
    body = message("1").replace(b"77^^^HOSP^MR", b"")
    async with running(services, FeedMaps(ack_quarantined="AE")) as server:
        assert (await server.send(body)).startswith("MSA|AE|1")
        (entry,) = await server.entries()
        await dismiss(services.store, server.service.inbox, entry, "a test", 5)
        assert await server.send(body) == "MSA|AA|1"
        assert [entry.state for entry in await server.entries()] == ["dismissed"]


DAY_US = 24 * 3600 * 1_000_000


async def test_what_was_applied_expires_and_what_was_not_stays(services: Services) -> None:
    async with running(services, keep_days=30) as server:
        await server.send(message("1"))
        await server.send(message("2").replace(b"77^^^HOSP^MR", b""))
        applied, kept = await server.entries()
        assert await services.store.expire_records(applied.updated + 30 * DAY_US - 1) == 0
        assert await services.store.expire_records(applied.updated + 30 * DAY_US) == 4
        assert await server.entries() == [kept]
        inbox = server.service.inbox
        assert await inbox.received_body(applied) == b""
        assert await inbox.explain(applied.id) is None
        assert await inbox.received_body(kept) != b""
        assert await server.send(message("1")) == "MSA|AA|1"  # as a new message
        assert len(await server.entries()) == 2


async def test_a_replay_keeps_an_applied_message_until_it_is_applied_again(
    services: Services,
) -> None:
    maps = FeedMaps()
    async with running(services, maps, keep_days=30) as server:
        await server.send(message("1"))
        (entry,) = await server.entries()
        maps.broken = True
        replayed = await server.service.replay(entry.id)
        assert replayed is not None
        assert replayed.state == "quarantined"
        bodies = await server.service.inbox.bodies(entry)
        await services.store.expire_records(entry.updated + 99 * DAY_US)  # only old explanations
        assert await server.service.inbox.bodies(entry) == bodies
        assert [one.state for one in await server.entries()] == ["quarantined"]
        maps.broken = False
        edited = message("1", name="Doe^Joan")
        assert await server.service.replay(entry.id, edited) is not None
        bodies = await server.service.inbox.bodies((await server.entries())[0])
        assert bodies == {entry.id: message("1"), f"{entry.id}.1": edited}
        assert await services.store.expire_records(entry.updated + 99 * DAY_US) == 5
        assert await server.entries() == []


async def test_without_a_limit_nothing_expires(services: Services) -> None:
    async with running(services) as server:
        await server.send(message("1"))
        assert await services.store.expire_records(2**62) == 0


async def test_senders_on_one_port_can_be_feeds_of_their_own(services: Services) -> None:
    adt, lab = frozenset([("REG", "HOSP")]), frozenset([("LAB", "")])
    wiring = Wiring({"adt": Wire(senders=adt), "lab": Wire(senders=lab)})
    async with running(services, port=Port(feed="rest"), wiring=wiring) as server:
        await server.send(message("1"))
        await server.send(message("2").replace(b"REG|HOSP", b"LAB|ANY"))
        await server.send(message("3").replace(b"REG|HOSP", b"X|Y"))
        assert {entry.feed for entry in await server.entries()} == {"adt", "lab", "rest"}
        assert await server.service.inbox.counts() == {
            "adt": {"applied": 1},
            "lab": {"applied": 1},
            "rest": {"applied": 1},
        }


async def test_stopping_answers_what_is_in_flight(services: Services) -> None:
    async with running(services) as server:
        sender = await server.connect()
        for n in range(10):
            sender.write(message(str(n), mrn=str(n)))
        assert (await sender.answer())[1] == "MSA|AA|0"
        stopping = asyncio.ensure_future(server.service.stop(grace_s=5))
        answered = 1
        try:
            while True:
                await sender.answer()
                answered += 1
        except asyncio.IncompleteReadError:
            await stopping
        entries = await server.entries()
    assert {entry.state for entry in entries} == {"applied"}
    assert len(entries) == answered


async def test_no_log_line_holds_a_value_of_a_message(
    services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    maps = FeedMaps()
    other = message("2", name="CANARY^MAX", born="19010101", sex="M")
    with caplog.at_level("DEBUG"):
        async with running(services, maps, port=Port(limits=Limits(frame_s=0.05))) as server:
            await server.send(message("1", mrn="CANARY", name="CANARY^JANE"))
            await server.send(other.replace(b"77^^^", b"CANARY^^^"))
            await server.send(b"CANARY without MSH")
            await server.send(message("CANARY", type_="ZZZ^CANARY"))
            await server.send(message("CANARY", mrn="8", type_="ADT^A08"))
            maps.broken = True
            await server.send(message("6", name="CANARY^JANE"))
            (await server.connect()).writer.write(b"\x0bCANARY never closed")
            await asyncio.sleep(0.2)
            assert {entry.reason for entry in await server.entries()} == {
                "",
                "patient-overlay",
                "unparsable",
                "unsupported-message",
                "map-error",
            }
    assert "CANARY" not in caplog.text


async def test_who_is_not_answered_hears_no_later_answer_in_its_place(failing: Services) -> None:
    async with running(failing, ack_timeout_s=30) as server:
        sender = await server.connect()
        failing.store.down = lambda writes: "Slow" in str(writes)  # type: ignore[attr-defined]
        sender.write(message("1", name="Slow^Ann"))
        sender.write(message("2", mrn="78", name="Roe^Max"))
        async with asyncio.timeout(30):
            while not server.service.counts["default"].applied:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await server.service.stop(grace_s=0.1)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await sender.answer()
