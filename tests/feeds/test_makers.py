"""What another process makes of a message is what this one makes, and nothing is lost with it."""

import asyncio
import csv
import os
import pickle
import signal
import sys
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from mappings.feed import Feed
from mappings.maps import load_maps
from mappings.parse import split_messages
from mappings.plan import Identity, Plan, PlannedResource
from server.access.policy import load_policy
from server.feeds import asked, makers, making, wire, wire_made
from server.feeds.apply import apply
from server.feeds.inbox import Entry, explain_write
from server.feeds.lanes import lanes_of
from server.feeds.maker_process import Maker, Planning, Questions, Site, starter
from server.feeds.makers import Makers
from server.feeds.making import Made
from server.feeds.packed import PackedPlan
from server.feeds.refused import RefusedMessage
from server.feeds.unmapped import unmapped
from server.feeds.work import plan_message
from server.interactions.services import Policy, Services
from server.search.catalog import Catalog
from server.store.memory import MemoryStore
from server.store.sqlite import SqliteStore
from server.uuid7 import new_id
from tests.feeds.conftest import BASE, NOW, index, services_on

FEED = Feed("published", unidentified="create", default_authority="urn:example:mrn")
MAPS = load_maps()
READY = r"sys.stdout.buffer.write(b'\0\0\0\5ready'); sys.stdout.flush()"

ODDLY = """
def frame():
    return sys.stdin.buffer.read(int.from_bytes(sys.stdin.buffer.read(4), 'big'))
while asked := frame():
    sys.stdout.buffer.write((12).to_bytes(4, 'big') + asked[1:9] + b'what')
    sys.stdout.flush()
"""


def numbered(services: Services, message: int) -> Services:
    """Return services whose clock stands, and whose ids are the same each time they are made."""
    ids = count(message * 10_000)
    return replace(
        services,
        now=lambda: NOW,
        new_id=lambda: f"019b0000-0000-7000-8000-{next(ids):012x}",
    )


async def outcome(made: Awaitable[Made | None]) -> Made | tuple[str, str, tuple[str, ...]] | None:
    try:
        return await made
    except RefusedMessage as refused:
        return refused.reason, refused.problem, refused.issues


@pytest.mark.parametrize(
    ("every", "at_least"), [(6, 45), pytest.param(1, 290, marks=pytest.mark.soak)]
)
async def test_the_published_messages_come_to_the_same_elsewhere(
    every: int, at_least: int, shared_data: Path
) -> None:
    folder, numbers = shared_data / "hl7v2", count(1)
    services = replace(
        services_on(MemoryStore(now=lambda: NOW, index=index), lambda: NOW),
        access_policy=load_policy(),
    )
    planning = Planning(())
    packed = pickle.dumps(FEED)

    async def both(services: Services, entry: Entry, plan: Plan, feed: Feed) -> Made:
        number = next(numbers)

        async def elsewhere() -> Made | None:
            asked = wire.pack_asked(entry, plan, packed)
            maker = Maker(numbered(services, number), planning)
            return wire_made.read_answer(await maker.answer(wire.TO_MAKE, asked))

        here = making.make(numbered(services, number), entry, plan, feed)
        made = await outcome(here)
        assert await outcome(elsewhere()) == made
        if isinstance(made, Made):
            return made
        raise RefusedMessage("failed", "as it is elsewhere")

    with (folder / "manifest.csv").open() as manifest:
        names = [row["file"] for row in csv.DictReader(manifest)]
    applied = 0
    for name in names[::every]:
        for body in split_messages((folder / name).read_bytes()):
            plan, refused = plan_message(MAPS, body, FEED)
            if plan is None or refused is not None:
                continue
            entry = Entry(new_id(), FEED.name, NOW, sender="A|B", type=plan.message_type)
            try:
                await apply(services, entry, plan, FEED, finish=lambda done: done, maker=both)
            except RefusedMessage:
                continue
            applied += 1
    assert applied >= at_least


def admission(number: int, name: str) -> bytes:
    return (
        f"MSH|^~\\&|REG|HOSP|TELL|MAIN|20260316080000||ADT^A08^ADT_A01|{number}|P|2.5.1\r"
        f"EVN|A08|20260316080000\rPID|1||77^^^HOSP^MR||Doe^{name}||19700503|F\rPV1|1|O\r"
        f"NK1|1|Doe^John|SPO\rAL1|1|DA|PCN^Penicillin^L\r"
    ).encode()


