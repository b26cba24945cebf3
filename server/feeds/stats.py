"""What is counted of feeds: for metrics, and for who looks after them.  Nothing of a message."""

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

ACK_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0)
_SLOT_US = 10_000_000
_SLOTS = 90  # of ten seconds: a quarter of an hour

COUNTED = ("received", "repeated", "applied", "held", "refused", "reused_ids", "queries")


class Rate:
    """How many things happened lately; times in microseconds."""

    def __init__(self) -> None:
        self._slots: deque[list[int]] = deque(maxlen=_SLOTS)  # [number of the slot, things]

    def add(self, now: int) -> None:
        """Count one."""
        slot = now // _SLOT_US
        if self._slots and self._slots[-1][0] >= slot:
            self._slots[-1][1] += 1
        else:
            self._slots.append([slot, 1])

    def per_minute(self, now: int, minutes: int) -> float:
        """Return the mean of the last so many minutes, fifteen at most."""
        since = now // _SLOT_US - minutes * 6
        return sum(number for slot, number in self._slots if slot > since) / minutes


@dataclass(slots=True)
class FeedStats:
    """Counts of one feed since the start.

    ``quarantined`` is by reason; ``bytes`` those of kept messages; ``last`` when the last message
    came (microseconds, 0 for never); ``ack_counts`` are answers by :data:`ACK_BUCKETS_S`, the last
    one above them all.
    """

    received: int = 0
    repeated: int = 0
    applied: int = 0
    held: int = 0
    refused: int = 0
    reused_ids: int = 0
    queries: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    last: int = 0
    rate: Rate = field(default_factory=Rate)
    ack_counts: list[int] = field(default_factory=lambda: [0] * (len(ACK_BUCKETS_S) + 1))
    ack_sum_s: float = 0.0

    def came(self, size_bytes: int, now: int) -> None:
        """Count a message that was kept."""
        self.received += 1
        self.bytes += size_bytes
        self.last = now
        self.rate.add(now)

    def ended(self, state: str, reason: str) -> None:
        """Count how a message ended."""
        if state == "applied":
            self.applied += 1
        elif state == "held":
            self.held += 1
        elif state == "quarantined":
            self.quarantined[reason] += 1

    def answered(self, seconds: float) -> None:
        """Count an acknowledgement, by the time since its message was here."""
        self.ack_counts[bisect_left(ACK_BUCKETS_S, seconds)] += 1
        self.ack_sum_s += seconds

    def ack_buckets(self) -> list[tuple[str, float]]:
        """Return (upper bound, answers up to it), as the Prometheus text format has them."""
        made: list[tuple[str, float]] = []
        total = 0
        for bound, number in zip((*map(str, ACK_BUCKETS_S), "+Inf"), self.ack_counts, strict=True):
            total += number
            made.append((bound, total))
        return made

    def ack_p99_s(self) -> float | None:
        """Return the upper bound under which 99 of 100 answers stayed; ``None`` without any."""
        total = sum(self.ack_counts)
        if not total:
            return None
        for bound, upto in self.ack_buckets():
            if upto >= 0.99 * total:
                return float(bound)
        return None


class AllStats(dict[str, FeedStats]):
    """By feed; asking for a feed makes its counts."""

    def __missing__(self, feed: str) -> FeedStats:
        return self.setdefault(feed, FeedStats())


@dataclass(frozen=True, slots=True)
class Moment:
    """What is at work now, of one feed or of all.

    ``lag_s`` is the age of the oldest message that is not finished, ``waiting`` are those that are
    queued, ``backlog`` those of before this start that are not even queued (``None``: none).
    """

    unfinished: int
    lag_s: float
    connections: int
    backlog: bool = False


def oldest(times: Iterable[int], now: int) -> float:
    """Return the age in seconds of the earliest time; 0 without any."""
    first = min(times, default=now)
    return max(0, now - first) / 1e6
