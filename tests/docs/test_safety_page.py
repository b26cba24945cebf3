"""docs/safety.md names tests that exist, for every rule."""

import re
from pathlib import Path

import pytest

from server.continuity.rules.judge import RULES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "safety.md").read_text("utf-8")
ROWS = [line.split(" | ") for line in PAGE.splitlines() if line.startswith("| **")]
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))


@pytest.mark.parametrize(("file", "test"), NAMED, ids=[test for _, test in NAMED])
def test_the_test_that_is_named_exists(file: str, test: str) -> None:
    text = (ROOT / file).read_text("utf-8")
    assert re.search(rf"^(async )?def {test}\(", text, re.MULTILINE)


def test_every_rule_has_a_hazard_a_control_and_a_test() -> None:
    rules = {row[0].strip("| *") for row in ROWS}
    assert {*RULES, "C11", "language model"} <= rules
    for _, hazard, control, tests in ROWS:
        assert hazard
        assert control
        assert "::test_" in tests
