"""How long the end of a server may take: what is in flight gets its time, and only once."""

import time

LEAST_S = 2.0  # that each part gets which ends behind others


class Ending:
    """``within_s`` seconds in all, from :meth:`begin` on."""

    def __init__(self, within_s: float) -> None:
        self._within_s = within_s
        self._until: float | None = None

    def begin(self) -> None:
        """Note that the end has begun; the first call counts."""
        if self._until is None:
            self._until = time.monotonic() + self._within_s

    @property
    def left_s(self) -> float:
        """What the next part may take, from now on: some seconds when all is used up."""
        self.begin()
        assert self._until is not None, "it has begun"
        return max(self._until - time.monotonic(), LEAST_S)
