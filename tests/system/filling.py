"""A program for test_durability: commits on a disk that is full for a while.

    python -m tests.system.filling FILE [log|file]

The limit on the size of files stands in for the disk: no room for the log, or room for the log and
none for the file that it is played into.  Prints one line per step.
"""

import asyncio
import os
import resource
import sys
from pathlib import Path

from server.access.context import SYSTEM
from server.fhir.errors import StoreUnavailable
from server.store.port import RecordWrite
from server.store.sqlite import SqliteStore, checkpoints
from tests.contract.made import Clock, index, observation
from tests.system.committing import play_logs_of

LOG_PAGES = 200
UNLIMITED = resource.getrlimit(resource.RLIMIT_FSIZE)


def limit(size_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, UNLIMITED[1]))


def size(file: str) -> int:
    return Path(file).stat().st_size


async def fill_log(store: SqliteStore, file: str) -> None:
    limit(size(file + "-wal") + 50_000)
    refused = 0
    for n in range(50):
        try:
            await store.commit([observation(f"o{n}")])
        except StoreUnavailable:
            refused += 1
    print("refused" if refused else "never refused")


async def fill_file(store: SqliteStore, file: str) -> None:
    """Commit while the log has room and cannot be played; what is acknowledged must be there."""
    for n in range(8):
        await store.commit([], records=[RecordWrite("blob", str(n), os.urandom(1_000_000))])
    before = size(file)
    limit(before + 10_000)
    for n in range(checkpoints.CHECKPOINT_PAGES // 10):
        await store.commit([], records=[RecordWrite("small", str(n), os.urandom(50_000))])
    kept = await store.find_records("small", limit=1000)
    print("played" if size(file) > before + 10_000 else "not played")
    print("kept" if len(kept) == checkpoints.CHECKPOINT_PAGES // 10 else "lost")


async def main(file: str, what: str = "log") -> None:
    if what == "file":
        play_logs_of(LOG_PAGES)
    store = SqliteStore(Path(file), now=Clock(), index=index, fingerprint="1")
    await store.commit([observation("before")])
    await (fill_file if what == "file" else fill_log)(store, file)
    print("not ready" if await store.ready() else "ready")
    found = await store.read(SYSTEM, "Observation", "before")
    print("reads go on" if found else "reads stopped")
    resource.setrlimit(resource.RLIMIT_FSIZE, UNLIMITED)
    print("not ready" if await store.ready() else "ready")
    (made,) = await store.commit([observation("after")])
    changes = await store.changes(SYSTEM, limit=1000)
    print("gapless" if [v.seq for v in changes] == list(range(1, made.seq + 1)) else "gaps")
    print(await store.verify())
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
