"""S9: an acknowledged write is on the disk.  Kill -9 shows nothing is lost, strace shows why."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from server.access.context import SYSTEM
from server.store.sqlite import SqliteStore
from tests.contract.made import Clock, index

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-m", "tests.system.committing"]


@pytest.mark.parametrize("acknowledgements", [1, 150, 600])
async def test_kill_9_loses_nothing_that_was_acknowledged(
    tmp_path: Path, acknowledgements: int
) -> None:
    file = tmp_path / "record.db"

    acknowledged = killed_after(file, acknowledgements)

    store = SqliteStore(file, now=Clock(), index=index, fingerprint="1")
    try:
        chains: dict[str, list[int]] = defaultdict(list)
        stored = set()
        for version in await store.changes(SYSTEM, limit=100_000):
            chains[f"{version.type}/{version.id}"].append(version.number)
            stored.add(f"{version.type}/{version.id} {version.number} {version.seq}")
        assert len(acknowledged) >= acknowledgements
        assert acknowledged - stored == set()
        assert all(chain == list(range(1, len(chain) + 1)) for chain in chains.values())

        assert await store.verify() == []
    finally:
        await store.close()


def test_every_acknowledgement_comes_after_an_fsync_of_its_commit(tmp_path: Path) -> None:
    trace = traced(tmp_path, writers=1, commits=25)

    acknowledged, without_fsync, dirty = 0, 0, False
    for line in trace.splitlines():
        if re.search(r"p?write(64|v)?\(\d+<[^>]*record\.db-wal>", line):
            dirty = True
        elif re.search(r"(fsync|fdatasync)\(\d+<[^>]*record\.db-wal>", line):
            dirty = False
        elif '"ack ' in line:
            acknowledged += 1
            without_fsync += dirty

    assert acknowledged == 50
    assert without_fsync == 0


def test_a_full_disk_is_refused_and_forgotten_when_there_is_room(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.system.filling", str(tmp_path / "record.db")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert run.stdout.splitlines() == [
        "refused",
        "not ready",
        "reads go on",
        "ready",
        "gapless",
        "[]",
    ]


def killed_after(file: Path, acknowledgements: int) -> set[str]:
    """Run the program, kill it after so many lines, and return all lines that it got out."""
    process = subprocess.Popen(
        [*PROGRAM, str(file)], cwd=ROOT, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline() for _ in range(acknowledgements)]
    finally:
        process.send_signal(signal.SIGKILL)
    lines += process.stdout.readlines()
    process.stdout.close()
    process.wait()
    # The last line may have been cut by the kill; it was not acknowledged then.
    return {line.removeprefix("ack ").strip() for line in lines if line.endswith("\n")}


def traced(folder: Path, *, writers: int, commits: int) -> str:
    """Return the file system calls of the program, each with the path of its descriptor."""
    strace = shutil.which("strace")
    if strace is None:
        missing = "strace is not installed: the order of fsync and answer cannot be seen"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    out = folder / "trace"
    calls = "trace=write,pwrite64,writev,pwritev,fsync,fdatasync"
    subprocess.run(
        [
            *(strace, "-f", "-y", "-s", "8", "-e", calls, "-o", str(out)),
            *(*PROGRAM, str(folder / "record.db"), str(writers), str(commits)),
        ],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        timeout=60,
        check=True,
    )
    return out.read_text()
