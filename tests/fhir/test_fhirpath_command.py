from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from server.commands.line import cli

PATIENT = """{"resourceType": "Patient", "active": true, "birthDate": "1974-12-25",
 "name": [{"family": "Two\\nlines", "given": ["Peter", "James"]}],
 "_gender": {"extension": [{"url": "why"}]}}"""
OBSERVATION = """<Observation xmlns="http://hl7.org/fhir">
<valueQuantity><value value="1.50"/><code value="kg"/></valueQuantity></Observation>"""


@pytest.fixture
def patient(tmp_path: Path) -> Path:
    file = tmp_path / "patient.json"
    file.write_text(PATIENT)
    return file


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["fhirpath", *map(str, arguments)])


def test_a_result_is_a_line_with_its_type(patient: Path) -> None:
    found = run("name.given | name.family | active | (birthDate + 1 day) | gender", patient)
    assert found.stdout.splitlines() == [
        'string\t"Peter"',
        'string\t"James"',
        'string\t"Two\\nlines"',
        "boolean\ttrue",
        "System.Date\t1974-12-26",
        "code\tnull",
    ]
    assert found.exit_code == 0


def test_no_result_is_no_line_and_no_failure(patient: Path) -> None:
    found = run("name.suffix", patient)
    assert (found.stdout, found.exit_code) == ("", 0)


def test_xml_is_read_and_numbers_stay_as_they_were(tmp_path: Path) -> None:
    file = tmp_path / "observation.xml"
    file.write_text(OBSERVATION)
    found = run("value | value.value", file)
    assert found.stdout.splitlines() == ['Quantity\t{"value":1.50,"code":"kg"}', "decimal\t1.50"]


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("name.giveN", "tellonce: 'name.giveN': HumanName has no giveN (column 6)"),
        ("name.given.", "tellonce: 'name.given.': did not expect the end (column 12)"),
        (
            "active + 'x'",
            "tellonce: \"active + 'x'\": boolean + System.String is not defined (column 8)",
        ),
    ],
)
def test_a_fault_is_one_line_with_the_column(patient: Path, expression: str, told: str) -> None:
    found = run(expression, patient)
    assert (found.stdout, found.stderr.strip(), found.exit_code) == ("", told, 1)


def test_lenient_yields_nothing_for_what_the_type_does_not_have(patient: Path) -> None:
    found = run("--lenient", "name.giveN", patient)
    assert (found.stdout, found.exit_code) == ("", 0)


def test_trace_goes_to_stderr(patient: Path) -> None:
    found = run("name.given.trace('g').first()", patient)
    assert found.stdout == 'string\t"Peter"\n'
    assert found.stderr.splitlines() == ['g: string\t"Peter"', 'g: string\t"James"']


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.json", "{", "not JSON: Expecting property name enclosed in double quotes"),
        ("a.json", "[]", "the file holds no resource"),
        ("a.xml", "<!DOCTYPE a><a/>", "DOCTYPE is not allowed"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(
    tmp_path: Path, name: str, content: str, told: str
) -> None:
    (tmp_path / name).write_text(content)
    found = run("1", tmp_path / name)
    assert told in found.stderr
    assert found.exit_code == 1


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    found = run("1", tmp_path / "none.json")
    assert found.stderr.startswith("tellonce: No such file or directory")
    assert found.exit_code == 1
