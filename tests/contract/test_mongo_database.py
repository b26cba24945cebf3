"""The database itself: who may not be used as one, its schema, faults in it, and copies of it."""

import gc
import json
import shutil
import threading
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from pymongo import AsyncMongoClient, MongoClient

from server.access.context import SYSTEM
from server.fhir.errors import StoreUnavailable, operation_outcome
from server.search.query import HasKey, Query
from server.store.codec import train
from server.store.mongo import MongoStore, backup, bodies, migrations
from server.store.port import CorruptStore, NewerSchema, OutboxWrite, RecordWrite
from tests import mongod
from tests.contract.made import START, Clock, deletion, index, observation, patient, put

MALES = Query(("Patient",), HasKey(("Patient|gender|c|male",)))


@pytest.fixture
async def store(clock: Clock) -> AsyncIterator[MongoStore]:
    made = mongod.new_store(clock)
    yield made
    await made.close()
    mongod.clean_up(made)


@pytest.fixture
async def other(clock: Clock) -> AsyncIterator[MongoStore]:
    made = mongod.new_store(clock)
    yield made
    await made.close()
    mongod.clean_up(made)


@contextmanager
def inside(store: MongoStore) -> Iterator[Any]:
    """Give the database of a store, to be tampered with."""
    with MongoClient[dict[str, Any]](mongod.url()) as client:
        yield client[store.database]


@contextmanager
def lone_server(folder: Path, *options: str) -> Iterator[str]:
    """Run a server that nobody has set up, give its address."""
    port = mongod.free_port()
    process = mongod.start(port, folder, *options)
    try:
        yield f"mongodb://127.0.0.1:{port}/?serverSelectionTimeoutMS=300"
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


@asynccontextmanager
async def at(url: str, clock: Clock) -> AsyncIterator[MongoStore]:
    made = MongoStore(url, "tellonce-test", now=clock, index=index, fingerprint="1")
    try:
        yield made
    finally:
        await made.close()


def told(error: BaseException) -> str:
    """Return what a log would hold of an error, without the lines of the program."""
    return "".join(traceback.TracebackException.from_exception(error).format_exception_only())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), r"runs alone.* --replSet rs0 .*mongosh --eval \"rs\.initiate\(\)\""),
        (("--replSet", "rs0"), r"not set up as a replica set yet.*rs\.initiate\(\)"),
    ],
    ids=["standalone", "not initiated"],
)
async def test_a_server_without_replica_set_is_refused_with_the_command_that_helps(
    tmp_path: Path, clock: Clock, options: tuple[str, ...], said: str
) -> None:
    with lone_server(tmp_path / "data", *options) as url:
        async with at(url, clock) as store:
            with pytest.raises(StoreUnavailable, match=said):
                await store.start()


# The driver lets go of a socket that was still connecting without closing it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_database_that_is_away_is_told_without_the_password(clock: Clock) -> None:
    port = mongod.free_port()
    wanted = f"MongoDB at 127.0.0.1:{port} cannot be reached"

    address = f"mongodb://me:secret@127.0.0.1:{port}/?serverSelectionTimeoutMS=200"
    async with at(address, clock) as store:
        with pytest.raises(StoreUnavailable, match=wanted) as away:
            await store.commit([patient("a")])
        assert await store.ready() == "the store cannot be reached"

    gc.collect()  # so that it is this test that is told of the socket
    assert away.value.retry_after_s == 5
    assert operation_outcome(away.value)["issue"][0]["diagnostics"] == "the store cannot be reached"
    assert "secret" not in told(away.value)


async def test_a_login_that_is_refused_is_told_without_the_password(clock: Clock) -> None:
    hosts = mongod.url().partition("://")[2]
    async with at(f"mongodb://me:secret@{hosts}", clock) as store:
        with pytest.raises(StoreUnavailable, match="refuses the user, the password") as refused:
            await store.start()

    assert "secret" not in told(refused.value)
    assert refused.value.diagnostics == "the store refuses the server"
    assert refused.value.retry_after_s == 5


