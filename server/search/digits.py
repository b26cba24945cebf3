"""Whole numbers as texts whose beginnings are ranges, so that a range is found by equality.

For parts of composite parameters: what stands in the name of a key can only be equal or not.
"""

from math import ceil

from server.search.query import Comparator

_DIGITS = 8  # hexadecimal, of 32 bits: FHIR's integer
_BASE = 16
_LOWEST, _HIGHEST = -(2**31), 2**31 - 1


def beginnings(number: int) -> list[str]:
    """Return all beginnings of a stored number, longest last.

    >>> beginnings(12)
    ['8', '80', '800', '8000', '80000', '800000', '8000000', '8000000c']
    """
    text = f"{min(max(number, _LOWEST), _HIGHEST) - _LOWEST:08x}"
    return [text[:length] for length in range(1, _DIGITS + 1)]


def covering(op: Comparator, lo: float, hi: float) -> list[str]:
    """Return the beginnings of exactly those numbers that stand in the relation to ``lo..hi``.

    ``lo`` and ``hi`` are as :func:`server.search.number.wanted` reads them.

    >>> covering("eq", 11.5, 13.5)
    ['8000000c', '8000000d']
    """
    found: list[str] = []
    for first, last in _ranges(op, lo, hi):
        low, high = max(first, _LOWEST) - _LOWEST, min(last, _HIGHEST) - _LOWEST
        found += _beginnings(low, high, "", _BASE**_DIGITS)
    return found


def _ranges(op: Comparator, lo: float, hi: float) -> list[tuple[int, int]]:
    """Return which numbers, both ends in it, ``search.compare`` would find."""
    # The first number that is not below an end; beyond all integers in floats without a limit.
    at, behind = (ceil(min(max(end, _LOWEST), _HIGHEST + 1)) for end in (lo, hi))
    match op:
        case "eq" | "ap":
            return [(at, behind - 1)]
        case "ne":
            return [(_LOWEST, at - 1), (behind, _HIGHEST)]
        case "gt" | "sa":
            return [(behind, _HIGHEST)]
        case "lt" | "eb":
            return [(_LOWEST, at - 1)]
        case "ge":
            return [(at, _HIGHEST)]
        case "le":
            return [(_LOWEST, behind - 1)]


def _beginnings(low: int, high: int, text: str, size: int) -> list[str]:
    """Return the fewest beginnings below ``text``, which stands for ``size`` numbers from 0."""
    if low > high:
        return []
    if low <= 0 and high >= size - 1 and text:
        return [text]
    part = size // _BASE
    found: list[str] = []
    for digit in range(max(low, 0) // part, min(high, size - 1) // part + 1):
        start = digit * part
        found += _beginnings(low - start, min(high - start, part - 1), f"{text}{digit:x}", part)
    return found
