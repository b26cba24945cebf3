"""The examples that are not run elsewhere, run as they are printed."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mappings.maps import load_maps
from mappings.parse import parse
from tests.system.process import served

DOCS = Path(__file__).parents[2] / "docs"


def section(page: str, heading: str) -> str:
    text = (DOCS / page).read_text("utf-8")
    return re.split(r"^## ", text.split(f"## {heading}\n")[1], flags=re.MULTILINE)[0]


def block(text: str, language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", text, re.DOTALL)
    assert found
    return found[1]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_the_first_requests_work_as_typed(tmp_path: Path) -> None:
    shown = section("rest.md", "First requests")
    export, _, requests = block(shown, "sh").partition("\n")
    assert export.startswith("export TOKEN=$(tellonce token new) BASE=http")
    with served(tmp_path / "data") as server:
        run = subprocess.run(
            ["bash", "-euc", requests.replace("\nfhir ", "\necho; fhir ")],
            env={"PATH": "/usr/bin:/bin", "TOKEN": server.token or "", "BASE": server.base_url},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert run.returncode == 0, run.stderr
    assert "HTTP/1.1 201 Created" in run.stdout
    assert '"type":"transaction-response"' in run.stdout
    assert '"search":{"mode":"include"}' in run.stdout
    assert '"gender":"female"' in run.stdout
    assert json.loads(run.stdout.splitlines()[-1]) == json.loads(block(shown, "json"))


def test_the_map_from_nothing_makes_the_allergy(tmp_path: Path) -> None:
    shown = section("hl7v2.md", "A map from nothing")
    (tmp_path / "allergies.yaml").write_text(block(shown, "yaml"), "utf-8")
    message = parse(block(shown, "hl7").replace("\n", "\r").encode())
    packaged = load_maps()
    assert packaged.plan(message, packaged.feed("default")).quarantine == "unsupported-message"

    maps = load_maps([tmp_path])
    plan = maps.plan(message, maps.feed("default"))

    assert plan.quarantine is None
    made = {resource.type: resource.values for resource in plan.resources}
    assert sorted(made) == ["AllergyIntolerance", "Patient"]
    assert made["AllergyIntolerance"]["code"] == {"text": "Penicillin"}
    assert made["AllergyIntolerance"]["reaction"] == [
        {"manifestation": [{"text": "Rash"}], "severity": "severe"}
    ]
