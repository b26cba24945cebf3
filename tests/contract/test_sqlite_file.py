"""The SQLite store's file: opened again, copied, damaged, older, newer, foreign, or in use."""

import asyncio
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from subprocess import DEVNULL

import anyio
import apsw
import pytest

from server.access.context import SYSTEM
from server.fhir.errors import StoreUnavailable, VersionConflict
from server.search.query import AllOf, DateIs, HasKey, Not, NumberIs, Query, Refers, TextIs
from server.search.rows import IndexRows, hash64, param_hash
from server.store.port import (
    CommitConflict,
    CorruptStore,
    Expect,
    NewerSchema,
    OutboxWrite,
    RecordWrite,
    Store,
    Write,
)
from server.store.sqlite import SqliteStore, functions, rows
from server.store.sqlite.connect import APPLICATION_ID, PAGE_SIZE_BYTES
from server.store.sqlite.lock import FileLock
from server.store.sqlite.migrations import STEPS, migrate
from tests.contract.made import Clock, deletion, ids, index, observation, patient, put

PATIENTS = Query(("Patient",))
OBSERVATIONS = Query(("Observation",))

_LOCKED_BY_CHILD = """
import os, sys, time
from pathlib import Path
from server.store.sqlite.lock import FileLock
lock = FileLock(Path(sys.argv[1]))
lock.acquire()
if os.fork() == 0:
    time.sleep(0.5)
os._exit(0)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "record.db"


def open_store(file: Path, fingerprint: str = "1", **more: object) -> SqliteStore:
    return SqliteStore(file, **{"now": Clock(), "index": index, "fingerprint": fingerprint, **more})  # type: ignore[arg-type]


@asynccontextmanager
async def opened(file: Path, fingerprint: str = "1", **more: object) -> AsyncIterator[Store]:
    store = open_store(file, fingerprint, **more)
    try:
        yield store
    finally:
        await store.close()


async def fill(file: Path) -> None:
    async with opened(file) as store:
        await store.commit([patient("a"), patient("b"), observation("o")])
        await store.commit([patient("a", gender="male"), deletion("Patient", "b")])
        await store.commit(
            [], records=[RecordWrite("k", "1", b"v")], outbox=[OutboxWrite("t", b"")]
        )


async def content(store: Store) -> list[object]:
    return [
        await store.changes(SYSTEM, limit=100),
        (await store.search(SYSTEM, PATIENTS, limit=100)).versions,
        await store.get_record("k", "1"),
        await store.outbox(),
    ]


async def test_everything_is_there_after_reopening(file: Path) -> None:
    await fill(file)

    async with opened(file) as store:
        assert ids(await store.changes(SYSTEM, limit=9)) == ["a", "b", "o", "a", "b"]
        assert ids((await store.search(SYSTEM, PATIENTS, limit=9)).versions) == ["a"]
        assert await store.get_record("k", "1") is not None
        (made,) = await store.commit([patient("b")])
        assert (made.number, made.seq) == (3, 6)
        assert await store.verify() == []


async def test_a_commit_that_fails_half_way_takes_nothing_with_it(file: Path) -> None:
    sound = [patient(f"p{n}") for n in range(20)]
    broken = patient("broken")
    broken = replace(broken, rows=IndexRows(frozenset(), date=2**80))  # no SQLite integer
    outcomes: list[str] = []

    async with opened(file) as store:

        async def commit(write: Write) -> None:
            try:
                await store.commit([patient(f"with-{write.id}"), write])
            except OverflowError:
                outcomes.append(write.id)

        async with anyio.create_task_group() as group:
            for write in [*sound[:10], broken, *sound[10:]]:
                group.start_soon(commit, write)

        assert outcomes == ["broken"]
        assert await store.count(SYSTEM, PATIENTS) == 40
        assert [v.seq for v in await store.changes(SYSTEM, limit=99)] == list(range(1, 41))
        assert await store.verify() == []


async def test_an_update_that_fails_half_way_leaves_no_version_behind(file: Path) -> None:
    async with opened(file) as store:
        await store.commit([patient("a")])

        made = await asyncio.gather(
            store.commit([patient("b")]),
            store.commit([replace(patient("a", gender="male"), rows=None)]),
            store.commit([patient("c")]),
            return_exceptions=True,
        )

        assert isinstance(made[1], AssertionError)
        assert ids(await store.changes(SYSTEM, limit=99)) == ["a", "b", "c"]
        assert [v.number for v in await store.commit([patient("a", gender="female")])] == [2]
        assert await store.verify() == []


async def test_a_resource_whose_url_is_its_own_address_is_kept_and_updated(file: Path) -> None:
    form = {"resourceType": "Questionnaire", "id": "q", "url": "Questionnaire/q"}
    async with opened(file) as store:
        await store.commit([put(form)])
        await store.commit([put({**form, "url": "http://q.test/q"})])

        assert await store.read(SYSTEM, "Questionnaire", "q") is not None
        assert await store.verify() == []


async def test_commits_of_one_transaction_find_what_those_before_them_added(file: Path) -> None:
    async with opened(file) as store:
        await store.commit([patient("first")])

        made = await asyncio.gather(
            store.commit([patient("alone")]),  # the others wait while this one is written
            store.commit([patient("a"), observation("o")]),
            store.commit([patient("a", gender="male", if_version=1)]),
            store.commit([patient("a", must_be_new=True)]),
            store.commit([patient("b")], expect=[Expect("p", PATIENTS, frozenset({"first"}))]),
            store.commit([patient("c")], expect=[Expect("o", OBSERVATIONS, frozenset({"o"}))]),
            store.commit([deletion("Patient", "c")]),
            store.reindex(),
            return_exceptions=True,
        )

        told = [[v.number for v in one] if isinstance(one, list) else type(one) for one in made]
        assert told == [[1], [1, 1], [2], VersionConflict, CommitConflict, [1], [2], int]
        assert ids(await store.changes(SYSTEM, limit=99)) == [
            *("first", "alone", "a", "o", "a", "c", "c"),
        ]
        male = Query(("Patient",), HasKey(("Patient|gender|c|male",)))
        assert ids((await store.search(SYSTEM, male, limit=9)).versions) == ["a"]
        assert await store.verify() == []


async def test_a_text_stays_that_another_update_of_the_transaction_still_has(file: Path) -> None:
    weight = [{"text": "Body weight"}]
    async with opened(file) as store:
        await store.commit([observation("o", category=weight), observation("p", category=weight)])

        await asyncio.gather(
            store.commit([patient("alone")]),
            store.commit([observation("o", category=[{"text": "Height"}])]),
            store.commit([observation("p", category=weight, effectiveDateTime="2020-01-01")]),
        )

        told = Query(("Observation",), TextIs("Observation", "category:text", "starts", ("body",)))
        assert ids((await store.search(SYSTEM, told, limit=9)).versions) == ["p"]
        assert await store.verify() == []


async def test_a_backup_made_while_others_write_opens_as_the_moment_it_was(
    file: Path, tmp_path: Path
) -> None:
    await fill(file)
    copy = tmp_path / "copy.db"

    async with opened(file) as store:
        before = await content(store)
        await store.backup(str(copy))
        await store.commit([patient("later")])

    async with opened(copy) as restored:
        assert await content(restored) == before
        assert await restored.verify() == []
    assert not copy.with_name("copy.db.partial").exists()


async def test_a_backup_does_not_replace_the_record(file: Path) -> None:
    async with opened(file) as store:
        with pytest.raises(StoreUnavailable, match="cannot replace the data"):
            await store.backup(str(file))


async def test_a_backup_to_a_folder_that_is_not_there_is_refused(file: Path) -> None:
    async with opened(file) as store:
        with pytest.raises(StoreUnavailable):
            await store.backup(str(file.parent / "no" / "copy.db"))


async def test_verify_finds_a_flipped_byte_of_a_body(file: Path) -> None:
    await fill(file)
    flip_a_byte(file)

    async with opened(file) as store:
        (fault,) = await store.verify()

    assert fault.startswith("Patient/a/_history/1: ")


@pytest.mark.parametrize(
    ("sql", "fault"),
    [
        ("update ver set at=at-1 where vid=1", "Patient/a/_history/1: the checksum does not hold"),
        ("update ver set method='POST' where vid=3", "Observation/o/_history/1: the checksum"),
        ("update ver set compartments=x'' where vid=3", "Observation/o/_history/1: the checksum"),
        ("delete from ver where vid=1", "Patient/a: versions [2] instead of 1..1"),
        ("update res set number=7 where id='a'", "Patient/a: does not point at its latest"),
        ("delete from tok where rid=3", "Observation/o: "),
        ("delete from dat where rid=3", None),
        ("delete from str where rid=1", None),
        ("insert into str values (2, 5, 'x')", "Patient/b: is deleted and still has index rows"),
        ("insert into tok values (5, 5, 5)", "index: "),
        ("insert into num values (99, 1, 1, 1)", "index: 1 rows of num belong to no live"),
        ("update res set d=d+1 where id='a'", "Patient/a: "),
    ],
)
async def test_verify_names_what_differs(file: Path, sql: str, fault: str | None) -> None:
    await fill(file)
    change(file, sql)

    async with opened(file) as store:
        faults = await store.verify()

    if fault is None:
        assert faults == []  # nothing was there to be removed
    else:
        assert any(line.startswith(fault) for line in faults), faults


async def test_pages_full_of_rubbish_are_an_answer_not_a_crash(file: Path) -> None:
    async with opened(file) as store:
        await store.commit([observation(f"o{n}") for n in range(200)])
    damage(file, "tok")

    async with opened(file) as store:
        assert await store.read(SYSTEM, "Observation", "o1") is not None
        assert await store.verify() != []
        with pytest.raises(StoreUnavailable, match="damaged"):
            await store.search(SYSTEM, Query(("Observation",)), limit=200)
        with pytest.raises(StoreUnavailable, match="damaged"):
            await store.commit([observation("o1", "Patient/b")])


async def test_a_file_whose_versions_are_damaged_is_refused(file: Path) -> None:
    async with opened(file) as store:
        await store.commit([observation(f"o{n}") for n in range(200)])
    damage(file, "ver")

    with pytest.raises(CorruptStore, match="restore a backup"):
        open_store(file)


async def test_a_newer_file_is_refused(file: Path) -> None:
    await fill(file)
    change(file, f"pragma user_version={len(STEPS) + 1}")

    with pytest.raises(NewerSchema, match="use a newer server"):
        open_store(file)


@pytest.mark.parametrize("start", range(len(STEPS)))
async def test_every_older_file_is_brought_up_to_date(file: Path, start: int) -> None:
    older = apsw.Connection(str(file))
    older.pragma("application_id", APPLICATION_ID)
    migrate(older, upto=start)
    older.close()

    await fill(file)

    async with opened(file) as store:
        assert await store.verify() == []


async def test_a_file_of_the_fifth_schema_finds_its_records_by_tag_and_those_without(
    file: Path,
) -> None:
    older = apsw.Connection(str(file))
    older.pragma("application_id", APPLICATION_ID)
    migrate(older, upto=5)
    kept = [("job", "1", b"", "odd", 1, None), ("job", "2", b"", "", 1, None)]
    older.executemany("insert into rec values (?,?,?,?,?,?)", kept)
    older.close()

    async with opened(file) as store:
        assert [one.key for one in await store.find_records("job", tag="odd")] == ["1"]
        assert [one.key for one in await store.find_records("job", tag="")] == ["2"]
        assert await store.count_records("job", ["", "odd"]) == {"": 1, "odd": 1}
        assert await store.verify() == []


async def test_a_file_of_the_third_schema_keeps_what_it_has_and_is_indexed_anew(
    file: Path,
) -> None:
    """Until its rows are made anew, a resource is found by those that it has."""
    async with opened(file) as store:
        made = await store.commit([patient("a", gender="male"), patient("b"), observation("o")])
        await store.commit([deletion("Patient", "b")])
    as_third_schema(file)

    async with opened(file) as store:
        everyone = await store.search(SYSTEM, PATIENTS, limit=9)
        assert list(everyone.versions) == made[:1]
        assert await store.read(SYSTEM, "Observation", "o") == made[2]
        assert (await store.history(SYSTEM, "Patient", "b", limit=9))[0].body is None
        assert await store.count(SYSTEM, Query(("Patient",), HasKey(("Patient|gender|?",)))) == 1
        aged = DateIs("Observation", "date", "ge", 0, 1)
        assert await store.count(SYSTEM, Query(("Observation",), aged)) == 1
        sized = NumberIs("Observation", "value-quantity", "gt", 5.0, 5.0, "|mg")
        assert await store.count(SYSTEM, Query(("Observation",), sized)) == 1
        while await store.reindex():
            pass
        of_a = Refers("Observation", "subject", PATIENTS)
        assert await store.count(SYSTEM, Query(("Observation",), of_a)) == 1
        assert await store.verify() == []


def as_third_schema(file: Path) -> None:
    """Put the content of a file back into the tables of the schema before names and bags."""
    db = apsw.Connection(str(file))
    functions.register(db)
    old = apsw.Connection(str(file.with_name("old.db")))
    old.pragma("application_id", APPLICATION_ID)
    migrate(old, upto=3)
    old.close()
    db.execute(f"attach '{file.with_name('old.db')}' as old")
    place, size = param_hash("Observation", "date"), param_hash("Observation", "value-quantity")
    db.execute(
        """
        insert into old.res
            select rid, type, id, number, vid, at, deleted, born, d, 1 from main.res;
        insert into old.ver select * from main.ver;
        insert into old.dict select * from main.dict;
        insert into old.tok select * from main.tok;
        insert into old.fingerprint select * from main.fingerprint
        """
    )
    (rid,) = db.execute("select rid from main.res where id='o'").fetchone()
    db.execute("insert into old.dat values (?,?,5,6)", (rid, place))
    for unit in ("", "|mg"):
        db.execute("insert into old.num values (?,?,?,6.5,7.5)", (rid, size, hash64(unit)))
    d = db.execute("select d from main.res where id='a'").get
    db.execute("insert into old.tok values (?,?,1)", (hash64("Patient|gender|?"), d))
    for (one,) in db.execute("select distinct rid from old.tok").fetchall():
        keys = [h for (h,) in db.execute("select h from old.tok where rid=?", (one,))]
        db.execute("insert into old.keys values (?,?)", (one, rows.pack(keys)))
    db.close()
    file.with_name("old.db").replace(file)


def test_a_file_that_is_not_sqlite_is_refused_and_left_alone(file: Path) -> None:
    file.write_bytes(b"%PDF-1.7 " * 1000)

    with pytest.raises(CorruptStore, match="is not an SQLite file"):
        open_store(file)
    assert file.read_bytes() == b"%PDF-1.7 " * 1000


async def test_a_file_of_another_program_is_refused_and_left_alone(file: Path) -> None:
    other = sqlite3.connect(file)
    other.execute("create table t (x)")
    other.commit()
    other.close()

    with pytest.raises(CorruptStore, match="belongs to another program"):
        open_store(file)


async def test_a_second_server_is_kept_out_while_the_first_runs(file: Path) -> None:
    async with opened(file):
        with pytest.raises(StoreUnavailable, match="the data is in use by process"):
            open_store(file)
    async with opened(file):
        pass


async def test_a_server_waits_for_who_only_looks_whether_the_file_is_up_to_date(file: Path) -> None:
    """A command without a server, or a process beside one that was killed just now."""
    looking = FileLock(file)
    looking.acquire(briefly=True)
    threading.Timer(0.2, looking.release).start()

    async with opened(file) as store:
        assert await store.ready() is None


async def test_a_server_waits_for_what_its_killed_predecessor_was_starting(file: Path) -> None:
    """A child has the lock of its server between fork and exec, also when that is killed then."""
    starting = [sys.executable, "-c", _LOCKED_BY_CHILD, str(file)]
    await anyio.run_process(starting, stdout=DEVNULL, stderr=DEVNULL)

    async with opened(file) as store:
        assert await store.ready() is None


async def test_a_lock_file_left_behind_means_nothing(file: Path) -> None:
    file.with_name("record.db.lock").write_text("99999\n")

    async with opened(file) as store:
        assert await store.ready() is None


async def test_beside_a_server_records_can_be_written_and_resources_cannot(file: Path) -> None:
    async with opened(file) as server, opened(file, beside=True) as command:
        await server.commit([patient("a")])
        assert await command.read(SYSTEM, "Patient", "a") is not None
        await command.commit([], records=[RecordWrite("token", "1", b"v")])
        assert await server.get_record("token", "1") is not None
        with pytest.raises(StoreUnavailable, match="only the server"):
            await command.commit([patient("b")])
        assert await command.verify() == []
        await server.commit([patient("b")])


async def test_new_definitions_reindex_in_batches_and_resume(file: Path) -> None:
    async with opened(file) as store:
        await store.commit([patient(f"p{n}") for n in range(70)])
        await store.commit([deletion("Patient", "p0")])
    found = Query(("Patient",), HasKey(("Patient|new|?",)))

    async with opened(file, "2", index=with_new_key) as store:
        assert await store.count(SYSTEM, found) == 0
        assert await store.reindex(batch=30) == 39
        await store.commit([patient("p68", gender="male")])
    async with opened(file, "2", index=with_new_key) as store:
        while await store.reindex(batch=30):
            pass
        assert await store.count(SYSTEM, found) == 68
        assert await store.reindex() == 0


def with_new_key(resource: dict[str, object]) -> tuple[IndexRows, tuple[str, ...]]:
    rows, compartments = index(resource)
    return IndexRows(rows.keys | {hash64("Patient|new|?")}, rows.date), compartments


def flip_a_byte(file: Path) -> None:
    db = apsw.Connection(str(file))
    kept = bytearray(db.execute("select body from ver where vid=1").get)
    kept[-5] ^= 1
    db.execute("update ver set body=? where vid=1", (bytes(kept),))
    db.close()


def damage(file: Path, table: str) -> None:
    """Fill every page of the table with rubbish."""
    db = apsw.Connection(str(file))
    pages = [row[0] for row in db.execute("select pageno from dbstat where name=?", (table,))]
    db.close()
    damaged, size = bytearray(file.read_bytes()), PAGE_SIZE_BYTES
    for page in pages:
        damaged[(page - 1) * size + 4 : page * size - 4] = b"\xa5" * (size - 8)
    file.write_bytes(damaged)


def change(file: Path, sql: str) -> None:
    db = apsw.Connection(str(file))
    db.execute(sql)
    db.close()


async def test_a_search_that_is_not_brief_goes_on_in_a_thread_and_is_whole(file: Path) -> None:
    names = [f"p{n:03}" for n in range(150)]
    async with opened(file) as store:
        await store.commit([patient(name) for name in names])

        page = await store.search(SYSTEM, PATIENTS, limit=150)
        assert [v.id for v in page.versions] == names[::-1]
        assert page.after is None
        assert await store.count(SYSTEM, PATIENTS) == 150
        assert len(await store.read_many(SYSTEM, [("Patient", name) for name in names])) == 150


async def test_a_search_of_many_steps_goes_on_in_a_thread_and_is_whole(file: Path) -> None:
    missing = Query(("Patient",), AllOf(tuple(Not(HasKey((f"x{n}",))) for n in range(40))))
    async with opened(file) as store:
        await store.commit([patient(f"p{n:03}") for n in range(300)])
        assert len((await store.search(SYSTEM, missing, limit=50)).versions) == 50
        assert await store.count(SYSTEM, missing) == 300
