"""The FHIRPath test suite of HL7 (935 tests for R4), but for what is wrong in it.

A test that is told to fail here must fail, with a reason; when it passes its line must go.
"""

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from server.fhir import json, xml
from server.fhir.fhirpath.environment import Outside
from server.fhir.fhirpath.errors import FhirPathError
from server.fhir.fhirpath.expression import CLIENT_STEPS, compile_expression
from server.fhir.fhirpath.items import Item, plain
from server.fhir.fhirpath.quantity import Quantity
from server.fhir.fhirpath.singleton import truth
from server.fhir.fhirpath.temporal import Temporal

NOW = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)

# name of the test -> what is wrong with it
EXCEPTIONS = {
    "testPlusDate19": "drops the fraction of 0.1 's'; it counts for seconds (N1, section 6.6.8)",
    "LowBoundaryDecimal15": "-0.0 is above -0.00345, so it is no lower boundary",
    "HighBoundaryDecimal15": "0.0 is below 0.00345, so it is no upper boundary",
    "HighBoundaryDecimal16": "the same, with a minus before the whole (precedence of section 8)",
    "HighBoundaryDateTimeMillisecond1": "08:59:59.999 is later than 08:00:59.999, and may be meant",
    "HighBoundaryDateTimeMillisecond3": "the same expression again",
    "testFHIRPathAsFunction11": "a code is a string (R4 datatypes.html); as() keeps subtypes (6.3)",
    "testFHIRPathAsFunction16": "the same with ofType() (section 5.2.4)",
}


@dataclass(frozen=True)
class Case:
    """One test: ``invalid`` names the kind of refusal that is wanted instead of ``outputs``."""

    name: str
    expression: str
    input: str | None
    invalid: str | None
    predicate: bool
    outputs: tuple[tuple[str | None, str], ...]


@pytest.fixture(scope="module")
def files(shared_data: Path) -> dict[str, bytes]:
    with tarfile.open(shared_data / "fhirpath" / "fhirpath-tests.tar.xz") as archive:
        return {
            Path(member.name).name: content.read()
            for member in archive
            if (content := archive.extractfile(member)) is not None
        }


def cases(suite: bytes) -> Iterator[Case]:
    seen: dict[str, int] = {}
    for test in ElementTree.parse(io.BytesIO(suite)).getroot().iter("test"):
        expression = test.find("expression")
        assert expression is not None
        name = test.attrib["name"]
        seen[name] = seen.get(name, 0) + 1
        yield Case(
            name if seen[name] == 1 else f"{name} ({seen[name]})",
            expression.text or "",
            test.get("inputfile"),
            expression.get("invalid"),
            test.get("predicate") == "true",
            tuple((output.get("type"), output.text or "") for output in test.findall("output")),
        )


def resources(files: dict[str, bytes]) -> dict[str, Any]:
    read = {}
    for name, content in files.items():
        if name.endswith("-example.xml") or "-example" in name or name.startswith("patient-name"):
            read[name] = xml.loads(content) if name.endswith(".xml") else json.loads(content)
    return read


def conforms_to(item: Item, profile: str) -> bool:
    """Stands in for a validator: the suite asks about resource types only."""
    name = profile.removeprefix("http://hl7.org/fhir/StructureDefinition/")
    if name == profile:
        raise FhirPathError(f"there is no profile {profile}")
    return item.type == name


def answer(case: Case, resource: Any) -> list[Item]:
    type_ = resource.get("resourceType")
    expression = compile_expression(case.expression, type_, strict=True)
    found = expression.evaluate(
        resource, now=NOW, outside=Outside(conforms_to=conforms_to), steps=CLIENT_STEPS
    )
    if case.predicate:
        holds = truth(found)
        return [Item(holds, "System.Boolean", "System.Boolean")]
    return found


def shown(item: Item) -> str:
    value = plain(item)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Temporal):
        return f"@{'T' if value.kind == 'time' else ''}{value}"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, Quantity):
        return str(value)
    return str(item.value if value is None else value)


def is_wanted(item: Item, type_: str | None, text: str) -> bool:
    told = item.type.removeprefix("System.")
    if type_ is not None and type_.lower() != told.lower():
        return False
    return shown(item) == text


def failure(case: Case, resource: Any) -> str | None:
    try:
        found = answer(case, resource)
    except FhirPathError as error:
        return None if case.invalid else f"refused: {error}"
    if case.invalid:
        return f"wanted a refusal ({case.invalid}), got {[shown(item) for item in found]}"
    if len(found) != len(case.outputs) or not all(
        is_wanted(item, *output) for item, output in zip(found, case.outputs, strict=True)
    ):
        return f"wanted {case.outputs}, got {[(item.type, shown(item)) for item in found]}"
    return None


def test_the_official_suite_passes_but_for_its_own_faults(files: dict[str, bytes]) -> None:
    known = resources(files)
    everything = list(cases(files["tests-fhir-r4.xml"]))
    failures = {}
    for case in everything:
        why = failure(case, known[case.input] if case.input else {})
        if why is not None:
            failures[case.name] = f"{case.expression} -- {why}"

    assert len(everything) == 935
    assert {name: why for name, why in failures.items() if name not in EXCEPTIONS} == {}
    assert EXCEPTIONS.keys() - failures.keys() == set()
