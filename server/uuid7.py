"""Logical ids: UUID version 7 (RFC 9562 5.7): sorted by time of making, 74 random bits.

Ids sorted by time keep the pages of a B-tree warm; the random part keeps them unguessable.
"""

import os
import time
from collections import deque

_RANDOM_BYTES = 10
_AT_ONCE = 256  # ids whose random bytes are asked of the system together; a call costs 50-100 us

_left: deque[bytes] = deque()


def new_id() -> str:
    """Return a new id for this moment.  Thread-safe."""
    return uuid7(time.time_ns() // 1_000_000, _random())


def _random() -> bytes:
    try:
        return _left.pop()
    except IndexError:
        drawn = os.urandom(_RANDOM_BYTES * _AT_ONCE)
    parts = [drawn[n : n + _RANDOM_BYTES] for n in range(0, len(drawn), _RANDOM_BYTES)]
    _left.extend(parts[1:])
    return parts[0]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_left.clear)  # two processes must never draw the same


def uuid7(milliseconds: int, random: bytes) -> str:
    """Return the UUIDv7 text for a Unix time and ten random bytes.

    >>> uuid7(1645557742000, bytes.fromhex("0cc318c4dc0c0c07398f"))
    '017f22e2-79b0-7cc3-98c4-dc0c0c07398f'
    """
    high = milliseconds << 80 | 0x7 << 76 | (int.from_bytes(random[:2], "big") & 0xFFF) << 64
    low = 0b10 << 62 | int.from_bytes(random[2:], "big") & (1 << 62) - 1
    text = f"{high | low:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
