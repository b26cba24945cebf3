"""Every requirement of SMART App Launch 2.2.0 has a test that names it, or a reason."""

import csv
import os
from pathlib import Path

import pytest

from tests.smart.requirements import marked, proofs, requirements

LISTED = Path(__file__).parents[3] / "shared" / "design" / "smart_2.2.0_server_requirements.tsv"


def test_the_list_has_every_requirement_of_a_server() -> None:
    if not LISTED.is_file():
        missing = "no list of requirements: ../shared/design is not there"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    with LISTED.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))

    ours = [(one.id, one.level, one.page) for one in requirements().values()]
    assert ours == [(int(row["id"]), row["conformance"], row["page"]) for row in rows]


def test_every_requirement_is_said_in_words_and_has_a_state() -> None:
    for one in requirements().values():
        assert one.words
        excuse = "n/a: " if one.binding else ("n/a: ", "open: ")
        assert one.state == "test" or (one.state.startswith(excuse) and one.reason), one


def test_every_requirement_that_is_not_excused_has_a_test() -> None:
    assert [
        one for one in requirements().values() if not one.reason and one.id not in proofs()
    ] == []


def test_what_a_test_proves_is_not_excused() -> None:
    assert [one for one in requirements().values() if one.reason and one.id in proofs()] == []


def test_the_tests_that_name_ids_are_there(request: pytest.FixtureRequest) -> None:
    """What is read from the text of a module is what pytest collected from it."""
    seen = {
        (getattr(item, "originalname", item.name), id_)
        for item in request.session.items
        for mark in item.iter_markers("smart")
        for id_ in mark.args
    }
    read = {(test.partition("::")[2], id_) for id_, tests in proofs().items() for test in tests}
    assert seen <= read


def test_marks_of_a_module_a_class_and_a_parameter_are_read() -> None:
    text = """
pytestmark = pytest.mark.smart(14)

class TestToken:
    @pytest.mark.smart(86, 87)
    async def test_is_not_kept(self): ...

@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.smart(15))])
def test_plain(x): ...
"""
    assert sorted(marked(text)) == [
        ("test_is_not_kept", 14),
        ("test_is_not_kept", 86),
        ("test_is_not_kept", 87),
        ("test_plain", 14),
        ("test_plain", 15),
    ]
