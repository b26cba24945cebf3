"""Requests of callers who are not known: counted, so that a stranger cannot fill the disk.

One AuditEvent a minute and address says how many there were.
"""

from server.access.context import AccessContext, Trace
from server.fhir.dates import SECOND

EVERY_US = 60 * SECOND
MOST_ADDRESSES = 1_000  # counted apart within a minute; the others together
OTHERS = "others"


class Refusals:
    """How many requests were refused, by address, since they were last told of."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._told_at = 0

    @property
    def empty(self) -> bool:
        """True when there is nothing to tell."""
        return not self._counts

    def count(self, address: str) -> None:
        """Count one refused request."""
        if address not in self._counts and len(self._counts) >= MOST_ADDRESSES:
            address = OTHERS
        self._counts[address] = self._counts.get(address, 0) + 1

    def due(self, now: int, *, everything: bool = False) -> list[tuple[AccessContext, str]]:
        """Return who was refused, and what to say of it, if it is time to tell."""
        if not self._counts or not (everything or now - self._told_at >= EVERY_US):
            return []
        counts, self._counts, self._told_at = self._counts, {}, now
        return [
            (
                AccessContext("-", "-", (), trace=Trace("-", "" if who == OTHERS else who)),
                f"{number} requests without a valid token",
            )
            for who, number in counts.items()
        ]
