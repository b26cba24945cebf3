"""The command line as an operator types it: real processes, real ports, real refusals."""

import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.system import forked
from tests.system.process import served


def tellonce(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return forked.tellonce(*words, cwd=cwd, env={"COLUMNS": "200", "PATH": "/usr/bin:/bin"})


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def import_s() -> float:
    """Return the CPU of a Python that imports FastAPI: what this machine takes for work we know."""
    begun = os.times()
    subprocess.run([sys.executable, "-c", "import fastapi"], check=True)
    ended = os.times()
    return ended.children_user + ended.children_system - begun.children_user - begun.children_system


def test_an_empty_folder_serves_within_three_seconds_and_shows_one_token(tmp_path: Path) -> None:
    with served(tmp_path / "data", installed=True) as server:
        assert httpx.get(f"{server.base_url}/metadata").status_code == 200
        # 2.4 s on a quiet machine, all of it CPU; by then FastAPI alone takes 0.4 s to import.
        assert cpu_s(server.popen.pid) < 10 * import_s()
        assert server.token is not None

        refused = httpx.get(f"{server.base_url}/Patient")
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].startswith("Bearer")
        allowed = {"Authorization": f"Bearer {server.token}"}
        assert httpx.get(f"{server.base_url}/Patient", headers=allowed).status_code == 200


