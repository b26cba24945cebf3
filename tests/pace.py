"""What something costs, in seconds of the machine on which limits were set.

A limit in seconds shall find work that grew, not a machine that is slow, busy or far on in the
suite.  So a test counts CPU time, of its own thread; the heap of all other tests is not searched
for garbage meanwhile; what takes too long is done again, for no work is quicker than it can be; and
the seconds are those of a machine that takes :data:`YARDSTICK_S` for :func:`yardstick`, asked at
the same moment.
"""

import gc
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from time import thread_time

TRIES = 5
YARDSTICK_S = 0.01  # of an idle core of a server of 2020, with Python 3.11


@dataclass
class Cost:
    """What the same work cost, each time ``for once in cost: with once: ...`` did it.

    It is done until it took less than ``limit_s``, :data:`TRIES` times at the most.  ``clock`` is
    ``process_time`` when other threads work for it; ``least_s`` is the cost so far.
    """

    limit_s: float
    clock: Callable[[], float] = thread_time
    least_s: float = math.inf

    def __iter__(self) -> Iterator[AbstractContextManager[None]]:
        for _ in range(TRIES):
            yield self._once()
            if self.least_s < self.limit_s:
                break

    @contextmanager
    def _once(self) -> Iterator[None]:
        with own_garbage():
            begun = self.clock()
            yield
            taken = self.clock() - begun
        if taken >= self.limit_s:
            taken /= pace()
        self.least_s = min(self.least_s, taken)


def cost_s(work: Callable[[], object], limit_s: float) -> float:
    """Return the seconds that ``work`` takes; it is done until they are fewer than ``limit_s``."""
    cost = Cost(limit_s)
    for once in cost:
        with once:
            work()
    return cost.least_s


def pace() -> float:
    """Return how many times as long as elsewhere things take here and now; 1 is the least."""
    with own_garbage():
        begun = thread_time()
        yardstick()
        return max(1.0, (thread_time() - begun) / YARDSTICK_S)


def yardstick() -> None:
    """Do what takes :data:`YARDSTICK_S`: small objects come and go, as in what is measured."""
    for _ in range(20):
        kept = {str(number): [number] for number in range(2_500)}
        sum(value[0] for value in kept.values())


@contextmanager
def own_garbage() -> Iterator[None]:
    """Look for garbage among what is new only: a worker of the suite has millions of objects."""
    young, middle, old = gc.get_threshold()
    gc.set_threshold(young, middle, 1 << 30)
    try:
        yield
    finally:
        gc.set_threshold(young, middle, old)