class Beside:
    """A store in a file, and makers beside it that always have something to do."""

    def __init__(self, services: Services, start: makers.Start) -> None:
        self.services = services
        self.makers = Makers(start, 1, lambda: 100)
        self._numbers = count(1)

    async def send(self, name: str) -> Entry:
        number = next(self._numbers)
        plan, _ = plan_message(MAPS, admission(number, name), FEED)
        assert plan is not None
        entry = Entry(new_id(), FEED.name, NOW + number, sender="REG|HOSP", type="ADT^A08")
        make, services = self.makers.make, self.services
        return await apply(services, entry, plan, FEED, finish=lambda done: done, maker=make)

    async def started(self) -> None:
        await self.send("First")
        async with asyncio.timeout(30):
            while not self.makers.pids:  # noqa: ASYNC110 - there is nothing to wait for
                await asyncio.sleep(0.05)


@asynccontextmanager
async def beside(tmp_path: Path, start: makers.Start | None = None) -> AsyncIterator[Beside]:
    clock = count(NOW, 1000)
    store = SqliteStore(
        tmp_path / "record.db", now=lambda: next(clock), index=index, fingerprint="test"
    )
    services = replace(services_on(store, lambda: next(clock)), new_id=new_id)
    site = Site(tmp_path / "record.db", BASE, "UTC", True, Policy(), None)
    made = Beside(services, start or starter(site))
    try:
        yield made
    finally:
        await made.makers.stop()
        await store.close()


async def test_another_process_sees_what_was_committed_and_a_killed_one_loses_nothing(
    tmp_path: Path,
) -> None:
    async with beside(tmp_path) as there:
        await there.started()
        assert (await there.send("Ann")).produced[0].endswith("/_history/2")
        assert there.makers.made == 1

        os.kill(there.makers.pids[0], signal.SIGKILL)
        names = [f"Name{n}" for n in range(5)]
        sent = [await there.send(name) for name in names]
        assert [entry.produced[0].rpartition("/")[2] for entry in sent] == list("34567")
        assert there.makers.pids == ()


async def test_another_process_plans_as_this_one_does(tmp_path: Path) -> None:
    async with beside(tmp_path) as there:
        await there.started()
        body = admission(7, "Ann") + b"AL1|2|DA|LTX^Latex^L\r" * 20
        feed = MAPS.feed("adt")
        here, _ = plan_message(MAPS, body, feed)
        planned = await there.makers.plan(there.services, MAPS.version, "adt", body)
        assert planned is not None
        plan, refused = planned
        assert plan is not None
        assert here is not None
        assert (refused, plan.map_version, plan.lane) == (None, MAPS.version, here.lane)
        assert (lanes_of(plan), unmapped(plan)) == (lanes_of(here), unmapped(here))
        assert wire.unpacked(plan).resources == here.resources

        entry = Entry(new_id(), "adt", NOW, sender="REG|HOSP", type="ADT^A08")

        async def applied(entry: Entry) -> Entry:
            make, services = there.makers.make, there.services
            return await apply(services, entry, plan, feed, finish=lambda done: done, maker=make)

        assert len((await applied(entry)).produced) == 4
        assert there.makers.made == 1
        assert explain_write(entry, plan).value == explain_write(entry, here).value

        os.kill(there.makers.pids[0], signal.SIGKILL)
        again = replace(entry, id=new_id())
        assert (await applied(again)).produced == ()
        assert await there.makers.plan(there.services, MAPS.version, "adt", body) is None


async def test_what_is_made_with_its_plan_is_applied_unless_it_is_out_of_date(
    tmp_path: Path,
) -> None:
    async with beside(tmp_path) as there:
        await there.started()
        feed, services = MAPS.feed("adt"), there.services
        asked, versions = count(1), []

        async def applied(name: str, meanwhile: str = "", *, told: bool = False) -> None:
            number = 100 + next(asked)
            entry = Entry(new_id(), "adt", NOW + number, sender="REG|HOSP", type="ADT^A08")
            planned = await there.makers.plan(
                services, MAPS.version, "adt", admission(number, name), entry=entry, since=number
            )
            assert planned is not None
            plan = planned[0]
            assert isinstance(plan, PackedPlan)
            assert plan.since == number
            if meanwhile:
                await applied(meanwhile)
            if told:
                there.makers.overtaken(plan)
            make = there.makers.make
            done = await apply(services, entry, plan, feed, finish=lambda done: done, maker=make)
            versions.append([one.rpartition("/")[2] for one in done.produced])
            assert plan.ahead == b""

        def made_elsewhere() -> tuple[int, int]:
            return there.makers.planned, there.makers.made

        await applied("Ann")
        assert made_elsewhere() == (1, 1)
        await applied("Bea", meanwhile="Cil")  # its write expects what is not there any more
        assert made_elsewhere() == (3, 4)
        await applied("Dot", meanwhile="Eva", told=True)
        assert made_elsewhere() == (5, 6)
        assert versions == [["1", "1", "1"], ["2"], ["3"], ["4"], ["5"]]
        assert there.makers._in_vain == 8


