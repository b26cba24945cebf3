"""The JavaScript client fhir-kit-client, over a real socket."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "node"


@pytest.fixture(scope="module")
def node() -> str:
    """The Node program, with the client installed; without it skip, in CI fail."""
    program = shutil.which("node")
    missing = ""
    if program is None:
        missing = "Node is not installed: apt-get install nodejs npm"
    elif not (HERE / "node_modules" / "fhir-kit-client").is_dir():
        missing = "the client is not installed: npm ci in tests/clients/node"
    if missing and os.environ.get("CI"):
        pytest.fail(missing)
    if missing or program is None:
        pytest.skip(missing)
    return program


def test_fhir_kit_client_reads_writes_and_pages(node: str, base_url: str) -> None:
    run = subprocess.run(
        [node, "check.js", base_url],
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == {
        "fhirVersion": "4.0.1",
        "created": "1",
        "family": "Ødegård",
        "updated": "2",
        "vread": "none",
        "patched": True,
        "transaction": ["201"] * 5,
        "pages": [["10", "11"], ["12", "13"], ["14"]],
        "found": 1,
        "afterDelete": 410,
    }


def test_the_lock_file_names_no_host() -> None:
    """It would tie every checkout to the machine on which the file was made."""
    assert "://" not in (HERE / "package-lock.json").read_text("utf-8")
