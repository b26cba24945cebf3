"""A program for test_durability: commits from several tasks and prints what was acknowledged.

    python -m tests.system.committing FILE [WRITERS] [COMMITS]

Prints ``ack TYPE/ID NUMBER SEQ`` for each version, after ``commit`` returned; runs until it is
killed when COMMITS is not given.  With ``LOG_PAGES`` in the environment a log of so many pages is
played into the file.
"""

import asyncio
import os
import sys
import time
from pathlib import Path

from server.store.sqlite import SqliteStore, checkpoints
from tests.contract.made import index, observation, patient


def now() -> int:
    return time.time_ns() // 1000


async def write(store: SqliteStore, name: str, commits: int | None) -> None:
    done = 0
    while commits is None or done < commits:
        writes = [patient(name), observation(f"{name}-{done}", f"Patient/{name}")]
        for v in await store.commit(writes):
            # One write call per line, straight to the pipe: what was printed was acknowledged.
            os.write(1, f"ack {v.type}/{v.id} {v.number} {v.seq}\n".encode())
        done += 1


def play_logs_of(pages: int) -> None:
    """Let checkpoints come so often, nine tenths of each by the thread beside the writer."""
    checkpoints.CHECKPOINT_PAGES = pages
    checkpoints.FEW_PAGES = pages // 10


async def main(file: str, writers: int = 8, commits: int | None = None) -> None:
    play_logs_of(int(os.environ.get("LOG_PAGES", checkpoints.CHECKPOINT_PAGES)))
    store = SqliteStore(Path(file), now=now, index=index, fingerprint="1")
    async with asyncio.TaskGroup() as group:
        for n in range(writers):
            group.create_task(write(store, f"w{n}", commits))
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:])))
