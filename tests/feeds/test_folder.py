"""Files dropped into a folder, with a real service and real files."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from server.feeds.wiring import Wire, Wiring
from server.fhir.errors import StoreUnavailable
from server.interactions.services import Services
from server.store.memory import MemoryStore
from tests.feeds.conftest import index, services_on
from tests.feeds.test_service import Running, message, running


@pytest.fixture
def dropped(tmp_path: Path) -> Path:
    folder = tmp_path / "drop"
    folder.mkdir()
    return folder


@asynccontextmanager
async def watching(services: Services, folder: Path, **settings: Any) -> AsyncIterator[Running]:
    wire = Wire(folder=folder, **{"poll_s": 0.01, "settle_s": 0.05, **settings})
    async with running(services, wiring=Wiring({"lab": wire})) as server:
        yield server


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in a folder
            await asyncio.sleep(0.01)


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def codes(ack: Path) -> list[str]:
    lines = ack.read_bytes().decode().split("\r")
    return [line.split("|")[1] for line in lines if line.startswith(("MSA", "BTS"))]


async def test_a_file_is_applied_and_put_away_with_its_answers(
    services: Services, dropped: Path, resources: Any
) -> None:
    (dropped / "adt.hl7").write_bytes(message("1") + message("2", mrn="78", name="Roe^Max"))
    async with watching(services, dropped) as server:
        await until((dropped / "done" / "adt.hl7").exists)
        assert names(dropped) == ["done/adt.hl7", "done/adt.hl7.ack"]
        assert codes(dropped / "done" / "adt.hl7.ack") == ["AA", "AA"]
        assert {entry.feed for entry in await server.entries()} == {"lab"}
        assert len(await resources("Patient")) == 2


async def test_a_batch_file_is_answered_by_a_batch_file(services: Services, dropped: Path) -> None:
    body = b"FHS|^~\\&|A|H|T|M\rBHS|^~\\&|A|H|T|M|||||B9\r" + message("1") + message("", mrn="")
    (dropped / "batch").write_bytes(body + b"BTS|2\rFTS|1\r")
    async with watching(services, dropped):
        await until((dropped / "done" / "batch").exists)
    answer = (dropped / "done" / "batch.ack").read_bytes().decode().split("\r")
    assert answer[0].startswith("FHS|^~\\&|T|M|A|H|")
    assert answer[1].endswith("|B9")
    assert codes(dropped / "done" / "batch.ack") == ["AA", "AA", "2"]
    assert answer[-2:] == ["FTS|1", ""]


async def test_a_file_that_is_being_written_is_waited_for(
    services: Services, dropped: Path
) -> None:
    second = message("2")
    async with watching(services, dropped, settle_s=0.6) as server:
        with (dropped / "slow.hl7").open("wb", buffering=0) as file:
            file.write(message("1"))
            for begin in range(0, 80, 10):
                file.write(second[begin : begin + 10] if begin < 70 else second[70:])
                await asyncio.sleep(0.1)
                assert await server.entries() == []
        (dropped / "other.hl7.part").write_bytes(message("3"))
        (dropped / ".hidden").write_bytes(message("4"))
        await until((dropped / "done" / "slow.hl7").exists)
        await asyncio.sleep(0.3)
        assert [entry.control_id for entry in await server.entries()] == ["1", "2"]
    assert (dropped / "other.hl7.part").exists()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", ["AR"]),
        (b"a letter, no message", ["AR"]),
        (message("1") + b"junk MSH\r", ["AA"]),
        (b"MSH\rPID|1\r" + message("1"), ["AR", "AA"]),
        (message("1") + message("2") + b"NTE|" + b"x" * 17_000_000 + b"\r" + message("3"),
         ["AA", "AR", "AA"]),
    ],
    ids=["empty", "no message", "a line of junk", "one without a header", "one too large"],
)  # fmt: skip
async def test_a_file_of_which_something_was_not_kept_has_failed(
    services: Services, dropped: Path, body: bytes, expected: list[str]
) -> None:
    (dropped / "f.hl7").write_bytes(body)
    target = dropped / ("failed" if "AR" in expected else "done")
    async with watching(services, dropped):
        await until((target / "f.hl7").exists)
    assert codes(target / "f.hl7.ack") == expected


async def test_a_second_file_of_the_same_name_does_not_replace_the_first(
    services: Services, dropped: Path
) -> None:
    async with watching(services, dropped):
        (dropped / "a").write_bytes(message("1"))
        await until((dropped / "done" / "a").exists)
        (dropped / "a").write_bytes(message("2", mrn="78"))
        await until((dropped / "done" / "a.2").exists)
    assert (dropped / "done" / "a").read_bytes() == message("1")
    assert names(dropped) == ["done/a", "done/a.2", "done/a.2.ack", "done/a.ack"]


async def test_a_file_of_before_the_restart_is_finished_and_nothing_is_applied_twice(
    services: Services, dropped: Path
) -> None:
    (dropped / "big").write_bytes(b"".join(message(str(n), mrn=str(n)) for n in range(200)))
    async with watching(services, dropped) as server:
        async with asyncio.timeout(30):
            while len(await server.entries()) < 20:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
    assert not (dropped / "done" / "big").exists()
    async with watching(services, dropped) as server:
        await until((dropped / "done" / "big").exists)
        entries = await server.entries()
    assert len(entries) == 200
    assert {(entry.state, entry.attempts) for entry in entries} == {("applied", 1)}
    assert codes(dropped / "done" / "big.ack") == ["AA"] * 200
    assert names(dropped) == ["done/big", "done/big.ack"]


async def test_two_servers_on_one_folder_take_each_file_once(
    services: Services, dropped: Path
) -> None:
    async with watching(services, dropped) as one, watching(services, dropped) as other:
        await until((dropped / "done").exists)
        for n in range(20):
            (dropped / f"f{n}").write_bytes(message(str(n), mrn=str(n)))
        await until(lambda: len(names(dropped / "done")) == 40)
        taken = [server.service.counts["lab"].received for server in (one, other)]
    assert sum(taken) == 20
    assert [server.service.counts["lab"].repeated for server in (one, other)] == [0, 0]


class Away(MemoryStore):
    """A store that cannot write for its first commits."""

    away = 3

    async def commit(self, writes: Any, **options: Any) -> Any:
        self.away -= 1
        if self.away >= 0:
            raise StoreUnavailable("the disk is full")
        return await super().commit(writes, **options)


async def test_a_file_waits_for_the_store(now: Callable[[], int], dropped: Path) -> None:
    services = services_on(Away(now=now, index=index), now)
    (dropped / "a").write_bytes(message("1"))
    async with watching(services, dropped):
        await until((dropped / "done" / "a").exists)
    assert codes(dropped / "done" / "a.ack") == ["AA"]


async def test_a_file_that_grows_while_it_is_read_is_read_anew(
    now: Callable[[], int], dropped: Path
) -> None:
    services = services_on(Away(now=now, index=index), now)
    whole = message("1") + message("2", mrn="78")
    with (dropped / "a").open("wb", buffering=0) as writing:
        writing.write(whole[:-20])
        async with watching(services, dropped, poll_s=0.2) as server:
            await until(lambda: not (dropped / "a").exists())
            writing.write(whole[-20:])
            await until((dropped / "done" / "a").exists)
            kept = [await server.service.inbox.received_body(one) for one in await server.entries()]
    assert message("2", mrn="78") in kept
    assert codes(dropped / "done" / "a.ack") == ["AA", "AA"]


def a_link(folder: Path, outside: Path) -> None:
    (folder / "working" / "bad").symlink_to(outside)


def a_pipe(folder: Path, _: Path) -> None:
    os.mkfifo(folder / "working" / "bad")


def a_folder(folder: Path, _: Path) -> None:
    (folder / "working" / "bad").mkdir()


@pytest.mark.parametrize("bad", [a_link, a_pipe, a_folder])
async def test_what_cannot_be_read_keeps_no_file_waiting_and_is_told_once(
    services: Services,
    dropped: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    bad: Callable[[Path, Path], None],
) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(message("9", name="Secret^Ann"))
    (dropped / "working").mkdir()
    bad(dropped, outside)
    (dropped / "good").write_bytes(message("1"))
    async with watching(services, dropped) as server:
        await until((dropped / "done" / "good").exists)
        (dropped / "next").write_bytes(message("2", mrn="78"))
        await until((dropped / "done" / "next").exists)
        assert [entry.control_id for entry in await server.entries()] == ["1", "2"]
    assert caplog.text.count("a file cannot be taken") == 1
    assert outside.exists()


async def test_a_file_that_is_taken_away_while_it_is_read_keeps_no_other_waiting(
    services: Services, dropped: Path
) -> None:
    async with watching(services, dropped, poll_s=0.05, settle_s=0.2):
        (dropped / "working").mkdir(exist_ok=True)
        (dropped / "first").write_bytes(message("1"))
        (dropped / "second").write_bytes(message("2", mrn="78"))
        first = dropped / "working"
        await until(lambda: any(first.glob("first*")) or (dropped / "done" / "first").exists())
        for one in first.glob("first*"):
            one.unlink(missing_ok=True)
        await until((dropped / "done" / "second").exists)


async def test_links_in_the_folder_are_left_alone(
    services: Services, dropped: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside").write_bytes(message("9"))
    (dropped / "link").symlink_to(tmp_path / "outside")
    (dropped / "good").write_bytes(message("1"))
    async with watching(services, dropped) as server:
        await until((dropped / "done" / "good").exists)
        await asyncio.sleep(0.2)
        assert [entry.control_id for entry in await server.entries()] == ["1"]
    assert (dropped / "link").is_symlink()


@pytest.mark.parametrize("name", ["n" * 255, "ä" * 127, "a\udcffb", "x.ack", "done~~", "a\nb"])
async def test_a_file_may_have_any_name(services: Services, dropped: Path, name: str) -> None:
    (dropped / name).write_bytes(message("1"))
    (dropped / "good").write_bytes(message("2", mrn="78"))
    async with watching(services, dropped) as server:
        await until(lambda: len(list((dropped / "done").glob("*"))) == 4)
        assert sorted(entry.control_id for entry in await server.entries()) == ["1", "2"]
    assert list((dropped / "working").iterdir()) == []
