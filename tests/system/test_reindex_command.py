"""``tellonce reindex``, and a SearchParameter that is stored before the server is killed."""

import subprocess
from pathlib import Path

import httpx

from tests.system import forked
from tests.system.process import served

EYES = "http://h.test/eye-color"
PARAMETER = {
    "resourceType": "SearchParameter",
    "id": "eyes",
    "url": "http://h.test/SearchParameter/eyes",
    "name": "Eyes",
    "status": "active",
    "description": "x",
    "code": "eyes",
    "base": ["Patient"],
    "type": "token",
    "expression": f"Patient.extension.where(url = '{EYES}').value",
}


# Twenty patients and a parameter; each with the Provenance and the AuditEvent of its writing.
EVERY = "63 resources indexed anew\n"


def tellonce(*words: str, cwd: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {"COLUMNS": "200", "PATH": "/usr/bin:/bin", **settings}
    return forked.tellonce(*words, cwd=cwd, env=environment)


def person(number: int) -> dict[str, object]:
    return {"resourceType": "Patient", "extension": [{"url": EYES, "valueCode": f"c{number}"}]}


def fill(data: Path, *, kill: bool) -> None:
    with served(data, "--open") as server, httpx.Client(base_url=server.base_url) as client:
        for number in range(20):
            assert client.post("Patient", json=person(number)).status_code == 201
        assert client.put("SearchParameter/eyes", json=PARAMETER).status_code == 201
        if kill:
            server.popen.kill()
            server.popen.wait()


def test_a_parameter_survives_a_kill_and_finds_everything_after_the_start(tmp_path: Path) -> None:
    data = tmp_path / "data"
    fill(data, kill=True)

    with served(data, "--open") as server, httpx.Client(base_url=server.base_url) as client:
        assert client.put("Patient/new", json={**person(7), "id": "new"}).status_code == 201
        strict = {"Prefer": "handling=strict"}
        answer = client.get("Patient?eyes=c7", headers=strict)
        while answer.status_code == 503:
            assert answer.json()["issue"][0]["code"] == "incomplete"
            answer = client.get("Patient?eyes=c7", headers=strict)
        assert answer.json()["total"] == 2

    assert tellonce("verify", "--data", str(data), cwd=tmp_path).stdout == "sound\n"


def test_the_command_makes_every_row_and_says_how_many(tmp_path: Path) -> None:
    data = tmp_path / "data"
    fill(data, kill=False)
    named = {"TELLONCE_BASE_URL": "https://h.test/fhir"}

    first = tellonce("reindex", "--data", str(data), cwd=tmp_path, **named)
    second = tellonce("reindex", "--data", str(data), cwd=tmp_path, **named)
    third = tellonce(
        "reindex", "--data", str(data), cwd=tmp_path, TELLONCE_TIME_ZONE="Europe/Berlin", **named
    )

    assert (first.returncode, first.stdout) == (0, EVERY), first.stderr
    assert (second.returncode, second.stdout) == (0, "the index is current\n"), second.stderr
    assert (third.returncode, third.stdout) == (0, EVERY), third.stderr


def test_it_refuses_in_one_line(tmp_path: Path) -> None:
    nowhere = tellonce("reindex", "--data", str(tmp_path / "none"), cwd=tmp_path)
    zone = tellonce("reindex", cwd=tmp_path, TELLONCE_TIME_ZONE="Mars/Hill")

    assert nowhere.returncode == zone.returncode == 1
    assert nowhere.stderr.strip().endswith("is not there; name the server's folder with --data")
    assert zone.stderr.strip() == (
        "tellonce: TELLONCE_TIME_ZONE: 'Mars/Hill' is not a time zone, as in Europe/Berlin"
    )
