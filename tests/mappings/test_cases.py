"""Golden cases: a folder is a test.  To add one, add a folder with ``in.hl7`` and ``expect.yaml``.

``expect.yaml`` holds what the plan must be, every scalar as text.  ``feed.yaml`` beside it is the
feed; without one the feed ``test`` has the defaults.
"""

from pathlib import Path
from typing import Any

import pytest
import yaml

from mappings.maps import Maps, load_maps
from mappings.parse import parse
from mappings.plan import Plan, PlannedResource
from server.validation import validate

CASES = sorted((Path(__file__).parent / "cases").iterdir())
LEFT_OUT = ("UNMAPPED", "INVALID", "DROPPED", "deleted", "not m", "the same")


def said(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return {name: said(inner) for name, inner in value.items()}
    return [said(one) for one in value] if isinstance(value, list) else str(value)


def planned(resource: PlannedResource) -> dict[str, Any]:
    values = {name: value for name, value in resource.values.items() if name != "resourceType"}
    made: dict[str, Any] = {
        "find": [[f"{k}={v}" for k, v in pairs] for pairs in resource.identity.any_of],
        "update": resource.update,
    }
    if untouched := sorted(values.keys() - resource.touched):
        made["untouched"] = untouched
    # the other types of a choice that was sent are deleted too: that is tested in test_plan
    rivals = ("value", "effective", "collected")
    if deletes := [name for name in sorted(resource.deletes) if not name.startswith(rivals)]:
        made["deletes"] = deletes
    return {**made, "values": said(values)}


def outcome(plan: Plan) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if plan.quarantine:
        made |= {"quarantine": plan.quarantine, "problem": plan.problem}
    made["lane"] = plan.lane
    made["resources"] = {resource.label: planned(resource) for resource in plan.resources}
    if plan.warnings:
        made["warnings"] = list(plan.warnings)
    rows = [row for row in plan.explain if row.how.startswith(LEFT_OUT)]
    if rows:
        made["explain"] = [f"{row.target} <- {row.source}: {row.how}" for row in rows]
    return made


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
