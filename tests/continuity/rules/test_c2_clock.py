"""C2 Clock: unknown or future time is to be confirmed; age runs from the statement."""

import pytest

from server.continuity.rules.clock import AHEAD_US
from server.fhir.dates import DAY
from tests.continuity.rules.made import NOW, SMOKING, judged, said


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (None, ("confirm", "C2 undated", "x")),
        (NOW + AHEAD_US, ("known", "C1 holds", "x")),
        (NOW + AHEAD_US + 1, ("confirm", "C2 future", "x")),
        (NOW + 200 * DAY, ("confirm", "C2 future", "x")),
        (NOW, ("known", "C1 holds", "x")),
    ],
)
def test_a_time_that_nobody_knows_is_to_be_confirmed(
    at: int | None, expected: tuple[str, ...]
) -> None:
    assert judged(SMOKING, said(said_at=at)) == expected


def test_a_later_undated_word_replaces_nothing() -> None:
    """Which of the two was said last is not known: both stand."""
    told = judged(SMOKING, said("x", days=3), said("y", days=None, id_="2"))
    assert told[:2] == ("conflict", "C4 different answers")


def test_a_word_of_the_future_replaces_nothing() -> None:
    told = judged(SMOKING, said("x", days=3), said("y", days=-200, id_="2"))
    assert told[:2] == ("conflict", "C4 different answers")
    assert judged(SMOKING, said("x", days=3), said("y", days=-200, id_="2"), without="C2") == (
        "known", "C1 holds", "y",
    )  # fmt: skip


def test_the_same_word_dated_and_undated_is_known_by_the_dated_one() -> None:
    assert judged(SMOKING, said(days=None), said(days=3, id_="2")) == ("known", "C1 holds", "x")
