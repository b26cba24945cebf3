from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from server.search.compare import compare
from server.search.query import Comparator

INTERVALS = st.tuples(st.integers(-20, 20), st.integers(1, 20)).map(lambda p: (p[0], p[0] + p[1]))


@given(INTERVALS, INTERVALS)
def test_the_comparators_agree_with_each_other(
    stored: tuple[int, int], asked: tuple[int, int]
) -> None:
    holds = {op: compare(op, *stored, *asked) for op in get_args(Comparator)}
    assert holds["ne"] is not holds["eq"]
    assert holds["ge"] is (holds["gt"] or holds["eq"])
    assert holds["le"] is (holds["lt"] or holds["eq"])
    assert holds["ap"] is not (holds["sa"] or holds["eb"])
    assert not (holds["sa"] and holds["eb"])
    assert not holds["sa"] or holds["gt"]
    assert not holds["eb"] or holds["lt"]
    assert holds["eq"] or holds["gt"] or holds["lt"]


@given(INTERVALS, INTERVALS)
def test_after_and_before_are_mirrored(stored: tuple[int, int], asked: tuple[int, int]) -> None:
    assert compare("sa", *stored, *asked) is compare("eb", *asked, *stored)


@given(INTERVALS)
def test_an_interval_equals_itself(interval: tuple[int, int]) -> None:
    assert compare("eq", *interval, *interval)
    assert not compare("gt", *interval, *interval)
    assert not compare("lt", *interval, *interval)
