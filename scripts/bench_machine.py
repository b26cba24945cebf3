"""What the machine takes by itself, measured beside a benchmark: its disk and its processors.

A time until an acknowledgement holds two waits that no server can shorten: for the disk to say that
something is kept, and for a processor while others have it.  ``beside(folder)`` measures both while
the benchmark runs: fdatasync of 4 KiB written in place, and the way of a message to another process
and back that does nothing with it.
"""

import asyncio
import os
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_EVERY_S = 0.02  # between two looks at the disk, and between two echoes
_BLOCK, _BLOCKS = 4096, 256
_MESSAGE = b"\x0b" + b"x" * 900 + b"\x1c\r"


def spread(seconds: list[float], parts: tuple[float, ...] = (0.5, 0.99)) -> str:
    """Return the median, the 99th percentile and the worst of some times, in milliseconds."""
    if not seconds:
        return "nothing"
    ordered = sorted(seconds)
    told = [f"p{part * 100:g} {ordered[int(len(ordered) * part)] * 1000:.1f}" for part in parts]
    return f"{' '.join(told)} max {ordered[-1] * 1000:.1f} ms"


class Beside:
    """The times of one run, in seconds."""

    def __init__(self) -> None:
        self.disk: list[float] = []
        self.echo: list[float] = []

    def told(self) -> str:
        """Return both, in words."""
        return f"the machine: fdatasync {spread(self.disk)}; echo {spread(self.echo)}"


@asynccontextmanager
async def beside(folder: Path) -> AsyncIterator[Beside]:
    """Measure as long as the block runs; ``folder`` is on the disk in question."""
    seen, stop = Beside(), threading.Event()
    disk = threading.Thread(target=_watch_disk, args=(folder / "probe", seen.disk, stop))
    other = await asyncio.create_subprocess_exec(
        sys.executable, __file__, stdout=asyncio.subprocess.PIPE
    )
    assert other.stdout is not None
    port = int(await other.stdout.readline())
    disk.start()
    echoing = asyncio.create_task(_watch_echo(port, seen.echo))
    try:
        yield seen
    finally:
        echoing.cancel()
        stop.set()
        disk.join()
        other.terminate()
        await other.communicate()


def _watch_disk(file: Path, times: list[float], stop: threading.Event) -> None:
    opened = os.open(file, os.O_CREAT | os.O_RDWR, 0o600)
    os.pwrite(opened, bytes(_BLOCK * _BLOCKS), 0)  # so that none of the measured ones lengthens it
    os.fsync(opened)
    number = 0
    while not stop.wait(_EVERY_S):
        os.pwrite(opened, os.urandom(_BLOCK), number % _BLOCKS * _BLOCK)
        number += 1
        began = time.perf_counter()
        os.fdatasync(opened)
        times.append(time.perf_counter() - began)
    os.close(opened)
    file.unlink()


async def _watch_echo(port: int, times: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while True:
            await asyncio.sleep(_EVERY_S)
            began = time.perf_counter()
            writer.write(_MESSAGE)
            await reader.readexactly(len(_MESSAGE))
            times.append(time.perf_counter() - began)
    finally:
        writer.close()


def cpu_by_process(pid: int) -> dict[int, float]:
    """Return user and system CPU seconds of a process and, each for itself, of its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    used = {pid: (int(fields[11]) + int(fields[12])) / _TICKS}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        used |= cpu_by_process(int(child))
    return used


async def _echo() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_echo())
