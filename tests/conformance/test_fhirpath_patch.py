"""The published FHIRPath Patch tests."""

import tarfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from server.fhir import xml
from server.fhir.errors import InvalidResource
from server.interactions.fhirpath_patch import apply
from server.validation import validate

FILE = "fhirpath/patch/fhir-patch-tests.xml"


def test_the_published_cases(shared_data: Path) -> None:
    cases = list(published(shared_data))

    assert {case.get("name"): outcome(case) for case in cases if not holds(case)} == {}
    assert len(cases) == 33


def published(shared_data: Path) -> list[Element]:
    with tarfile.open(shared_data / "fhirpath" / "fhirpath-tests.tar.xz") as archive:
        file = archive.extractfile(FILE)
        assert file is not None
        return ElementTree.fromstring(file.read()).findall("case")


def holds(case: Element) -> bool:
    found = outcome(case)
    if case.find("error") is not None:
        return isinstance(found, str)
    return found == resource(case, "output") and validate(found) == []


def outcome(case: Element) -> dict[str, Any] | str:
    patch = resource(case, "diff")
    assert validate(patch) == []
    try:
        return apply(resource(case, "input"), patch)
    except InvalidResource as error:
        return error.diagnostics


def resource(case: Element, name: str) -> dict[str, Any]:
    """Return the resource inside; an empty ``diff`` is a Parameters resource without any."""
    found = case.find(f"{name}/*")
    assert found is not None
    return xml.loads(ElementTree.tostring(found))
