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

    assert len(acknowledged) >= acknowledgements
    await assert_kept(file, acknowledged)


@pytest.mark.parametrize("call", ["pwrite64:when=60", "pwrite64:when=301", "fsync:when=3"])
async def test_kill_9_while_the_log_is_played_loses_nothing_that_was_acknowledged(
    tmp_path: Path, call: str
) -> None:
    """Pages are written to the file itself by checkpoints only, behind the 43 of making it."""
    file = tmp_path / "record.db"

    acknowledged = killed_at(file, call.replace(":", ":signal=SIGKILL:"))

    assert len(acknowledged) > 20
    await assert_kept(file, acknowledged)


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


@pytest.mark.parametrize(
    ("full", "meanwhile"),
    [("log", ["refused", "not ready"]), ("file", ["not played", "kept", "ready"])],
)
def test_a_full_disk_is_refused_and_forgotten_when_there_is_room(
    tmp_path: Path, full: str, meanwhile: list[str]
) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.system.filling", str(tmp_path / "record.db"), full],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert run.stdout.splitlines() == [*meanwhile, "reads go on", "ready", "gapless", "[]"]


async def assert_kept(file: Path, acknowledged: set[str]) -> None:
    """Assert that the file has all that was acknowledged, whole chains, and no damage."""
    store = SqliteStore(file, now=Clock(), index=index, fingerprint="1")
    try:
        chains: dict[str, list[int]] = defaultdict(list)
        stored = set()
        for version in await store.changes(SYSTEM, limit=100_000):
            chains[f"{version.type}/{version.id}"].append(version.number)
            stored.add(f"{version.type}/{version.id} {version.number} {version.seq}")
        assert acknowledged - stored == set()
        assert all(chain == list(range(1, len(chain) + 1)) for chain in chains.values())

        assert await store.verify() == []
    finally:
        await store.close()


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
    return lines_of("".join(lines))


def killed_at(file: Path, injection: str) -> set[str]:
    """Run the program until a system call on ``file`` kills it; return all lines it got out."""
    run = subprocess.run(
        [
            *(strace(), "-f", "-P", str(file), "-e", "trace=pwrite64,fsync"),
            *("-e", f"inject={injection}", "-o", "/dev/null", *PROGRAM, str(file)),
        ],
        cwd=ROOT,
        env=os.environ | {"LOG_PAGES": "100"},
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    assert run.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)
    return lines_of(run.stdout)


def lines_of(printed: str) -> set[str]:
    """Return what was acknowledged; a last line that was cut by the kill was not."""
    lines = printed.splitlines(keepends=True)
    return {line.removeprefix("ack ").strip() for line in lines if line.endswith("\n")}


def traced(folder: Path, *, writers: int, commits: int) -> str:
    """Return the file system calls of the program, each with the path of its descriptor."""
    out = folder / "trace"
    calls = "trace=write,pwrite64,writev,pwritev,fsync,fdatasync"
    subprocess.run(
        [
            *(strace(), "-f", "-y", "-s", "8", "-e", calls, "-o", str(out)),
            *(*PROGRAM, str(folder / "record.db"), str(writers), str(commits)),
        ],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        timeout=60,
        check=True,
    )
    return out.read_text()


def strace() -> str:
    found = shutil.which("strace")
    if found is None:
        missing = "strace is not installed: the order of fsync and answer cannot be seen"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return found
