"""Make ``server/fhir/data/ucum-essence.xml.zst`` from the published table of UCUM units.

    python scripts/gen_ucum.py            write it
    python scripts/gen_ucum.py --check    fail when it is not what would be written

The licence of UCUM allows copies, but no selections and nothing derived, so this is the whole
file, byte for byte, only compressed; ``server/fhir/ucum.py`` reads it when first asked.  What is
compared are the bytes inside, as the compressed ones depend on the version of the compressor.
"""

import argparse
import sys
from pathlib import Path

import zstandard

ROOT = Path(__file__).parents[1]
SOURCE = ROOT.parent / "shared" / "data" / "ucum" / "ucum-essence.xml"
TARGET = ROOT / "server" / "fhir" / "data" / "ucum-essence.xml.zst"


def main() -> int:
    """Write or check the table; return the exit status."""
    parser = argparse.ArgumentParser(description="Pack the table of UCUM units.")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    parser.add_argument("--source", type=Path, default=SOURCE, help="ucum-essence.xml")
    arguments = parser.parse_args()
    if not arguments.source.is_file():
        print(
            f"{arguments.source} is not there: UCUM's table of units, which is not kept as a file "
            "in this repository; name it with --source",
            file=sys.stderr,
        )
        return 1
    text = arguments.source.read_bytes()
    if TARGET.exists() and zstandard.decompress(TARGET.read_bytes()) == text:
        print(f"{TARGET.name}: up to date, {TARGET.stat().st_size:,} of {len(text):,} bytes")
        return 0
    if arguments.check:
        print(f"{TARGET.name} is not what its source gives: run {Path(__file__).name}")
        return 1
    TARGET.write_bytes(zstandard.compress(text, 19))
    print(f"{TARGET.name}: written, {TARGET.stat().st_size:,} of {len(text):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
