"""A program for test_durability: commits on a disk that is full for a while.

    python -m tests.system.filling FILE

The limit on the size of files stands in for the disk.  Prints one line per step.
"""

import asyncio
import resource
import sys
from pathlib import Path

from server.access.context import SYSTEM
from server.fhir.errors import StoreUnavailable
from server.store.sqlite import SqliteStore
from tests.contract.made import Clock, index, observation


def wal_size(file: str) -> int:
    return Path(file + "-wal").stat().st_size


async def main(file: str) -> None:
    store = SqliteStore(Path(file), now=Clock(), index=index, fingerprint="1")
    await store.commit([observation("before")])
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = wal_size(file)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50_000, unlimited[1]))
    refused = 0
    for n in range(50):
        try:
            await store.commit([observation(f"o{n}")])
        except StoreUnavailable:
            refused += 1
    print("refused" if refused else "never refused")
    print("not ready" if await store.ready() else "ready")
    found = await store.read(SYSTEM, "Observation", "before")
    print("reads go on" if found else "reads stopped")
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    print("not ready" if await store.ready() else "ready")
    (made,) = await store.commit([observation("after")])
    changes = await store.changes(SYSTEM, limit=1000)
    print("gapless" if [v.seq for v in changes] == list(range(1, made.seq + 1)) else "gaps")
    print(await store.verify())
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
