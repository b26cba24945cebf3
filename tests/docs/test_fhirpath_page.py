"""The page says what is so: its examples run, its limits and exceptions are those of the code."""

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from server.commands.line import cli
from server.fhir.fhirpath import environment, equality, expression, lexer, parser, pattern
from tests.conformance.test_fhirpath_suite import EXCEPTIONS

PAGE = (Path(__file__).parents[2] / "docs" / "fhirpath.md").read_text("utf-8")
PATIENT = {
    "resourceType": "Patient",
    "birthDate": "1974-12-25",
    "name": [{"use": "usual", "given": ["Jim"]}, {"given": ["Peter"]}],
}


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found[1]


def rows(heading: str) -> dict[str, str]:
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    cells = [line.strip("| ").split(" | ") for line in section.splitlines() if line[:1] == "|"]
    return {row[0]: row[1] for row in cells[2:]}


def test_the_command_prints_what_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "patient.json").write_text(json.dumps(PATIENT))
    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(cli, shlex.split(block("sh"))[1:])
    assert found.stdout == block("text")


def test_the_python_runs() -> None:
    exec(compile(block("python"), "docs/fhirpath.md", "exec"), {})


def test_the_limits_are_those_of_the_code() -> None:
    assert [int(value.replace(",", "")) for value in rows("Limits").values()] == [
        lexer.MAX_LENGTH,
        lexer.MAX_TOKENS,
        parser.MAX_DEPTH,
        parser.MAX_HEIGHT,
        expression.CLIENT_STEPS,
        environment.MAX_STRING,
        pattern.MAX_PATTERN,
        equality.MAX_LEVELS,
    ]


def test_the_exceptions_are_those_of_the_suite() -> None:
    assert [name.strip("`") for name in rows("The official suite")] == list(EXCEPTIONS)