async def test_why_the_store_is_not_ready_is_in_the_log_once(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    port = mongod.free_port()
    address = f"mongodb://me:secret@127.0.0.1:{port}/?serverSelectionTimeoutMS=100"
    async with at(address, clock) as store:
        await store.ready()
        await store.ready()
    gc.collect()
    assert [record.getMessage() for record in caplog.records] == [
        f"the store is not ready: MongoDB at 127.0.0.1:{port} cannot be reached"
    ]


async def test_a_newer_database_is_refused(store: MongoStore, clock: Clock) -> None:
    await store.start()
    with inside(store) as db:
        db.state.update_one({"_id": "schema"}, {"$set": {"number": 99}})
    newer = MongoStore(mongod.url(), store.database, now=clock, index=index, fingerprint="1")

    with pytest.raises(NewerSchema, match="has schema 99, this server knows"):
        await newer.start()

    await newer.close()
    with inside(store) as db:
        db.state.update_one({"_id": "schema"}, {"$set": {"number": len(migrations.STEPS)}})


async def test_processes_that_start_together_make_the_database_once(clock: Clock) -> None:
    name = mongod.take() + "-new"
    made = [
        MongoStore(mongod.url(), name, now=clock, index=index, fingerprint="1") for _ in range(3)
    ]
    async with anyio.create_task_group() as group:
        for store in made:
            group.start_soon(store.start)

    await made[0].commit([patient("a")])
    assert await made[1].read(SYSTEM, "Patient", "a") is not None
    assert await made[2].verify() == []
    for store in made:
        await store.close()
    mongod.drop(name)


@pytest.mark.parametrize("start", range(len(migrations.STEPS)))
async def test_every_older_database_is_brought_up_to_date(start: int) -> None:
    name = f"{mongod.take()}-old{start}"
    async with AsyncMongoClient[dict[str, Any]](mongod.url()) as client:
        await migrations.migrate(client[name], upto=start)

        assert await migrations.migrate(client[name]) == len(migrations.STEPS) - start
        assert await migrations.migrate(client[name]) == 0
    mongod.drop(name)


async def test_verify_names_what_was_changed_behind_the_server(store: MongoStore) -> None:
    await store.commit([patient("a", gender="male"), patient("b"), observation("o")])
    await store.commit([patient("a", gender="female"), deletion("Patient", "b")])
    assert await store.verify() == []

    with inside(store) as db:
        db.versions.update_one({"r": "Patient/a", "v": 1}, {"$set": {"op": "POST"}})
        db.resources.update_one({"_id": "Patient/a"}, {"$push": {"t": 7}})
        db.resources.update_one({"_id": "Patient/b"}, {"$set": {"t": [7]}})
        db.versions.delete_one({"r": "Observation/o"})

    assert await store.verify() == [
        "Observation/o: does not point at its latest version",
        "Patient/a/_history/1: the checksum does not hold",
        "Patient/a: index fields differ from fields made anew (t)",
        "Patient/b: is deleted and still has index fields",
        "versions: 1 numbers of the feed are missing",
    ]


async def test_a_backup_is_one_moment_and_comes_back_whole(
    store: MongoStore, other: MongoStore, tmp_path: Path
) -> None:
    await store.commit([patient("a", gender="male"), observation("o")])
    await store.commit(
        [patient("a", gender="female"), patient("b", gender="male")],
        records=[RecordWrite("job", "1", b"x", tag="new")],
        outbox=[OutboxWrite("t", b"1")],
    )
    await store.commit([deletion("Observation", "o")])
    target = tmp_path / "copy"

    await store.backup(str(target))
    await other.start()
    async with AsyncMongoClient[dict[str, Any]](mongod.url()) as client:
        assert await backup.restore(client[other.database], str(target)) == 5
    while await other.reindex():
        pass

    assert target.stat().st_mode & 0o777 == 0o600
    assert await other.verify() == []
    assert await other.history(SYSTEM, limit=99) == await store.history(SYSTEM, limit=99)
    assert await other.get_record("job", "1") == await store.get_record("job", "1")
    assert await other.outbox() == await store.outbox()
    assert [v.id for v in (await other.search(SYSTEM, MALES, limit=9)).versions] == ["b"]
    (made,) = await other.commit([patient("c")])
    assert made.seq == 6


async def test_a_backup_holds_the_files_of_large_bodies(
    store: MongoStore, other: MongoStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "LARGE_BYTES", 8)
    await store.commit([patient("a", gender="male"), patient("b")])
    await store.commit([patient("a", gender="female"), deletion("Patient", "b")])

    await store.backup(str(tmp_path / "copy"))
    await other.start()
    async with AsyncMongoClient[dict[str, Any]](mongod.url()) as client:
        assert await backup.restore(client[other.database], str(tmp_path / "copy")) == 4
    while await other.reindex():
        pass

    assert await other.verify() == []
    kept, anew = [
        [(d.id, d.sha256) for d in await one.digests("Patient", limit=9, anew=is_anew)]
        for one, is_anew in ((store, False), (other, True))
    ]
    assert anew == kept
    with inside(other) as db:
        assert db["bodies.files"].count_documents({}) == 3


async def test_a_backup_that_is_not_whole_is_refused(
    store: MongoStore, other: MongoStore, tmp_path: Path
) -> None:
    await store.commit([patient(f"p{n}") for n in range(50)])
    target = tmp_path / "copy"
    await store.backup(str(target))
    target.write_bytes(target.read_bytes()[:-40])

    await other.start()
    async with AsyncMongoClient[dict[str, Any]](mongod.url()) as client:
        with pytest.raises(CorruptStore, match="whole"):
            await backup.restore(client[other.database], str(target))
        with pytest.raises(StoreUnavailable, match="is not empty"):
            await backup.restore(client[store.database], str(target))


async def test_many_bodies_of_a_type_teach_a_dictionary_that_all_processes_use(
    store: MongoStore, clock: Clock
) -> None:
    second = MongoStore(mongod.url(), store.database, now=clock, index=index, fingerprint="1")
    await second.start()
    for part in range(3):
        await store.commit([observation(f"o{part}-{n}") for n in range(100)])
    (made,) = await store.commit([observation("last")])

    assert await second.read(SYSTEM, "Observation", "last") == made
    with inside(store) as db:
        assert db.dictionaries.count_documents({}) == 1
        assert db.resources.find_one({"_id": "Observation/last"})["c"] == 2
    assert await second.verify() == []
    await second.close()


async def test_dictionaries_are_learnt_beside_the_loop(
    store: MongoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    learning: list[threading.Thread] = []

    def watched(sample: list[bytes]) -> bytes | None:
        learning.append(threading.current_thread())
        return train(sample)

    monkeypatch.setattr(bodies, "train", watched)
    for part in range(3):
        await store.commit([observation(f"o{part}-{n}") for n in range(100)])
    await store.commit([observation("last")])

    assert len(learning) == 1
    assert learning[0] is not threading.current_thread()


async def test_mongodb_sweeps_records_an_hour_after_they_expired(store: MongoStore) -> None:
    await store.commit([], records=[RecordWrite("job", "1", b"", expires_at=START)])
    with inside(store) as db:
        kept = db.records.find_one({"kind": "job"})
        sweeping = db.records.index_information()["gone"]

    assert kept["gone"].isoformat() == "2026-01-02T03:04:05.678000"
    assert sweeping["expireAfterSeconds"] == 3600


async def test_the_feed_wakes_a_consumer_and_goes_on_where_it_was(
    store: MongoStore, clock: Clock
) -> None:
    writer = MongoStore(mongod.url(), store.database, now=clock, index=index, fingerprint="1")
    await writer.commit([patient("before")])
    seen: list[int] = []

    async def follow(count: int) -> None:
        async with aclosing(store.watch("reader")) as woken:
            async for seq in woken:
                seen.append(seq)
                if len(seen) == 1:
                    await writer.commit([patient("a"), patient("b")])
                if len(seen) == count:
                    return

    with anyio.fail_after(20):
        await follow(3)
        await writer.commit([patient("c")])
        await follow(6)

    # What was told when the consumer went away, and not noted as told, comes once more.
    assert seen == [1, 2, 3, 2, 3, 4]
    await writer.close()


async def test_a_search_for_text_of_a_display_survives_its_first_resource(
    store: MongoStore,
) -> None:
    concept = {"text": "Sehr selten"}
    make = {"resourceType": "Observation", "status": "final", "code": concept}
    await store.commit([put({**make, "id": "one"})])
    await store.commit([deletion("Observation", "one"), put({**make, "id": "two"})])

    with inside(store) as db:
        assert [json.dumps(one["v"]) for one in db.texts.find()].count('"sehr selten"') == 1
    assert await store.verify() == []
