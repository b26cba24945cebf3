"""The container's HEALTHCHECK, against a real HTTP server on this machine."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest


class Ready(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/readyz" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class OverSix(HTTPServer):
    address_family = socket.AF_INET6


class NotReady(Ready):
    status = 503


@pytest.fixture
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), request.param) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def check(port: int, **more: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "server.healthcheck"],
        env={"TELLONCE_HOST": "0.0.0.0", "TELLONCE_PORT": str(port), **more},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("port", [Ready], indirect=True)
def test_a_ready_server_is_healthy(port: int) -> None:
    assert check(port) == (0, "")


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("host", ["::", "[::]", "::1"])
def test_a_server_on_ipv6_is_asked_over_ipv6(host: str) -> None:
    with OverSix(("::1", 0), Ready) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        assert check(server.server_port, TELLONCE_HOST=host) == (0, "")
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("port", [NotReady], indirect=True)
def test_a_server_that_is_not_ready_is_not_healthy(port: int) -> None:
    assert check(port) == (1, f"127.0.0.1:{port} is not ready: 503\n")


@pytest.mark.parametrize("port", [Ready], indirect=True)
def test_with_a_certificate_tls_is_spoken(port: int) -> None:
    status, told = check(port, TELLONCE_TLS_CERT="/certs/cert.pem")
    assert status == 1
    assert "does not answer" in told


def test_no_server_is_not_healthy() -> None:
    status, told = check(1)
    assert status == 1
    assert told.startswith("127.0.0.1:1 does not answer")
