"""The server processes that are measured, and what /proc says of them."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
START_TIMEOUT_S = 30
ECHO = Path(__file__).with_name("echo.py")


@dataclass(frozen=True, slots=True)
class Served:
    """A running server: process id, HTTP port, path of its base, and its first token."""

    pid: int
    port: int
    path: str
    token: str | None

    def cpu_s(self) -> float:
        """Return user and system CPU seconds of the process tree, ended children included."""
        return sum(sum(map(int, _stat(pid)[11:15])) for pid in _tree(self.pid)) / _TICKS

    def running_s(self) -> float:
        """Return the CPU seconds of the process's living threads, to the nanosecond."""
        threads = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9

    def resident_mb(self) -> float:
        """Return the resident memory of the process tree."""
        return sum(int(_stat(pid)[21]) * _PAGE for pid in _tree(self.pid)) / 1e6


@contextmanager
def tellonce(
    data: Path,
    *,
    port: int = 0,
    open_: bool = True,
    audit_reads: str = "buffered",
    store: str | None = None,
) -> Iterator[Served]:
    """Run ``tellonce serve`` on loopback with its store in ``data``; port 0 is any free one.

    ``store``: the address of another store.
    """
    environment = {**os.environ, "TELLONCE_AUDIT_READS": audit_reads}
    command = [str(Path(sys.executable).with_name("tellonce")), "serve", "--port", str(port)]
    command += ["--mllp-port", "0", "--data", str(data), *(["--open"] if open_ else [])]
    command += ["--store", store] if store else []
    with _run(command, rb"FHIR\s+http://[^:]+:(\d+)(/\S*)\n", environment) as served:
        yield served


@contextmanager
def tellonce_of(file: Path, data: Path, base_url: str) -> Iterator[Served]:
    """Run ``tellonce serve --open`` over the record in ``file``, made for this base address."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("tellonce")), "serve", "--port", str(port)]
    command += ["--mllp-port", "none", "--data", str(data), "--base-url", base_url, "--open"]
    command += ["--store", f"sqlite:///{file.absolute()}"]
    quiet = {**os.environ, "TELLONCE_LOG_LEVEL": "warning"}
    with _run(command, rb"FHIR\s+http://[^:]+:(\d+)(/\S*)\n", quiet) as served:
        yield replace(served, port=port)  # it tells the public address


@contextmanager
def echo() -> Iterator[Served]:
    """Run a bare ASGI application under the server's own uvicorn settings."""
    with _run([sys.executable, str(ECHO)], rb"ECHO\s+http://[^:]+:(\d+)(/\S*)\n") as served:
        yield served


@contextmanager
def _run(
    command: list[str], address: bytes, environment: dict[str, str] | None = None
) -> Iterator[Served]:
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, start_new_session=True, env=environment
    )
    try:
        yield _announced(process, re.compile(address))
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _announced(process: "subprocess.Popen[bytes]", address: re.Pattern[bytes]) -> Served:
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    said, until = b"", time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < until:
        said += process.stdout.read() or b""
        if found := address.search(said):
            token = re.search(rb"tellonce_[\w-]+", said)  # shown before the address
            shown = token[0].decode() if token else None
            return Served(process.pid, int(found[1]), found[2].decode(), shown)
        if process.poll() is not None:
            break
        time.sleep(0.005)
    raise RuntimeError(f"{Path(process.args[0]).name} did not start")  # type: ignore[index,arg-type]


def free_port() -> int:
    """Return a port of loopback that nobody has at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        return int(bound.getsockname()[1])


def disk_bytes(folder: Path) -> int:
    """Return the size of all files in ``folder``."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _tree(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _stat(int(entry.name))):
            children.setdefault(int(stat[1]), []).append(int(entry.name))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        if _stat(pid):
            found.append(pid)
        todo += children.get(pid, [])
    return found


def _stat(pid: int) -> list[str]:
    """Return /proc/PID/stat behind the name: state is 0, ppid 1, utime 11 ... rss 21."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return []
