"""Write the pages that are made from code; with ``--check`` only compare, exit code 1 if stale."""

import sys
from pathlib import Path

from mappings.coverage import coverage_page
from mappings.maps import load_maps
from mappings.maps_page import maps_page
from server.operations.page import operations_page
from server.settings_page import settings_page

DOCS = Path(__file__).parents[1] / "docs"
PAGES = {
    "settings.md": settings_page,
    "hl7v2-maps.md": maps_page,
    "hl7v2-coverage.md": lambda: coverage_page(load_maps()),
    "operations.md": operations_page,
}


def main() -> int:
    """Return 0 when every page is written, or (with ``--check``) current."""
    stale = []
    for name, make in PAGES.items():
        file = DOCS / name
        made = make()
        if file.exists() and file.read_text("utf-8") == made:
            continue
        if "--check" in sys.argv:
            stale.append(name)
        else:
            file.write_text(made, "utf-8")
            print(f"wrote docs/{name}")
    for name in stale:
        print(f"docs/{name} is stale: run python scripts/gen_docs.py", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
