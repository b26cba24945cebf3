"""The JavaScript client fhir-kit-client, over a real socket."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent / "node"


def test_fhir_kit_client_reads_writes_and_pages(
    node_with: Callable[[str], str], base_url: str
) -> None:
    run = subprocess.run(
        [node_with("fhir-kit-client"), "check.js", base_url],
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
