"""``make figures``: what FHIRPath costs, against its budgets.

Prints CPU milliseconds to compile the expressions of all R4 search parameters, each for each of
its base types, in a new process that has read the definitions; then CPU microseconds to evaluate
those of Patient over the published example, compiled for the index and in the full language, the
best of 200 rounds, for other work on the machine only ever adds.
"""

import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from server.fhir import definitions
from server.fhir.fhirpath.compile import compile_path
from server.fhir.fhirpath.errors import FhirPathError
from server.fhir.fhirpath.expression import compile_expression
from server.fhir.xml import loads

EXAMPLES = Path(__file__).parents[2] / "shared/data/fhirpath/fhirpath-tests.tar.xz"
ROUNDS = 200
BUDGETS = {"compile all, ms": 50.0, "Patient, for the index, us": 60.0}


def main() -> int:
    """Print the figures; return 1 when one is over its budget."""
    for name in definitions.types():
        definitions.children(name)
    compiled = _cpu(_compile_all)
    patient = _example(sys.argv[1] if len(sys.argv) > 1 else str(EXAMPLES))
    wanted = [p for p in definitions.search_parameters("Patient").values() if p.expression]
    branches = [b for p in wanted for b in compile_path(p.expression, "Patient")]
    full = [compile_expression(p.expression, "Patient") for p in wanted]
    figures = {
        "compile all, ms": compiled * 1e3,
        "Patient, for the index, us": _best(lambda: [b.values(patient) for b in branches]) * 1e6,
        "Patient, the full language, us": _best(lambda: [e.evaluate(patient) for e in full]) * 1e6,
    }
    for name, figure in figures.items():
        budget = f"  of {BUDGETS[name]:g}" if name in BUDGETS else ""
        print(f"{name:32}{figure:8.1f}{budget}")
    return int(any(figures[name] > budget for name, budget in BUDGETS.items()))


def _compile_all() -> None:
    for parameter in definitions.all_search_parameters():
        for base in parameter.base if parameter.expression else ():
            try:
                compile_path(parameter.expression, base)
            except FhirPathError:
                compile_expression(parameter.expression, base)


def _cpu(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _best(work: Callable[[], Any]) -> float:
    return min(_cpu(work) for _ in range(ROUNDS))


def _example(archive: str) -> Any:
    with tarfile.open(archive) as tests:
        member = next(m for m in tests if m.name.endswith("patient-example.xml"))
        content = tests.extractfile(member)
        assert content is not None
        return loads(content.read())


if __name__ == "__main__":
    sys.exit(main())
