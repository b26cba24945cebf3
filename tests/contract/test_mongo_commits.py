"""What only MongoDB has to prove: several processes on one database, and answers that are lost."""

import base64
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import anyio
import pytest
from bson import ObjectId
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from server.access.context import SYSTEM
from server.fhir.errors import StoreUnavailable, TooLarge, VersionConflict
from server.search.query import HasKey, Query
from server.search.rows import IndexRows
from server.store.mongo import MongoStore, abandoned, bodies
from server.store.mongo.abandoned import application_name
from server.store.mongo.adopt import MongoMover
from server.store.port import CommitConflict, Expect, OutboxWrite, RecordWrite, Write
from tests import mongod
from tests.contract.made import Clock, deletion, index, observation, patient, put

LIMIT = "MongoDB keeps 16777216 in one document"
PATIENTS = Query(("Patient",))
ONE_MRN = Query(("Patient",), HasKey(("Patient|identifier|s|mrn|1",)))


@pytest.fixture
async def stores(clock: Clock) -> AsyncIterator[tuple[MongoStore, MongoStore]]:
    """Two stores on one database, as two processes have them."""
    name = mongod.take()
    made = [
        MongoStore(mongod.url(), name, now=clock, index=index, fingerprint="1") for _ in range(2)
    ]
    yield made[0], made[1]
    for store in made:
        await store.close()
    mongod.give_back(name)


@contextmanager
def failing(store: MongoStore, commands: list[str], mode: Any, **how: Any) -> Iterator[None]:
    """Let these commands of the store fail at the server, as ``how`` says."""
    with MongoClient[dict[str, Any]](mongod.url()) as client:
        name = application_name(store.database)
        data = {"failCommands": commands, "appName": name, **how}
        client.admin.command("configureFailPoint", "failCommand", mode=mode, data=data)
        try:
            yield
        finally:
            client.admin.command("configureFailPoint", "failCommand", mode="off")


async def test_s3_what_one_process_committed_the_other_sees_at_once(
    stores: tuple[MongoStore, MongoStore],
) -> None:
    one, other = stores
    for n in range(10):
        (made,) = await one.commit([patient(f"p{n}")], outbox=[OutboxWrite("t", b"")])

        assert await other.read(SYSTEM, "Patient", f"p{n}") == made
        assert await other.count(SYSTEM, PATIENTS) == n + 1
        assert (await other.changes(SYSTEM, after=made.seq - 1, limit=9)) == [made]
        assert len(await other.outbox()) == n + 1


async def test_s4_of_32_racing_conditional_creates_of_two_processes_one_happens(
    stores: tuple[MongoStore, MongoStore],
) -> None:
    outcomes: list[str] = []

    async def create(store: MongoStore, id_: str) -> None:
        try:
            await store.commit(
                [patient(id_, identifier=[{"system": "mrn", "value": "1"}])],
                expect=[Expect("Patient?identifier=mrn|1", ONE_MRN, frozenset())],
            )
        except CommitConflict:
            outcomes.append("conflict")
        else:
            outcomes.append("created")

    async with anyio.create_task_group() as group:
        for n in range(32):
            group.start_soon(create, stores[n % 2], f"p{n}")

    assert sorted(outcomes) == ["conflict"] * 31 + ["created"]
    assert await stores[0].count(SYSTEM, ONE_MRN) == 1


async def test_s2_s7_versions_and_the_feed_of_two_processes_have_no_gap(
    stores: tuple[MongoStore, MongoStore],
) -> None:
    async def write(store: MongoStore, name: str) -> None:
        for _ in range(10):
            await store.commit([patient("same"), observation(name)], outbox=[OutboxWrite("t", b"")])

    async with anyio.create_task_group() as group:
        for n in range(6):
            group.start_soon(write, stores[n % 2], f"o{n}")

    chain = await stores[0].history(SYSTEM, "Patient", "same", limit=100)
    feed = await stores[1].changes(SYSTEM, limit=200)
    assert [one.number for one in chain] == list(range(60, 0, -1))
    assert [one.seq for one in feed] == list(range(1, 121))
    assert [row.seq for row in await stores[0].outbox()] == list(range(1, 61))
    assert await stores[0].verify() == []


async def test_s5_of_racing_updates_of_two_processes_one_happens(
    stores: tuple[MongoStore, MongoStore],
) -> None:
    await stores[0].commit([patient("a")])
    outcomes: list[str] = []

    async def update(store: MongoStore) -> None:
        try:
            await store.commit([patient("a", if_version=1)])
        except VersionConflict:
            outcomes.append("conflict")
        else:
            outcomes.append("updated")

    async with anyio.create_task_group() as group:
        for n in range(12):
            group.start_soon(update, stores[n % 2])

    assert sorted(outcomes) == ["conflict"] * 11 + ["updated"]


