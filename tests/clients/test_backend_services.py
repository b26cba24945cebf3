"""A backend service signs, gets a token, writes Observations, and is kept to what it may."""

import functools
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.clients.backend import Backend, key_set, new_key
from tests.smart.registered import fhir, register, tellonce
from tests.system.process import Process, served

SCOPE = "system/Observation.crs"
RS384 = new_key("RS384", "monitor-1")
ES384 = new_key("ES384", "gateway-1")


class KeyServer(ThreadingHTTPServer):
    """Serves a key set, and counts how often it was fetched."""

    def __init__(self) -> None:
        self.fetched: list[str] = []
        self.keys = key_set(ES384)
        super().__init__(("127.0.0.1", 0), functools.partial(KeyAnswer, self))

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class KeyAnswer(BaseHTTPRequestHandler):
    """One answer; it may be kept for a minute."""

    def __init__(self, keys: KeyServer, *args: Any) -> None:
        self.key_server = keys
        super().__init__(*args)

    def do_GET(self) -> None:
        self.key_server.fetched.append(f"{self.command} {self.path}")
        body = json.dumps(self.key_server.keys).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Cache-Control", "max-age=60")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def keys() -> Iterator[KeyServer]:
    with KeyServer() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def server(keys: KeyServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("backend")
    with served(folder / "data", settings={"TELLONCE_OUTGOING": keys.origin}) as process:
        fhir(process, "PUT", "Patient/ada", {"resourceType": "Patient", "id": "ada"})
        service = {"auth": "private_key_jwt", "grants": ["client_credentials"], "scope": SCOPE}
        register(process, "monitor", jwks=key_set(RS384), **service)
        register(process, "gateway", jwks_uri=f"{keys.origin}/jwks.json", **service)
        yield process


@pytest.fixture
def monitor(server: Process) -> Backend:
    return Backend(server.base_url, "monitor", RS384, "RS384")


@pytest.fixture
def gateway(server: Process) -> Backend:
    return Backend(server.base_url, "gateway", ES384, "ES384")


def pulse(value: int) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        "subject": {"reference": "Patient/ada"},
        "effectiveDateTime": "2026-03-01T08:00:00Z",
        "valueQuantity": {"value": value, "unit": "/min"},
    }


@pytest.mark.smart(253, 254, 255, 256, 257, 258, 261, 262, 297, 310, 326, 357)
def test_registered_keys_sign_with_rs384(monitor: Backend) -> None:
    answer = monitor.ask(SCOPE)

    assert answer.status_code == 200
    said = answer.json()
    assert len(said.pop("access_token")) == 43
    assert said == {"token_type": "Bearer", "expires_in": 300, "scope": SCOPE}


@pytest.mark.smart(248)
def test_there_is_no_refresh_token(monitor: Backend) -> None:
    assert "refresh_token" not in monitor.ask(SCOPE).json()


@pytest.mark.smart(296, 310, 339)
def test_keys_from_an_address_sign_with_es384(gateway: Backend, keys: KeyServer) -> None:
    assert gateway.ask(SCOPE).status_code == 200
    assert set(keys.fetched) == {"GET /jwks.json"}


@pytest.mark.smart(341, 342)
def test_the_fetched_keys_are_kept_as_long_as_they_say(gateway: Backend, keys: KeyServer) -> None:
    gateway.token(SCOPE)
    before = len(keys.fetched)
    gateway.token(SCOPE)
    assert len(keys.fetched) == before


@pytest.mark.smart(338)
def test_a_jku_is_followed_only_when_it_is_the_registered_one(
    gateway: Backend, keys: KeyServer
) -> None:
    own = gateway.assertion({"jku": f"{keys.origin}/jwks.json"})
    assert gateway.ask(SCOPE, own).status_code == 200

    foreign = gateway.assertion({"jku": f"{keys.origin}/other.json"})
    assert refused(gateway, foreign) == "invalid_client"
    assert "GET /other.json" not in keys.fetched


