"""Fail when a generated file is not what its generator makes today.

Definitions and units can be compared only where ``../shared/data`` lies beside the repo; elsewhere
that part says so (with ``CI=true`` it fails).
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"


def main() -> int:
    """Return 0 when everything that can be compared is current."""
    failed = 0
    if DATA.is_dir():
        failed += _run("scripts/gen_definitions.py", "--check")
        failed += _run("scripts/gen_ucum.py", "--check")
    else:
        print("definitions and units not compared: no ../shared/data here", file=sys.stderr)
        failed += os.environ.get("CI") == "true"
    failed += _run("scripts/gen_docs.py", "--check")
    failed += _run("scripts/gen_smart_table.py", "--check")
    return 1 if failed else 0


def _run(script: str, *args: str) -> int:
    return subprocess.run([sys.executable, ROOT / script, *args], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