async def test_commits_that_are_grouped_fail_each_for_itself(
    stores: tuple[MongoStore, MongoStore],
) -> None:
    store, _ = stores
    await store.commit([patient("a")], records=[RecordWrite("job", "1", b"")])
    outcomes: dict[int, str] = {}

    async def commit(n: int) -> None:
        write = patient("a", must_be_new=True) if n % 3 == 0 else patient(f"p{n}")
        rev = 7 if n % 3 == 1 else None
        try:
            await store.commit([write], records=[RecordWrite("job", str(n), b"", if_rev=rev)])
        except (VersionConflict, CommitConflict) as error:
            outcomes[n] = type(error).__name__
        else:
            outcomes[n] = "done"

    async with anyio.create_task_group() as group:
        for n in range(30):
            group.start_soon(commit, n)

    wanted = ["VersionConflict", "CommitConflict", "done"]
    assert outcomes == {n: wanted[n % 3] for n in range(30)}
    assert await store.count(SYSTEM, PATIENTS) == 11
    assert [v.seq for v in await store.changes(SYSTEM, limit=99)] == list(range(1, 12))


@pytest.mark.parametrize(
    "how",
    [
        {"closeConnection": True},
        {"writeConcernError": {"code": 64, "errmsg": "a majority that is slow"}},
        {"errorCode": 251, "errorLabels": ["TransientTransactionError"]},
    ],
    ids=["the connection broke", "the answer was lost", "the transaction was lost"],
)
async def test_a_commit_whose_answer_is_lost_happens_once(
    stores: tuple[MongoStore, MongoStore], how: dict[str, Any]
) -> None:
    store, other = stores
    await store.commit([patient("a")])

    with failing(store, ["commitTransaction"], {"times": 2}, **how):
        (made,) = await store.commit([patient("a")], outbox=[OutboxWrite("t", b"")])

    assert (made.number, made.seq) == (2, 2)
    assert await other.read(SYSTEM, "Patient", "a") == made
    assert len(await other.history(SYSTEM, limit=9)) == 2
    assert len(await other.outbox()) == 1


async def test_a_transaction_that_another_one_cut_short_is_tried_again(
    stores: tuple[MongoStore, MongoStore],
) -> None:
    store, _ = stores
    await store.commit([patient("a")])
    transient = {"errorCode": 112, "errorLabels": ["TransientTransactionError"]}

    with failing(store, ["insert"], {"times": 3}, **transient):
        (made,) = await store.commit([patient("b")])

    assert made.seq == 2


async def test_a_database_that_refuses_a_write_fails_it_and_works_again(
    stores: tuple[MongoStore, MongoStore],
) -> None:
    store, _ = stores
    await store.commit([patient("a")])

    told = pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1.*failed \(error 8000\)")
    with failing(store, ["insert"], "alwaysOn", errorCode=8000), told:
        await store.commit([patient("b")])

    assert await store.read(SYSTEM, "Patient", "b") is None
    assert await store.ready() is None
    (made,) = await store.commit([patient("b")])
    assert made.seq == 2


async def test_a_body_of_many_megabytes_is_kept_beside_the_documents(
    stores: tuple[MongoStore, MongoStore],
) -> None:
    store, other = stores
    data = base64.b64encode(os.urandom(9 * 1024 * 1024)).decode()
    scan = {"resourceType": "Binary", "id": "scan", "contentType": "image/x", "data": data}
    (made,) = await store.commit([put(scan)])

    found = await other.read(SYSTEM, "Binary", "scan")

    assert found == made
    assert [v.body for v in await other.changes(SYSTEM, limit=5)] == [made.body]
    assert await other.verify() == []


