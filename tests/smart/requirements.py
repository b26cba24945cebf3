"""What SMART App Launch 2.2.0 asks of a server: our list of it, and the tests that name its ids.

``requirements.tsv`` has a line for each: id, level, page, our own short words, and the state:
``test`` (a test proves it), ``n/a: reason`` or, below SHALL, ``open: reason``.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parents[1]
FILE = Path(__file__).with_name("requirements.tsv")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One requirement.  ``page``: file and anchor below hl7.org/fhir/smart-app-launch/STU2.2."""

    id: int
    level: str
    page: str
    words: str
    state: str

    @property
    def binding(self) -> bool:
        """True for SHALL and SHALL NOT."""
        return self.level.startswith("SHALL")

    @property
    def reason(self) -> str | None:
        """Why it does not apply, or is not met; ``None`` when a test proves it."""
        return None if self.state == "test" else self.state.partition(": ")[2]


@cache
def requirements() -> dict[int, Requirement]:
    """Return every requirement by its id, in the order of the file."""
    lines = FILE.read_text("utf-8").splitlines()[1:]
    read = (line.split("\t") for line in lines)
    return {int(id_): Requirement(int(id_), *rest) for id_, *rest in read}


@cache
def proofs() -> dict[int, list[str]]:
    """Return the tests that name each id, as ``tests/auth/test_token.py::test_...``."""
    found: dict[int, list[str]] = {}
    for file in sorted(TESTS.rglob("test_*.py")):
        text = file.read_text("utf-8")
        if "mark.smart(" not in text:
            continue
        where = file.relative_to(TESTS.parent).as_posix()
        for name, id_ in marked(text):
            tests = found.setdefault(id_, [])
            tests += [f"{where}::{name}"] if f"{where}::{name}" not in tests else []
    return found


def marked(text: str) -> Iterator[tuple[str, int]]:
    """Yield (test's name, id) for each id that a ``pytest.mark.smart`` in the module names.

    >>> list(marked("@pytest.mark.smart(86, 87)\\ndef test_a(): ..."))
    [('test_a', 86), ('test_a', 87)]
    """
    module = ast.parse(text)
    tests = [
        node
        for node in ast.walk(module)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    ]
    for node in module.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark":
            yield from ((test.name, id_) for id_ in _ids(node.value) for test in tests)
    for test in tests:
        for decorator in test.decorator_list:  # of a parameter (pytest.param) as well
            yield from ((test.name, id_) for id_ in _ids(decorator))


def _ids(node: ast.AST) -> Iterator[int]:
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.smart":
            yield from (ast.literal_eval(argument) for argument in call.args)
