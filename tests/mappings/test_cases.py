"""Golden cases: a folder is a test.  To add one, add a folder with ``in.hl7`` and ``expect.yaml``.

``expect.yaml`` holds what the plan must be, every scalar as text.  ``feed.yaml`` beside it is the
feed; without one the feed ``test`` has the defaults.
"""

from pathlib import Path

import pytest
import yaml

from mappings.cases import outcome
from mappings.maps import Maps, load_maps
from mappings.parse import parse
from mappings.plan import Plan
from server.validation import validate

CASES = sorted((Path(__file__).parent / "cases").iterdir())


def case_plan(case: Path, tmp_path: Path) -> Plan:
    maps: Maps = load_maps()
    if (case / "feed.yaml").exists():
        (tmp_path / "feed.yaml").write_text((case / "feed.yaml").read_text())
        maps = load_maps([tmp_path])
    return maps.plan(parse((case / "in.hl7").read_bytes()), maps.feed("test"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Path, tmp_path: Path) -> None:
    expected = yaml.load((case / "expect.yaml").read_text("utf-8"), Loader=yaml.BaseLoader)
    assert outcome(case_plan(case, tmp_path)) == expected


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_a_case_makes_is_valid_fhir(case: Path, tmp_path: Path) -> None:
    for resource in case_plan(case, tmp_path).resources:
        assert [i for i in validate(resource.values) if i.severity in ("error", "fatal")] == []