async def test_the_file_of_a_commit_that_failed_is_removed_a_day_later(
    stores: tuple[MongoStore, MongoStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = stores
    monkeypatch.setattr(bodies, "LARGE_BYTES", 8)
    monkeypatch.setattr(bodies, "ABANDONED", timedelta(seconds=-2))
    made = await store.commit([patient("a"), patient("b")])
    with MongoClient[dict[str, Any]](mongod.url()) as client:
        files = client[store.database]["bodies.files"]
        left = files.find_one({"filename": "Patient/b"})
        assert left is not None
        copy = {**left, "_id": ObjectId()}
        files.insert_one(copy)

        assert await store.expire_records(0) == 0

        assert sorted(one["filename"] for one in files.find()) == ["Patient/a", "Patient/b"]
        assert files.find_one({"_id": copy["_id"]}) is None
    assert await store.changes(SYSTEM, limit=9) == made


async def test_what_no_document_can_hold_is_refused_alone_with_the_limit(
    stores: tuple[MongoStore, MongoStore],
) -> None:
    store, _ = stores
    body = patient("big").body
    rows = IndexRows(frozenset(), content="long" * 3_000_000)
    refused: list[str] = []

    async def commit(write: Write | None, record: bytes = b"") -> None:
        writes = [write] if write is not None else []
        try:
            await store.commit(writes, records=[RecordWrite("job", "1", record)])
        except TooLarge as error:
            refused.append(error.diagnostics)

    async with anyio.create_task_group() as group:
        group.start_soon(commit, patient("a"))
        group.start_soon(commit, Write("Patient", "big", body, rows))
        group.start_soon(commit, None, bytes(17 * 1024 * 1024))
        group.start_soon(commit, patient("b"))

    assert sorted(refused) == [
        f"Patient/big is 24000354 bytes with its index rows, and {LIMIT}",
        f"a record of kind 'job' is 17825792 bytes, and {LIMIT}",
    ]
    feed = await store.changes(SYSTEM, limit=9)
    assert [(one.id, one.seq) for one in feed] == [("a", 1), ("b", 2)]


KILLED = """
import os, signal, sys
from pymongo import MongoClient
from pymongo.errors import OperationFailure

client = MongoClient(sys.argv[1], appname=sys.argv[2])
db = client[sys.argv[3]]
session = client.start_session()
session.start_transaction()
db.state.update_one({"_id": "commit"}, {"$inc": {"seq": 1}}, session=session)
db.records.update_one({"_id": "job\t1"}, {"$set": {"rev": 2}}, session=session)
os.kill(os.getpid(), signal.SIGKILL)
"""


def killed_in_a_commit(url: str, database: str) -> None:
    """Let a process change the counter and a record, and be killed before it commits."""
    words = [url, application_name(database), database]
    ran = subprocess.run([sys.executable, "-c", KILLED, *words], check=False)
    assert ran.returncode == -signal.SIGKILL


async def test_what_a_killed_process_began_holds_nobody_up_for_long(
    stores: tuple[MongoStore, MongoStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(abandoned, "SILENT_S", 50.0)  # not why it is ended
    one, other = stores
    job = [RecordWrite("job", "1", b"x"), RecordWrite("job", "2", b"x")]
    (made,) = await one.commit([patient("a")], records=job)
    killed_in_a_commit(mongod.url(), one.database)

    with anyio.fail_after(12):
        (first,) = await one.commit([patient("a")])
        (second,) = await other.commit([patient("b")])

    assert (made.seq, first.seq, second.seq) == (1, 2, 3)
    assert await one.verify() == []


async def test_a_record_that_a_killed_process_held_can_be_taken(
    stores: tuple[MongoStore, MongoStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(abandoned, "SILENT_S", 50.0)
    store, _ = stores
    await store.commit([patient("a")], records=[RecordWrite("job", "1", b"x")])
    killed_in_a_commit(mongod.url(), store.database)

    with anyio.fail_after(12):
        taken = await store.take_record("job", "1")

    assert taken is not None
    assert taken.rev == 1


async def test_a_process_that_was_stopped_in_a_commit_is_not_waited_for(
    stores: tuple[MongoStore, MongoStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told when it goes on, and nothing of it is kept."""
    monkeypatch.setattr(abandoned, "SILENT_S", 1.0)
    store, _ = stores
    await store.commit([patient("a")])
    name = application_name(store.database)
    with (
        MongoClient[dict[str, Any]](mongod.url(), appname=name) as client,
        client.start_session() as session,
    ):
        session.start_transaction()
        state, add = client[store.database].state, {"$inc": {"seq": 1}}
        state.update_one({"_id": "commit"}, add, session=session)

        with anyio.fail_after(12):
            (made,) = await store.commit([patient("a")])

        assert made.seq == 2
        with pytest.raises(OperationFailure) as told:
            session.commit_transaction()
    assert told.value.has_error_label("TransientTransactionError")


async def test_nobody_waits_for_a_large_body_that_another_sends(
    stores: tuple[MongoStore, MongoStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "LARGE_BYTES", 8)
    slow, other = stores
    await slow.commit([observation("o")])  # its file, too: the bucket is made
    made: dict[str, int] = {}

    async def write(store: MongoStore, id_: str) -> None:
        (version,) = await store.commit(
            [patient(id_) if id_ != "small" else deletion("Patient", id_)]
        )
        made[id_] = version.seq

    late = {"blockConnection": True, "blockTimeMS": 1_000}
    with failing(
        slow, ["insert"], {"times": 1}, namespace=f"{slow.database}.bodies.chunks", **late
    ):
        async with anyio.create_task_group() as group:
            group.start_soon(write, slow, "large")
            await anyio.sleep(0.2)
            group.start_soon(write, other, "b")
            group.start_soon(write, slow, "small")

    assert list(made)[-1] == "large"
    assert sorted(made.values()) == [2, 3, 4]
    assert await other.verify() == []


async def test_the_file_of_a_large_body_that_is_refused_is_gone(
    stores: tuple[MongoStore, MongoStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "LARGE_BYTES", 8)
    store, _ = stores
    await store.commit([patient("a")])

    with pytest.raises(VersionConflict):
        await store.commit([patient("a", if_version=7)])

    with MongoClient[dict[str, Any]](mongod.url()) as client:
        assert client[store.database]["bodies.files"].count_documents({}) == 1


async def test_a_file_that_holds_number_and_time_as_well_is_read(
    stores: tuple[MongoStore, MongoStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a move from another store writes them."""
    store, other = stores
    (made,) = await store.commit([patient("a")])
    monkeypatch.setattr(bodies, "LARGE_BYTES", 8)
    moved = MongoMover(other)
    await moved.adopt(await moved.versions(0, 9))

    assert await store.read(SYSTEM, "Patient", "a") == made
    with MongoClient[dict[str, Any]](mongod.url()) as client:
        assert client[store.database]["bodies.files"].count_documents({}) == 1
