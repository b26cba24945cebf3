"""The published JSON Patch tests that FHIR uses."""

import json
import tarfile
from pathlib import Path

import pytest

from server.fhir.errors import FhirError
from server.fhir.json import dumps, loads
from server.interactions.json_patch import apply, equal

FILE = "fhirpath/patch/json-patch-tests.json"


def test_the_published_cases(shared_data: Path) -> None:
    with tarfile.open(shared_data / "fhirpath" / "fhirpath-tests.tar.xz") as archive:
        file = archive.extractfile(FILE)
        assert file is not None
        cases = json.loads(file.read())
    wrong = [case.get("comment") for case in cases if not case.get("disabled") and not holds(case)]
    assert wrong == []
    assert len(cases) > 15


def holds(case: dict[str, object]) -> bool:
    document, patch = loads(dumps(case["doc"])), loads(dumps(case["patch"]))
    try:
        found = apply(document, patch)
    except FhirError:
        return "error" in case
    return "expected" not in case or equal(found, loads(dumps(case["expected"])))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (b"1", b"1.0", True),
        (b"1", b"true", False),
        (b"0", b"false", False),
        (b"null", b"0", False),
        (b'"1"', b"1", False),
        (b'{"a":1,"b":2}', b'{"b":2,"a":1}', True),
        (b"[1,2]", b"[2,1]", False),
        (b"[]", b"{}", False),
    ],
)
def test_equality_of_rfc_6902(one: bytes, other: bytes, same: bool) -> None:
    assert equal(loads(one), loads(other)) is same
