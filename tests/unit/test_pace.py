import gc
from time import thread_time

from tests.pace import cost_s


def spin(seconds: float) -> None:
    end = thread_time() + seconds
    while thread_time() < end:
        pass


def test_work_that_stays_below_its_limit_is_done_once() -> None:
    done: list[int] = []
    assert cost_s(lambda: done.append(1), 1) < 1
    assert done == [1]


def test_work_that_takes_too_long_every_time_is_told() -> None:
    # Far more than the limit: the machine may be slow while this runs, and has that deducted.
    assert cost_s(lambda: spin(0.2), 0.002) >= 0.002


def test_one_stall_is_not_the_cost_of_the_work() -> None:
    stalls = iter([0.3, 0.0])
    assert cost_s(lambda: spin(next(stalls)), 0.02) < 0.02


def test_garbage_of_others_is_not_looked_for_meanwhile() -> None:
    before = gc.get_stats()[2]["collections"]
    kept: list[list[int]] = []

    def make_many() -> None:
        kept.extend([number] for number in range(300_000))

    cost_s(make_many, 10)
    assert gc.get_stats()[2]["collections"] == before
    assert gc.get_threshold()[2] < 1_000