async def test_by_maps_that_it_does_not_have_nothing_is_planned_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "adt.yaml").write_text("feed: adt\nunidentified: create\n")
    store = MemoryStore(now=lambda: NOW, index=index)
    maker = Maker(services_on(store, lambda: NOW), Planning((tmp_path,)))
    body = admission(7, "Ann")
    own = load_maps([tmp_path]).version

    async def asked(version: str) -> object:
        question = wire.pack_body(version, "adt", body)
        return wire.read_planned(await maker.answer(wire.TO_PLAN, question))

    assert await asked(own) is not None
    assert await asked(MAPS.version) is None
    (tmp_path / "adt.yaml").write_text("feed: adt\nunidentified: quarantine\n")
    new = load_maps([tmp_path]).version
    assert new != own
    assert await asked(new) is not None
    assert await asked(own) is None
    (tmp_path / "adt.yaml").write_text("feed: [")
    assert await asked("another") is None
    assert await asked(new) is not None


async def test_maps_that_come_back_are_found_again(tmp_path: Path) -> None:
    first, second = "feed: adt\nunidentified: create\n", "feed: adt\nunidentified: quarantine\n"
    (tmp_path / "adt.yaml").write_text(second)
    wanted = load_maps([tmp_path]).version
    (tmp_path / "adt.yaml").write_text(first)
    now = [0.0]
    planning = Planning((tmp_path,), lambda: now[0])
    assert planning.maps(wanted) is None
    (tmp_path / "adt.yaml").write_text(second)
    assert planning.maps(wanted) is None  # they were looked for just now
    now[0] = 5.0
    found = planning.maps(wanted)
    assert found is not None
    assert found.version == wanted


def test_what_cannot_be_planned_is_told_with_its_reason() -> None:
    refused = RefusedMessage("unparsable", "no MSH", ("a",))
    planned = wire.read_planned(wire.pack_planned(None, refused))
    assert planned is not None
    assert planned[0] is None
    assert planned[1] is not None
    assert (planned[1].reason, planned[1].problem, planned[1].issues) == (
        "unparsable", "no MSH", ("a",),
    )  # fmt: skip
    assert wire.read_planned(wire_made.FAILED) is None


def test_plans_are_asked_for_first_in_whatever_pieces_questions_come() -> None:
    read, write = os.pipe()
    questions = Questions(read)
    sent = [wire.question(kind, n, b"x" * n) for n, kind in enumerate((b"m", b"m", b"p"))]
    os.write(write, b"".join(sent)[:-2])
    first = questions.next()
    os.write(write, sent[-1][-2:])
    rest = [questions.next() for _ in range(2)]
    os.close(write)

    def told(kind: bytes, n: int) -> tuple[bytes, bytes, bytes]:
        return kind, n.to_bytes(wire.NUMBER_BYTES, "big"), b"x" * n

    assert [first, *rest] == [told(b"m", 0), told(b"p", 2), told(b"m", 1)]
    assert questions.next() is None
    os.close(read)


async def test_who_cannot_be_started_is_asked_for_once(tmp_path: Path) -> None:
    tried = []

    async def never() -> asyncio.subprocess.Process:
        tried.append(1)
        raise FileNotFoundError

    async with beside(tmp_path, never) as there:
        for name in ("Ann", "Bea", "Cil"):
            assert (await there.send(name)).state == "applied"
            await asyncio.sleep(0)
    assert tried == [1]


def running(code: str) -> makers.Start:
    async def start() -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        code_ = f"import sys, time; {READY}; {code}"
        return await asyncio.create_subprocess_exec(
            sys.executable, "-c", code_, stdin=pipe, stdout=pipe
        )

    return start


