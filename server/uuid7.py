"""Logical ids: UUID version 7 (RFC 9562 5.7): sorted by time of making, 74 random bits.

Ids sorted by time keep the pages of a B-tree warm; the random part keeps them unguessable.
"""

import os
import time
from uuid import UUID


def new_id() -> str:
    """Return a new id for this moment."""
    return uuid7(time.time_ns() // 1_000_000, os.urandom(10))


def uuid7(milliseconds: int, random: bytes) -> str:
    """Return the UUIDv7 text for a Unix time and ten random bytes.

    >>> uuid7(1645557742000, bytes.fromhex("0cc318c4dc0c0c07398f"))
    '017f22e2-79b0-7cc3-98c4-dc0c0c07398f'
    """
    high = milliseconds << 80 | 0x7 << 76 | (int.from_bytes(random[:2], "big") & 0xFFF) << 64
    low = 0b10 << 62 | int.from_bytes(random[2:], "big") & (1 << 62) - 1
    return str(UUID(int=high | low))
