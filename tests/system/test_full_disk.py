"""A server whose disk is full refuses, keeps what it has, and goes on when there is room."""

import resource
import socket
from pathlib import Path

import httpx

from server.feeds.framing import frame
from tests.system.process import Process, served


def admission(number: int) -> bytes:
    return (
        f"MSH|^~\\&|REG|H|||20260316080000||ADT^A08|{number}|P|2.5\r"
        f"EVN|A08|20260316080000\r"
        f"PID|1||{number}^^^H^MR||Doe^Jane||19700101|F|||{'x' * 5000}^^Town\r"
        "PV1|1|O\r"
    ).encode()


def code(server: Process, body: bytes) -> str:
    """Return MSA-1 of the answer, or nothing when the connection was closed without one."""
    with socket.create_connection(("127.0.0.1", server.mllp_port), timeout=20) as sending:
        sending.sendall(frame(body))
        answer = b""
        while not answer.endswith(b"\x1c\r") and (more := sending.recv(65536)):
            answer += more
    return answer.partition(b"MSA|")[2][:2].decode()


def limit(server: Process, size_bytes: int) -> None:
    hard = resource.prlimit(server.popen.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(server.popen.pid, resource.RLIMIT_FSIZE, (size_bytes, hard))


def test_a_full_disk_is_told_to_clients_and_senders_who_come_again(tmp_path: Path) -> None:
    words = f"<div xmlns='http://www.w3.org/1999/xhtml'>{'x ' * 10000}</div>"
    big = {"resourceType": "Patient", "text": {"status": "generated", "div": words}}
    with (
        served(tmp_path / "data", "--open") as server,
        httpx.Client(base_url=server.base_url, timeout=20) as client,
    ):
        kept = client.post("/Patient", json=big)
        assert code(server, admission(1)) == "AA"
        limit(server, next(tmp_path.rglob("record.db-wal")).stat().st_size)

        assert client.post("/Patient", json=big).status_code == 503
        assert code(server, admission(2)) in ("AE", "AR", "")
        assert client.get(f"/Patient/{kept.json()['id']}").status_code == 200

        limit(server, resource.RLIM_INFINITY)
        assert client.post("/Patient", json=big).status_code == 201
        assert code(server, admission(2)) == "AA"
        found = client.get("/Patient", params={"identifier": "2", "_summary": "count"})
        assert found.json()["total"] == 1
