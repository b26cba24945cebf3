from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from server.search.compare import compare
from server.search.digits import beginnings, covering
from server.search.number import point
from server.search.query import Comparator

INTEGERS = st.integers(-(2**31), 2**31 - 1) | st.integers(-40, 40)
COMPARATORS = st.sampled_from(get_args(Comparator))


@given(COMPARATORS, INTEGERS, INTEGERS, st.sampled_from([0, 0.5, 3.5, 5000.0]))
def test_a_number_is_covered_when_it_compares(
    op: Comparator, stored: int, asked: int, margin: float
) -> None:
    lo, hi = (asked - margin, asked + margin) if margin else point(asked)
    wanted = compare(op, *point(stored), lo, hi)
    assert bool(set(beginnings(stored)) & set(covering(op, lo, hi))) is wanted


@given(COMPARATORS, INTEGERS, INTEGERS)
def test_few_beginnings_cover_any_range(op: Comparator, first: int, last: int) -> None:
    assert len(covering(op, min(first, last) - 0.5, max(first, last) + 0.5)) <= 480


def test_numbers_beyond_all_integers_are_the_ends() -> None:
    assert covering("lt", 1e300, 1e301) == list("0123456789abcdef")
    assert covering("gt", 1e300, 1e301) == []
