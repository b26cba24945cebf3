"""One shape for every failure."""

import json
from collections.abc import Iterator

import pytest

from server.fhir import errors as fhir_errors
from server.fhir.errors import FhirError, Issue
from server.rest.errors import bug, failure


def every_error(cls: type[FhirError] = FhirError) -> Iterator[type[FhirError]]:
    """Return every class of the module; a test elsewhere may add its own subclass."""
    for sub in cls.__subclasses__():
        if sub.__module__ == fhir_errors.__name__:
            yield sub
            yield from every_error(sub)


@pytest.mark.parametrize("cls", list(every_error()))
def test_every_error_has_one_shape(cls: type[FhirError]) -> None:
    answer = failure(cls("told", expression=("Patient.name",)))

    assert 400 <= answer.status < 504
    assert answer.headers[0] == (b"content-type", b"application/fhir+json; charset=utf-8")
    assert isinstance(answer.body, bytes)
    assert json.loads(answer.body) == {
        "resourceType": "OperationOutcome",
        "issue": [
            {
                "severity": "error",
                "code": cls.issue,
                "diagnostics": "told",
                "expression": ["Patient.name"],
            }
        ],
    }


def test_there_are_many_of_them() -> None:
    assert len(list(every_error())) >= 20


def test_when_to_come_back_is_a_header() -> None:
    answer = failure(fhir_errors.Throttled("slow down", retry_after_s=7))
    assert (b"retry-after", b"7") in answer.headers


def test_line_and_column_are_the_location() -> None:
    issue = Issue("error", "structure", "told", line=3, column=4)
    answer = failure(fhir_errors.InvalidJson("told", issues=[issue]))
    assert isinstance(answer.body, bytes)
    assert json.loads(answer.body)["issue"][0]["location"] == ["line 3, column 4"]


def test_a_bug_says_where_to_look() -> None:
    answer = bug("r-1")
    assert isinstance(answer.body, bytes)
    (issue,) = json.loads(answer.body)["issue"]
    assert (answer.status, issue["code"]) == (500, "exception")
    assert "r-1" in issue["diagnostics"]
