"""The chain over the AuditEvents: each seal holds the digest of the one before.  Pure.

What is changed, taken out or put in behind a seal changes its digest, and with it those of all
seals behind.  Who holds a later digest outside the server can therefore tell (docs/audit.md says
what that proves, and what not).
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from hashlib import sha256
from typing import Literal, Self

from server.store.port import Digest

KIND = "audit-seal"
FIRST = bytes(32)
"""The digest before the first seal."""

_HEAD = struct.Struct("<qqqi")
_PRINT = struct.Struct("<q8s")  # of an event in a seal: its place, and the begin of its digest


@dataclass(frozen=True, slots=True)
class Seal:
    """``number`` counts from 1; ``last`` is the ``seq`` of the last event in it; ``at`` of sealing,
    microseconds; ``prints`` are 16 bytes for each event, only to say which one is wrong."""

    number: int
    last: int
    at: int
    prints: bytes
    digest: bytes

    @property
    def key(self) -> str:
        """The key of its record; sorted as the numbers are."""
        return f"{self.number:012d}"

    @property
    def events(self) -> int:
        """How many events it holds."""
        return len(self.prints) // _PRINT.size

    def pack(self) -> bytes:
        """Return the value of its record."""
        head = _HEAD.pack(self.number, self.last, self.at, self.events)
        return head + self.digest + self.prints

    @classmethod
    def unpack(cls, value: bytes) -> Self:
        """Return what :meth:`pack` was given; raises ValueError for what it never made."""
        if len(value) < _HEAD.size + 32:
            raise ValueError("a seal is cut off")
        number, last, at, events = _HEAD.unpack_from(value)
        digest = value[_HEAD.size : _HEAD.size + 32]
        prints = value[_HEAD.size + 32 :]
        if len(prints) != events * _PRINT.size:
            raise ValueError("a seal is cut off")
        return cls(number, last, at, prints, digest)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong behind a seal; ``event`` is the id, where one is there to name."""

    what: Literal["changed", "missing", "inserted", "seal"]
    event: str | None = None


def seal(before: Seal | None, events: Sequence[Digest], at: int) -> Seal:
    """Return the seal over ``events``, which follow those of the seal before in the feed."""
    number = before.number + 1 if before is not None else 1
    previous = before.digest if before is not None else FIRST
    last = events[-1].seq
    digest = sha256(previous + _HEAD.pack(number, last, at, len(events)))
    digest.update(b"".join([event.sha256 for event in events]))
    prints = b"".join([_PRINT.pack(event.seq, event.sha256[:8]) for event in events])
    return Seal(number, last, at, prints, digest.digest())


def fault(before: Seal | None, stored: Seal, events: Sequence[Digest]) -> Fault | None:
    """Return what first tells the events apart from those that were sealed; ``None``: nothing.

    ``events``: those that are there now, their digests made anew, from behind the seal before up
    to ``stored.last``.
    """
    if stored.number != (before.number + 1 if before is not None else 1):
        return Fault("seal")
    if not events:
        return Fault("missing")
    made = seal(before, events, stored.at)
    if (made.digest, made.last) == (stored.digest, stored.last):
        return None
    return _first_difference(stored, made, events) or Fault("seal")


def _first_difference(stored: Seal, made: Seal, events: Sequence[Digest]) -> Fault | None:
    was, now = _prints(stored), _prints(made)
    names = SequenceMatcher(
        None, [one[:8] for one in was], [one[:8] for one in now], autojunk=False
    )
    for tag, _, _, j, _ in names.get_opcodes():
        if tag == "equal":
            continue
        if tag == "insert":  # of the events that are there
            return Fault("inserted", events[j].id)
        return Fault("missing", events[j].id if j < len(events) else None)
    differ = [j for j, (old, new) in enumerate(zip(was, now, strict=True)) if old != new]
    return Fault("changed", events[differ[0]].id) if differ else None


def _prints(of: Seal) -> list[bytes]:
    size = _PRINT.size
    return [of.prints[n : n + size] for n in range(0, len(of.prints), size)]
