"""What was taken from the guide is what its generator makes today."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "gen_v2_maps.py"


def test_the_facts_and_tables_of_the_guide_are_current(shared_data: Path) -> None:
    archive = shared_data / "v2-to-fhir" / "v2-to-fhir-maps.tar.xz"
    ran = subprocess.run(
        [sys.executable, SCRIPT, "--check", "--archive", archive],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
