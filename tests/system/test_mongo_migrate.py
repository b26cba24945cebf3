"""``tellonce migrate``: everything is there in the other store, the same, whenever it is killed."""

import asyncio
import signal
import subprocess
import time
from itertools import count
from pathlib import Path

import pytest
from typer.testing import CliRunner

from server.access.context import SYSTEM
from server.commands.line import cli
from server.fhir.definitions import resource_types
from server.store import lease
from server.store.port import Digest, OutboxWrite, RecordWrite, Store, Version, Write
from server.store.sqlite import SqliteStore
from tests.contract.made import index, observation, patient
from tests.feeds.conftest import NOW
from tests.system.forked import Tellonce, tellonce
from tests.system.mongo import database, opened

PATIENTS = 40


def migrated(*words: str) -> tuple[int, str]:
    ran = CliRunner().invoke(cli, ["migrate", *words])
    return ran.exit_code, " ".join((ran.stdout + ran.stderr).split())


def in_file(path: Path) -> SqliteStore:
    ticks = count(NOW, 1_000_000)
    return SqliteStore(path, now=lambda: next(ticks), index=index, fingerprint="1")


async def _fill(path: Path, rounds: int) -> None:
    store = in_file(path)
    for number in range(rounds):
        for n in range(PATIENTS):
            writes = [patient(f"p{n}", gender="male" if number % 2 else "female")]
            writes.append(observation(f"o{number}-{n}", f"Patient/p{n}"))
            kept = [
                RecordWrite("thing", f"{number}-{n}", b"x" * 20, tag="t"),
                RecordWrite("gone", f"{number}-{n}", b"x", expires_at=NOW),
            ]
            told = [OutboxWrite("topic", b"%d" % n)]
            await store.commit(writes, records=kept, outbox=told)
    await store.commit([Write("Patient", "p0", None, None, method="DELETE")])
    await store.commit([patient("p0")])  # and there again: its history goes on
    await store.commit([Write("Patient", "p1", None, None, method="DELETE")])
    await store.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "record.db"
    asyncio.run(_fill(path, 6))
    return path


async def _all(store: Store) -> tuple[list[Version], list[Digest], list[object]]:
    """Return everything that can be seen of a store, which is closed then."""
    try:
        versions = await store.changes(SYSTEM, limit=100_000)
        digests = [
            digest
            for type_ in sorted(resource_types())
            for digest in await store.digests(type_, limit=100_000, anew=True)
        ]
        rest: list[object] = [
            await store.find_records("thing", limit=100_000),
            await store.outbox(limit=100_000),
            await store.history(SYSTEM, "Patient", "p0", limit=100),
        ]
        return versions, digests, rest
    finally:
        await store.close()


def test_everything_moves_to_mongodb_and_back(file: Path, tmp_path: Path) -> None:
    with database() as url:
        code, said = migrated("--from", f"sqlite:{file}", "--to", url)
        assert code == 0, said
        assert "483 versions and" in said
        assert "records moved, the same in both stores" in said
        assert said.endswith("name the new one to the server and to every command")
        there = asyncio.run(_mongo(url))
        code, said = migrated("--from", url, "--to", f"sqlite:{tmp_path}/back.db")
        assert code == 0, said
    here = asyncio.run(_sqlite(file))
    assert there == here
    assert asyncio.run(_sqlite(tmp_path / "back.db")) == here


async def _mongo(url: str) -> object:
    return await _all(opened(url))


async def _sqlite(path: Path) -> object:
    return await _all(in_file(path))


def test_a_killed_move_goes_on_and_is_served_only_when_it_is_whole(
    file: Path, tmp_path: Path
) -> None:
    command = ["migrate", "--from", f"sqlite:{file}", "--to"]
    with database() as url:
        killed = Tellonce([*command, url], stderr=subprocess.DEVNULL)
        assert asyncio.run(_begun(url))
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        if asyncio.run(_unfinished(url)):
            ran = tellonce("serve", "--port", "0", "--mllp-port", "none", "--store", url)
            assert ran.returncode == 1
            assert "is not finished; run tellonce migrate again" in " ".join(ran.stderr.split())
        code, said = migrated("--from", f"sqlite:{file}", "--to", url)
        assert code == 0, said
        assert asyncio.run(_mongo(url)) == asyncio.run(_sqlite(file))


async def _begun(url: str) -> bool:
    """Wait until something is there."""
    store = opened(url)
    try:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if await store.changes(SYSTEM, limit=1):
                return True
            await asyncio.sleep(0.01)
        return False
    finally:
        await store.close()


async def _unfinished(url: str) -> bool:
    store = opened(url)
    try:
        return await store.get_record("migration", "state") is not None
    finally:
        await store.close()


def test_a_store_that_holds_data_is_not_written_to(file: Path, tmp_path: Path) -> None:
    asyncio.run(_fill(tmp_path / "other.db", 1))
    code, said = migrated("--from", f"sqlite:{file}", "--to", f"sqlite:{tmp_path}/other.db")
    assert code == 1
    assert "other.db holds data already; a record moves into an empty store only" in said


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    code, said = migrated("--from", f"sqlite:{tmp_path}/no.db", "--to", f"sqlite:{tmp_path}/x.db")
    assert code == 1
    assert "no.db is not there" in said


def test_a_file_that_a_server_has_open_is_not_moved(file: Path, tmp_path: Path) -> None:
    store = in_file(file)
    try:
        code, said = migrated("--from", f"sqlite:{file}", "--to", f"sqlite:{tmp_path}/x.db")
    finally:
        asyncio.run(store.close())
    assert code == 1
    assert "the data is in use by process" in said


def test_a_database_that_a_process_serves_is_not_moved(tmp_path: Path) -> None:
    with database() as url:
        asyncio.run(_served_by(url, "ward-1/17/abcd"))
        code, said = migrated("--from", url, "--to", f"sqlite:{tmp_path}/x.db")
    assert code == 1
    assert "ward-1/17/abcd serves mongodb://" in said


async def _served_by(url: str, name: str) -> None:
    store = opened(url)
    await lease.acquire(store, f"process/{name}", name, now=time.time_ns() // 1000, ttl=60_000_000)
    await store.close()


def test_a_move_is_not_finished_with_another_source(file: Path, tmp_path: Path) -> None:
    asyncio.run(_fill(tmp_path / "other.db", 1))
    target = tmp_path / "target.db"

    async def half() -> None:
        store = in_file(target)
        await store.commit([patient("q")], records=[RecordWrite("migration", "state", b"{}")])
        await store.close()

    asyncio.run(half())
    code, said = migrated("--from", f"sqlite:{file}", "--to", f"sqlite:{target}")
    assert code == 1
    assert "holds a part of another record" in said


def test_a_backup_of_mongodb_fills_an_empty_one(file: Path, tmp_path: Path) -> None:
    with database() as one, database() as other:
        assert migrated("--from", f"sqlite:{file}", "--to", one)[0] == 0
        backup = CliRunner().invoke(cli, ["backup", str(tmp_path / "b"), "--store", one])
        assert backup.exit_code == 0, backup.stderr
        back = CliRunner().invoke(
            cli, ["restore", str(tmp_path / "b"), "--store", other], catch_exceptions=False
        )
        assert (back.exit_code, back.stdout) == (0, "483 versions restored\n"), back.stderr
        again = CliRunner().invoke(cli, ["restore", str(tmp_path / "b"), "--store", other])
        assert again.exit_code == 1
        assert "is not empty" in again.stderr
        assert asyncio.run(_mongo(other)) == asyncio.run(_mongo(one))
