"""What something costs, in seconds of the machine on which limits were set.

A limit in seconds shall find work that grew, not a machine that is slow, busy or far on in the
suite.  So a test counts the CPU time of its own thread; the heap of all other tests is not searched
for garbage meanwhile; what takes too long is done again, for there is no work that is quicker than
it can be; and the seconds are those of a machine that takes :data:`YARDSTICK_S` for
:func:`yardstick`, asked at the same moment.
"""

import gc
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import thread_time

TRIES = 5
YARDSTICK_S = 0.01  # of an idle core of a server of 2020, with Python 3.11


def yardstick() -> None:
    """Do what takes :data:`YARDSTICK_S`: small objects come and go, as in what is measured."""
    for _ in range(20):
        kept = {str(number): [number] for number in range(2_500)}
        sum(value[0] for value in kept.values())


def cost_s(
    work: Callable[[], object],
    limit_s: float,
    clock: Callable[[], float] = thread_time,
    tries: int = TRIES,
) -> float:
    """Return the seconds that ``work`` takes, and at most ``limit_s`` if it ever took less.

    Args:
        work: is done up to ``tries`` times, until it took less than ``limit_s``.
        clock: ``process_time`` for what other threads do for ``work``.
    """
    least = math.inf
    for _ in range(tries):
        taken = _seconds(work, clock)
        if taken >= limit_s:
            taken /= pace()
        least = min(least, taken)
        if least < limit_s:
            break
    return least


def pace() -> float:
    """Return how many times as long as elsewhere things take here and now; 1 is the least."""
    return max(1.0, _seconds(yardstick, thread_time) / YARDSTICK_S)


def _seconds(work: Callable[[], object], clock: Callable[[], float]) -> float:
    with own_garbage():
        begun = clock()
        work()
        return clock() - begun


@contextmanager
def own_garbage() -> Iterator[None]:
    """Look for garbage among what is new only: a worker of the suite has millions of objects."""
    young, middle, old = gc.get_threshold()
    gc.set_threshold(young, middle, 1 << 30)
    try:
        yield
    finally:
        gc.set_threshold(young, middle, old)
