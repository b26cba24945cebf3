"""Dictionaries are learnt while commits go on, and kept for the bodies that come after."""

import asyncio
from itertools import count
from pathlib import Path
from typing import Any

import apsw

from server.access.context import SYSTEM
from server.store.codec import TRAIN_AT
from server.store.sqlite import SqliteStore
from server.store.sqlite.training import Training
from tests.contract.made import START, index, observation, patient


def _dictionaries(file: Path) -> list[tuple[Any, ...]]:
    db = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return db.execute("select codec, type from dict").fetchall()
    finally:
        db.close()


async def test_a_type_with_many_bodies_learns_a_dictionary_beside_the_commits(
    tmp_path: Path,
) -> None:
    file, ticks = tmp_path / "record.db", count(START, 1000)
    store = SqliteStore(file, now=lambda: next(ticks), index=index, fingerprint="1")
    await store.commit([observation(f"o{n}") for n in range(TRAIN_AT)])
    async with asyncio.timeout(20):
        for number in count():  # what was learnt is kept behind a commit
            (made,) = await store.commit([patient(f"p{number}")])
            if _dictionaries(file):
                break
            await asyncio.sleep(0.01)
    (last,) = await store.commit([observation("last")])
    assert _dictionaries(file) == [(2, "Observation")]
    assert await store.read(SYSTEM, "Observation", "last") == last
    assert await store.read(SYSTEM, "Patient", made.id) == made
    assert await store.verify() == []
    await store.close()
    db = apsw.Connection(str(file))
    kept = db.execute("select codec from ver where type='Observation' order by vid").fetchall()
    db.close()
    assert (kept[0], kept[-1]) == ((1,), (2,))


async def test_bodies_with_nothing_to_learn_from_make_no_dictionary() -> None:
    training = Training()
    training.begin("Basic", [b"x"])
    async with asyncio.timeout(20):
        while training.busy:  # noqa: ASYNC110 - a thread, which tells nobody
            await asyncio.sleep(0.001)
    assert not training.done
    assert training.take() == []
