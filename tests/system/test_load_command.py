"""``tellonce load`` as an operator types it."""

import json
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.demo.day import messages
from tests.system import forked
from tests.system.process import served


def load(cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {"COLUMNS": "200", "PATH": "/usr/bin:/bin"}
    return forked.tellonce("load", *words, cwd=cwd, timeout=120, env=environment)


def write_patients(file: Path, *patients: dict[str, Any]) -> None:
    rows = [{"resourceType": "Patient", **patient} for patient in patients]
    file.write_text("\n".join(map(json.dumps, rows)) + "\n")


def test_what_is_loaded_is_served_and_loading_again_adds_nothing(tmp_path: Path) -> None:
    write_patients(tmp_path / "p.ndjson", {"active": True}, {"id": "known"})

    first = load(tmp_path, "p.ndjson", "--data", "d")
    again = load(tmp_path, "p.ndjson", "--data", "d")

    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout == "loaded 2 resources from 1 file\n"
    assert again.stdout.splitlines() == [
        "loaded 0 resources from 1 file",
        "left out 2 parts: an earlier load has stored what is in there",
    ]
    with served(tmp_path / "d", "--open") as server:
        assert httpx.get(f"{server.base_url}/Patient?_summary=count").json()["total"] == 2


def test_a_failure_is_named_and_the_exit_code_is_1(tmp_path: Path) -> None:
    write_patients(tmp_path / "p.ndjson", {"id": "a"}, {"id": "b", "gender": "unsaid"})

    ended = load(tmp_path, "p.ndjson", "--data", "d")

    assert ended.returncode == 1
    assert ended.stdout == "loaded 1 resource from 1 file\n"
    (line,) = ended.stderr.splitlines()
    assert line.startswith("not loaded: p.ndjson:2: ")
    assert "gender" in line


def test_a_running_server_is_loaded_over_http(tmp_path: Path) -> None:
    write_patients(tmp_path / "p.ndjson", {"id": "a"}, {"id": "b", "gender": "unsaid"})
    with served(tmp_path / "d") as server:
        wrong = load(tmp_path, "p.ndjson", "--url", server.base_url, "--token", "tellonce_wrong")
        ended = load(tmp_path, "p.ndjson", "--url", server.base_url, "--token", server.token or "")
        headers = {"Authorization": f"Bearer {server.token}"}
        found = httpx.get(f"{server.base_url}/Patient/a", headers=headers)

    assert wrong.returncode == 1
    assert "401" in wrong.stderr
    assert (ended.returncode, ended.stdout) == (1, "loaded 1 resource from 1 file\n")
    assert "gender" in ended.stderr
    assert found.status_code == 200


def test_a_record_that_a_server_has_open_is_not_written_beside_it(tmp_path: Path) -> None:
    write_patients(tmp_path / "p.ndjson", {"id": "a"})
    with served(tmp_path / "d"):
        ended = load(tmp_path, "p.ndjson", "--data", "d")
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1


def test_hl7v2_files_go_through_the_inbox(tmp_path: Path) -> None:
    day = messages()
    (tmp_path / "admissions.hl7").write_bytes(day[0].content + day[1].content)
    (tmp_path / "unknown.hl7").write_bytes(
        next(message.content for message in day if message.expected == "quarantined")
    )

    ended = load(tmp_path, "admissions.hl7", "unknown.hl7", "--data", "d")

    assert ended.returncode == 1
    assert ended.stdout == "loaded 0 resources and 2 HL7v2 messages from 2 files\n"
    assert ended.stderr.startswith("not loaded: unknown.hl7:1: quarantined: patient-unidentified")
    with served(tmp_path / "d", "--open") as server:
        assert httpx.get(f"{server.base_url}/Patient?_summary=count").json()["total"] >= 1


@pytest.mark.parametrize(
    ("path", "token", "told"),
    [
        ("/fhir", "wrong", "{url}: the token is unknown, has expired, or was revoked (401)"),
        ("", "right", "{url} is not the address of a FHIR server (405)"),
    ],
)
def test_a_wrong_address_or_token_is_told_once_and_not_for_every_file(
    tmp_path: Path, path: str, token: str, told: str
) -> None:
    for name in ("a", "b"):
        write_patients(tmp_path / f"{name}.ndjson", {"id": name})
    with served(tmp_path / "d") as server:
        url = server.base_url.removesuffix("/fhir") + path
        used = {"wrong": "wrong", "right": server.token or ""}[token]
        ended = load(tmp_path, "a.ndjson", "b.ndjson", "--url", url, "--token", used)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"tellonce: {told.format(url=url)}\n"


def test_a_record_that_a_server_has_open_is_left_to_it(tmp_path: Path) -> None:
    write_patients(tmp_path / "a.ndjson", {"id": "a"})
    with served(tmp_path / "d"):
        ended = load(tmp_path, "a.ndjson", "--data", "d")
    assert ended.returncode == 1
    assert ended.stderr.endswith("load through a running server with --url\n")
    assert len(ended.stderr.splitlines()) == 1
