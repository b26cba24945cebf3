"""The floors are kept, and the check that keeps them can fail."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("server", "mappings", "smart_apps", "terminology")


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    tool = Path(sys.executable).parent / "lint-imports"
    command = [tool, "--no-cache", "--config", folder / ".importlinter"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for package in PACKAGES:
        skip = shutil.ignore_patterns("__pycache__", "*.zst", "*.yaml")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=skip)
    shutil.copy(ROOT / ".importlinter", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("server/fhir/planted.py", "import server.rest", "lower floors"),
        ("server/search/planted.py", "import asyncio", "no I/O of their own"),
        ("server/interactions/planted.py", "import fastapi", "No HTTP below rest"),
    ],
)
def test_a_planted_upward_import_fails(copy: Path, file: str, line: str, contract: str) -> None:
    (copy / file).write_text(line + "\n")

    found = lint(copy)

    assert found.returncode == 1
    broken = [text for text in found.stdout.splitlines() if text.endswith("BROKEN")]
    assert any(contract in text for text in broken), found.stdout


def test_the_tree_keeps_its_floors(copy: Path) -> None:
    found = lint(copy)
    assert found.returncode == 0, found.stdout