@pytest.mark.parametrize(
    "code",
    [
        "time.sleep(60)",
        "sys.exit(3)",
        r"sys.stdout.buffer.write(b'\0\0\0\5wrong'); sys.stdout.flush(); time.sleep(60)",
        ODDLY,
    ],
    ids=["silent", "gone", "unasked", "odd"],
)
async def test_who_does_not_answer_well_is_done_without(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with beside(tmp_path, running(code)) as there:
        await there.send("First")
        async with asyncio.timeout(30):
            while there.makers._starting is not None:  # noqa: ASYNC110 - it may end at once
                await asyncio.sleep(0.01)
        monkeypatch.setitem(asked.ANSWER_S, wire.TO_MAKE, 0.5)
        assert (await there.send("Ann")).produced[0].endswith("/_history/2")
        assert there.makers.made == 0


KILLED = """
import os, pickle, signal
from itertools import count
def frame():
    return sys.stdin.buffer.read(int.from_bytes(sys.stdin.buffer.read(4), 'big'))
def say(answer, upto=None):
    framed = len(answer).to_bytes(4, 'big') + answer
    sys.stdout.buffer.write(framed[:upto]); sys.stdout.flush()
def die():
    os.kill(os.getpid(), signal.SIGKILL)
for n in count():
    asked = frame()
    answer = asked[1:9] + pickle.dumps((None, None))
    {moment}
"""
MOMENTS = {
    "before its answer": "die()",
    "between two answers": "die() if n else say(answer)",
    "within a length": "say(answer, 2); die()",
    "within a number": "say(answer, 7); die()",
    "within an answer": "say(answer, len(answer)); die()",
    "behind its answer": "say(answer); die()",
}


@pytest.mark.parametrize("moment", MOMENTS.values(), ids=list(MOMENTS))
async def test_a_maker_that_is_killed_at_any_moment_loses_nothing(
    moment: str, tmp_path: Path
) -> None:
    async with beside(tmp_path, running(KILLED.replace("{moment}", moment))) as there:
        await there.started()
        body, entry = admission(9, "Zoe"), Entry(new_id(), FEED.name, NOW)
        names = [f"Name{n}" for n in range(4)]
        async with asyncio.timeout(10):
            planning = asyncio.create_task(
                there.makers.plan(there.services, MAPS.version, "adt", body, entry=entry)
            )
            sent = await asyncio.gather(*(there.send(name) for name in names))
            assert await planning is None
            while there.makers.pids:  # noqa: ASYNC110 - it ends by itself
                await asyncio.sleep(0.01)
        versions = [one.produced[0].rpartition("/")[2] for one in sent]
        assert sorted(versions) == list("2345")


async def test_a_maker_that_is_killed_while_it_starts_loses_nothing(tmp_path: Path) -> None:
    begun = []

    async def start() -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        code = "import sys, time; sys.stdout.write('\\0\\0'); sys.stdout.flush(); time.sleep(60)"
        begun.append(
            await asyncio.create_subprocess_exec(
                sys.executable, "-S", "-c", code, stdin=pipe, stdout=pipe
            )
        )
        return begun[0]

    async with beside(tmp_path, start) as there:
        sent = [await there.send("Ann")]
        async with asyncio.timeout(10):
            while not begun:  # noqa: ASYNC110 - it is started beside
                await asyncio.sleep(0.01)
            begun[0].kill()
            sent += [await there.send(name) for name in ("Bea", "Cil")]
            await begun[0].wait()
            sent.append(await there.send("Dot"))
        assert [one.produced[0].rpartition("/")[2] for one in sent] == list("1234")
        assert (there.makers.pids, len(begun)) == ((), 1)


async def test_with_parameters_of_the_site_messages_are_made_here(tmp_path: Path) -> None:
    tried = []

    async def start() -> asyncio.subprocess.Process:
        tried.append(1)
        raise FileNotFoundError

    async with beside(tmp_path, start) as there:
        known = Catalog().parameters("Patient")["gender"]
        there.services.searchable.catalog = Catalog([known])
        assert (await there.send("Ann")).state == "applied"
        await asyncio.sleep(0)
    assert tried == []


def test_nothing_of_a_plan_is_lost_on_the_way() -> None:
    planned = PlannedResource(
        "Patient",
        "Patient",
        {"gender": "female"},
        Identity(((("identifier", "urn:x|1"),),)),
        frozenset(("gender",)),
        frozenset(("telecom",)),
        7,
        "never",
        shared=True,
    )
    plan = Plan("ADT^A08", (planned,), "lane", "v1", warnings=("odd",), extra={"version": "2.5"})
    entry = Entry("id", "adt", 5, sender="A|B", type="ADT^A08", mode="replay")

    asked = wire.read_asked(wire.pack_asked(entry, plan, pickle.dumps(FEED)), {})

    assert asked == (entry, plan, FEED)
    other = {"gender": "male"}
    assert making.with_values(planned, other) == replace(planned, values=other)