def test_the_first_token_is_shown_once_and_another_can_be_made_beside_the_server(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    with served(data):
        pass
    with served(data) as server:
        assert server.token is None
        made = tellonce("token", "new", "--data", str(data), cwd=tmp_path)
        assert made.returncode == 0, made.stderr
        allowed = {"Authorization": f"Bearer {made.stdout.strip()}"}
        assert httpx.get(f"{server.base_url}/Patient", headers=allowed).status_code == 200

        listed = tellonce("token", "list", "--data", str(data), cwd=tmp_path).stdout
        id_ = next(line.split()[0] for line in listed.splitlines() if line.endswith("operator"))
        removed = tellonce("token", "remove", id_, "--data", str(data), cwd=tmp_path)
        assert removed.stdout == f"{id_}  operator  removed\n"
        for _ in range(21):  # 2.1 s, and longer when the machine is stalled
            if httpx.get(f"{server.base_url}/Patient", headers=allowed).status_code != 200:
                break
            time.sleep(0.1)
        assert httpx.get(f"{server.base_url}/Patient", headers=allowed).status_code == 401


def test_every_link_uses_the_public_address(tmp_path: Path) -> None:
    public = "https://fhir.hospital.example/r4"
    with served(tmp_path / "data", "--open", "--base-url", public) as server:
        local = f"http://127.0.0.1:{_port_of(server.popen.pid)}/fhir"
        made = httpx.post(f"{local}/Patient", json={"resourceType": "Patient"})
        assert made.headers["location"].startswith(f"{public}/Patient/")
        found = httpx.get(f"{local}/Patient").json()
        assert found["link"][0]["url"].startswith(f"{public}/Patient")
        assert found["entry"][0]["fullUrl"].startswith(f"{public}/Patient/")


def test_a_taken_port_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = tellonce("serve", "--port", str(port), "--data", "d", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"tellonce: port {port} of 127.0.0.1 is taken; choose another with --port\n"
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--host", "0.0.0.0"), "0.0.0.0 is not loopback: give --tls-cert and --tls-key"),
        (("--host", "0.0.0.0", "--open"), "--open works on loopback only, not on 0.0.0.0"),
        (("--store", "mongodb://127.0.0.1/a.b"), "--store: the database is 1 to 38 letters"),
        (("--maps", "typo"), "tellonce: typo: there is no folder typo"),
        (("--tls-cert", "c.pem", "--tls-key", "k.pem"), "c.pem with k.pem: No such file"),
        (("--mllp-port", "x"), "--mllp-port: Input should be a valid integer"),
    ],
)
def test_what_cannot_be_served_is_one_line(
    tmp_path: Path, options: tuple[str, ...], told: str
) -> None:
    ended = tellonce("serve", "--port", "0", "--data", "d", *options, cwd=tmp_path)
    assert ended.returncode == 1
    assert told in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("verify",), "tellonce-data/record.db is not there"),
        (("backup", "copy.db"), "tellonce-data/record.db is not there"),
        (("token", "new"), "tellonce-data/record.db is not there"),
        (("inbox", "list"), "tellonce-data/record.db is not there"),
        (("verify", "--store", "sqlite:///none.db"), "none.db is not there"),
    ],
)
def test_a_command_in_the_wrong_folder_makes_no_empty_record(
    tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    ended = tellonce(*words, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"tellonce: {told}")
    assert len(ended.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_start_that_fails_uses_up_no_token(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        words = ("serve", "--port", "0", "--mllp-port", port, "--data", "d")
        ended = tellonce(*words, cwd=tmp_path)
    assert ended.returncode == 1
    assert "choose another with --mllp-port" in ended.stderr

    with served(tmp_path / "d") as server:
        assert server.token is not None


def test_a_backup_writes_over_nothing_and_into_no_missing_folder(tmp_path: Path) -> None:
    with served(tmp_path / "d"):
        pass
    (tmp_path / "copy.db").write_text("precious")

    over = tellonce("backup", "copy.db", "--data", "d", cwd=tmp_path)
    nowhere = tellonce("backup", "none/copy.db", "--data", "d", cwd=tmp_path)

    assert over.stderr == "tellonce: copy.db exists; a backup never writes over a file\n"
    assert nowhere.stderr == "tellonce: none is not a folder\n"
    assert (over.returncode, nowhere.returncode) == (1, 1)
    assert (tmp_path / "copy.db").read_text() == "precious"


def test_a_file_that_is_not_ours_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    foreign = tmp_path / "d" / "record.db"
    foreign.write_bytes(b"not a database, and longer than the header of one " * 10)
    before = foreign.read_bytes()

    ended = tellonce("serve", "--port", "0", "--mllp-port", "0", "--data", "d", cwd=tmp_path)

    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert foreign.read_bytes() == before


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    with served(tmp_path / "d"):
        pass
    db = sqlite3.connect(tmp_path / "d" / "record.db")
    db.execute("PRAGMA user_version = 9999")
    db.commit()
    db.close()

    ended = tellonce("serve", "--port", "0", "--mllp-port", "0", "--data", "d", cwd=tmp_path)

    assert ended.returncode == 1
    assert "9999" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_second_server_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    with served(tmp_path / "d"):
        ended = tellonce("serve", "--port", "0", "--mllp-port", "0", "--data", "d", cwd=tmp_path)
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(tmp_path: Path, how: signal.Signals) -> None:
    with served(tmp_path / "d", "--open") as server:
        httpx.post(
            f"{server.base_url}/Basic", json={"resourceType": "Basic", "code": {"text": "x"}}
        )
        server.popen.send_signal(how)
        assert server.popen.wait(timeout=25) == 0
    assert tellonce("verify", "--data", "d", cwd=tmp_path).stdout == "sound\n"


def test_backup_beside_a_running_server_is_a_whole_record(tmp_path: Path) -> None:
    with served(tmp_path / "d", "--open") as server:
        made = httpx.post(f"{server.base_url}/Patient", json={"resourceType": "Patient"})
        copied = tellonce("backup", "copy.db", "--data", "d", cwd=tmp_path)
        assert copied.returncode == 0, copied.stderr
    (tmp_path / "e").mkdir()
    (tmp_path / "copy.db").rename(tmp_path / "e" / "record.db")
    with served(tmp_path / "e", "--open") as server:
        assert httpx.get(f"{server.base_url}/Patient/{made.json()['id']}").status_code == 200


@pytest.mark.parametrize("token", [True, False], ids=["too large", "and without a token"])
def test_a_refused_body_is_answered_and_not_reset(tmp_path: Path, token: bool) -> None:
    """Over a real socket: a client that sends everything first and closes must see the refusal."""
    body = b'{"resourceType":"Patient","language":"' + b"x" * (10 * 2**20) + b'"}'
    with served(tmp_path / "d") as server:
        headers = {"Connection": "close", "Content-Type": "application/fhir+json"}
        if token:
            headers["Authorization"] = f"Bearer {server.token}"
        host, port = server.base_url.removeprefix("http://").removesuffix("/fhir").split(":")
        client = http.client.HTTPConnection(host, int(port), timeout=30)
        client.request("POST", "/fhir/Patient", body, headers)
        answer = client.getresponse()
        outcome = json.loads(answer.read())
        client.close()

    expected = (413, "too-long") if token else (401, "login")
    assert (answer.status, outcome["issue"][0]["code"]) == expected


def _port_of(pid: int) -> int:
    """The TCP ports that the process listens on; the HTTP one answers /livez."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        target = link.readlink().name
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    # Some listen for other things, which are not waited for long; a stalled server is asked again.
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:] * 3:
        words = line.split()
        if words[9] in inodes and words[3] == "0A":
            port = int(words[1].split(":")[1], 16)
            try:
                httpx.get(f"http://127.0.0.1:{port}/livez", timeout=1)
            except httpx.HTTPError:
                continue
            return port
    raise AssertionError("no HTTP port found")


def test_settings_of_the_api_reach_it(tmp_path: Path) -> None:
    settings = ("DELETE=allow", "CONDITIONAL_DELETE=multiple", "COMPRESS=false")
    (tmp_path / ".env").write_text("".join(f"TELLONCE_{one}\n" for one in settings))
    with served(tmp_path / "data") as server:
        answer = httpx.get(f"{server.base_url}/metadata", headers={"Accept-Encoding": "gzip"})

    assert "content-encoding" not in answer.headers
    resources = answer.json()["rest"][0]["resource"]
    deleted = {one["type"]: one["conditionalDelete"] for one in resources}
    assert deleted.pop("AuditEvent") == "not-supported"
    assert set(deleted.values()) == {"multiple"}
