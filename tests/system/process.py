"""A real ``tellonce serve`` process on ports of its own, for tests that need one."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.system.forked import Tellonce

TELLONCE = Path(sys.executable).parent / "tellonce"
START_S = 90.0


@dataclass
class Process:
    """A started server: where it listens, and the token it showed."""

    popen: subprocess.Popen[str]
    base_url: str
    mllp_port: int
    token: str | None
    seconds_to_start: float
    log: Path
    login: tuple[str, str] | None = None

    @property
    def root(self) -> str:
        """The address above the FHIR API."""
        return self.base_url.removesuffix("/fhir")


@contextmanager
def served(
    data: Path, *options: str, settings: dict[str, str] | None = None, installed: bool = False
) -> Iterator[Process]:
    """Start ``tellonce serve`` on free ports; end it with SIGTERM, then SIGKILL.

    ``installed``: by the script that an installation brings, and not as a fork of what is there.
    ``settings``: of the environment (``TELLONCE_...``); no others of this machine are handed on.
    """
    words = ["serve", "--port", "0", "--mllp-port", "0", "--data", str(data), *options]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TELLONCE_")}
    begun = time.monotonic()
    log = data.with_name(data.name + ".log")
    with log.open("ab") as stderr:
        start = subprocess.Popen[str] if installed else Tellonce
        popen = start(
            [str(TELLONCE), *words] if installed else words,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            cwd=data.parent,
            env=environment | {"COLUMNS": "200"} | (settings or {}),
        )
    try:
        yield _announced(popen, begun, log)
    finally:
        popen.terminate()
        try:
            popen.wait(timeout=25)
        except subprocess.TimeoutExpired:
            popen.kill()
            popen.wait()
        assert popen.stdout
        popen.stdout.close()


def _announced(popen: subprocess.Popen[str], begun: float, log: Path) -> Process:
    assert popen.stdout
    base_url, mllp_port, token, login = "", 0, None, None
    while not mllp_port:
        line = popen.stdout.readline()
        if not line or time.monotonic() - begun > START_S:
            raise AssertionError(f"the server did not start: {log.read_text()[-2000:]}")
        if line.startswith("token"):
            token = line.split()[1]
        elif line.startswith("login"):
            login = (line.split()[1], line.split()[2])
        elif line.startswith("FHIR"):
            base_url = line.split()[1]
        elif line.startswith("MLLP"):
            mllp_port = int(line.rsplit(":", 1)[1])
    seconds = time.monotonic() - begun
    return Process(popen, base_url, mllp_port, token, seconds, log, login)
