"""HL7's own examples go in and out unchanged, and level L1 accepts all that are valid R4."""

import tarfile
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from server.fhir.json import dumps, loads
from server.validation import validate

# Published with a fault; the first place where it is, and what the specification says there.
FAULTY = {
    # reasonReference allows no Procedure
    "DeviceUseStatement-example": "DeviceUseStatement.reasonReference[0].reference",
    # dispenseRequest.performer allows Organization only
    "MedicationRequest-medrx0301": "MedicationRequest.dispenseRequest.performer.reference",
    # performer allows no Encounter
    "Observation-clinical-gender": "Observation.performer[0].reference",
    # generated from a profile without the linkId that each item must have
    "Questionnaire-qs1": "Questionnaire.item[0].item[0].linkId",
}


@pytest.fixture(scope="module")
def examples(shared_data: Path) -> dict[str, bytes]:
    """All examples by name (``Patient-example``)."""
    return dict(members(shared_data / "r4" / "examples-half.tar.xz"))


def test_378_examples_come_out_as_they_went_in(examples: dict[str, bytes]) -> None:
    """Compared as text with white space between tokens taken out, so numbers literally."""
    assert len(examples) == 378
    changed = [name for name, raw in examples.items() if dumps(loads(raw)) != _compact(raw)]
    assert changed == []


def test_all_examples_are_valid_but_those_with_a_known_fault(examples: dict[str, bytes]) -> None:
    refused = {}
    for name, raw in examples.items():
        if issues := validate(loads(raw)):
            refused[name] = issues[0].expression[0]

    assert refused == FAULTY


def members(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of each example in the archive."""
    with tarfile.open(archive) as members:
        for member in members:
            file = members.extractfile(member) if member.isfile() else None
            if file is not None:
                yield Path(member.name).stem, file.read()


def _compact(raw: bytes) -> bytes:
    """Return JSON without the white space between its tokens, nothing else changed.

    Strings are written as orjson writes them, since ``\\u00e9`` and ``é`` are the same text.
    """
    made, inside, start = [], False, 0
    position = 0
    while position < len(raw):
        byte = raw[position : position + 1]
        if inside and byte == b"\\":
            position += 1
        elif byte == b'"':
            if inside:
                made.append(orjson.dumps(orjson.loads(raw[start : position + 1])))
            inside, start = not inside, position
        elif not inside and byte not in b" \t\r\n":
            made.append(byte)
        position += 1
    return b"".join(made)
