"""Write the table of requirements into docs/smart.md; with ``--check`` only compare (exit code 1).

The requirements come from tests/smart/requirements.tsv, the proofs from the tests that name them.
"""

import sys
from itertools import groupby
from pathlib import Path

from tests.smart.requirements import Requirement, proofs, requirements

PAGE = Path(__file__).parents[1] / "docs" / "smart.md"
BEGIN, END = "<!-- requirements: made by scripts/gen_smart_table.py -->", "<!-- end -->"
SPECIFICATION = "https://hl7.org/fhir/smart-app-launch/STU2.2/"
SHOWN = 2


def table() -> str:
    """Return a table for each page of the specification, below a line that counts."""
    known = requirements().values()
    parts = [_count(list(known))]
    for page, of_page in groupby(known, lambda one: one.page.partition("#")[0]):
        parts.append(f"\n**[{page}]({SPECIFICATION}{page})**\n")
        parts.append("| id | level | what | proof |\n|---|---|---|---|")
        parts += [f"| {one.id} | {one.level} | {one.words} | {_proof(one)} |" for one in of_page]
    return "\n".join(parts)


def _count(known: list[Requirement]) -> str:
    binding = [one for one in known if one.binding]
    excused = [one for one in binding if one.reason is not None]
    advised = [one for one in known if one.level.startswith("SHOULD")]
    met = [one for one in advised if one.reason is None]
    proven = len(binding) - len(excused)
    return (
        f"Of {len(binding)} SHALL requirements {proven} are proven by tests and {len(excused)} do "
        f"not apply; of {len(advised)} SHOULD requirements {len(met)} are met."
    )


def _proof(one: Requirement) -> str:
    if one.reason is not None:
        return f"{one.state.partition(':')[0]}: {one.reason}".replace("open:", "not done:")
    tests = proofs().get(one.id, [])
    shown = [_link(test) for test in tests[:SHOWN]]
    more = [f"{len(tests) - SHOWN} more"] if len(tests) > SHOWN else []
    return ", ".join(shown + more) or "no test yet"


def _link(test: str) -> str:
    file, _, name = test.partition("::")
    return f"[{name.removeprefix('test_').replace('_', ' ')}](../{file})"


def main() -> int:
    """Return 0 when the table is written, or (with ``--check``) current."""
    text = PAGE.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    made = f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"
    if made == text:
        return 0
    if "--check" in sys.argv:
        print("docs/smart.md is stale: run python scripts/gen_smart_table.py", file=sys.stderr)
        return 1
    PAGE.write_text(made, "utf-8")
    print("wrote docs/smart.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
