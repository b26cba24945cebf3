"""Canary: names, ids, values and tokens that go through a real server never reach its log."""

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from server.feeds.framing import frame
from tests.system.mongo import database
from tests.system.process import served

CANARIES = [
    "Canaryname",
    "CANARY-MRN",
    "canary-id",
    "Canaryvalue",
    "canary@example.org",
    "19850314",
]
MESSAGE = (
    b"MSH|^~\\&|REG|HOSP|T|T|20260102030405||ADT^A04|CANARY-MRN-1|P|2.5\r"
    b"PID|1||CANARY-MRN^^^HOSP^MR||Canaryname^Jane||19850314|F|||||canary@example.org\r"
    b"PV1|1|E\r"
)


@pytest.fixture(params=["info", "debug on MongoDB"])
def settings(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    if request.param == "info":
        yield {}
    else:  # a driver that tells what it does tells what it sends
        with database() as url:
            yield {"TELLONCE_LOG_LEVEL": "debug", "TELLONCE_STORE": url}


def test_nothing_of_a_patient_and_no_token_is_logged(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    with served(tmp_path / "d", settings=settings) as server:
        token = str(server.token)
        head = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=server.base_url + "/", headers=head) as client:
            patient = {
                "resourceType": "Patient",
                "id": "canary-id",
                "name": [{"family": "Canaryname"}],
            }
            assert client.put("Patient/canary-id", json=patient).status_code == 201
            assert client.get("Patient", params={"name": "Canaryname"}).json()["total"] == 1
            assert client.get("Patient/canary-id/_history").status_code == 200
            wrong = {**patient, "gender": "Canaryvalue", "birthDate": "19850314"}
            assert client.put("Patient/canary-id", json=wrong).status_code == 422
            assert client.get("Patient", params={"Canaryname": "x"}).status_code == 200
            assert client.get("Canaryname/canary-id").status_code == 404
            assert client.get("Patient", params={"birthdate": "Canaryvalue"}).status_code == 400
            refused = httpx.get(
                f"{server.base_url}/Patient", headers={"Authorization": "Bearer CANARY-MRN"}
            )
            assert refused.status_code == 401
        _send(server.mllp_port, MESSAGE)
        _send(server.mllp_port, MESSAGE.replace(b"PID|1||CANARY-MRN^^^HOSP^MR", b"PID|1||"))
        _send(server.mllp_port, b"MSH|Canaryname no message at all CANARY-MRN")
        server.popen.terminate()
        server.popen.wait(timeout=25)
        log = server.log.read_text("utf-8")

    assert "GET /{type}/{id}/_history 200" in log
    assert "PUT /{type}/{id} 422" in log
    assert [word for word in (*CANARIES, token) if word in log] == []


def _send(port: int, message: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port)) as to:
        to.settimeout(20)
        to.sendall(frame(message))
        assert b"MSA|" in to.recv(65536)
