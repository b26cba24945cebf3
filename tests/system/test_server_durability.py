"""Acknowledged over HTTP means on the disk: killed servers, and the order of system calls."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.system import forked
from tests.system.process import Process, served

WRITERS = 8
KILLS = 3


async def _writes(server: Process, acknowledged: list[str], sent: list[int]) -> None:
    """Create as fast as ``WRITERS`` clients can, until the server is gone."""

    async def one(client: httpx.AsyncClient) -> None:
        while True:
            sent[0] += 1
            patient = {"resourceType": "Patient", "identifier": [{"value": str(sent[0])}]}
            try:
                made = await client.post(f"{server.base_url}/Patient", json=patient)
            except httpx.TransportError:
                return
            if made.status_code == 201:
                acknowledged.append(made.headers["location"].split("/")[-3])

    async def kill() -> None:
        await asyncio.sleep(1.0)
        server.popen.send_signal(signal.SIGKILL)

    async with httpx.AsyncClient() as client:
        await asyncio.gather(kill(), *(one(client) for _ in range(WRITERS)))


def test_what_was_acknowledged_survives_sigkill_under_load(tmp_path: Path) -> None:
    data = tmp_path / "d"
    acknowledged: list[str] = []
    for _ in range(KILLS):
        with served(data, "--open") as server:
            asyncio.run(_writes(server, acknowledged, [0]))

    with served(data, "--open") as server, httpx.Client() as client:
        lost = [
            id_
            for id_ in acknowledged
            if client.get(f"{server.base_url}/Patient/{id_}").status_code != 200
        ]
        total = client.get(f"{server.base_url}/Patient?_summary=count").json()["total"]
    assert lost == []
    assert len(acknowledged) > 50
    # A write may have been kept just before the kill cut its answer off; none may be invented.
    assert len(acknowledged) <= total <= len(acknowledged) + KILLS * WRITERS
    verified = forked.tellonce("verify", "--data", data)
    assert verified.stdout == "sound\n"


def test_the_log_is_on_the_disk_before_the_answer_leaves(tmp_path: Path) -> None:
    """strace shows, for each of 20 creates, an fsync of the WAL between request and response."""
    strace = shutil.which("strace")
    if strace is None:
        if os.environ.get("CI"):
            pytest.fail("strace is missing")
        pytest.skip("strace is missing: apt-get install strace")
    trace = tmp_path / "trace"
    with served(tmp_path / "d", "--open") as server, httpx.Client() as client:
        client.get(f"{server.base_url}/Patient")
        calls = "trace=fsync,fdatasync,recvfrom,read,sendto,write,writev,sendmsg"
        tracer = subprocess.Popen(
            [strace, "-f", "-y", "-s", "40", "-e", calls, "-o", trace, "-p", str(server.popen.pid)],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert tracer.stderr
        assert "attached" in tracer.stderr.readline()
        for _ in range(20):
            made = client.post(f"{server.base_url}/Patient", json={"resourceType": "Patient"})
            assert made.status_code == 201
        tracer.send_signal(signal.SIGINT)
        tracer.wait(timeout=10)
        tracer.stderr.close()

    synced, answers = False, 0
    for line in trace.read_text(errors="replace").splitlines():
        if "POST /fhir/Patient" in line:
            synced = False
        elif re.search(r"f(data)?sync\(\d+<[^>]*record\.db-wal>", line) or (
            "sync resumed" in line and line.rstrip().endswith("= 0")
        ):
            synced = True
        elif "HTTP/1.1 201" in line:
            answers += 1
            assert synced, f"an answer left before its fsync: {line}"
    assert answers == 20
