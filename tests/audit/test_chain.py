"""The chain finds what was changed, taken out, or put in, in the file itself."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest
import zstandard

from server.access.context import AccessContext, Permit
from server.audit.audit_event import Event, audit_event
from server.audit.chain import KIND, Seal
from server.interactions import audit_seal
from server.interactions.audit_seal import Sealer, verify
from server.store.port import RecordWrite, Store
from server.store.sqlite import SqliteStore
from server.uuid7 import new_id
from tests.rest.house import BASE, NAME, Clock, index

ANNA = AccessContext("user/anna", "app", (Permit("*"),))
EVENTS = 7


def opened(folder: Path) -> SqliteStore:
    return SqliteStore(folder / "r.db", now=Clock(), index=index, fingerprint=NAME, beside=True)


async def sealed(folder: Path) -> None:
    """Make a record of seven events in three seals."""
    clock = Clock()
    store = SqliteStore(folder / "r.db", now=clock, index=index, fingerprint=NAME)
    sealer = Sealer(store, clock)
    for together in (3, 3, 1):
        made = [
            audit_event(Event(clock.at, "R", "read", ANNA, f"Patient/{n}"), new_id(), BASE)
            for n in range(together)
        ]
        await store.commit(made)
        await sealer.seal()
        clock.at += 60_000_000
    await store.close()


async def checked(store: Store, head: str | None = None) -> audit_seal.Checked:
    return [one async for one in verify(store, head=head)][-1]


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    await sealed(tmp_path)
    return tmp_path


async def told(folder: Path, head: str | None = None) -> str | None:
    store = opened(folder)
    try:
        return (await checked(store, head)).told
    finally:
        await store.close()


def change(folder: Path, *statements: str) -> list[tuple[object, ...]]:
    db = apsw.Connection(str(folder / "r.db"))
    found: list[tuple[object, ...]] = []
    for statement in statements:
        found = db.execute(statement).fetchall()
    db.close()
    return found


def id_of(folder: Path, vid: int) -> str:
    text = f"select id from res join ver on ver.rid=res.rid where ver.vid={vid}"
    return str(change(folder, text)[0][0])


async def test_a_sound_chain_has_a_head(folder: Path) -> None:
    store = opened(folder)
    done = await checked(store)
    await store.close()

    assert (done.seals, done.events, done.told) == (3, 7, None)
    assert await told(folder, done.head) is None


async def test_a_changed_event_is_named(folder: Path) -> None:
    id_ = id_of(folder, 5)
    await _replace_body(folder, 5, lambda body: body.replace(b'"action":"R"', b'"action":"C"'))

    assert await told(folder) == (
        "seal 2 (after 2026-01-02T03:04:05.678Z and up to 2026-01-02T03:05:05.678Z):"
        f" AuditEvent/{id_} was changed"
    )


async def test_one_flipped_byte_is_found(folder: Path) -> None:
    await _flip(folder, 5)

    said = await told(folder)
    assert said is not None
    assert said.startswith("seal 2")


async def test_a_deleted_event_is_missed(folder: Path) -> None:
    behind = id_of(folder, 6)
    change(folder, "delete from ver where vid=5")

    assert await told(folder) == (
        "seal 2 (after 2026-01-02T03:04:05.678Z and up to 2026-01-02T03:05:05.678Z):"
        f" an event is missing, before AuditEvent/{behind}"
    )


async def test_an_event_put_in_later_is_named(folder: Path) -> None:
    change(
        folder,
        "update ver set vid=100 where vid=7",
        "update res set vid=100 where vid=7",
        "update ver set vid=8 where vid=6",
        "update res set vid=8 where vid=6",
    )

    said = await told(folder)
    assert said is not None
    assert said.startswith("seal 2")


async def test_a_replaced_seal_breaks_the_next(folder: Path) -> None:
    store = SqliteStore(folder / "r.db", now=Clock(), index=index, fingerprint=NAME)
    record = await store.get_record(KIND, f"{2:012d}")
    assert record is not None
    seal = Seal.unpack(record.value)
    forged = Seal(seal.number, seal.last, seal.at + 1, seal.prints, seal.digest)
    await store.commit([], records=[RecordWrite(KIND, seal.key, forged.pack())])
    await store.close()

    said = await told(folder)
    assert said is not None
    assert said.endswith("the seal itself was changed, or the order of its events")


async def test_a_seal_that_is_gone_is_missed(folder: Path) -> None:
    change(folder, f"delete from rec where kind='{KIND}' and key='{2:012d}'")

    assert await told(folder) == "seal 2 is missing"


async def test_a_chain_that_was_cut_no_longer_has_the_head(folder: Path) -> None:
    store = opened(folder)
    head = (await checked(store)).head
    await store.close()
    change(folder, f"delete from rec where kind='{KIND}' and key='{3:012d}'",
           "delete from ver where vid=7")  # fmt: skip

    assert await told(folder) is None
    assert await told(folder, head) == f"no seal has the digest {head}: the chain was cut"


async def test_sealing_goes_on_where_it_ended(folder: Path) -> None:
    clock = Clock()
    store = SqliteStore(folder / "r.db", now=clock, index=index, fingerprint=NAME)
    await store.commit([audit_event(Event(clock.at, "R", "read", ANNA), new_id(), BASE)])

    assert await Sealer(store, clock).seal() == 1
    assert (await checked(store)).seals == 4
    await store.close()


async def _replace_body(folder: Path, vid: int, edit: Callable[[bytes], bytes]) -> None:
    """Change a version as who knows the file's layout would."""
    db = apsw.Connection(str(folder / "r.db"))
    found: list[Any] = db.execute("select codec, body from ver where vid=?", (vid,)).fetchall()
    how, kept = found[0]
    plain = zstandard.ZstdDecompressor().decompress(kept) if how == 1 else kept
    assert edit(plain) != plain
    db.execute("update ver set codec=0, body=? where vid=?", (edit(plain), vid))
    db.close()


async def _flip(folder: Path, vid: int) -> None:
    db = apsw.Connection(str(folder / "r.db"))
    kept: Any = db.execute("select body from ver where vid=?", (vid,)).get
    middle = len(kept) // 2
    flipped = kept[:middle] + bytes([kept[middle] ^ 1]) + kept[middle + 1 :]
    db.execute("update ver set body=? where vid=?", (flipped, vid))
    db.close()