@pytest.mark.smart(142, 240)
def test_observations_are_written_and_found(monitor: Backend) -> None:
    token = monitor.token(SCOPE)

    made = [monitor.create(token, pulse(value)) for value in (61, 62)]

    assert [one.status_code for one in made] == [201, 201]
    found = monitor.read(token, "Observation?patient=ada&_sort=_lastUpdated").json()
    values = [one["resource"]["valueQuantity"]["value"] for one in found["entry"]]
    assert values[:2] == [61, 62]


@pytest.mark.smart(95, 243, 266)
def test_what_its_scopes_do_not_cover_is_refused(monitor: Backend) -> None:
    token = monitor.token(SCOPE)

    assert monitor.read(token, "Patient/ada").status_code == 403
    assert monitor.create(token, {"resourceType": "Patient"}).status_code == 403
    assert monitor.read(token, "Patient").status_code == 403


@pytest.mark.smart(241, 260)
def test_a_token_is_limited_to_the_scope_that_was_asked_for(monitor: Backend) -> None:
    reader = monitor.token("system/Observation.rs")
    assert monitor.create(reader, pulse(63)).status_code == 403


@pytest.mark.smart(250, 251, 252)
@pytest.mark.parametrize(
    "more", ["system/Patient.rs", f"{SCOPE} system/Patient.rs", "offline_access"]
)
def test_a_scope_beyond_the_registered_one_is_refused(monitor: Backend, more: str) -> None:
    answer = monitor.ask(more)
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_scope"
    assert answer.json()["error_description"]


def refused(client: Backend, assertion: str) -> str:
    answer = client.ask(SCOPE, assertion)
    assert answer.status_code in (400, 401), answer.text
    error: str = answer.json()["error"]
    return error


@pytest.mark.smart(249, 335, 340)
@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"exp": int(time.time()) - 60}, id="expired"),
        pytest.param({"exp": int(time.time()) + 315_360_000}, id="ten-years"),
        pytest.param({"exp": None}, id="no-end"),
        pytest.param({"aud": "https://elsewhere.example/token"}, id="for-another-server"),
        pytest.param({"sub": "gateway"}, id="of-two-clients"),
        pytest.param({"jti": None}, id="no-jti"),
    ],
)
def test_an_assertion_that_is_not_right_is_refused(
    monitor: Backend, claims: dict[str, Any]
) -> None:
    assert refused(monitor, monitor.assertion(**claims)) == "invalid_client"


@pytest.mark.smart(336)
def test_an_assertion_works_once(monitor: Backend) -> None:
    assertion = monitor.assertion()
    assert monitor.ask(SCOPE, assertion).status_code == 200
    assert refused(monitor, assertion) == "invalid_client"


@pytest.mark.smart(337)
def test_a_client_that_is_not_known_is_refused(server: Process) -> None:
    stranger = Backend(server.base_url, "stranger", RS384, "RS384")
    assert refused(stranger, stranger.assertion()) == "invalid_client"


@pytest.mark.smart(335)
def test_a_key_of_somebody_else_is_refused(server: Process) -> None:
    forged = Backend(server.base_url, "monitor", new_key("RS384", "monitor-1"), "RS384")
    assert refused(forged, forged.assertion()) == "invalid_client"


@pytest.mark.smart(247)
def test_without_a_token_nothing_is_answered(monitor: Backend) -> None:
    answer = monitor.read("", "Observation")
    assert answer.status_code == 401
    assert "Bearer" in answer.headers["www-authenticate"]


def test_the_private_key_never_reaches_the_server(server: Process, tmp_path: Path) -> None:
    file = tmp_path / "private.json"
    file.write_text(json.dumps({"keys": [RS384.as_dict(private=True)]}), "utf-8")
    words = ["client", "add", "careless", "--grant", "client_credentials", "--scope", SCOPE]
    with pytest.raises(AssertionError, match="secret"):
        tellonce(server.log.parent / "data", *words, "--jwks", str(file))
